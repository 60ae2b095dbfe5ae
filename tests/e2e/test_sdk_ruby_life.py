"""The Ruby SDK in a rough world: garbage, stops, restarts, masses."""

import re
import signal
import ssl
import threading

import pytest
import sdk_cases
from blackbox import wait_for
from policy_harness import (RELAY, REJECT, Weir, connect, frame, pb, rcpt)
from ruby_harness import ORDER, needs_ruby, run
from test_policy_sdk_whole import certificate, client, welcomed

pytestmark = needs_ruby

GARBAGE = {
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 'begins with "GET / HTTP'),
    "huge": (b"\xff\xff\xff\xff", "65536 are allowed"),
    "noise": (b"\0\0\0\x04\xff\xff\xff\xff", "no message of weir"),
    "early": (frame(pb.ToPolicy(session=1, mail=pb.Mail())),
              "mail came before Hello"),
    "empty": (bytes(4), "nothing came before Hello"),
    "version": (frame(pb.ToPolicy(hello=pb.Hello(major=2))),
                "version 2 of the protocol"),
    "twice": (2 * frame(pb.ToPolicy(hello=pb.Hello(major=1))),
              "hello came before Ready"),
}


def test_garbage_ends_its_connection_only(run):
    server = run(ORDER)
    with Weir(server.endpoint) as good:
        for data, words in GARBAGE.values():
            with Weir(server.endpoint, handshake=False) as bad:
                bad.send_raw(data)
                last = bad.receive()
                if words.startswith("hello"):
                    assert last.WhichOneof("answer") == "welcome"
                    last = bad.receive()
                assert last is None
                server.wait_for(words)
        with Weir(server.endpoint, max_frame=100000) as bad:
            assert bad.welcome.max_frame == 100000
            bad.send_raw((100001).to_bytes(4, "big"))
            assert bad.receive() is None
            server.wait_for("a frame of 100001 bytes where 100000")
        with Weir(server.endpoint) as bad:
            bad.send(0, 0, 0, mail=pb.Mail())
            assert bad.receive() is None
            server.wait_for("mail without a session")
        good.mail(1, b"a@b.example")
        assert good.ask(1, 1, rcpt=rcpt(b"0")).action == RELAY


def test_ping_and_what_nobody_knows(run):
    with Weir(run(ORDER).endpoint, phases=[1, 7, 8, 15]) as weir:
        assert weir.subscriptions() == {1: False, 7: False, 8: True, 15: False}
        weir.send(ping=pb.Ping(token=2**63 + 5))
        assert weir.receive().pong.token == 2**63 + 5
        unknown = b"\x08\x05" + b"\x10\x01" + b"\xf2\x3f\x02hi"  # field 1022
        weir.send_raw(len(unknown).to_bytes(4, "big") + unknown)
        weir.send_raw(bytes(4))  # an empty frame
        weir.mail(9, b"a@b")
        assert weir.ask(9, 1, rcpt=rcpt(b"0")).rule == "1"


def test_silence_is_no_handshake(run):
    server = run("WeirPolicy::Connection.send(:remove_const,"
                 " :HANDSHAKE_SECONDS)\n"
                 "WeirPolicy::Connection::HANDSHAKE_SECONDS = 0.3\n" + ORDER)
    with Weir(server.endpoint, handshake=False) as silent:
        assert silent.receive() is None
        server.wait_for("no handshake in time")


def test_a_decision_too_large_is_no_decision(run):
    server = run("policy.on(:mail) { relay.because(reason: 'x' * 3000) }")
    with Weir(server.endpoint, max_frame=2000) as weir:
        assert weir.mail(1, b"a@b", seq=1).action == pb.ACTION_UNSPECIFIED
        server.wait_for("2000 are allowed")


def test_lost_connection_ends_its_sessions(run):
    server = run("$open = 0\n"
                 "policy.on(:connect) { $open += 1; nil }\n"
                 "policy.on(:mail) { |s, _| sleep 0.01 until s.cancelled? }\n"
                 "policy.on :session_end do |_, event|\n"
                 "  warn \"#{event.cause} #{$open -= 1}\"\nend")
    with Weir(server.endpoint) as weir:
        for session in (1, 2, 3):
            weir.ask(session, 1, connect=connect("192.0.2.1"))
        weir.send(2, 2, 60000, mail=pb.Mail(sender=b"a@b"))
        weir.send(3, session_end=pb.SessionEnd(cause="quit"))
        server.wait_for("quit 2")
    server.wait_for("policy connection lost 0")
    assert "ERROR" not in server.log()


STOP = """
policy.on :mail do |_, event|
  sleep event.sender.to_f
  reject
end
policy.on(:session_end) { |_, event| warn "end: #{event.cause}" }
"""
STOP_OPTIONS = "{stop_timeout: 1.5}"


def test_sigterm_answers_what_was_asked(run, tmp_path):
    server = run(STOP, options=STOP_OPTIONS)
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
        assert "end: policy connection lost" in server.log()
        assert not (tmp_path / "0.sock").exists()


def test_sigterm_does_not_wait_for_ever(run):
    server = run(STOP, options=STOP_OPTIONS)
    sdk_cases.stop_does_not_wait(server)


def test_drain_lets_open_sessions_finish(run):
    server = run(STOP)
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 5000, mail=pb.Mail(sender=b"0.3"))
        weir.send(drain=pb.Drain())
        server.wait_for("weir drains: 1 sessions are open")
        assert weir.decision(1, 1).action == REJECT
        weir.send(1, session_end=pb.SessionEnd(cause="quit"))
        server.wait_for("end: quit")


def test_restart_at_the_same_place(run, tmp_path):
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
    assert third.stop() == 0
    assert path.read_text() == "precious"


@pytest.mark.parametrize("endpoint", ["tcp:127.0.0.1:0", "tcp:[::1]:0"])
def test_tcp(run, endpoint):
    with Weir(run(STOP, endpoint).endpoint) as weir:
        assert weir.mail(1, b"0", seq=1).action == REJECT


def test_tls(run, tmp_path, bench):
    """TLS 1.3, no weir without a certificate of the CA; and real weir."""
    mine, weirs = (certificate(tmp_path, n) for n in ("localhost", "weir"))
    server = run("policy.on(:rcpt) { reject 'Over TLS' }", "tls:127.0.0.1:0",
                 tls=f"WeirPolicy::Wire.tls('{mine}', client_ca: '{weirs}')")
    endpoint = server.endpoint
    assert endpoint.startswith("tls:127.0.0.1:")
    with Weir(endpoint, tls=client(mine, weirs)) as weir:
        assert weir.socket.version() == "TLSv1.3"
        large = b"x" * 400_000  # many TLS records
        assert weir.ask(1, 1, rcpt=rcpt(large)).action == REJECT
    old = client(mine, weirs)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for where, tls in [(endpoint, client(mine)), (endpoint, old),
                       (endpoint.replace("tls:", "tcp:"), None)]:
        assert not welcomed(where, tls)
    server.wait_for("closing weir's connection: SSL_accept ")
    weir = bench.weir(more=f'policy "t" {{ endpoint = "{endpoint}" tls_ca = '
                      f'"{mine}" tls_certificate = "{weirs}" tls_name = '
                      '"localhost" }')
    weir.wait_log(r"event=policy\.ready ")
    with weir.connect() as smtp:
        smtp.ask("MAIL FROM:<a@b.example>")
        assert smtp.ask("RCPT TO:<c@d.example>") == "550 5.7.1 Over TLS\r\n"
    assert server.stop() == 0


@pytest.mark.parametrize("endpoint, tls", [
    ("tls:127.0.0.1:0", "nil"),
    ("tcp:127.0.0.1:0", "OpenSSL::SSL::SSLContext.new")])
def test_tls_and_its_certificate_go_together(run, endpoint, tls):
    server = run(STOP, endpoint, tls=tls)
    assert server.wait() == 1
    assert "go together" in server.log()


def test_ten_thousand_questions(run):
    """MAIL and 9 RCPT for 1000 sessions on one connection, at once."""
    server = run("policy.on(:mail) { relay }\n"
                 "policy.on(:rcpt) { |_, e| reject if e.index.positive? }")
    sdk_cases.ten_thousand_questions(server)


def test_answers_that_nobody_reads_stop_the_reading(run):
    """Back-pressure: the server takes no more than it can answer."""
    server = run("policy.on(:mail) { relay.because(reason: 'x' * 10000) }")
    question = frame(pb.ToPolicy(session=1, seq=1, deadline_ms=60000,
                                 mail=pb.Mail(sender=b"a" * 1000)))
    with Weir(server.endpoint) as weir:
        weir.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 100_000_000:
                sent += weir.socket.send(question * 100)
        for _ in range(sent // len(question)):
            assert weir.receive().decision.action == RELAY


def test_killed_again_and_again_while_mail_flows(run, bench, tmp_path):
    """Clients that try again after a 4xx get everything through, once; only
    what the policy has seen to its end."""
    source = ("policy.on :end_of_message do |session, _|\n"
              "  relay.add_header('X-Seen', session.envelope.id)\nend")
    endpoint = f"unix:{tmp_path}/killed.sock"
    server = run(source, endpoint)
    server.wait_for("listening on ")
    weir = bench.weir(more=f'policy "k" {{ endpoint = "{endpoint}" grants = '
                      '{"headers"} timeout = 500ms breaker_time = 100ms }')
    weir.wait_log(r"event=policy\.ready ")
    done, over, errors = [], threading.Event(), []

    def send(number):
        message = b"X-Number: %d\r\n\r\nbody\r\n.\r\n" % number
        with weir.connect() as smtp:
            for command in ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"):
                answer = smtp.ask(command)
                if not answer.startswith(("2", "3")):
                    return answer
            return smtp.raw(message)

    def client(which):
        number = which
        while not over.is_set():
            answer = send(number)
            if answer.startswith("250"):
                done.append(number)
                number += 3
            elif not answer.startswith("4"):
                errors.append(answer)
                return

    threads = [threading.Thread(target=client, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for sign in [signal.SIGKILL, signal.SIGTERM] * 3:
            before = len(done)
            wait_for(lambda: len(done) > before + 20, "mail that flows", 15)
            server.signal(sign)
            server.wait()
            server = run(source, endpoint)
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert not errors
    numbers = [int(re.search(rb"X-Number: (\d+)", m.data)[1])
               for m in bench.server.messages]
    assert sorted(numbers) == sorted(done)
    assert all(b"X-Seen: " in m.data for m in bench.server.messages)


def test_reading_stops_when_questions_come_faster_than_answers(run):
    server = run("policy.on(:rcpt) { sleep 60 }")
    with Weir(server.endpoint) as weir:
        assert weir.flood(400000, rcpt=pb.Rcpt()) < 400000


def test_a_session_that_ends_while_weir_is_lost_ends_once(run):
    server = run("policy.on :session_end do |_, event|\n"
                 "  WeirPolicy.log.warn('ends: ' + event.cause)\n"
                 "  sleep 0.5\nend")
    with Weir(server.endpoint) as weir:
        weir.send(1, session_end=pb.SessionEnd(cause="quit"))
        server.wait_for("ends: quit")
    server.wait_for("weir's connection is gone")
    server.stop()
    assert sum("ends: " in line for line in server.log().splitlines()) == 1
