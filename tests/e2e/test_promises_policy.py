"""What weir promises to policies, one by one, on the real daemon."""

import re
import threading
import time

import pytest
from blackbox import (COMMAND, DISCARD, DISCONNECT, PHASES, REJECT, RELAY,
                      SESSION, TEMPFAIL, TRANSACTION, decision, frame, pb,
                      wait_for)

MESSAGE = b"Subject: hello\r\nX-Two : 2\r\n\tfolded\r\n\r\n..dot\r\nbody\r\n"
CONTENT = MESSAGE.replace(b"..dot", b".dot")
SECTION = b"Subject: hello\r\nX-Two : 2\r\n\tfolded\r\n\r\n"
BODY = b".dot\r\nbody\r\n"


def deliver(client, message=MESSAGE, sender="a@b.example",
            recipients=("c@d.example",)):
    client.envelope(sender, *recipients)
    assert client.ask("DATA").startswith("354")
    return client.raw(message + b".\r\n")


def at(phase, answer, rest=None):
    """Answers at one phase, relays at the others."""
    def said(event, connection):
        if event.WhichOneof("event") != phase:
            return rest or decision()
        return answer(event, connection) if callable(answer) else answer
    return said


# ------------------------------------------------------------- the handshake

def test_hello_fields(bench):
    p = bench.policy(decide=["mail"], name="rep",
                     keys={"grants": '{"headers", "outbound"}',
                           "max_frame": "128KB"})
    bench.weir(more='pool "clean" { addresses = {"127.0.0.2", "127.0.0.3"} '
               'ehlo_name = "out.example" }\n')
    first, ready = p.seen()[:2] if len(p.seen()) > 1 else \
        (p.wait("hello")[0], p.wait("ready")[0])
    assert first.WhichOneof("event") == "hello" and first.session == 0
    hello = first.hello
    assert hello.major == 1 and hello.policy == "rep"
    assert re.fullmatch(r"weir/\d+\.\d+\.\d+\S*", hello.software)
    assert hello.instance and hello.mode == pb.MODE_ENFORCE
    assert sorted(hello.phases) == list(range(1, 16))
    assert sorted(hello.grants) == [pb.GRANT_HEADERS, pb.GRANT_OUTBOUND]
    assert hello.max_frame == 131072
    pool, = hello.pools
    assert (pool.name, list(pool.addresses), pool.ehlo_name) == (
        "clean", ["127.0.0.2", "127.0.0.3"], "out.example")
    assert ready.WhichOneof("event") == "ready"


def test_ready_lists_subscriptions_and_refuses_by_name(bench):
    welcome = pb.Welcome(major=1)
    for phase, decide in ((7, True), (2, True), (14, True), (99, True),
                          (0, False)):
        welcome.subscriptions.add(phase=phase, decide=decide)
    welcome.subscriptions.add(phase=11, decide=False, body_prefix=10)
    p = bench.policy(welcome=welcome)
    bench.weir()
    ready = p.one("ready")
    got = {s.phase: (s.decide, s.body_prefix) for s in ready.subscriptions}
    assert got == {7: (True, 0), 2: (False, 0), 14: (False, 0),
                   11: (False, 10)}
    assert len(ready.refused) == 2, ready
    assert "UPSTREAM" not in "".join(ready.refused).upper()


def test_hello_is_alone_until_welcome_and_connect_waits_not(bench):
    """Nothing else before that; a policy never there strikes at MAIL."""
    p = bench.policy(greet=lambda connection: None)
    bench.weir(ready=False)
    p.wait("hello")
    with bench.proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.")
        assert client.ask("NOOP").startswith("250")
    assert [e.WhichOneof("event") for e in p.seen()] == ["hello"]


@pytest.mark.parametrize("garbage, words", [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
    (b"220 mx ESMTP\r\n", "SMTP"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
    (b"\xff\xff\xff\xff\x00", r"bytes=.*xff.xff.xff.xff.x00")])
def test_garbage_is_reported_in_words(bench, garbage, words):
    bench.policy(greet=lambda connection: connection.sendall(garbage))
    proxy = bench.weir(ready=False)
    line = proxy.wait_log(r"event=policy\.\S* .*(?:" + words + ").*")[0]
    assert "p0" in line
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.")


def test_welcome_major_2_is_a_failed_handshake(bench):
    p = bench.policy(welcome=pb.Welcome(major=2))
    proxy = bench.weir(ready=False)
    proxy.wait_log(r"(?s)event=policy\.[^\n]*(major|version|speaks)")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451")


def test_welcome_major_0_means_1(bench):
    bench.policy(welcome=pb.Welcome())
    bench.weir()


def test_an_answer_other_than_welcome_fails_the_handshake(bench):
    def greet(connection):
        connection.sendall(frame(pb.FromPolicy(pong=pb.Pong(token=1))))
    bench.policy(greet=greet)
    proxy = bench.weir(ready=False)
    proxy.wait_log(r"event=policy\.\S* .*Welcome")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.")
    row, = proxy.wait_rows("SELECT * FROM decisions")
    assert row["error"] == "handshake", row


# ------------------------------------------------- each phase's event, exact

ALL = list(PHASES)


def test_every_phase_as_policy_proto_says(bench):
    server = bench.mx(extensions=("PIPELINING", "8BITMIME", "SIZE 1000000",
                                  "AUTH PLAIN"),
                      script={"AUTH": b"235 2.7.0 welcome\r\n"})
    decide = [p for p in ALL if p not in ("upstream", "tls", "reply",
                                          "transaction_end", "session_end")]
    p = bench.policy(decide=decide, notify=[x for x in ALL
                                            if x not in decide])
    proxy = bench.weir()
    with proxy.connect() as client:
        assert client.ask("AUTH PLAIN AGpvZQBzZWNyZXQ=")[:3] == "235"
        client.ask("VRFY  joe")
        assert client.ask("mail FROM:<a@b.example> SIZE=99 BODY=8BITMIME")[
            :3] == "250"
        assert client.ask("RCPT TO:<c@d.example>")[:3] == "250"
        assert client.ask("RCPT TO:<@x,@y:e@f.example>")[:3] == "250"
        assert client.ask("DATA")[:3] == "354"
        assert client.raw(MESSAGE + b".\r\n")[:3] == "250"
        assert client.ask("QUIT")[:3] == "221"
    p.wait("session_end")
    connect = p.one("connect")
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", connect.connection_id)
    assert connect.listener == "fixed"
    assert connect.client.address == "127.0.0.1" and connect.client.port
    assert (connect.destination.address, connect.destination.port) == (
        "127.0.0.1", server.port)
    upstream = p.one("upstream")
    assert upstream.error == "" and upstream.greeting.code == 220
    assert list(upstream.greeting.lines) == [b"mx.example.net ESMTP"]
    assert upstream.local.address == "127.0.0.1" and upstream.local.port
    assert upstream.remote.port == server.port
    assert upstream.greeting_us > 0
    ehlo = p.one("ehlo")
    assert (ehlo.verb, ehlo.name) == (b"EHLO", b"client.example.org")
    auth = p.one("auth")
    assert (auth.mechanism, auth.identity) == ("PLAIN", b"joe")
    command = p.one("command")
    assert (command.verb, command.arguments.strip()) == (b"VRFY", b"joe")
    mail = p.one("mail")
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", mail.transaction_id)
    assert mail.raw == b"FROM:<a@b.example> SIZE=99 BODY=8BITMIME"
    assert mail.sender == b"a@b.example"
    assert list(mail.parameters) == [b"SIZE=99", b"BODY=8BITMIME"]
    rcpts = [e.rcpt for e in p.wait("rcpt", 2)]
    assert [(r.raw, r.recipient, r.index) for r in rcpts] == [
        (b"TO:<c@d.example>", b"c@d.example", 0),
        (b"TO:<@x,@y:e@f.example>", rcpts[1].recipient, 1)]
    assert rcpts[1].recipient.endswith(b"e@f.example")
    assert list(p.one("data").accepted) == [0, 1]
    headers = p.one("headers")
    assert headers.raw == SECTION and headers.message == 1
    assert [(f.offset, f.length, f.name_length) for f in headers.fields] == [
        (0, 16, 7), (16, 20, 5)]
    bodies = [e.body for e in p.wait("body")]
    assert b"".join(b.data for b in bodies) == BODY
    assert bodies[0].offset == 0 and bodies[0].message == 1
    eom = p.one("end_of_message")
    assert (eom.size, eom.truncated, len(eom.gaps)) == (len(CONTENT), False, 0)
    end = p.one("transaction_end")
    assert end.transaction_id == mail.transaction_id
    assert end.outcome == pb.OUTCOME_DELIVERED and end.decided_by == "mx"
    assert (end.reply.code, end.reply.enhanced, list(end.reply.lines)) == (
        250, "2.0.0", [b"queued"])
    last = p.one("session_end")
    assert last.transactions == 1 and last.cause
    assert last.bytes > len(MESSAGE)
    replies = [(e.reply.phase, e.reply.reply.code, e.reply.index)
               for e in p.seen("reply")]
    assert (PHASES["data"], 354, 0) in replies
    assert (PHASES["end_of_message"], 250, 0) in replies
    assert (PHASES["mail"], 250, 0) in replies
    assert (PHASES["rcpt"], 250, 1) in replies
    assert (PHASES["ehlo"], 250, 0) in replies
    for event in p.seen():
        kind = event.WhichOneof("event")
        if kind in decide:
            assert event.seq > 0 and 0 < event.deadline_ms <= 15000, event
            assert event.deadline_ms > 1500, event
        else:
            assert event.seq == 0 and event.deadline_ms == 0, event
    seqs = [e.seq for e in p.seen() if e.seq]
    assert seqs == list(range(1, len(seqs) + 1))
    assert server.messages[0].data == MESSAGE


@pytest.mark.parametrize("message, raw, fields, body", [
    (b"\r\nonly body\r\n", b"\r\n", [], b"only body\r\n"),
    (b"", b"", [], b""),
    (b"no colon\r\nmore\r\n", b"", [], b"no colon\r\nmore\r\n"),
    (b"A: 1\r\nno colon\r\n", b"A: 1\r\n", [(0, 6, 1)], b"no colon\r\n"),
    (b"A: 1\r\n", b"A: 1\r\n", [(0, 6, 1)], b""),
    (b" lead: 1\r\nA: 1\r\n\r\n", b"", [], b" lead: 1\r\nA: 1\r\n\r\n"),
    (b"A B: 1\r\n\r\n", b"", [], b"A B: 1\r\n\r\n"),
    (b"A: 1\nB: 2\r\n\r\nx\r\n", b"A: 1\nB: 2\r\n\r\n", [(0, 11, 1)],
     b"x\r\n"),
    (b"..A: 1\r\nA:\r\n\r\n...\r\n", b".A: 1\r\nA:\r\n\r\n",
     [(0, 7, 2), (7, 4, 1)], b"..\r\n")])
def test_headers_edges(bench, message, raw, fields, body):
    server = bench.mx()
    p = bench.policy(decide=["headers", "body", "end_of_message"])
    bench.weir()
    with bench.proxy.connect() as client:
        reply = deliver(client, message)
        assert reply.startswith("250"), reply
    p.wait("end_of_message")
    headers = p.one("headers")
    assert headers.raw == raw
    assert [(f.offset, f.length, f.name_length)
            for f in headers.fields] == fields
    assert b"".join(e.body.data for e in p.seen("body")) == body
    assert server.messages[0].data == message


def test_body_prefix_truncates_without_gap(bench):
    bench.mx()
    p = bench.policy(decide=["end_of_message"], notify=["body"], prefix=7)
    bench.weir()
    with bench.proxy.connect() as client:
        assert deliver(client).startswith("250")
    eom = p.one("end_of_message")
    assert b"".join(e.body.data for e in p.seen("body")) == BODY[:7]
    assert eom.truncated and not eom.gaps and eom.size == len(CONTENT)


# -------------------------------------------------------- actions and replies

@pytest.mark.parametrize("phase", ["connect", "ehlo", "auth", "command",
                                   "mail", "rcpt", "data", "headers", "body",
                                   "end_of_message"])
@pytest.mark.parametrize("action, code, enhanced", [
    (REJECT, 554, "5.7.9"), (TEMPFAIL, 450, "4.7.9"),
    (DISCONNECT, 421, "4.3.9")])
def test_own_reply_at_each_phase(bench, phase, action, code, enhanced):
    server = bench.mx(extensions=("PIPELINING", "AUTH PLAIN"))
    p = bench.policy(decide=[phase], notify=["transaction_end"], answer=at(
        phase, decision(action, code, enhanced, ["one", "two", "three"])))
    proxy = bench.weir()
    client = proxy.connect(hello=False)
    want = (f"{code}-{enhanced} one\r\n{code}-{enhanced} two\r\n"
            f"{code} {enhanced} three\r\n")
    bare = f"{code}-one\r\n{code}-two\r\n{code} three\r\n"
    if phase == "connect":
        assert client.reply() == bare
        if action == DISCONNECT:
            assert client.rest() == b""
            return
        assert client.ask("EHLO x")[:3] == "503"
        assert client.ask("MAIL FROM:<a@b.example>")[:3] == "503"
        assert client.ask("QUIT")[:3] == "221"
        assert client.rest() == b"" and not server.sessions
        return
    client.reply()
    reply = client.ask("EHLO client.example.org")
    if phase == "ehlo":
        assert reply == bare
    else:
        lines = {"auth": "AUTH PLAIN AGpvZQBzZWNyZXQ=", "command": "VRFY x",
                 "mail": "MAIL FROM:<a@b.example>",
                 "rcpt": "RCPT TO:<c@d.example>", "data": "DATA"}
        if phase in ("rcpt", "data"):
            assert client.ask(lines["mail"])[:3] == "250"
        if phase == "data":
            assert client.ask(lines["rcpt"])[:3] == "250"
        if phase in lines:
            assert client.ask(lines[phase]) == want
        else:
            assert deliver(client) == want
    if action == DISCONNECT:
        assert client.rest() == b""
    elif phase == "command":
        assert client.ask("RSET")[:3] == "250"
    elif phase in ("ehlo", "auth"):
        assert client.ask("NOOP")[:3] == "250"
    else:
        if phase in ("rcpt",):
            assert client.ask("DATA")[:3] in ("554", "503", "450"), 1
        assert client.ask("NOOP")[:3] == "250"
        assert client.ask("RSET")[:3] == "250"
        assert client.ask("QUIT")[:3] == "221"
        end = p.one("transaction_end")
        assert end.decided_by == "p0" and end.own_decision_applied
        assert end.outcome == (pb.OUTCOME_REJECTED if action == REJECT
                               else pb.OUTCOME_DEFERRED)
        assert end.reply.code == code
    assert not server.messages
    verb = {"auth": "AUTH", "command": "VRFY", "mail": "MAIL", "rcpt": "RCPT",
            "data": "DATA", "headers": "DATA", "body": "DATA",
            "end_of_message": "DATA"}.get(phase)
    assert not [x for x in server.lines if verb and x.startswith(verb)]


@pytest.mark.parametrize("action, want", [
    (REJECT, "550 5.7.1 "), (TEMPFAIL, "451 4.7.1 "), (DISCONNECT, "421 4.")])
def test_weirs_own_text(bench, action, want):
    bench.policy(decide=["mail"], answer=at("mail", decision(action)))
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith(want)


def test_a_code_without_lines_gets_weirs_text(bench):
    bench.policy(decide=["mail"], answer=at(
        "mail", decision(REJECT, 551, "5.1.9")))
    with bench.weir().connect() as client:
        assert re.match(r"551 5\.1\.9 \S", client.ask("MAIL FROM:<a@b.c>"))


# ------------------------------------------------------------------ invalid

INVALID = {
    "unspecified": decision(0),
    "unknown action": decision(17),
    "class": decision(REJECT, 450, "4.1.1", ["x"]),
    "class of tempfail": decision(TEMPFAIL, 550, "5.1.1", ["x"]),
    "disconnect 500": decision(DISCONNECT, 500, "", ["x"]),
    "enhanced class": decision(REJECT, 550, "4.1.1", ["x"]),
    "enhanced text": decision(REJECT, 550, "5.x", ["x"]),
    "CR": decision(REJECT, 550, "5.1.1", ["x\r"]),
    "LF": decision(REJECT, 550, "5.1.1", ["x\n250 fine"]),
    "NUL": decision(REJECT, 550, "5.1.1", ["x\0"]),
    "discard": decision(DISCARD),
    "headers at mail": decision(headers=[
        pb.HeaderEdit(op=1, name=b"A", value=b"b")]),
    "body": decision(body=[pb.Splice(offset=0, insert=b"x")]),
    "outbound": decision(outbound=pb.Outbound(source_address="127.0.0.2")),
    "rewrite": decision(rewrite=b"x@y", rewrite_set=True),
    "scope": decision(REJECT, scope=9),
    "next hop": decision(outbound=pb.Outbound(
        next_hop=pb.Endpoint(address="127.0.0.1", port=25))),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_decision_is_an_error_of_the_policy(bench, name):
    p = bench.policy(decide=["mail"], answer=at("mail", INVALID[name]),
                     notify=["transaction_end"])
    proxy = bench.weir()
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.")
    end = p.one("transaction_end")
    assert end.decided_by == "p0" and not end.own_decision_applied
    row, = proxy.wait_rows("SELECT * FROM decisions WHERE error NOT NULL")
    assert "invalid" in row["error"], row


# ------------------------------------------------------------------- on_error

@pytest.mark.parametrize("on_error, want", [
    ("relay", "250"), ("tempfail", "451 4."), ("reject", "550 5."),
    ("disconnect", "421 4.")])
@pytest.mark.parametrize("cause", ["timeout", "invalid", "lost", "protocol",
                                   "too large"])
def test_on_error_by_cause(bench, on_error, want, cause):
    bad = {"timeout": None, "invalid": decision(0),
           "protocol": b"\0\0\0\4abcd",
           "too large": b"\x7f\0\0\0abcd"}

    def answer(event, connection):
        if cause == "lost":
            import socket
            connection.shutdown(socket.SHUT_RDWR)
            return None
        return bad[cause]
    bench.policy(decide=["mail"], answer=answer,
                 keys={"on_error": f'"{on_error}"', "timeout": "60ms"})
    proxy = bench.weir()
    with proxy.connect() as client:
        reply = client.ask("MAIL FROM:<a@b.example>")
        assert reply.startswith(want), reply
        if on_error == "disconnect":
            assert client.rest() == b""
    row, = proxy.wait_rows("SELECT * FROM decisions WHERE phase = 'mail'")
    word = {"timeout": "timeout", "invalid": "invalid", "lost": "protocol",
            "protocol": "protocol", "too large": "protocol"}[cause]
    assert word in row["error"], row


@pytest.mark.parametrize("phase", ["connect", "ehlo", "auth", "command",
                                   "mail", "rcpt", "data", "headers", "body",
                                   "end_of_message"])
def test_on_error_per_phase(bench, phase):
    bench.mx(extensions=("AUTH PLAIN",))
    bench.policy(decide=[phase], answer=lambda *_: decision(0),
                 keys={"on_error": '"relay"', f"on_error_{phase}": '"reject"'})
    with bench.weir().connect(hello=False) as client:
        replies = [client.reply(), client.ask("EHLO x"),
                   client.ask("AUTH PLAIN AGpvZQBzZWNyZXQ="),
                   client.ask("VRFY x"), client.ask("MAIL FROM:<a@b.c>"),
                   client.ask("RCPT TO:<c@d.e>"), client.ask("DATA")]
        if phase in ("connect", "mail", "rcpt"):
            pass
        elif phase in ("headers", "body", "end_of_message"):
            replies.append(client.raw(MESSAGE + b".\r\n"))
        at_phase = ["connect", "ehlo", "auth", "command", "mail", "rcpt",
                    "data"].index(phase) if phase not in (
                        "headers", "body", "end_of_message") else 7
        assert replies[at_phase][0] == "5", replies
        before = [r[0] for r in replies[:at_phase]]
        assert "4" not in before and "5" not in before, replies


def test_never_there_strikes_at_mail_only(bench):
    bench.mx()
    bench.policy(keys={"on_error_connect": '"reject"',
                       "on_error_mail": '"reject"'}).close()
    with bench.weir(ready=False).connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>").startswith("550 5.")


def test_on_error_follows_a_lost_policy_at_its_known_phases(bench):
    p = bench.policy(decide=["rcpt"])
    proxy = bench.weir()
    p.close()
    proxy.wait_log(r"event=policy\.(lost|down|closed)")
    with proxy.connect() as client:
        assert client.envelope()[0].startswith("451 4.")


def test_breaker_opens_after_failures_and_probes(bench):
    state = {"good": False}

    def answer(event, connection):
        return decision() if state["good"] else decision(0)
    p = bench.policy(decide=["mail"], answer=answer, keys={
        "breaker_failures": 3, "breaker_time": "300ms"})
    proxy = bench.weir()
    with proxy.connect() as client:
        for _ in range(3):
            assert client.ask("MAIL FROM:<a@b.c>")[:3] == "451"
    wait_for(lambda: "state=open" in proxy.log, "open circuit")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "451"
    assert len(p.seen("mail")) == 3, "the circuit was open"
    rows = proxy.wait_rows("SELECT * FROM decisions", count=4)
    assert "circuit" in rows[-1]["error"], rows[-1]
    time.sleep(0.35)
    state["good"] = True
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"
    assert "state=closed" in proxy.log
    assert len(p.seen("mail")) == 4


def test_breaker_default_is_five(bench):
    p = bench.policy(decide=["mail"], answer=lambda *_: decision(0))
    proxy = bench.weir()
    with proxy.connect() as client:
        for _ in range(5):
            client.ask("MAIL FROM:<a@b.c>")
    wait_for(lambda: "state=open" in proxy.log, "open circuit")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "451"
    assert len(p.seen("mail")) == 5


# ---------------------------------------------------------- dropped and counted

def dropped(proxy, policy="p0"):
    got = {}
    for line in proxy.get("/metrics")[2].decode().splitlines():
        match = re.match(r'weir_policy_answers_dropped_total\{(.*)\} (\d+)',
                         line)
        if match and f'policy="{policy}"' in match[1]:
            got[re.search('why="([^"]*)"', match[1])[1]] = int(match[2])
    return got


@pytest.mark.parametrize("what", ["late", "duplicate", "session", "seq",
                                  "seq 0", "empty", "kind", "future seq"])
def test_stray_answers_are_counted_and_dropped(bench, what):
    p = bench.policy(decide=["mail"], keys={"timeout": "80ms"})
    reject = decision(REJECT)

    def stray(event, connection):
        def from_policy(session=event.session, seq=event.seq):
            return pb.FromPolicy(session=session, seq=seq, decision=reject)
        return {"late": lambda: None,
                "duplicate": lambda: [decision(), from_policy()],
                "session": lambda: [from_policy(event.session + 77),
                                    decision()],
                "seq": lambda: [from_policy(seq=event.seq + 7), decision()],
                "future seq": lambda: [from_policy(seq=event.seq + 1),
                                       decision()],
                "seq 0": lambda: [from_policy(seq=0), decision()],
                "empty": lambda: [b"\0\0\0\0", decision()],
                # field 99, length-delimited, empty
                "kind": lambda: [b"\0\0\0\7\x08\x01\x10\x01\x9a\x06\0",
                                 decision()]}[what]()
    p.answer = stray
    proxy = bench.weir()
    before = dropped(proxy)
    assert before and not any(before.values()), before
    with proxy.connect() as client:
        reply = client.ask("MAIL FROM:<a@b.c>")
        assert reply.startswith("451" if what == "late" else "250"), reply
        if what == "late":
            event, = p.wait("mail")
            p.reply(event, reject)
        wait_for(lambda: sum(dropped(proxy).values()) == 1, "drop counted")
        p.answer = lambda *_: decision()
        client.ask("RSET")
        assert client.ask("MAIL FROM:<a@b.c>").startswith("250")
    assert len(p.connections) == 1


def test_answer_after_session_end_is_counted(bench):
    p = bench.policy(decide=["mail"], notify=["session_end"])
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("MAIL FROM:<a@b.c>")
    p.wait("session_end")
    p.reply(p.seen("mail")[0], decision(REJECT))
    wait_for(lambda: sum(dropped(proxy).values()) == 1, "drop counted")


# --------------------------------------------------------------------- time

def test_timeout_sends_cancel_with_envelope_seq_0(bench):
    p = bench.policy(decide=["mail"], answer=lambda *_: None,
                     keys={"timeout": "100ms"})
    with bench.weir().connect() as client:
        start = time.monotonic()
        assert client.ask("MAIL FROM:<a@b.c>").startswith("451 4.")
        assert 0.09 <= time.monotonic() - start < 1
    mail, = p.wait("mail")
    assert 90 <= mail.deadline_ms <= 100
    cancel, = p.wait("cancel")
    assert (cancel.seq, cancel.session, cancel.cancel.seq) == (
        0, mail.session, mail.seq)


def test_cancel_when_the_client_has_gone(bench):
    p = bench.policy(decide=["mail"], answer=lambda *_: None)
    client = bench.weir().connect()
    client.send(b"MAIL FROM:<a@b.c>\r\n")
    mail, = p.wait("mail")
    client.close()
    start = time.monotonic()
    assert p.one("cancel").seq == mail.seq
    assert time.monotonic() - start < 1, "before its deadline"


def test_working_extends(bench):
    def answer(event, connection):
        p.reply(event, pb.Working(extra_ms=400), connection)
        time.sleep(0.25)
        return decision()
    p = bench.policy(decide=["mail"], answer=answer, keys={"timeout": "80ms"})
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>").startswith("250")


def test_working_is_bounded_by_max_extension(bench):
    p = bench.policy(decide=["mail"], keys={
        "timeout": "80ms", "max_extension": "100ms"},
        answer=lambda *_: pb.Working(extra_ms=60000))
    with bench.weir().connect() as client:
        start = time.monotonic()
        assert client.ask("MAIL FROM:<a@b.c>").startswith("451")
        assert 0.17 <= time.monotonic() - start < 1
    assert p


def test_working_never_shortens(bench):
    def answer(event, connection):
        p.reply(event, pb.Working(extra_ms=1), connection)
        time.sleep(0.1)
        return decision()
    p = bench.policy(decide=["mail"], answer=answer, keys={"timeout": "400ms"})
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>").startswith("250")


def test_message_timeout_is_for_end_of_message(bench):
    bench.mx()
    p = bench.policy(decide=["mail", "end_of_message"], answer=at(
        "end_of_message", None, decision()), keys={
            "timeout": "5s", "message_timeout": "80ms"})
    p.answer = lambda e, c: decision() if e.HasField("mail") else None
    with bench.weir().connect() as client:
        assert deliver(client).startswith("451 4.")
    assert 70 <= p.wait("end_of_message")[0].deadline_ms <= 80
    assert 4900 <= p.wait("mail")[0].deadline_ms <= 5000


def test_transaction_budget(bench):
    """RCPT has what MAIL left of it; the next transaction has its own. (The
    exact times: tests/replay/policy/budget.smtp.)"""
    bench.mx()
    release = threading.Event()

    def answer(event, connection):
        if event.WhichOneof("event") == "mail":
            time.sleep(0.5)
        else:
            release.wait(60)
        return decision()
    p = bench.policy(decide=["mail", "rcpt"], answer=answer, keys={
        "timeout": "60s", "transaction_timeout": "20s"})
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"
        client.send(b"RCPT TO:<c@d.e>\r\n")
        assert p.wait("rcpt")[0].deadline_ms <= 19500
        release.set()
        assert client.reply()[:3] == "250"
        client.ask("RSET")
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"
        assert 19500 < p.wait("mail", 2)[1].deadline_ms <= 20000


def test_delay_delays_the_reply_not_the_forwarding(bench):
    server = bench.mx()
    bench.policy(decide=["mail", "rcpt"], answer=at(
        "mail", decision(delay_ms=300)))
    with bench.weir().connect() as client:
        start = time.monotonic()
        client.send(b"MAIL FROM:<a@b.c>\r\n")
        wait_for(lambda: any(x.startswith("MAIL") for x in server.lines),
                 "MAIL at the MX")
        assert time.monotonic() - start < 0.2
        assert client.reply().startswith("250")
        assert 0.29 <= time.monotonic() - start < 1


def test_a_delay_over_delay_max_is_cut(bench):
    bench.policy(decide=["mail"], answer=at(
        "mail", decision(REJECT, delay_ms=60000)),
        keys={"delay_max": "200ms"})
    with bench.weir().connect() as client:
        start = time.monotonic()
        assert client.ask("MAIL FROM:<a@b.c>").startswith("550")
        assert 0.19 <= time.monotonic() - start < 1


def test_the_longest_delay_counts(bench):
    for ms in (150, 300, 10):
        bench.policy(decide=["mail"], answer=at("mail",
                                                decision(delay_ms=ms)))
    with bench.weir().connect() as client:
        start = time.monotonic()
        assert client.ask("MAIL FROM:<a@b.c>").startswith("250")
        assert 0.29 <= time.monotonic() - start < 1


# ------------------------------------------------------------------- scopes

def test_relay_for_the_transaction_is_not_asked_again(bench):
    server = bench.mx()
    p = bench.policy(decide=["mail", "rcpt", "data", "end_of_message"],
                     answer=at("mail", decision(scope=TRANSACTION)))
    with bench.weir().connect() as client:
        assert deliver(client).startswith("250")
        assert deliver(client).startswith("250")
    assert len(server.messages) == 2
    assert all(e.seq for e in p.wait("mail", 2))
    for kind in ("rcpt", "data", "end_of_message"):
        assert all(e.seq == 0 for e in p.wait(kind, 2)), kind


def test_relay_for_the_session(bench):
    bench.mx()
    p = bench.policy(decide=["ehlo", "mail", "rcpt"],
                     answer=at("ehlo", decision(scope=SESSION)))
    with bench.weir().connect() as client:
        assert deliver(client).startswith("250")
    assert all(e.seq == 0 for e in p.wait("mail") + p.wait("rcpt"))


def test_reject_for_the_session_repeats_at_every_mail(bench):
    server = bench.mx()
    p = bench.policy(decide=["mail"], answer=at("mail", decision(
        REJECT, 554, "5.7.3", ["never"], scope=SESSION)))
    with bench.weir().connect() as client:
        for _ in range(3):
            assert client.ask("MAIL FROM:<a@b.c>") == "554 5.7.3 never\r\n"
        assert client.ask("QUIT")[:3] == "221"
    assert len(p.seen("mail")) == 1 or all(
        e.seq == 0 for e in p.seen("mail")[1:])
    assert not [x for x in server.lines if x.startswith("MAIL")]


def test_reject_for_the_transaction_at_rcpt(bench):
    server = bench.mx()
    p = bench.policy(decide=["rcpt"], answer=at("rcpt", lambda e, c: decision(
        REJECT, 550, "5.7.4", ["enough"], scope=TRANSACTION)
        if e.rcpt.index == 1 else decision()))
    with bench.weir().connect() as client:
        assert [r[:9] for r in client.envelope("a@b.c", "1@x", "2@x", "3@x")
                ] == ["250 2.1.5", "550 5.7.4", "550 5.7.4"]
        assert client.ask("DATA") == "550 5.7.4 enough\r\n"
        assert client.ask("RSET")[:3] == "250"
        assert client.envelope("a@b.c", "1@x")[0][:3] == "250"
    assert [e.rcpt.index for e in p.seen("rcpt") if e.seq][:2] == [0, 1]
    assert not [x for x in server.lines if x == "DATA"]


def test_update_counts_for_sessions_that_start_from_now_on(bench):
    bench.mx()
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    with proxy.connect() as client:
        update = pb.Update(version="v8")
        update.subscriptions.add(phase=PHASES["rcpt"], decide=True)
        p.send(pb.FromPolicy(update=update))
        time.sleep(0.1)
        assert deliver(client).startswith("250")
    assert p.wait("mail") and not p.seen("rcpt")
    with proxy.connect() as client:
        assert deliver(client).startswith("250")
    assert p.wait("rcpt") and len(p.seen("mail")) == 1
    rows = proxy.wait_rows("SELECT * FROM decisions ORDER BY"
                           " session_id, number", count=2)
    assert [r["version"] for r in rows] == ["v7", "v8"]


# -------------------------------------------------------------------- merge

ORDER = {"disconnect": (decision(DISCONNECT), "421"),
         "reject": (decision(REJECT), "550"),
         "tempfail": (decision(TEMPFAIL), "451"),
         "relay": (decision(), "250")}


@pytest.mark.parametrize("first", ORDER)
@pytest.mark.parametrize("second", ORDER)
def test_merge(bench, first, second):
    bench.policy(decide=["mail"], answer=at("mail", ORDER[first][0]))
    bench.policy(decide=["mail"], answer=at("mail", ORDER[second][0]))
    with bench.weir().connect() as client:
        want = min((first, second), key=list(ORDER).index)
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == ORDER[want][1]


def test_ties_go_to_the_order_of_the_configuration(bench):
    def slow(event, connection):
        time.sleep(0.1)
        return decision(REJECT, 551, "5.0.1", ["first"])
    a = bench.policy(decide=["mail"], answer=slow, notify=["transaction_end"])
    b = bench.policy(decide=["mail"], notify=["transaction_end"],
                     answer=at("mail", decision(REJECT, 552, "5.0.2", ["2"])))
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>") == "551 5.0.1 first\r\n"
    assert a.one("transaction_end").own_decision_applied
    assert not b.one("transaction_end").own_decision_applied
    assert b.one("transaction_end").decided_by == "p0"


def test_the_others_get_cancel_when_nothing_can_outrank(bench):
    a = bench.policy(decide=["mail"], answer=at("mail",
                                                decision(DISCONNECT)))
    b = bench.policy(decide=["mail"], answer=lambda *_: None)
    with bench.weir().connect() as client:
        start = time.monotonic()
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "421"
        assert time.monotonic() - start < 1
    assert b.one("cancel").seq == b.wait("mail")[0].seq and a


def test_policies_are_asked_in_parallel(bench):
    def slow(event, connection):
        time.sleep(0.3)
        return decision()
    for _ in range(4):
        bench.policy(decide=["mail"], answer=slow)
    with bench.weir().connect() as client:
        start = time.monotonic()
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"
        assert time.monotonic() - start < 0.9


# -------------------------------------------------------------------- edits

def edit(op, name, value=b"", index=0):
    return pb.HeaderEdit(op=op, name=name, value=value, index=index)


ADD, INSERT, CHANGE, DELETE = 1, 2, 3, 4
FIELDS = b"A: 1\r\nB: 2\r\na: 3\r\n\r\n"


@pytest.mark.parametrize("phase", ["headers", "end_of_message"])
@pytest.mark.parametrize("edits, want", [
    ([edit(ADD, b"X", b"y")], b"A: 1\r\nB: 2\r\na: 3\r\nX: y\r\n\r\n"),
    ([edit(ADD, b"X", b" y")], b"A: 1\r\nB: 2\r\na: 3\r\nX: y\r\n\r\n"),
    ([edit(ADD, b"X", b"\ty")], b"A: 1\r\nB: 2\r\na: 3\r\nX:\ty\r\n\r\n"),
    ([edit(ADD, b"X", b"y\r\n z")],
     b"A: 1\r\nB: 2\r\na: 3\r\nX: y\r\n z\r\n\r\n"),
    ([edit(INSERT, b"X", b"y", 0)], b"X: y\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n"),
    ([edit(INSERT, b"X", b"y", 3)], b"A: 1\r\nB: 2\r\na: 3\r\nX: y\r\n\r\n"),
    ([edit(ADD, b"Z", b"z"), edit(INSERT, b"X", b"1", 3),
      edit(INSERT, b"Y", b"2", 3)],
     b"A: 1\r\nB: 2\r\na: 3\r\nX: 1\r\nY: 2\r\nZ: z\r\n\r\n"),
    ([edit(CHANGE, b"a", b"9", 1)], b"A: 1\r\nB: 2\r\na: 9\r\n\r\n"),
    ([edit(CHANGE, b"a", b"9", 0)], b"a: 9\r\nB: 2\r\na: 3\r\n\r\n"),
    ([edit(DELETE, b"a", index=0), edit(DELETE, b"A", index=1)],
     b"B: 2\r\n\r\n"),
    ([edit(DELETE, b"A"), edit(DELETE, b"B"), edit(DELETE, b"A", index=1),
      edit(ADD, b"N", b"n")], b"N: n\r\n\r\n"),
])
def test_header_edits(bench, phase, edits, want):
    server = bench.mx()
    bench.policy(decide=[phase], answer=at(phase, decision(headers=edits)),
                 keys={"grants": '{"headers"}'})
    with bench.weir().connect() as client:
        assert deliver(client, FIELDS + b"..x\r\n").startswith("250")
    assert server.messages[0].data == want + b"..x\r\n"


@pytest.mark.parametrize("phase", ["headers", "end_of_message"])
@pytest.mark.parametrize("wrong", [
    edit(CHANGE, b"Nope", b"x"), edit(DELETE, b"A", index=2),
    edit(INSERT, b"X", b"y", 4), edit(ADD, b"X Y", b"z"),
    edit(ADD, b"", b"z"), edit(ADD, b"X:", b"z"), edit(ADD, b"X", b"a\r\nb"),
    edit(ADD, b"X", b"a\nb"), edit(ADD, b"X", b"a\0"), edit(0, b"X", b"a"),
    edit(ADD, b"X", b"a\r\n")])
def test_invalid_edits_are_never_half_applied(bench, phase, wrong):
    server = bench.mx()
    bench.policy(decide=[phase], answer=at(phase, decision(
        headers=[edit(ADD, b"Good", b"1"), wrong])),
        keys={"grants": '{"headers"}', "on_error": '"relay"'})
    with bench.weir().connect() as client:
        assert deliver(client, FIELDS + b"x\r\n").startswith("250")
    assert server.messages[0].data == FIELDS + b"x\r\n"


def test_edits_of_several_policies_apply_in_order(bench):
    server = bench.mx()

    def slow(event, connection):
        time.sleep(0.1)
        return decision(headers=[edit(ADD, b"One", b"1")])
    keys = {"grants": '{"headers"}'}
    bench.policy(decide=["headers"], answer=slow, keys=keys)
    bench.policy(decide=["headers"], keys=keys, answer=at(
        "headers", decision(headers=[edit(ADD, b"Two", b"2")])))
    with bench.weir().connect() as client:
        assert deliver(client, FIELDS + b"x\r\n").startswith("250")
    assert server.messages[0].data == \
        FIELDS[:-2] + b"One: 1\r\nTwo: 2\r\n\r\nx\r\n"


def test_end_of_message_counts_on_what_headers_left(bench):
    server = bench.mx()

    def answer(event, connection):
        if event.HasField("headers"):
            return decision(headers=[edit(INSERT, b"Top", b"1", 0)])
        return decision(headers=[edit(INSERT, b"Next", b"2", 1),
                                 edit(DELETE, b"Top")])
    bench.policy(decide=["headers", "end_of_message"], answer=answer,
                 keys={"grants": '{"headers"}'})
    with bench.weir().connect() as client:
        assert deliver(client, FIELDS + b"x\r\n").startswith("250")
    assert server.messages[0].data == b"Next: 2\r\n" + FIELDS + b"x\r\n"


# ------------------------------------------------------------------ outbound

POOL = ('pool "clean" { addresses = {"127.0.0.2", "::1"} '
        'ehlo_name = "out.example" }\n'
        'pool "gone" { addresses = {"192.0.2.77"} }\n')
OUTBOUND = {"grants": '{"outbound"}'}


@pytest.mark.parametrize("choice, name", [
    (pb.Outbound(source_address="127.0.0.2"), "out.example"),
    (pb.Outbound(source_pool="clean"), "out.example"),
    (pb.Outbound(source_pool="clean", ehlo_name="me.example"), "me.example")])
def test_outbound_at_connect(bench, choice, name):
    server = bench.mx()
    p = bench.policy(decide=["connect"], notify=["upstream"], keys=OUTBOUND,
                     answer=at("connect", decision(outbound=choice)))
    proxy = bench.weir(more=POOL)
    with proxy.connect() as client:
        assert deliver(client).startswith("250")
    session, = server.sessions
    assert session.peer[0] == "127.0.0.2"
    assert session.lines[0] == f"EHLO {name}"
    assert p.one("upstream").local.address == "127.0.0.2"
    row, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert row["source_address"] == "127.0.0.2"


def test_the_clients_verb_stays_with_the_chosen_name(bench):
    server = bench.mx()
    bench.policy(decide=["connect"], keys=OUTBOUND, answer=at(
        "connect", decision(outbound=pb.Outbound(source_pool="clean"))))
    client = bench.weir(more=POOL, upstream='tls = "none"').connect(False)
    client.reply()
    assert client.ask("HELO me")[:3] == "250"
    assert server.lines == ["HELO out.example"]


@pytest.mark.parametrize("source", ["127.0.0.9", "nonsense", "127.0.0.2 "])
def test_a_source_of_no_pool_is_invalid(bench, source):
    server = bench.mx()
    bench.policy(decide=["connect"], keys=OUTBOUND, answer=at(
        "connect", decision(outbound=pb.Outbound(source_address=source))))
    with bench.weir(more=POOL).connect(hello=False) as client:
        assert client.reply().startswith("451"), "on_error at CONNECT"
    assert not server.sessions


def test_a_source_that_cannot_be_bound_at_connect(bench):
    server = bench.mx()
    bench.policy(decide=["connect"], keys=OUTBOUND, answer=at(
        "connect", decision(outbound=pb.Outbound(source_pool="gone"))))
    with bench.weir(more=POOL).connect(hello=False) as client:
        reply = client.reply()
        assert reply.startswith("421 4.4.1 weir.example.org "
                                f"127.0.0.1:{server.port}: "), reply
        assert client.rest() == b""
    assert not server.sessions


# ---------------------------------------------------------- the rest of it

def test_pipelined_requests_go_out_at_once(bench):
    """MAIL and RCPT requests do not wait for the verdict before."""
    bench.mx()
    p = bench.policy(decide=["mail", "rcpt"], answer=lambda *_: None)
    with bench.weir().connect() as client:
        client.send(b"MAIL FROM:<a@b.c>\r\n" + b"".join(
            b"RCPT TO:<%d@x>\r\n" % i for i in range(20)))
        rcpts = p.wait("rcpt", 20)
        mail, = p.wait("mail")
        for event in reversed(rcpts):
            p.reply(event, decision(REJECT) if event.rcpt.index % 2
                    else decision())
        p.reply(mail, decision())
        assert client.codes(21) == ["250"] + ["250", "550"] * 10


def test_accepted_lists_who_stands(bench):
    bench.mx(script={"RCPT": lambda s, line: b"550 no\r\n"
                     if "bad" in line else None})
    p = bench.policy(decide=["rcpt", "data"], answer=at(
        "rcpt", lambda e, c: decision(REJECT) if e.rcpt.index == 0
        else decision()))
    with bench.weir().connect() as client:
        client.envelope("a@b.c", "0@x", "1@x", "bad@x", "3@x")
        assert client.ask("DATA")[:3] == "354"
    assert list(p.one("data").accepted) == [1, 3]


def test_all_recipients_refused(bench):
    server = bench.mx()
    p = bench.policy(decide=["rcpt"], notify=["transaction_end"],
                     answer=at("rcpt", decision(REJECT)))
    with bench.weir().connect() as client:
        client.envelope("a@b.c", "1@x", "2@x")
        assert client.ask("DATA").startswith("554 5.5.1")
        wait_for(lambda: "RSET" in server.lines, "RSET upstream")
    end = p.one("transaction_end")
    assert (end.outcome, end.decided_by) == (pb.OUTCOME_REJECTED, "p0")
    assert end.own_decision_applied


def test_reject_in_hold_is_rset_upstream_and_the_session_goes_on(bench):
    server = bench.mx()
    answers = [decision(REJECT, 550, "5.6.0", ["bad"]), decision()]
    p = bench.policy(decide=["end_of_message"],
                     answer=lambda *_: answers.pop(0))
    with bench.weir().connect() as client:
        assert deliver(client) == "550 5.6.0 bad\r\n"
        assert deliver(client).startswith("250")
    assert p and len(server.messages) == 1
    assert "RSET" in server.lines


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "end_of_message"])
def test_discard(bench, phase):
    server = bench.mx()
    p = bench.policy(decide=[phase], notify=["transaction_end"],
                     keys={"grants": '{"discard"}'},
                     answer=at(phase, decision(DISCARD)))
    with bench.weir().connect() as client:
        assert deliver(client).startswith("250 2.0.0")
        assert client.ask("NOOP")[:3] == "250"
    assert not server.messages
    end = p.one("transaction_end")
    assert end.outcome == pb.OUTCOME_DISCARDED
    assert end.decided_by == "p0" and end.own_decision_applied


def test_discard_at_rcpt_drops_that_recipient(bench):
    server = bench.mx()
    bench.policy(decide=["rcpt"], keys={"grants": '{"discard"}'},
                 answer=at("rcpt", lambda e, c: decision(DISCARD)
                           if e.rcpt.index == 0 else decision()))
    with bench.weir().connect() as client:
        assert deliver(client, recipients=("1@x", "2@x"))[:3] == "250"
    assert server.messages[0].recipients == ["2@x"]


def test_client_gone_before_the_verdict_is_aborted(bench):
    server = bench.mx()
    p = bench.policy(decide=["end_of_message"], notify=["transaction_end"],
                     answer=lambda *_: None)
    client = bench.weir().connect()
    client.envelope("a@b.c", "1@x")
    client.ask("DATA")
    client.send(MESSAGE + b".\r\n")
    p.wait("end_of_message")
    client.close()
    p.one("cancel")
    assert p.one("transaction_end").outcome == pb.OUTCOME_ABORTED
    assert not server.messages


def test_sessions_are_never_reused_and_seq_is_per_session(bench):
    bench.mx()
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    for _ in range(3):
        with proxy.connect() as client:
            client.ask("MAIL FROM:<a@b.c>")
    mails = p.wait("mail", 3)
    assert len({e.session for e in mails}) == 3
    assert {e.seq for e in mails} == {1}
    assert all(e.session for e in mails)


def test_ping_is_answered(bench):
    """weir pings or not; a server's Pong without Ping does no harm."""
    bench.mx()
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    p.send(pb.FromPolicy(pong=pb.Pong(token=5)))
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"


def test_annotations_and_version_are_recorded(bench):
    bench.mx()
    p = bench.policy(decide=["mail"], answer=at("mail", decision(
        REJECT, rule="r1", score=2.5, reason="because",
        annotations={"k": "v"})))
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("MAIL FROM:<a@b.c>")
    row, = proxy.wait_rows("SELECT * FROM decisions")
    assert (row["policy"], row["version"], row["phase"], row["action"],
            row["rule"], row["score"], row["reason"]) == (
        "p0", "v7", "mail", "reject", "r1", 2.5, "because")
    assert '"k"' in row["annotations"] and p


def test_a_connection_that_dies_comes_back(bench):
    bench.mx()
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    p.cut()
    wait_for(lambda: len(p.seen("ready")) == 2, "the second handshake")
    time.sleep(0.05)
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"


def test_sigterm_sends_drain(bench):
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    proxy.process.terminate()
    p.wait("drain")


def test_required_does_not_listen_until_ready(bench):
    import socket
    import threading
    gate = threading.Event()

    def greet(connection):
        gate.wait(5)
        p.send(pb.FromPolicy(welcome=pb.Welcome(major=1)), connection)
    p = bench.policy(greet=greet, keys={"required": "true"})
    timer = threading.Timer(0.4, gate.set)
    timer.start()
    start = time.monotonic()
    proxy = bench.weir()
    assert time.monotonic() - start >= 0.4
    with proxy.connect() as client:
        assert client.ask("NOOP")[:3] == "250"
    assert socket
