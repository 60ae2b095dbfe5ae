"""The Node.js SDK: its own tests, and its README's program before a real
weir."""

import os
import re
import shutil
import subprocess

import pytest
from policy_harness import ROOT
from program import Program, fenced, indented, moved

SDK = ROOT / "contrib" / "sdk" / "nodejs"
pytestmark = pytest.mark.skipif(not shutil.which("node"),
                                reason="Node.js is not installed")


@pytest.fixture
def installed(place):
    """As npm installs a folder: by a link in node_modules."""
    (place / "node_modules").mkdir()
    (place / "node_modules" / "weir-policy").symlink_to(SDK)
    return place


def test_unit_tests():
    done = subprocess.run(["node", "--test", *sorted(SDK.glob("test/*.test.js"))],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    if not re.search(r"^# skipped 0$", done.stdout, re.M):
        pytest.skip("\n".join(re.findall(r".*# SKIP.*", done.stdout)))


def test_files_are_short():
    for path in [*SDK.glob("*.js"), *SDK.glob("*/*.js")]:
        assert len(path.read_text().splitlines()) <= 400, path


def test_hello(installed, bench):
    """The README's first program, and its block of weir.conf."""
    source = fenced(SDK / "README.md", "js")[0]
    assert len(source.splitlines()) <= 15
    block = indented(SDK / "README.md", 'policy "hello"')
    (installed / "hello.js").write_text(source)
    with Program("node", installed / "hello.js", "--listen",
                 f"unix:{installed}/hello.sock") as server:
        server.wait_for("listening on unix:")
        weir = bench.weir(more=moved(block, installed))
        weir.wait_log("event=policy.ready")
        with weir.connect() as client:
            assert [reply[:9] for reply in client.envelope(
                "a@example.org", "Nobody@example.com", "b@example.com")] == \
                ["550 5.1.1", "250 2.1.5"]
            assert client.content().startswith("250")
        assert server.stop() == 0
        assert not (installed / "hello.sock").exists()


def test_imported_as_a_module(installed):
    (installed / "a.mjs").write_text(
        "import { Policy, reject } from 'weir-policy'\n"
        "console.log(new Policy('x').software, reject('a').fields.reply.code)")
    assert subprocess.run(["node", installed / "a.mjs"], check=True, text=True,
                          capture_output=True).stdout == "x 550\n"


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_installed_by_npm(place):
    """From a copy, without network; it needs nothing that is not in it."""
    environment = {**os.environ, "HOME": str(place)}
    packed = subprocess.run(
        ["npm", "pack", "--silent", SDK], cwd=place, check=True, text=True,
        capture_output=True, env=environment, timeout=60).stdout.strip()
    (place / "package.json").write_text("{}")
    subprocess.run(["npm", "install", "--silent", "--offline", f"./{packed}"],
                   cwd=place, check=True, env=environment, timeout=60)
    subprocess.run(["node", "-e", "require('weir-policy')"], cwd=place,
                   check=True)


def test_wrong_options_are_named(installed):
    (installed / "hello.js").write_text(fenced(SDK / "README.md", "js")[0])
    for options, words in [
            ([], "--listen is missing"),
            (["--listen", "here"], "no endpoint"),
            (["--lisen", "here"], "lisen"),
            (["--listen", "tls:127.0.0.1:0"], "certificate and its key"),
            (["--listen", "tls:127.0.0.1:0", "--tls-cert", installed / "no"],
             "no such file")]:
        with Program("node", installed / "hello.js", *options) as server:
            assert server.wait() == 2
            assert words in server.log()
