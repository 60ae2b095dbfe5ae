"""The Python SDK: what handlers see, and what becomes of what they return."""

import time

import pytest
import sdk_cases
from policy_harness import (ORDER, RAW, RELAY, Weir, connect, frame, headers,
                            pb, rcpt, run)

DECISIONS = [
    ("relay()", "action: ACTION_RELAY"),
    ("None", "action: ACTION_RELAY"),
    ("relay(Scope.TRANSACTION)",
     "action: ACTION_RELAY scope: SCOPE_TRANSACTION"),
    ("reject()",
     "action: ACTION_REJECT reply { code: 550 enhanced: '5.7.1' }"),
    ("reject('a\\nb', 554, '5.7.0', Scope.SESSION)",
     "action: ACTION_REJECT scope: SCOPE_SESSION reply { code: 554"
     " enhanced: '5.7.0' lines: 'a' lines: 'b' }"),
    ("tempfail('later')", "action: ACTION_TEMPFAIL reply { code: 451"
     " enhanced: '4.7.1' lines: 'later' }"),
    ("discard()", "action: ACTION_DISCARD"),
    ("disconnect('bye')", "action: ACTION_DISCONNECT reply { code: 421"
     " enhanced: '4.7.0' lines: 'bye' }"),
    ("relay().add_header('X-A', 'v').insert_header(0, 'X-B', 'w\\r\\n x')"
     ".change_header('X-C', 'y', 2).delete_header('X-D', 1)",
     "action: ACTION_RELAY"
     " headers { op: OP_ADD name: 'X-A' value: 'v' }"
     " headers { op: OP_INSERT name: 'X-B' value: 'w\\r\\n x' }"
     " headers { op: OP_CHANGE name: 'X-C' value: 'y' index: 2 }"
     " headers { op: OP_DELETE name: 'X-D' index: 1 }"),
    ("relay().outbound(pool='clean', ehlo_name='a.example',"
     " tls=TlsLevel.ENCRYPT)",
     "action: ACTION_RELAY outbound { source_pool: 'clean'"
     " ehlo_name: 'a.example' tls: TLS_LEVEL_ENCRYPT }"),
    ("relay().outbound(tls=TlsLevel.VERIFY, tls_names=['a.example', 'b'])",
     "action: ACTION_RELAY outbound { tls: TLS_LEVEL_VERIFY"
     " tls_names: 'a.example' tls_names: 'b' }"),
    ("relay().outbound(tls=TlsLevel.DANE, tlsa=[Tlsa(3, 1, 1, b'\\xff')])",
     "action: ACTION_RELAY outbound { tls: TLS_LEVEL_DANE"
     " tlsa { usage: 3 selector: 1 matching: 1 data: '\\377' } }"),
    ("relay().outbound(next_hop=('2001:db8::1', 2525))",
     "action: ACTION_RELAY outbound"
     " { next_hop { address: '2001:db8::1' port: 2525 } }"),
    ("relay().outbound(source_address='192.0.2.1')",
     "action: ACTION_RELAY outbound { source_address: '192.0.2.1' }"),
    ("relay().rewrite('')", "action: ACTION_RELAY rewrite_set: true"),
    ("relay().rewrite(event.recipient)",
     "action: ACTION_RELAY rewrite: 'caf\\351@example.com' rewrite_set: true"),
    ("relay().splice(3, 2, b'x').delay(1.5)",
     "action: ACTION_RELAY body { offset: 3 remove: 2 insert: 'x' }"
     " delay_ms: 1500"),
    ("relay().because(rule='r', score=2.5, reason='why',"
     " annotations={'k': 'v'})",
     "action: ACTION_RELAY rule: 'r' score: 2.5 reason: 'why'"
     " annotations { key: 'k' value: 'v' }"),
    ("relay().because(rule=event.recipient, reason='\\0')",
     "action: ACTION_RELAY rule: 'caf\\\\udce9@example.com'"
     " reason: '\\\\x00'"),
]
INVALID = [
    "reject('x', 450)", "tempfail('x', 550)", "reject('x', 550, '4.1.1')",
    "reject('x\\ry')", "reject('x' * 511)", "relay().add_header('', 'x')",
    "relay().add_header('X:', 'x')", "relay().add_header('X', 'a\\r\\nb')",
    "relay().add_header('X', 'a\\nb')", "relay().add_header('X', 'a\\0')",
    "reject('x\\n' * 33)", "relay().splice(0, 0, 'a\\nb')",
    "relay().outbound(source_address='192.0.2.1', pool='clean')",
    "relay().rewrite('a>b')", "'relay'", "550", "1 / 0",
]


@pytest.mark.parametrize("handler", ["def", "async def"])
def test_decisions(run, handler):
    """Each helper as bytes on the wire; what is invalid is on_error's."""
    from google.protobuf import text_format
    sources = [d for d, _ in DECISIONS] + INVALID
    server = run("policy = Policy(context=False)\n"
                 "ANSWERS = ["
                 + ", ".join(f"lambda event: {s}" for s in sources) + "]\n"
                 f"@policy.rcpt\n{handler} rcpt(session, event):\n"
                 "    return ANSWERS[event.index](event)\n")
    with Weir(server.endpoint) as weir:
        assert weir.subscriptions() == {
            pb.PHASE_RCPT: True, pb.PHASE_TRANSACTION_END: False,
            pb.PHASE_SESSION_END: False}
        for index in range(len(sources)):
            got = weir.ask(1, index + 1, rcpt=rcpt(b"caf\xe9@example.com",
                                                   index))
            if index < len(DECISIONS):
                expected = text_format.Parse(DECISIONS[index][1],
                                             pb.Decision())
                assert got == expected, sources[index]
            else:
                assert got.action == pb.ACTION_UNSPECIFIED, sources[index]
                assert "in the policy's handler" in got.reason
        server.wait_for("ZeroDivisionError")
        assert "on_error decides" in server.log()


def test_what_never_began_is_no_verdict(run):
    """RCPT without MAIL, an end without a message: on_error's."""
    server = run("policy = Policy()\n@policy.rcpt\ndef rcpt(session, event):\n"
                 "    return reject(session.envelope.sender)\n"
                 "@policy.end_of_message\ndef end(session, event):\n"
                 "    return reject(session.message.text())\n")
    sdk_cases.what_never_began(server)


def test_a_later_handler_hides_no_content(run):
    """One at session_end needs no content; one at end_of_message does."""
    server = run("policy = Policy()\npolicy.end_of_message(lambda s, e: None)"
                 "\npolicy.session_end(lambda s, e: None)\n")
    with Weir(server.endpoint) as weir:
        assert weir.subscriptions()[pb.PHASE_HEADERS] is False
        assert weir.subscriptions()[pb.PHASE_BODY] is False


def test_kept_decisions_do_not_grow(run):
    server = run("policy = Policy()\nKEPT = relay()\n"
                 "@policy.end_of_message\ndef end(session, event):\n"
                 "    return KEPT.add_header('X-A', 'b')\n")
    with Weir(server.endpoint) as weir:
        for seq in (1, 2, 3):
            weir.mail(1, b"a@b.example")
            end = weir.content(1, RAW, b"x\r\n")
            assert len(weir.ask(1, seq, end_of_message=end).headers) == 1


def test_every_event_arrives_with_its_facts(run):
    """What a handler reads of each event and of the session so far."""
    phases = ("connect upstream tls ehlo auth command mail rcpt data headers"
              " body end_of_message reply transaction_end session_end").split()
    server = run("policy = Policy()\ndef show(session, event):\n"
                 "    print(repr(event), file=sys.stderr, flush=True)\n"
                 "    if isinstance(event, EndOfMessage):\n"
                 "        t, m = session.transaction, session.message\n"
                 "        print('state', session.client.address,"
                 " session.destination.port, session.listener, session.ehlo,"
                 " session.tls[Leg.CLIENT].version, session.auth.identity,"
                 " t.id, t.sender, [r.recipient for r in t.recipients],"
                 " t.accepted, m.headers.get('subject'), bytes(m.body),"
                 " m.size, m.raw() == m.headers.raw + m.body,"
                 " file=sys.stderr, flush=True)\n"
                 "import sys\n"
                 + "".join(f"policy.{p}(show)\n" for p in phases))
    reply = pb.SmtpReply(code=250, enhanced="2.0.0", lines=[b"Ok \xff"])
    raw = b"Subject : one\r\n\ttwo \r\nTo: x\r\n\r\n"
    events = [
        ({"connect": connect("192.0.2.9")}, "process=None, health=None, resumed=False"),
        ({"upstream": pb.Upstream(greeting=reply, connect_us=7)},
         r"lines=('Ok \udcff',)), connect_us=7"),
        ({"tls": pb.Tls(leg=pb.LEG_CLIENT, version="TLS1.3",
                        peer_certificate=b"\x30")}, "peer_certificate=b'0'"),
        ({"ehlo": pb.Ehlo(verb=b"EHLO", name=b"h.example")},
         "Ehlo(verb='EHLO', name='h.example')"),
        ({"auth": pb.Auth(mechanism="PLAIN", identity=b"joe")},
         "identity='joe'"),
        ({"command": pb.Command(verb=b"VRFY", arguments=b"joe")},
         "Command(verb='VRFY', arguments='joe')"),
        ({"mail": pb.Mail(transaction_id="01T", raw=b"FROM:<a@b>",
                          sender=b"a@b", parameters=[b"SIZE=1"])},
         "raw=b'FROM:<a@b>', sender='a@b', parameters=('SIZE=1',)"),
        ({"rcpt": rcpt(b"c@d")}, "recipient='c@d', parameters=(), index=0"),
        ({"rcpt": rcpt(b"e@f", 1)}, "index=1"),
        ({"data": pb.Data(accepted=[0, 1])}, "Data(accepted=(0, 1))"),
        ({"headers": headers(raw)},
         "name='Subject', value='one\\ttwo', raw=b'Subject : one"),
        ({"body": pb.Body(data=b"x\r\n", message=1)}, r"data=b'x\r\n'"),
        ({"end_of_message": pb.EndOfMessage(
            size=9, gaps=[pb.Gap(offset=1, length=2)])},
         "gaps=(Gap(offset=1, length=2),)"),
        ({"reply": pb.Reply(phase=pb.PHASE_RCPT, reply=reply, index=1)},
         "Reply(phase=<Phase.RCPT: 8>"),
        ({"transaction_end": pb.TransactionEnd(
            outcome=pb.OUTCOME_DELIVERED, decided_by="mx")},
         "outcome=<Outcome.DELIVERED: 1>, decided_by='mx'"),
        ({"session_end": pb.SessionEnd(cause="quit", transactions=1,
                                       bytes=3)},
         "SessionEnd(cause='quit', transactions=1, bytes=3)"),
    ]
    with Weir(server.endpoint) as weir:
        decide = {1, 4, 5, 6, 7, 8, 9, 10, 12}
        assert weir.subscriptions() == {p: p in decide for p in range(1, 16)}
        for event, words in events:
            weir.send(1, **event)
            server.wait_for(words)
        server.wait_for("state 192.0.2.9 25 outbound h.example TLS1.3 joe 01T"
                        " a@b ['c@d', 'e@f'] (0, 1) one\ttwo b'x\\r\\n' 9"
                        " True")


# --------------------------------------------------------- order, time, credit

def test_pipelined_questions_are_answered_in_order(run):
    """Later ones are quicker, and still wait for their turn; the session that
    a handler sees holds what came before, and nothing of what came after."""
    with Weir(run(ORDER).endpoint) as weir:
        batch = frame(pb.ToPolicy(session=1, mail=pb.Mail(sender=b"a@b")))
        for n in range(20):
            batch += frame(pb.ToPolicy(
                session=1, seq=n + 1, deadline_ms=5000,
                rcpt=rcpt(b"%d" % (40 - 2 * n), n)))
        weir.send_raw(batch)
        for n in range(20):
            assert weir.decision(1, n + 1).rule == str(n + 1)


def test_sessions_do_not_wait_for_each_other(run):
    with Weir(run(ORDER).endpoint) as weir:
        for session in range(1, 31):
            weir.mail(session, b"a@b.example")
        weir.send(1, 1, 5000, rcpt=rcpt(b"700"))
        started = time.monotonic()
        for session in range(2, 31):
            weir.send(session, 1, 5000, rcpt=rcpt(b"100"))
        answers = [weir.receive() for _ in range(30)]
        assert time.monotonic() - started < 2
        assert {a.session for a in answers} == set(range(1, 31))
        assert answers[-1].session == 1


@pytest.mark.parametrize("cut", [1, 3, 4096])
def test_frames_may_be_cut_anywhere(run, cut):
    with Weir(run(ORDER).endpoint) as weir:
        batch = b"".join(frame(pb.ToPolicy(session=s, seq=1, deadline_ms=5000,
                                           mail=pb.Mail(sender=b"a@b")))
                         + frame(pb.ToPolicy(session=s, seq=2,
                                             deadline_ms=5000,
                                             rcpt=rcpt(b"0")))
                         for s in range(1, 6))
        for at in range(0, len(batch), cut):
            weir.send_raw(batch[at:at + cut])
        answers = [weir.receive() for _ in range(10)]
        assert [(a.session, a.seq) for a in answers if a.seq == 2] == [
            (s, 2) for s in range(1, 6)]
        # MAIL was asked though only RCPT has a handler: on_error's
        assert {a.decision.action for a in answers if a.seq == 1} == {0}


CANCEL = """
policy = Policy()
@policy.mail
async def mail(session, event):
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        print("cancelled", event.sender, file=sys.stderr, flush=True)
        raise
@policy.rcpt
def rcpt(session, event):
    return relay().because(rule=session.transaction.sender)
import sys
"""


def test_cancel_stops_the_handler(run):
    server = run(CANCEL)
    sdk_cases.cancel(server)


def test_deadline_cancels_the_handler(run):
    server = run(CANCEL)
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 100, mail=pb.Mail(sender=b"slow@b"))
        server.wait_for("no answer at MAIL before the deadline")
        server.wait_for("cancelled slow@b")
        assert weir.ask(1, 2, rcpt=rcpt(b"x")).action == RELAY


def test_working_extends_the_deadline(run):
    server = run("policy = Policy()\n@policy.mail\n"
                 "async def mail(session, event):\n"
                 "    assert session.time_left() < 0.3\n"
                 "    session.working(5)\n"
                 "    session.annotate(list='x')\n"
                 "    assert session.time_left() > 4\n"
                 "    await asyncio.sleep(0.5)\n"
                 "    return reject()\n")
    sdk_cases.working(server)


def test_body_credit_follows_the_handler(run):
    """No more than the window is ever allowed ahead of what was taken."""
    server = run("policy = Policy(body_window=100, body_limit=0)\n"
                 "@policy.body(decide=True)\n"
                 "async def body(session, event):\n"
                 "    await asyncio.sleep(0.02)\n")
    sdk_cases.body_credit(server)
