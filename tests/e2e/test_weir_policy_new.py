"""weir-policy new: what it writes runs, and its own test passes, in every
language, with every template, at every phase; with real weir, too."""

import os
import shutil
import subprocess

import c_policy
import pytest
from policy_harness import ROOT, Server
from weir_policy_command import PROGRAM, weir_policy

NEEDS = {"c": "cc", "go": "go", "nodejs": "node", "python": "python3",
         "ruby": "ruby"}
PHASES = {"blocklist": ["mail", "connect", "ehlo", "rcpt"],
          "rate-limit": ["mail", "connect"],
          "header": ["headers", "end_of_message"],
          "body": ["end_of_message"]}
# every template in every language, and in one of them at every phase
CASES = [(language, template, phase) for language in NEEDS
         for template, phases in PHASES.items()
         for phase in (phases if language == "python" else phases[:1])]


@pytest.fixture(scope="module")
def library():
    """libweir-policy as users have it."""
    return c_policy.Library()


@pytest.fixture
def environment(request, tmp_path):
    """What a shell needs to build and run a policy in the language."""
    language = request.node.callspec.params["language"]
    if not shutil.which(NEEDS[language]):
        pytest.skip(f"{NEEDS[language]} is not installed")
    made = {**os.environ, "WEIR_POLICY": str(PROGRAM), "PYTHONPATH": "",
            "GOFLAGS": ""}
    if language == "c":
        if c_policy.why_not():
            pytest.skip(c_policy.why_not())
        made.update(request.getfixturevalue("library").environment)
        made["CFLAGS"] = " ".join(["-g -Wall -Wextra -Werror", *(
            c_policy.make_variable("SANITIZER_FLAGS"))])
    return made


def make(language, folder, *options):
    weir_policy("new", language, folder.name, "--directory", folder.parent,
                *options)
    return folder


def try_it(folder, environment, cwd="/"):
    return subprocess.run([folder / "test.sh"], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=200,
                          errors="replace")


@pytest.mark.parametrize(("language", "template", "phase"), CASES)
def test_it_runs_and_its_test_passes(language, template, phase, environment,
                                     tmp_path):
    folder = make(language, tmp_path / "my-policy", "--template", template,
                  "--phase", phase)
    done = try_it(folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("my-policy does as it should\n")
    for path in folder.iterdir():
        if path.is_file() and path.name != "my-policy":
            text = path.read_text()
            assert "@NAME@" not in text and "@PHASE" not in text, path
            assert path.name == "test.sh" or all(
                len(line) <= 100 for line in text.splitlines()), path
    assert 'policy "my-policy"' in (folder / "README.md").read_text()
    assert subprocess.run(["sh", "-n", folder / "test.sh"]).returncode == 0


@pytest.mark.parametrize("language", NEEDS)
def test_without_its_package_it_says_so(language, environment, tmp_path):
    folder = make(language, tmp_path / "my-policy")
    nowhere = str(tmp_path / "none")
    done = try_it(folder, {
        **environment, "WEIR_SDK": nowhere, "PYTHONPATH": nowhere,
        "PKG_CONFIG_PATH": nowhere, "WEIR_CFLAGS": "", "WEIR_LIBS": ""})
    assert done.returncode == 1
    assert "README.md says what it needs" in done.stdout, done.stdout


@pytest.mark.parametrize("language", ["python", "ruby"])
def test_its_test_can_fail(language, environment, tmp_path):
    """An empty list refuses nobody, and test.sh says what it missed."""
    folder = make(language, tmp_path / "p")
    (folder / "blocked").write_text("# nobody\n")
    done = try_it(folder, environment)
    assert done.returncode == 1
    assert "FAILED: mail <spam@bad.example> reject 550" in done.stdout


def test_with_real_weir(bench, place):
    """The folder's program, and its weir.conf as it is but for the path."""
    folder = make("python", place / "marked", "--template", "header")
    server = Server(folder / "marked.py", "--listen",
                    f"unix:{place}/marked.sock")
    bench.opened.enter_context(server)
    server.wait_for("listening on ")
    block = (folder / "weir.conf").read_text()
    mx = bench.mx()
    weir = bench.weir(more=block.replace("/run/weir", str(place)), ready=False)
    weir.wait_log("event=policy.ready policy=marked")
    with weir.connect() as client:
        client.envelope("a@example.org", "b@example.net")
        client.content("Subject: x\r\nX-Marked: forged\r\n\r\nHello.\r\n")
    [message] = mx.messages
    assert b"\r\nX-marked: from 127.0.0.1\r\n" in message.data
    assert b"forged" not in message.data


def test_wrong_use_is_named(tmp_path):
    folder = make("python", tmp_path / "p")
    for arguments, words in [
            (["python", "p", "--directory", tmp_path], "is there already"),
            (["python", "P", "--directory", tmp_path], "'P' is no name"),
            (["python", "../p", "--directory", tmp_path], "is no name"),
            (["python", "q", "--template", "body", "--phase", "mail"],
             "body decides at end_of_message, not at mail"),
            (["cobol", "q"], "invalid choice: 'cobol'")]:
        assert words in weir_policy("new", *arguments, code=2)
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "blocked", "p.py", "test.sh", "weir.conf"]


@pytest.mark.skipif(not shutil.which("gofmt"), reason="Go is not installed")
def test_go_is_formatted(tmp_path):
    for template in PHASES:
        folder = make("go", tmp_path / template, "--template", template)
        assert subprocess.run(["gofmt", "-l", folder / "main.go"], check=True,
                              capture_output=True).stdout == b""


def test_templates_are_all_there():
    templates = ROOT / "contrib" / "weir-policy" / "templates"
    for language in NEEDS:
        names = {p.stem for p in (templates / language).iterdir()}
        assert names >= set(PHASES), language
