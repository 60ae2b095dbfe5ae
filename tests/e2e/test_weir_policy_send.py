"""weir-policy send: each phase, the verdict, the message as it would leave."""

import pytest
from policy_harness import run  # noqa: F401
from weir_policy_command import as_json, weir_policy

MAIL = b"""\
From: Ann <ann@example.org>
To: bob@example.net, Cy <cy@example.net>
Subject: one
Subject: two
X-Old: x

Line one
Line two \xff
"""
EDITOR = """
policy = Policy("editor/1", body_window=10)
@policy.mail
def mail(session, event):
    session.annotate(client=session.client.address, helo=session.ehlo)
    return relay().rewrite("bounces@example.org").because(rule="r1", score=2)
@policy.rcpt
def rcpt(session, event):
    if event.recipient == "cy@example.net":
        return reject("User unknown", 550, "5.1.1").because(reason="no cy")
    return relay().rewrite("robert@example.net")
@policy.headers
def headers(session, event):
    return relay().change_header("subject", "2", 1).delete_header("X-Old")
@policy.end_of_message
async def end(session, event):
    body = bytes(session.message.body)
    assert len(body) == event.size - len(session.message.headers.raw)
    return (relay().insert_header(0, "X-Top", "t").add_header("X-End", "e")
            .splice(0, 4, "LINE").splice(len(body), 0, "The end."))
"""
LEAVES = b"""\
X-Top: t
From: Ann <ann@example.org>
To: bob@example.net, Cy <cy@example.net>
Subject: one
subject: 2
X-End: e

LINE one
Line two \xff
The end.
""".replace(b"\n", b"\r\n")


@pytest.fixture
def mail(tmp_path):
    path = tmp_path / "mail.eml"
    path.write_bytes(MAIL)
    return path


def test_every_phase_and_the_message_that_leaves(run, mail, tmp_path):  # noqa: F811
    server = run(EDITOR)
    shown = weir_policy("send", server.endpoint, mail, "--client",
                        "192.0.2.77", "--helo", "me.example")
    flat = [" ".join(line.split()) for line in shown.splitlines()]
    for words in [
            "mail <ann@example.org> relay [rewrite <bounces@example.org>]"
            " rule=r1 score=2",
            "rcpt <cy@example.net> reject 550 5.1.1 User unknown"
            " reason=no cy",
            "headers relay [change subject: 2] [delete X-Old]",
            "end_of_message relay [insert X-Top: t] [add X-End: e]"
            " [body at 0: remove 4, insert 4 bytes]",
            "connect 192.0.2.77 told", "ehlo me.example told", "data told",
            "record client=192.0.2.77", "record helo=me.example",
            "outcome delivered", "sender <bounces@example.org>",
            "recipient <robert@example.net>"]:
        assert any(line.startswith(words) for line in flat), (words, shown)
    assert "recipient       <cy" not in shown
    assert shown.endswith("LINE one\nLine two \\xff\nThe end.\n")
    output = tmp_path / "out"
    weir_policy("send", server.endpoint, mail, "--output", output)
    assert output.read_bytes() == LEAVES


def test_json(run, mail):  # noqa: F811
    found = as_json("send", run(EDITOR).endpoint, mail)
    assert [row["phase"] for row in found["phases"]] == [
        "mail", "rcpt", "rcpt", "headers", "end_of_message"]
    assert found["phases"][2]["event"]["recipient"] == "cy@example.net"
    refusal = found["phases"][2]["decision"]
    assert refusal["action"] == "reject"
    assert refusal["reply"] == {"code": 550, "enhanced": "5.1.1",
                                "lines": ["User unknown"]}
    assert found["outcome"] == "delivered" and found["error"] == ""
    assert found["recipients"] == ["robert@example.net"]
    assert found["message"].encode("utf-8", "surrogateescape") == LEAVES


REFUSER = """
policy = Policy()
@policy.{phase}
def handler(session, event):
    return {decision}
"""


@pytest.mark.parametrize(("phase", "decision", "code", "outcome"), [
    ("connect", "reject()", 1, "rejected"),
    ("mail", "tempfail('later')", 1, "deferred"),
    ("rcpt", "reject()", 1, "rejected"),
    ("rcpt", "relay()", 0, "delivered"),
    ("data", "disconnect()", 1, "deferred"),
    ("end_of_message", "discard()", 1, "discarded"),
    ("ehlo", "reject(scope=Scope.SESSION)", 1, "rejected"),
])
def test_outcomes(run, mail, phase, decision, code, outcome):  # noqa: F811
    server = run(REFUSER.format(phase=phase, decision=decision))
    found = as_json("send", server.endpoint, mail, code=code)
    assert found["outcome"] == outcome
    assert bool(found["message"]) == (code == 0)


@pytest.mark.parametrize(("decision", "words"), [
    ("relay().delete_header('X-None')", "no such field to CHANGE or DELETE"),
    ("relay().splice(5, 1).splice(0, 1)", "splices overlap or descend"),
    ("relay().splice(90, 1)", "a splice of 1 bytes at 90, and the body has"),
    ("relay().insert_header(9, 'X', 'y')", "INSERT at 9"),
    ("1 / 0", "ZeroDivisionError in the policy's handler"),
    ("relay().rewrite('a')", "a rewrite only fits MAIL and RCPT"),
])
def test_what_weir_would_not_obey(run, mail, decision, words):  # noqa: F811
    server = run(REFUSER.format(phase="end_of_message", decision=decision))
    found = as_json("send", server.endpoint, mail, code=2)
    assert found["outcome"] == "on_error" and words in found["error"]


def test_no_answer(run, mail):  # noqa: F811
    server = run("policy = Policy()\n@policy.mail\n"
                 "async def mail(session, event):\n"
                 "    await asyncio.sleep(9)\n")
    found = as_json("send", server.endpoint, mail, "--timeout", "0.2", code=2)
    assert "no decision in 0.2 s" in found["error"]


def test_options(run, mail):  # noqa: F811
    server = run("policy = Policy()\n@policy.rcpt\n"
                 "def rcpt(session, event):\n    return relay().because(\n"
                 "        rule=f'{session.envelope.sender}|{event.recipient}|'\n"
                 "        f'{session.tls[Leg.CLIENT].version}|'\n"
                 "        f'{session.auth.identity}|{session.listener}|'\n"
                 "        f'{session.destination.address}|'\n"
                 "        f'{session.weir.policy}')\n")
    shown = weir_policy(
        "send", server.endpoint, mail, "--from", "", "--to", "x@y.example",
        "--tls", "TLS1.2", "--auth", "joe", "--listener", "in",
        "--destination", "198.51.100.9", "--policy-name", "mine")
    assert "rule=|x@y.example|TLS1.2|joe|in|198.51.100.9|mine" in shown


def test_expect(run, mail):  # noqa: F811
    endpoint = run(EDITOR).endpoint
    weir_policy("send", endpoint, mail, "--expect", "outcome delivered",
                "--expect", "rcpt <cy@example.net> reject 550 5.1.1")
    weir_policy("send", endpoint, mail, "--expect", "outcome rejected", code=1)


def test_wrong_use_is_named(run, tmp_path):  # noqa: F811
    endpoint = run("policy = Policy()\npolicy.mail(lambda s, e: None)\n"
                   ).endpoint
    assert "/nowhere.eml: No such file" in weir_policy(
        "send", endpoint, "/nowhere.eml", code=2)
    assert "give one with --to" in weir_policy(
        "send", endpoint, "-", text="Subject: x\n\n", code=2)
    for option, value, words in [
            ("--client", "host", "'host' is no IP address"),
            ("--destination", "1.2.3", "'1.2.3' is no IP address"),
            ("--from", "a@b>\n", "is no address that could stand between"),
            ("--to", "", "a recipient cannot be empty"),
            ("--timeout", "0", "'0' is no number above 0"),
            ("--timeout", "x", "'x' is no number above 0")]:
        assert words in weir_policy("send", endpoint, "-", option, value,
                                    text="To: a@b\n\n", code=2)
    shown = weir_policy("send", endpoint, "-", "--to", "a@b", text="x\n\ny\n")
    assert "outcome         delivered" in shown


def test_real_weir_does_the_same(run, bench, mail, tmp_path):  # noqa: F811
    """What weir-policy says would leave is what leaves."""
    server = run(EDITOR)
    output = tmp_path / "out"
    weir_policy("send", server.endpoint, mail, "--output", output)
    mx = bench.mx()
    weir = bench.weir(more=f"""policy "editor" {{
        endpoint = "{server.endpoint}"
        grants = {{"headers", "body", "envelope"}} }}\n""", ready=False)
    weir.wait_log("event=policy.ready policy=editor")
    with weir.connect() as client:
        assert client.envelope("ann@example.org", "bob@example.net",
                               "cy@example.net")[1].startswith("550 5.1.1")
        assert client.ask("DATA").startswith("354")
        assert client.raw(MAIL.replace(b"\n", b"\r\n")
                          + b".\r\n").startswith("250")
    [message] = mx.messages
    assert message.sender == "bounces@example.org"
    assert message.recipients == ["robert@example.net"]
    assert output.read_bytes() == LEAVES
    assert message.data == LEAVES
