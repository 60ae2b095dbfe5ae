"""weir-policy check: it finds what is wrong, and nothing where nothing is."""

import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest
from policy_harness import (EXAMPLES, ROOT, SDK, Server, generated_directory)
from test_policy_paper import paper_server  # noqa: F401
from test_policy_sdk_whole import certificate
from weir_policy_command import as_json, weir_policy

BROKEN = ROOT / "tests" / "e2e" / "broken_policy.py"

DEFECTS = [
    ("early", "handshake", "speaks before weir's Hello"),
    ("closes", "handshake", "closes a connection at once"),
    ("http", "handshake", "this looks like HTTP"),
    ("little-endian", "handshake", "seems to be little-endian"),
    ("no-welcome", "handshake", "no answer in 5 s"),
    ("pong-for-welcome", "handshake", "answered Hello with pong"),
    ("phase-99", "welcome", "phase 99, which the protocol does not have"),
    ("twice", "welcome", "two subscriptions to RCPT"),
    ("prefix", "welcome", "body_prefix at EHLO"),
    ("features", "welcome", "did not offer: telepathy"),
    ("tiny-frames", "welcome", "max_frame is 10 bytes"),
    ("nothing", "welcome", "weir will tell it nothing"),
    ("any-version", "other-version", "Welcome of version 1"),
    ("no-pong", "ping", "no Pong in 0.5 s"),
    ("wrong-token", "ping", "was answered with token"),
    ("unknown-event", "unknown-event", "closed the connection"),
    ("unknown-fields", "unknown-fields", "closed the connection"),
    ("one-read-one-frame", "half-frames", ""),
    ("garbage-dies", "oversized", ""),
    ("4gb", "oversized", "announced, and the server waits for it"),
    ("keeps-garbage", "garbage", "no protobuf message before the handshake"),
    ("drain-ends", "drain", "after Drain: "),
    ("silent", "answers", "without an answer after 0.5 s (at RCPT)"),
    ("no-action", "answers", "an invalid decision: the policy could not"),
    ("wrong-code", "answers", "the code of a REJECT must be 5xx, not 450"),
    ("early-edit", "answers", "header edits only fit HEADERS"),
    ("double", "answers", "it was answered before"),
    ("answers-notifications", "notifications", "(seq 0) was answered"),
    ("utf8", "strange-bytes", "closed the connection"),
    ("wrong-session", "many-sessions", "a Decision for session 1 seq"),
    ("one-connection", "two-connections", "no answer in 5 s"),
    ("cancel-dies", "cancel", "after Cancel: "),
    ("deadline-dies", "deadline", "after a deadline of 1 ms: "),
    ("vanish-dies", "vanishing", ""),
    ("no-credit", "large-body", "no Credit after 100000 body bytes"),
    ("credit-falls", "large-body", "takes back what an earlier one gave"),
    ("leaks", "thousand-sessions", ""),
    ("keeps-open", "end-is-end", "keeps it open"),
]


def broken(tmp_path, defect):
    return Server(BROKEN, tmp_path / "s", defect,
                  PYTHONPATH=generated_directory())


@pytest.mark.parametrize(("defect", "check", "words"), DEFECTS)
def test_what_is_wrong_is_said(tmp_path, defect, check, words):
    with broken(tmp_path, defect) as server:
        found = as_json("check", server.endpoint, "--timeout", "0.5",
                        "--only", check, code=1)
    assert found["wrong"] == 1
    [row] = found["checks"]
    assert (row["check"], row["result"]) == (check, "wrong")
    assert words in row["words"] and row["words"] and row["contract"]


def test_without_a_defect_nothing_is_wrong(tmp_path):
    """The same server, and every check."""
    with broken(tmp_path, "") as server:
        found = as_json("check", server.endpoint)
        shown = weir_policy("check", server.endpoint, "--only", "ping")
    assert found["wrong"] == 0
    results = {row["check"]: row["result"] for row in found["checks"]}
    assert results.pop("restart") == "skipped"
    assert set(results.values()) == {"ok"}
    assert {check for _, check, _ in DEFECTS} <= set(results)
    assert shown == "ok      ping\n1 checks: nothing is wrong\n"


def test_who_cannot_decide_says_so(tmp_path):
    """That is no fault of the server, but good to know."""
    with broken(tmp_path, "undecided") as server:
        found = as_json("check", server.endpoint, "--only", "answers")
    [row] = found["checks"]
    assert row["result"] == "note"
    assert "it could not decide at END_OF_MESSAGE: the database is away" in \
        row["words"]


def test_in_words(tmp_path):
    with broken(tmp_path, "wrong-token") as server:
        shown = weir_policy("check", server.endpoint, "--only", "ping", code=1)
    assert shown.startswith("WRONG   ping\n          Ping with token ")
    assert "          The contract: Pong with the same token.\n" in shown
    assert shown.endswith("1 checks: 1 wrong\n")


def test_a_server_that_is_not_there(tmp_path):
    assert "there is no such socket; is the policy server running?" in \
        weir_policy("check", f"unix:{tmp_path}/none", code=2)
    assert "'postfix:x' is no endpoint" in \
        weir_policy("check", "postfix:x", code=2)
    assert "not PEM, or of another kind" in weir_policy(
        "check", "tls:127.0.0.1:1", "--tls-ca", __file__, code=2)
    with socket.create_server(("127.0.0.1", 0)) as plain:
        def greet():
            with plain.accept()[0] as connection:
                connection.sendall(b"220 mx.example ESMTP\r\n")
                connection.recv(1)
        threading.Thread(target=greet, daemon=True).start()
        assert "it does not speak TLS 1.3" in weir_policy(
            "check", f"tls:127.0.0.1:{plain.getsockname()[1]}", code=2)


def assert_right(endpoint, *options):
    found = as_json("check", endpoint, *options, code=None)
    assert found["wrong"] == 0, found
    return found


@pytest.mark.parametrize("script", ["block_senders.py", "tag_header.py"])
def test_python_policies(tmp_path, script):
    (tmp_path / "list").write_text("@bad.example\n")
    options = {"block_senders.py": ["--list", tmp_path / "list"],
               "tag_header.py": ["--rule", "offer", "buy now"]}[script]
    with Server(EXAMPLES / script, "--listen", f"unix:{tmp_path}/s",
                *options) as server:
        assert_right(server.endpoint)


def test_the_server_of_the_paper(paper_server, tmp_path):  # noqa: F811
    path = tmp_path / "s"
    with paper_server(path) as server:
        until = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < until, server.log()
            time.sleep(0.05)
        assert_right(f"unix:{path}")


# how the first program of each README is started; C and Go are tried with what
# weir-policy new makes of them
HELLO = {"python": ("py", ["/usr/bin/python3", "-B"], ["--listen"]),
         "ruby": ("rb", ["ruby"], []),
         "nodejs": ("js", ["node"], ["--listen"])}


@pytest.mark.parametrize("language", HELLO)
def test_hello_worlds(tmp_path, language):
    suffix, (command, *more), listen = HELLO[language]
    if not shutil.which(command):
        pytest.skip(f"{command} is not installed")
    sdk = ROOT / "contrib" / "sdk" / language
    program = re.search(r"^```\w+\n(.*?)^```$", (sdk / "README.md").read_text(),
                        re.S | re.M)[1]
    script = tmp_path / f"hello.{suffix}"
    script.write_text(program)
    (tmp_path / "weir-policy").symlink_to(sdk)
    path = tmp_path / "s"
    with Server(*more, script, *listen, f"unix:{path}", program=command,
                PYTHONPATH=str(sdk), RUBYLIB=str(sdk / "lib"),
                NODE_PATH=str(tmp_path)) as server:
        until = time.monotonic() + 20
        while not path.exists():
            assert time.monotonic() < until, server.log()
            time.sleep(0.05)
        assert_right(f"unix:{path}")


@pytest.mark.skipif(not shutil.which("mypy"), reason="mypy is not installed")
def test_types(tmp_path):
    subprocess.run(["mypy", "--strict", "--cache-dir", tmp_path,
                    "--config-file", SDK / "pyproject.toml",
                    "weir_policy_tool"], check=True,
                   cwd=ROOT / "contrib" / "weir-policy",
                   env={**os.environ, "MYPYPATH": str(SDK)})


ALL = """
policy = Policy("all/1", version="1", body_window=70000)
policy.connect(lambda session, event: None)
policy.ehlo(lambda session, event: None)
policy.mail(lambda session, event: None)
policy.rcpt(lambda session, event: None)
policy.headers(lambda session, event: None)
@policy.body(decide=True)
async def body(session, event):
    await asyncio.sleep(0)
@policy.end_of_message
async def end(session, event):
    await asyncio.sleep(0)
    return relay().add_header("X-A", "b").splice(0, 0, "new\\r\\n")
policy.run(arguments().parse_args())
"""


def test_tls_and_a_policy_at_every_phase(tmp_path):
    pem = certificate(tmp_path, "policy.example")
    script = tmp_path / "all.py"
    script.write_text("import asyncio\nfrom weir_policy import *\n" + ALL)
    with Server(script, "--listen", "tls:127.0.0.1:0", "--tls-cert",
                pem) as server:
        ca = ["--tls-ca", pem]
        assert_right(server.endpoint, *ca, "--tls-name", "policy.example")
        for options, words in [
                (ca, "its certificate is not accepted"),
                (["--tls-name", "policy.example"], "not accepted: self-signed"),
                (["--tls-ca", "/nowhere"], "/nowhere: ")]:
            assert words in weir_policy("check", server.endpoint, *options,
                                        code=2)
        assert "handshake" in weir_policy(
            "check", server.endpoint.replace("tls", "tcp"), code=1,
            *["--only", "handshake"])


def test_restart(tmp_path):
    """The command that it is given replaces the server."""
    script = tmp_path / "all.py"
    script.write_text("import asyncio\nfrom weir_policy import *\n" + ALL)
    pid = tmp_path / "pid"
    serve = (f"PYTHONPATH={SDK} setsid /usr/bin/python3 -B {script} --listen"
             f" unix:{tmp_path}/s >{tmp_path}/log 2>&1 & echo $! >{pid}")
    again = tmp_path / "again"
    again.write_text(f"kill -9 $(cat {pid})\nsleep 0.3\n{serve}\n")
    os.system(serve)
    try:
        until = time.monotonic() + 10
        while not (tmp_path / "s").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        found = assert_right(f"unix:{tmp_path}/s", "--only", "restart",
                             "--restart", f"sh {again}")
        assert found["checks"][0]["result"] == "ok"
        found = as_json("check", f"unix:{tmp_path}/s", "--only", "restart",
                        "--restart", "true", code=1)
        assert "outlived the restart" in found["checks"][0]["words"]
    finally:
        os.kill(int(pid.read_text()), 9)
