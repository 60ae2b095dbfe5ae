"""The Python SDK in a rough world: garbage, stops, restarts, masses."""

import signal
from random import Random

import pytest
import sdk_cases
from policy_harness import (ORDER, RELAY, REJECT, Weir, connect, frame, pb,
                            rcpt, run)


def test_ping_and_what_nobody_knows(run):
    with Weir(run(ORDER).endpoint) as weir:
        weir.send(ping=pb.Ping(token=2**63 + 5))
        assert weir.receive().pong.token == 2**63 + 5
        unknown = b"\x08\x05" + b"\x10\x01" + b"\xf2\x3f\x02hi"  # field 1022
        weir.send_raw(len(unknown).to_bytes(4, "big") + unknown)
        weir.send_raw(bytes(4))  # an empty frame
        mail = frame(pb.ToPolicy(session=9, mail=pb.Mail(sender=b"a@b")))
        extra = mail[4:] + b"\xf2\x3f\x02hi"
        weir.send_raw(len(extra).to_bytes(4, "big") + extra)
        assert weir.ask(9, 1, rcpt=rcpt(b"0")).rule == "1"


def test_subscribes_only_to_what_weir_offers(run):
    with Weir(run(ORDER).endpoint, phases=[1, 7, 8, 15]) as weir:
        assert weir.subscriptions() == {1: False, 7: False, 8: True, 15: False}


GARBAGE = {
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "begins with b'GET / HTTP"),
    "huge": (b"\xff\xff\xff\xff", "65536 are allowed"),
    "noise": (b"\0\0\0\x04\xff\xff\xff\xff", "no message of weir"),
    "early": (frame(pb.ToPolicy(session=1, mail=pb.Mail())),
              "mail came before Hello"),
    "empty": (bytes(4), "None came before Hello"),
    "version": (frame(pb.ToPolicy(hello=pb.Hello(major=2))),
                "version 2 of the protocol"),
    "twice": (2 * frame(pb.ToPolicy(hello=pb.Hello(major=1))),
              "hello came before Ready"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_ends_its_connection_only(run, kind):
    server = run(ORDER)
    data, words = GARBAGE[kind]
    with Weir(server.endpoint) as good, \
            Weir(server.endpoint, handshake=False) as bad:
        bad.send_raw(data)
        last = bad.receive()
        if kind == "twice":
            assert last.WhichOneof("answer") == "welcome"
            last = bad.receive()
        assert last is None
        server.wait_for(words)
        good.mail(1, b"a@b.example")
        assert good.ask(1, 1, rcpt=rcpt(b"0")).action == RELAY


def test_garbage_after_the_handshake(run):
    server = run(ORDER)
    with Weir(server.endpoint) as good, \
            Weir(server.endpoint, max_frame=100000) as bad:
        assert bad.welcome.max_frame == 100000
        bad.mail(1, b"a@b.example")
        bad.send_raw((100000).to_bytes(4, "big"))  # just allowed
        assert bad.silent(0.1)
        bad.send_raw(b"\xff" * 100000)
        assert bad.receive() is None
        server.wait_for("no message of weir")
        with Weir(server.endpoint, max_frame=100000) as bad:
            bad.send(0, 0, 0, mail=pb.Mail())
            assert bad.receive() is None
            server.wait_for("mail without a session")
        with Weir(server.endpoint, max_frame=100000) as bad:
            bad.send_raw((100001).to_bytes(4, "big"))
            assert bad.receive() is None
            server.wait_for("a frame of 100001 bytes where 100000")
        good.mail(1, b"a@b.example")
        assert good.ask(1, 1, rcpt=rcpt(b"0")).action == RELAY


@pytest.mark.parametrize("greeted", [False, True])
def test_random_bytes_hurt_nobody(run, greeted):
    """150 connections of noise, some of it in well-formed frames."""
    random = Random(20)
    server = run(ORDER)
    with Weir(server.endpoint) as good:
        for session in range(1, 151):
            noise = random.randbytes(random.randrange(1, 400))
            if session % 2:
                noise = len(noise).to_bytes(4, "big") + noise
            with Weir(server.endpoint, handshake=greeted) as bad:
                bad.send_raw(noise)
            good.mail(session, b"a@b.example")
            assert good.ask(session, 1, rcpt=rcpt(b"0")).action == RELAY
        assert server.process.poll() is None
        assert "Traceback" not in server.log()


def test_silence_is_no_handshake(run):
    server = run("import weir_policy._server as s\ns.HANDSHAKE_SECONDS = 0.3\n"
                 + ORDER)
    with Weir(server.endpoint) as good, \
            Weir(server.endpoint, handshake=False) as silent:
        assert silent.receive() is None
        server.wait_for("no handshake in time")
        good.mail(1, b"a@b.example")
        assert good.ask(1, 1, rcpt=rcpt(b"0")).action == RELAY


def test_a_decision_too_large_is_no_decision(run):
    server = run("policy = Policy()\n@policy.mail\n"
                 "def mail(session, event):\n"
                 "    return relay().because(reason='x' * 3000)\n")
    with Weir(server.endpoint, max_frame=2000) as weir:
        assert weir.mail(1, b"a@b", seq=1).action == pb.ACTION_UNSPECIFIED
        server.wait_for("2000 are allowed")


def test_lost_connection_ends_its_sessions(run):
    """Counters that go up at CONNECT come down again, whatever happens."""
    server = run("policy = Policy()\nimport sys\nopen_ = 0\n"
                 "@policy.connect\nasync def connect(session, event):\n"
                 "    global open_\n    open_ += 1\n    return relay()\n"
                 "@policy.mail\nasync def mail(session, event):\n"
                 "    await asyncio.sleep(60)\n"
                 "@policy.session_end\ndef end(session, event):\n"
                 "    global open_\n    open_ -= 1\n"
                 "    print(event.cause, open_, file=sys.stderr, flush=True)\n")
    with Weir(server.endpoint) as weir:
        for session in (1, 2, 3):
            weir.ask(session, 1, connect=connect("192.0.2.1"))
        weir.send(2, 2, 5000, mail=pb.Mail(sender=b"a@b"))
        weir.send(3, session_end=pb.SessionEnd(cause="quit"))
        server.wait_for("quit 2")
    server.wait_for("policy connection lost 0")
    assert "ERROR" not in server.log()


# -------------------------------------------------------- start, stop, restart

STOP = """
policy = Policy(stop_timeout=1.5)
@policy.mail
async def mail(session, event):
    await asyncio.sleep(float(event.sender))
    return reject()
"""


def test_sigterm_answers_what_was_asked(run, tmp_path):
    server = run(STOP)
    with Weir(server.endpoint) as weir, Weir(server.endpoint) as idle:
        weir.send(1, 1, 5000, mail=pb.Mail(sender=b"0.5"))
        assert weir.silent(0.1)
        server.signal(signal.SIGTERM)
        assert idle.receive() is None
        with pytest.raises(OSError):
            Weir(server.endpoint, handshake=False)
        assert weir.decision(1, 1).action == REJECT
        assert weir.receive() is None
        assert server.wait() == 0
        assert not (tmp_path / "0.sock").exists()


def test_sigterm_does_not_wait_for_ever(run):
    server = run(STOP)
    sdk_cases.stop_does_not_wait(server)


def test_drain_lets_open_sessions_finish(run):
    server = run(STOP)
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 5000, mail=pb.Mail(sender=b"0.3"))
        weir.send(drain=pb.Drain())
        server.wait_for("weir drains: 1 sessions are open")
        assert weir.decision(1, 1).action == REJECT
        weir.send(1, session_end=pb.SessionEnd(cause="quit"))
    with Weir(server.endpoint) as weir:
        assert weir.mail(1, b"0", seq=1).action == REJECT


def test_restart_at_the_same_place(run, tmp_path):
    """kill -9 leaves the socket behind; the next server takes its place, but
    never that of one that lives, nor of a file."""
    path = tmp_path / "policy.sock"
    first = run(STOP, f"unix:{path}")
    assert first.endpoint == f"unix:{path}"
    second = run(STOP, f"unix:{path}")
    assert second.wait() == 1
    assert "another server listens" in second.log()
    with Weir(first.endpoint) as weir:
        assert weir.mail(1, b"0", seq=1).action == REJECT
        first.signal(signal.SIGKILL)
        assert weir.receive() is None
    first.wait()
    assert path.exists()
    third = run(STOP, f"unix:{path}")
    with Weir(third.endpoint) as weir:  # weir has come back
        assert weir.mail(1, b"0", seq=1).action == REJECT
    path.unlink()
    path.write_text("precious")
    fourth = run(STOP, f"unix:{path}")
    assert fourth.wait() == 1
    assert third.stop() == 0
    assert path.read_text() == "precious"


@pytest.mark.parametrize("where", ["", "unix:", "tcp:127.0.0.1", "tcp:x:y",
                                   "/run/x.sock", "tls:127.0.0.1"])
def test_wrong_endpoints_are_named(run, where):
    server = run(STOP, where or "-")
    assert server.wait() == 1
    assert "is no endpoint" in server.log()


# --------------------------------------------------------------------- in bulk

@pytest.mark.parametrize("handler", ["def", "async def"])
def test_ten_thousand_questions(run, handler):
    """MAIL and 9 RCPT for 1000 sessions on one connection, at once."""
    server = run("policy = Policy()\n@policy.mail\n"
                 f"{handler} mail(session, event):\n    return relay()\n"
                 f"@policy.rcpt\n{handler} rcpt(session, event):\n"
                 "    return reject() if event.index else relay()\n")
    sdk_cases.ten_thousand_questions(server)


def test_answers_that_nobody_reads_stop_the_reading(run):
    """Back-pressure: the server takes no more than it can answer."""
    server = run("policy = Policy()\n@policy.mail\ndef mail(session, event):\n"
                 "    return relay().because(reason='x' * 10000)\n")
    question = frame(pb.ToPolicy(session=1, seq=1, deadline_ms=9000,
                                 mail=pb.Mail(sender=b"a" * 1000)))
    with Weir(server.endpoint) as weir:
        weir.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 50_000_000:
                sent += weir.socket.send(question * 100)
        for _ in range(sent // len(question)):
            assert weir.receive().decision.action == RELAY
