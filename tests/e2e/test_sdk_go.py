"""The Go SDK: its own tests, and its README's program before a real weir."""

import shutil
import subprocess

import pytest
from policy_harness import ROOT
from program import Program, fenced, go_run, indented, moved

SDK = ROOT / "contrib" / "sdk" / "go"
pytestmark = pytest.mark.skipif(not shutil.which("go"),
                                reason="Go is not installed")


@pytest.fixture
def go(place):
    """go(command...) as the README has it installed."""
    def run(*command):
        return go_run(place, *command, cwd=SDK)
    return run


def test_style(go):
    files = [str(path) for path in SDK.glob("*.go")]
    assert subprocess.run(["gofmt", "-l", *files], check=True,
                          capture_output=True).stdout == b""
    go("vet", ".")
    for path in SDK.glob("*.go"):
        assert path.name == "policy.pb.go" or \
            len(path.read_text().splitlines()) <= 400, path


def test_unit_tests(go):
    """With the race detector, where it can be had."""
    race = ["-race"] if go("env", "CGO_ENABLED").strip() == "1" and \
        shutil.which("gcc") else []
    told = go("test", "-v", "-count=1", *race, ".")
    for line in told.splitlines():
        if line.startswith("--- SKIP"):
            pytest.skip(told)


def test_hello(go, bench):
    """The README's first program, and its block of weir.conf."""
    source = fenced(SDK / "README.md", "go")[0]
    assert len(source.splitlines()) <= 15
    block = indented(SDK / "README.md", 'policy "hello"')
    (bench.place / "hello.go").write_text(source)
    assert subprocess.run(["gofmt", "-l", bench.place / "hello.go"],
                          check=True, capture_output=True).stdout == b""
    go("build", "-o", bench.place / "hello", bench.place / "hello.go")
    with Program(bench.place / "hello", "-listen",
                 f"unix:{bench.place}/hello.sock") as server:
        server.wait_for("listening on unix:")
        weir = bench.weir(more=moved(block, bench.place))
        weir.wait_log("event=policy.ready")
        with weir.connect() as client:
            assert [reply[:9] for reply in client.envelope(
                "a@example.org", "nobody@example.com", "b@example.com")] == \
                ["550 5.1.1", "250 2.1.5"]
            assert client.content().startswith("250")
        assert server.stop() == 0
        assert not (bench.place / "hello.sock").exists()


def test_wrong_options_are_named(go, place):
    (place / "hello.go").write_text(fenced(SDK / "README.md", "go")[0])
    go("build", "-o", place / "hello", place / "hello.go")
    for options, words in [
            ([], "-listen is missing"),
            (["-listen", "here"], "no endpoint"),
            (["-listen", "tls:127.0.0.1:0"], "certificate and its key"),
            (["-listen", "tls:127.0.0.1:0", "-tls-cert", place / "no"],
             "no such file")]:
        with Program(place / "hello", *options) as server:
            assert server.wait() == 2
            assert words in server.log()
