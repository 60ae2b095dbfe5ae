"""What every SDK has to do, whatever its language: cases that the tests of
several of them share. Each takes a policy server that the test has started."""

import time

from policy_harness import RAW, REJECT, RELAY, Weir, frame, headers, pb, rcpt


def what_never_began(server):
    """RCPT without MAIL, an end without a message: on_error's."""
    with Weir(server.endpoint) as weir:
        assert weir.ask(1, 1, rcpt=rcpt(b"c@d")).action == 0
        weir.mail(1, b"a@b")
        assert weir.ask(1, 2, end_of_message=pb.EndOfMessage()).action == 0
        assert weir.ask(1, 3, rcpt=rcpt(b"c@d")).action == REJECT
        weir.send(1, transaction_end=pb.TransactionEnd())
        assert weir.ask(1, 4, rcpt=rcpt(b"c@d")).action == 0


def cancel(server):
    """Of what is at work, what waits, and what never was."""
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 60000, mail=pb.Mail(sender=b"a@b"))
        weir.send(1, 2, 60000, rcpt=rcpt(b"first"))
        weir.send(1, 3, 60000, rcpt=rcpt(b"second"))
        assert weir.silent()
        weir.send(1, cancel=pb.Cancel(seq=2))  # still waits for its turn
        weir.send(1, cancel=pb.Cancel(seq=77))  # of nothing
        weir.send(8, cancel=pb.Cancel(seq=1))  # of nobody
        weir.send(1, cancel=pb.Cancel(seq=1))
        server.wait_for("cancelled a@b")
        assert weir.decision(1, 3).rule == "a@b"  # 1 and 2: no answer
        assert weir.silent()
        assert "ERROR" not in server.log()


def working(server):
    """The handler asks for 5 s where it has 0.3, and takes more."""
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 300, mail=pb.Mail(sender=b"a@b"))
        answer = weir.receive()
        assert (answer.seq, answer.working.extra_ms) == (1, 5000)
        answer = weir.receive()
        assert (answer.seq, answer.annotate.annotations) == (0, {"list": "x"})
        assert weir.decision(1, 1).action == REJECT


def body_credit(server):
    """Of a window of 100, no more is allowed ahead of what was taken."""
    with Weir(server.endpoint) as weir:
        assert weir.welcome.body_credit == 100
        for message in (1, 2):
            allowed, sent, taken = 100, 0, 0
            weir.mail(1, b"a@b.example")
            weir.send(1, headers=headers(RAW, message))
            while taken < 500:
                while sent < min(allowed, 500):
                    weir.send(1, sent // 25 + 1, 5000, body=pb.Body(
                        offset=sent, message=message, data=b"x" * 25))
                    sent += 25
                answer = weir.receive()
                if answer.WhichOneof("answer") == "credit":
                    assert answer.credit.message == message
                    assert allowed < answer.credit.max_offset <= taken + 100
                    allowed = answer.credit.max_offset
                else:
                    assert answer.decision.action == RELAY
                    taken += 25
            while not weir.silent(0.1):  # the last credit
                assert weir.receive().WhichOneof("answer") == "credit"


def stop_does_not_wait(server):
    """For a handler that takes 50 s."""
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 60000, mail=pb.Mail(sender=b"50"))
        assert weir.silent(0.1)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


def ten_thousand_questions(server):
    """MAIL and 9 RCPT for 1000 sessions on one connection, at once."""
    started = time.monotonic()
    with Weir(server.endpoint) as weir:
        for start in range(0, 1000, 100):
            batch = bytearray()
            for session in range(start + 1, start + 101):
                batch += frame(pb.ToPolicy(session=session, seq=1,
                                           deadline_ms=9000,
                                           mail=pb.Mail(sender=b"a@b")))
                for n in range(9):
                    batch += frame(pb.ToPolicy(session=session, seq=n + 2,
                                               deadline_ms=9000,
                                               rcpt=rcpt(b"c@d", n)))
                batch += frame(pb.ToPolicy(session=session,
                                           session_end=pb.SessionEnd()))
            weir.send_raw(batch)
            last = {}
            for _ in range(1000):
                answer = weir.receive()
                last[answer.session] = last.get(answer.session, 0) + 1
                assert answer.seq == last[answer.session]
                assert answer.decision.action == (
                    RELAY if answer.seq <= 2 else REJECT)
            assert len(last) == 100
        assert time.monotonic() - started < 30
