"""The fine print of policies, where it needs a longer story."""

import re
import socket
import threading
import time

import pytest
from blackbox import (DISCARD, DISCONNECT, PHASES, REJECT, TEMPFAIL,
                      TRANSACTION, Gone, decision, frame, pb, wait_for)

MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"


def deliver(client, message=MESSAGE, recipients=("c@d.example",)):
    client.envelope("a@b.example", *recipients)
    reply = client.ask("DATA")
    return client.raw(message + b".\r\n") if reply[:3] == "354" else reply


def at(phase, answer):
    return lambda event, connection: answer if \
        event.WhichOneof("event") == phase else decision()


def end_of(policy, outcome, by):
    end = policy.one("transaction_end")
    assert (end.outcome, end.decided_by) == (outcome, by), end
    return end


# ----------------------------------------------------------- TransactionEnd

@pytest.mark.parametrize("script, outcome", [
    ({"dot": b"451 4.3.0 later\r\n"}, pb.OUTCOME_DEFERRED),
    ({"dot": b"550 5.7.1 spam\r\n"}, pb.OUTCOME_REJECTED),
    ({"MAIL": b"550 5.1.8 no\r\n"}, pb.OUTCOME_REJECTED),
    ({"RCPT": b"450 4.2.1 grey\r\n"}, pb.OUTCOME_DEFERRED),
    ({"DATA": b"554 5.5.1 never\r\n"}, pb.OUTCOME_REJECTED)])
@pytest.mark.parametrize("hold", [False, True])
def test_what_the_mx_refuses(bench, script, outcome, hold):
    bench.mx(script=script)
    p = bench.policy(decide=["end_of_message"] if hold else [],
                     notify=["transaction_end"])
    verb, = script
    with bench.weir().connect() as client:
        said = [client.ask("MAIL FROM:<a@b.c>")]
        if said[-1][0] == "2":
            said.append(client.ask("RCPT TO:<c@d.e>"))
        if said[-1][0] == "2":
            said.append(client.ask("DATA"))
            if said[-1][0] == "3":
                said.append(client.raw(MESSAGE + b".\r\n"))
        assert said[-1].encode() == script[verb]
        client.ask("QUIT")
    end = end_of(p, outcome, "mx")
    assert f"{end.reply.code} {end.reply.enhanced}" == \
        script[verb].decode()[:9]


def test_weirs_own_refusal_is_decided_by_weir(bench):
    bench.mx()
    p = bench.policy(decide=["end_of_message"], notify=["transaction_end"])
    with bench.weir().connect() as client:
        assert deliver(client, b"a\n.\r\nb\r\n").startswith("550 5.5.2")
    end_of(p, pb.OUTCOME_REJECTED, "weir")


def test_whoever_refused_the_last_recipient(bench):
    bench.mx(script={"RCPT": b"450 4.2.1 grey\r\n"})
    p = bench.policy(decide=["rcpt"], notify=["transaction_end"],
                     answer=lambda e, c: decision(REJECT)
                     if e.rcpt.index == 0 else decision())
    with bench.weir().connect() as client:
        client.envelope("a@b.c", "0@x", "1@x")
        client.ask("RSET")
    end = p.one("transaction_end")
    assert (end.outcome, end.decided_by) in (
        (pb.OUTCOME_DEFERRED, "mx"), (pb.OUTCOME_ABORTED, "weir"))


def test_the_mx_goes_away_is_aborted(bench):
    def gone(session, line):
        raise Gone
    bench.mx(script={"dot": gone})
    p = bench.policy(notify=["transaction_end", "session_end"])
    with bench.weir().connect() as client:
        assert deliver(client).startswith("421 4.4")
    assert p.one("transaction_end").outcome == pb.OUTCOME_ABORTED
    assert p.one("session_end").cause


def test_upstream_says_why_there_is_no_connection(bench):
    server = bench.mx()
    server.close()
    server.close = lambda: None
    p = bench.policy(notify=["connect", "upstream", "session_end"])
    with bench.weir().connect(hello=False) as client:
        assert client.reply().startswith("421 4.4.1")
    p.wait("session_end")
    assert "refused" in p.one("upstream").error
    assert p.one("upstream").remote.port == server.port


# ------------------------------------------------------------------ refusals

@pytest.mark.parametrize("phase", ["headers", "body"])
def test_after_a_refusal_its_policy_is_an_observer(bench, phase):
    server = bench.mx()
    p = bench.policy(decide=["headers", "body", "end_of_message"],
                     answer=at(phase, decision(REJECT)))
    watcher = bench.policy(notify=["body", "end_of_message"])
    with bench.weir().connect() as client:
        client.envelope()
        assert client.ask("DATA")[:3] == "354"
        client.send(MESSAGE)
        p.wait(phase)
        time.sleep(0.05)
        assert client.raw(b"rest\r\n.\r\n").startswith("550 5.7.1")
        assert client.ask("NOOP")[:3] == "250"
        assert deliver(client).startswith("550")
    assert not server.messages and server.lines.count("DATA") == 0
    assert server.lines.count("RSET") >= 1
    for one in (p, watcher):
        assert one.wait("end_of_message")[0].seq == 0
    body = b"".join(e.body.data for e in watcher.seen("body")
                    if e.body.message == 1)
    assert body == b"body\r\nrest\r\n"
    assert [e.headers.message for e in p.wait("headers", 2)] == [1, 2]


def test_body_decide_each_is_a_request_before_the_answer(bench):
    bench.mx()
    p = bench.policy(decide=["body"], answer=lambda *_: None)
    with bench.weir().connect() as client:
        client.envelope()
        assert client.ask("DATA")[:3] == "354"
        for i in range(3):
            client.send(b"\r\n" * (i == 0) + b"line %d\r\n" % i)
            p.wait("body", i + 1)
        client.send(b".\r\n")
        events = p.wait("body", 3)
        assert all(e.seq for e in events)
        assert [e.body.offset for e in events] == [0, 8, 16]
        for event in events:
            p.reply(event, decision())
        assert client.reply()[:3] == "250"


def test_disconnect_at_headers_is_421_after_the_dot(bench):
    bench.mx()
    p = bench.policy(decide=["headers"], answer=lambda *_: decision(
        DISCONNECT))
    with bench.weir().connect() as client:
        client.envelope()
        client.ask("DATA")
        client.send(MESSAGE)
        p.wait("headers")
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.reply()
        client.socket.settimeout(8)
        assert client.raw(b".\r\n").startswith("421 4.")
        assert client.rest() == b""


def test_refused_at_data_then_the_next_message(bench):
    server = bench.mx()
    answers = [decision(TEMPFAIL), decision()]
    bench.policy(decide=["data"], answer=lambda *_: answers.pop(0))
    with bench.weir().connect() as client:
        assert deliver(client).startswith("451 4.7.1")
        assert deliver(client)[:3] == "250"
    assert server.lines.count("DATA") == 1 and "RSET" in server.lines


@pytest.mark.parametrize("phase", ["data", "headers", "body",
                                   "end_of_message"])
def test_discard_has_its_own_250(bench, phase):
    server = bench.mx()
    bench.policy(decide=[phase], keys={"grants": '{"discard"}'}, answer=at(
        phase, decision(DISCARD, 250, "2.6.9", ["kept for you"])))
    with bench.weir().connect() as client:
        assert deliver(client) == "250 2.6.9 kept for you\r\n"
    assert not server.messages


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("phases", [["rcpt"], ["rcpt", "data"]])
def test_discard_for_the_transaction_at_rcpt(bench, first, phases):
    server = bench.mx()
    p = bench.policy(decide=phases, keys={"grants": '{"discard"}'},
                     answer=lambda e, c: decision(DISCARD, scope=TRANSACTION)
                     if e.HasField("rcpt") and e.rcpt.index == first
                     else decision())
    with bench.weir().connect() as client:
        client.envelope("a@b.c", "0@x", "1@x", "2@x")
        assert client.ask("DATA")[:3] == "354"
        assert client.raw(MESSAGE + b".\r\n")[:3] == "250"
        assert client.ask("NOOP")[:3] == "250"
    assert all(m.recipients == ["0@x"] for m in server.messages)
    assert len([e for e in p.seen("rcpt") if e.seq]) == first + 1


def test_rcpt_after_discard_at_mail_is_250_unasked(bench):
    server = bench.mx()
    p = bench.policy(decide=["mail", "rcpt"], keys={
        "grants": '{"discard"}'}, answer=at("mail", decision(DISCARD)))
    with bench.weir().connect() as client:
        assert deliver(client)[:3] == "250"
    assert not [e for e in p.seen("rcpt") if e.seq]
    assert not [x for x in server.lines if x.startswith(("MAIL", "RCPT"))]


# ---------------------------------------------------------- frames and causes

def test_headers_that_do_not_fit_are_an_overload(bench):
    server = bench.mx()
    welcome = pb.Welcome(major=1, max_frame=2000)
    welcome.subscriptions.add(phase=PHASES["headers"], decide=True)
    p = bench.policy(welcome=welcome)
    proxy = bench.weir()
    with proxy.connect() as client:
        long = b"X: " + b"y" * 3000 + b"\r\n\r\nbody\r\n"
        assert deliver(client, long).startswith("451 4.")
        assert deliver(client)[:3] == "250"
    rows = proxy.wait_rows("SELECT * FROM decisions ORDER BY number", count=2)
    assert rows[0]["error"] == "overload" and rows[1]["error"] is None
    assert len(p.seen("headers")) == len(server.messages) == 1


def test_headers_that_do_not_fit_an_observer_are_counted(bench):
    server = bench.mx()
    welcome = pb.Welcome(major=1, max_frame=2000)
    welcome.subscriptions.add(phase=PHASES["headers"])
    bench.policy(welcome=welcome)
    proxy = bench.weir()

    def count():
        return sum(float(x.rpartition(" ")[2]) for x in proxy.get(
            "/metrics")[2].decode().splitlines() if re.match(
                r"weir_policy_\w*(unsent|lost|overload|not_sent|dropped|error)"
                r".*p0", x))
    before = count()
    with proxy.connect() as client:
        assert deliver(client, b"X: " + b"y" * 3000 + b"\r\n\r\nb\r\n")[
            :3] == "250"
    assert len(server.messages) == 1
    wait_for(lambda: count() == before + 1, "the loss counted")


@pytest.mark.parametrize("size, good", [(65536, True), (65537, False)])
def test_64_kib_until_the_handshake_is_done(bench, size, good):
    welcome = pb.FromPolicy(welcome=pb.Welcome(major=1))
    filler = size - welcome.ByteSize() - 10
    while welcome.ByteSize() != size:
        welcome.welcome.software = "x" * filler
        filler += size - welcome.ByteSize()
    bench.policy(greet=lambda c: c.sendall(frame(welcome)))
    proxy = bench.weir(ready=good)
    if not good:
        proxy.wait_log(r"event=policy\.unreachable .*(large|65536|no frame)")


def test_causes_are_counted(bench):
    bench.policy(decide=["mail"], answer=lambda *_: decision(0))
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("MAIL FROM:<a@b.c>")
    wait_for(lambda: re.search(
        r'^weir_policy_errors_total\{[^}]*invalid[^}]*\} 1$',
        proxy.get("/metrics")[2].decode(), re.M), "the cause counted")


@pytest.mark.parametrize("stray", [
    pb.FromPolicy(welcome=pb.Welcome(major=1)),
    pb.FromPolicy(session=99, credit=pb.Credit(max_offset=5)),
    pb.FromPolicy(session=99, annotate=pb.Annotate(annotations={"a": "b"})),
    pb.FromPolicy(session=99, seq=1, working=pb.Working(extra_ms=5))])
def test_stray_frames_do_no_harm(bench, stray):
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    p.send(stray)
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"
    assert len(p.connections) == 1


def test_frames_in_pieces_and_several_at_once(bench):
    def answer(event, connection):
        data = frame(pb.FromPolicy(session=event.session, seq=event.seq,
                                   decision=decision(REJECT)))
        for i in range(len(data)):
            connection.sendall(data[i:i + 1])
            time.sleep(0.001)
    p = bench.policy(decide=["mail"], answer=answer)
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "550"
        held = []
        p.answer = lambda e, c: held.append(e)
        client.send(b"MAIL FROM:<1@b.c>\r\nRSET\r\nMAIL FROM:<2@b.c>\r\n")
        wait_for(lambda: held, "requests")
        time.sleep(0.05)
        p.send(b"".join(frame(pb.FromPolicy(
            session=e.session, seq=e.seq, decision=decision()))
            for e in held))
        p.answer = lambda e, c: decision()
        assert client.codes(2) == ["250", "250"]


def test_annotate_at_any_time_is_recorded(bench):
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("MAIL FROM:<a@b.c>")
        p.send(pb.FromPolicy(session=p.seen("mail")[0].session,
                             annotate=pb.Annotate(annotations={"who": "me"})))
        time.sleep(0.05)
        client.ask("QUIT")
    row, = proxy.wait_rows("SELECT * FROM decisions WHERE phase IS NULL")
    assert row["annotations"] == '{"who":"me"}' and row["policy"] == "p0"


def test_one_session_probes_an_open_circuit(bench):
    gate = threading.Event()

    def answer(event, connection):
        if gate.is_set():
            time.sleep(0.3)
            return decision()
        return decision(0)
    p = bench.policy(decide=["mail"], answer=answer, keys={
        "breaker_failures": 2, "breaker_time": "100ms"})
    proxy = bench.weir()
    with proxy.connect() as client:
        for _ in range(2):
            client.ask("MAIL FROM:<a@b.c>")
    gate.set()
    time.sleep(0.15)
    clients = [proxy.connect() for _ in range(3)]
    for client in clients:
        client.send(b"MAIL FROM:<a@b.c>\r\n")
    assert sorted(client.reply()[:3] for client in clients) == \
        ["250", "451", "451"]
    assert len(p.seen("mail")) == 3
    for client in clients:
        client.close()


def test_connections_per_worker(bench):
    p = bench.policy(decide=["mail", "rcpt"], keys={"connections": 3})
    where = {}

    def answer(event, connection):
        where.setdefault((event.session, id(connection)), []).append(event)
        return decision()
    p.answer = answer
    proxy = bench.weir()
    wait_for(lambda: len(p.seen("ready")) == 3, "three connections")
    for _ in range(6):
        with proxy.connect() as client:
            assert client.envelope()[0][:3] == "250"
    assert len({c for _, c in where}) == 3
    assert all(len(events) == 2 for events in where.values())
    assert {e.hello.instance for e in p.seen("hello")} == {
        p.seen("hello")[0].hello.instance}


def test_a_tcp_endpoint(bench):
    bench.mx()
    p = bench.policy(decide=["mail"], answer=at("mail", decision(REJECT)))
    p.socket.close()
    listener = socket.create_server(("127.0.0.1", 0))
    bench.opened.callback(listener.close)
    threading.Thread(target=p._serve, args=(listener,), daemon=True).start()
    port = listener.getsockname()[1]
    p.block = lambda **_: (f'policy "p0" {{ endpoint = "tcp:127.0.0.1:{port}"'
                           " }\n")
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "550"
    listener.shutdown(socket.SHUT_RDWR)


# --------------------------------------------------------------------- BDAT

def test_bdat_is_shown_as_data_and_body(bench):
    def bdat(session, line):
        count = int(line.split()[1])
        while len(session.buffer) < count:
            session.more()
        session.buffer = session.buffer[count:]
        return b"250 2.0.0 fine\r\n"
    bench.mx(extensions=("CHUNKING",), script={"BDAT": bdat})
    p = bench.policy(notify=["data", "headers", "body", "end_of_message",
                             "transaction_end"])
    with bench.weir().connect() as client:
        client.envelope()
        assert client.raw(b"BDAT 12\r\nA: b\r\n\r\n.x\r\n")[:3] == "250"
        assert client.raw(b"BDAT 4 LAST\r\n\r\n.z")[:3] == "250"
    p.wait("transaction_end")
    assert list(p.one("data").accepted) == [0]
    assert p.one("headers").raw == b"A: b\r\n\r\n"
    assert b"".join(e.body.data for e in p.seen("body")) == \
        b".x\r\n\r\n.z"
    assert p.one("end_of_message").size == 16
    end_of(p, pb.OUTCOME_DELIVERED, "mx")


def test_data_asks_when_its_recipients_are_settled(bench):
    """Pipelined, with an MX that is slow to accept."""
    bench.mx(script={"RCPT": lambda *_: time.sleep(0.1)})
    p = bench.policy(decide=["rcpt", "data"])
    with bench.weir().connect() as client:
        client.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<1@x>\r\n"
                    b"RCPT TO:<2@x>\r\nDATA\r\n")
        assert client.codes(4) == ["250", "250", "250", "354"]
    assert list(p.one("data").accepted) == [0, 1]


def test_reply_events_say_what_the_mx_said(bench):
    bench.mx(script={"RCPT": lambda *_: time.sleep(0.05)})
    p = bench.policy(decide=["rcpt"], notify=["reply", "session_end"],
                     answer=lambda e, c: decision(REJECT)
                     if e.rcpt.index == 0 else decision())
    with bench.weir().connect() as client:
        client.ask("NOOP")
        client.envelope("a@b.c", "0@x", "1@x")
        client.ask("QUIT")
    p.wait("session_end")
    replies = [e.reply for e in p.seen("reply")]
    rcpt, = [r for r in replies if r.phase == PHASES["rcpt"]]
    assert (rcpt.index, rcpt.reply.code, rcpt.reply.enhanced,
            list(rcpt.reply.lines)) == (1, 250, "2.1.5", [b"OK"])
    assert rcpt.latency_us >= 45000
    assert [r for r in replies if r.phase == PHASES["command"]]


def test_relay_for_the_transaction_at_headers_then_notifications(bench):
    bench.mx()
    p = bench.policy(decide=["headers", "end_of_message"], notify=["body"],
                     answer=lambda *_: decision(scope=TRANSACTION))
    with bench.weir().connect() as client:
        assert deliver(client)[:3] == "250"
    assert p.wait("end_of_message")[0].seq == 0
    assert b"".join(e.body.data for e in p.seen("body")) == b"body\r\n"


def test_reload_keeps_an_open_sessions_policy(bench):
    import signal
    bench.mx()
    p = bench.policy(decide=["mail", "rcpt"])
    proxy = bench.weir()
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"
        text = proxy.config.read_text()
        proxy.config.write_text(text[:text.index('policy "p0"')])
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_log("event=reload.done")
        p.answer = lambda *_: decision(REJECT)
        assert client.ask("RCPT TO:<c@d.e>")[:3] == "550"
    with proxy.connect() as client:
        assert client.envelope()[0][:3] == "250"
    assert len(p.seen("mail")) == 1
