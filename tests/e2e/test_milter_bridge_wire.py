"""The bridge as weir's protocol sees it: what only a broken connection, a slow
filter or a full window brings about, said by the test in weir's place."""

import contextlib
import threading

import bridge
import milter as M
import pytest
from blackbox import wait_for
from policy_harness import REJECT, RELAY, Weir, pb

WINDOW = 262144


class Caller(Weir):
    """weir's side of one connection."""

    def __init__(self, path):
        super().__init__(f"unix:{path}", grants=[1, 2, 6])

    def decision(self, seq):
        """Of that question; and what came before it, credits left out."""
        before = []
        while True:
            got = self.receive()
            kind = got.WhichOneof("answer")
            if kind == "decision":
                assert got.seq == seq, got
                return got.decision, before
            if kind != "credit":
                before.append(kind)

    def begin(self, session, resumed=True, seq=0):
        """All that comes before the body."""
        self.send(session, seq, connect=pb.Connect(
            connection_id="C", listener="l", resumed=resumed,
            client=pb.Endpoint(address="192.0.2.1", port=1025),
            destination=pb.Endpoint(address="192.0.2.25", port=25)))
        self.send(session, 0, ehlo=pb.Ehlo(verb=b"EHLO", name=b"me.example"))
        self.send(session, 0, auth=pb.Auth(mechanism="PLAIN", identity=b"me"))
        self.send(session, 0, mail=pb.Mail(
            transaction_id="T1", raw=b"FROM:<a@b>", sender=b"a@b"))
        self.send(session, 0, rcpt=pb.Rcpt(
            raw=b"TO:<c@d>", recipient=b"c@d"))
        self.send(session, 0, data=pb.Data(accepted=[0]))
        self.send(session, 0, headers=pb.Headers(
            raw=b"A: 1\r\nB:  2\r\n\r\n", message=1, fields=[
                pb.Field(offset=0, length=6, name_length=1),
                pb.Field(offset=6, length=7, name_length=1)]))


@pytest.fixture
def call(desk):
    """call(milter, option...) starts a bridge and calls it."""
    with contextlib.ExitStack() as opened:
        def start(*milters, options=()):
            desk.bridge = bridge.Bridge(
                desk.place, *[m.address for m in milters], options=options)
            opened.callback(lambda: desk.bridge.stop())
            caller = Caller(desk.bridge.path)
            opened.callback(caller.socket.close)
            return caller
        yield start


def test_a_resumed_session(call, desk):
    """All again as notifications, and then the question that was open."""
    milter = desk.milter("m", {"E": [
        M.add_header(b"X-A", b"b"), M.change_header(1, b"B", b""),
        M.CONTINUE]})
    caller = call(milter)
    caller.begin(1)
    caller.send(1, 0, body=pb.Body(message=1, data=b"Hello.\r\n"))
    caller.send(1, 9, 2000, end_of_message=pb.EndOfMessage(size=24))
    decision, _ = caller.decision(9)
    assert decision.action == RELAY
    assert [(e.op, e.name, e.value, e.index) for e in decision.headers] == \
        [(4, b"B", b"", 0), (1, b"X-A", b" b", 0)]
    session, = milter.sessions
    assert [kind for kind, _ in session.log] == list("OCHMRTLLNBE")
    assert session.macros["M"][b"{auth_authen}"] == b"me"
    assert session.body == b"Hello.\r\n"


def test_ipv6_and_tls(call, desk):
    """As Postfix 3.7 was seen to say it."""
    milter = desk.milter("m")
    caller = call(milter)
    caller.send(1, 0, connect=pb.Connect(
        connection_id="C", listener="l",
        client=pb.Endpoint(address="2001:db8::1", port=258)))
    caller.send(1, 0, ehlo=pb.Ehlo(verb=b"EHLO", name=b"one.example"))
    caller.send(1, 0, tls=pb.Tls(
        leg=pb.LEG_UPSTREAM, version="TLS1.2", cipher="AES-128-GCM"))
    caller.send(1, 0, tls=pb.Tls(
        leg=pb.LEG_CLIENT, version="TLS1.3", cipher="AES-256-GCM",
        cipher_bits=256, peer_subject="CN=a", peer_issuer="CN=b"))
    caller.send(1, 7, 2000, ehlo=pb.Ehlo(verb=b"EHLO", name=b"two.example"))
    assert caller.decision(7)[0].action == RELAY
    session, = milter.sessions
    assert session.told("C") == [b"[2001:db8::1]\0" + b"6\x01\x02"
                                 + b"2001:db8::1\0"]
    assert session.told("H") == [b"one.example\0", b"two.example\0"]
    assert session.macros["H"] == {
        b"{tls_version}": b"TLSv1.3", b"{cipher}": b"AES-256-GCM",
        b"{cipher_bits}": b"256", b"{cert_subject}": b"CN=a",
        b"{cert_issuer}": b"CN=b"}


def test_a_message_whose_headers_were_not_shown_is_not_let_pass(call, desk):
    """They are larger than weir shows: on_error says what to do, and not a
    filter that has seen nothing."""
    caller = call(desk.milter("m", {}))
    caller.send(1, 1, 2000, mail=pb.Mail(
        transaction_id="T1", raw=b"FROM:<a@b>", sender=b"a@b"))
    assert caller.decision(1)[0].action == RELAY
    caller.send(1, 0, body=pb.Body(message=1, data=b"Hello.\r\n"))
    caller.send(1, 2, 2000, end_of_message=pb.EndOfMessage(size=999999))
    assert caller.decision(2)[0].action == 0


@pytest.mark.parametrize("letter", "MRTLNB")
def test_a_refusal_that_nobody_asked_for(call, desk, letter):
    """A notification cannot be refused; the next question is."""
    milter = desk.milter("m", {letter: M.reply_code(b"550 5.7.1 no")})
    caller = call(milter)
    caller.begin(1)
    caller.send(1, 0, body=pb.Body(message=1, data=b"Hello.\r\n"))
    caller.send(1, 9, 2000, end_of_message=pb.EndOfMessage(size=24))
    decision, _ = caller.decision(9)
    assert (decision.action, decision.reply.code, decision.reply.enhanced,
            list(decision.reply.lines)) == (REJECT, 550, "5.7.1", [b"no"])
    assert decision.rule == milter.address
    # and not the message after it
    milter.script.clear()
    caller.send(1, 0, transaction_end=pb.TransactionEnd(
        transaction_id="T1", outcome=3))
    caller.send(1, 10, 2000, mail=pb.Mail(
        transaction_id="T2", raw=b"FROM:<>"))
    assert caller.decision(10)[0].action == RELAY


def test_credit_follows_the_filter(call, desk):
    """The window moves with what the filter has read, not with what came."""
    go = threading.Event()
    milter = desk.milter("m", {"B": lambda s, p: go.wait(8) and None})
    caller = call(milter)
    assert caller.welcome.body_credit == WINDOW
    caller.begin(1)
    piece = b"x" * 65534 + b"\r\n"
    for n in range(4):
        caller.send(1, 0, body=pb.Body(message=1, offset=n * 65536,
                                       data=piece))
    wait_for(lambda: milter.sessions and milter.sessions[0].told("B"),
             "the first piece")
    # it was sent one piece: at most as much may follow
    with contextlib.suppress(TimeoutError):
        while True:
            credit = caller.receive(patience=0.5).credit
            assert credit.message == 1
            assert credit.max_offset <= WINDOW + 65535
    go.set()
    while True:
        credit = caller.receive().credit
        if credit.max_offset > WINDOW + 65536:
            break
    caller.send(1, 9, 2000, end_of_message=pb.EndOfMessage(
        size=4 * 65536 + 16))
    assert caller.decision(9)[0].action == RELAY
    assert milter.sessions[0].body == 4 * piece


def test_more_time_is_asked_for_in_time(call, desk):
    milter = desk.milter("m", {"M": [1.2, M.CONTINUE]})
    caller = call(milter)
    caller.send(1, 1, 2000, connect=pb.Connect(
        connection_id="C", listener="l"))
    assert caller.decision(1)[1] == []
    caller.send(1, 2, 1000, mail=pb.Mail(
        transaction_id="T", raw=b"FROM:<a@b>", sender=b"a@b"))
    caller.send(1, 3, 1000, rcpt=pb.Rcpt(
        raw=b"TO:<c@d>", recipient=b"c@d"))
    # for both: the second waits for the first
    assert caller.decision(2)[1] == ["working", "working"]
    assert caller.decision(3)[1] == []


def test_a_cancelled_question_is_not_answered(call, desk):
    milter = desk.milter("m", {"M": [0.5, M.CONTINUE]})
    caller = call(milter)
    caller.send(1, 0, connect=pb.Connect(connection_id="C", listener="l"))
    caller.send(1, 1, 2000, mail=pb.Mail(transaction_id="T", raw=b"FROM:<a@b>",
                                   sender=b"a@b"))
    caller.send(1, 0, cancel=pb.Cancel(seq=1))
    caller.send(1, 0, transaction_end=pb.TransactionEnd(
        transaction_id="T", outcome=5))
    caller.send(1, 2, 2000, mail=pb.Mail(transaction_id="U", raw=b"FROM:<d@e>",
                                   sender=b"d@e"))
    assert caller.decision(2)[0].action == RELAY
    assert [s.told("M")[-1] for s in milter.sessions][-1] == b"<d@e>\0"


def test_a_connection_that_breaks_lets_the_filters_go(call, desk):
    milter = desk.milter("m", {"E": 5.0})
    caller = call(milter)
    caller.begin(1)
    caller.send(1, 9, 2000, end_of_message=pb.EndOfMessage(size=16))
    wait_for(lambda: milter.sessions and milter.sessions[0].told("E"), "end")
    caller.begin(2)
    wait_for(lambda: len(milter.sessions) == 2 and
             milter.sessions[1].told("N"), "the second")
    caller.socket.close()
    wait_for(lambda: milter.sessions[1].told("Q"), "QUIT")
    # and serves on
    assert Caller(desk.bridge.path).welcome.major == 1
