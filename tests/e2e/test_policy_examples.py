"""The example policies and the SDK under them: real processes, over unix and
tcp sockets, with tests/e2e/policy_harness.py in weir's place.

Run from the source tree: python3 -m pytest tests/e2e/test_policy_examples.py
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from policy_harness import (ROOT, SDK, Server, Weir, connect, frame,
                            generated_directory, headers, pb, rcpt)

RELAY, REJECT, TEMPFAIL, DISCARD, DISCONNECT = 1, 2, 3, 4, 5
RAW = b"Subject: hello\r\nFrom: a@b.example\r\n\r\n"


@pytest.fixture(params=["unix", "tcp", "tcp6"])
def endpoint(request, tmp_path):
    return {"unix": f"unix:{tmp_path}/policy.sock", "tcp": "tcp:127.0.0.1:0",
            "tcp6": "tcp:[::1]:0"}[request.param]


@pytest.fixture
def run(tmp_path):
    """run(source): a policy from source, served; gives its Server."""
    servers = []

    def start(source, endpoint=None):
        script = tmp_path / f"policy{len(servers)}.py"
        script.write_text("import asyncio\nfrom weir_policy import *\n"
                          + source + "\nimport sys\npolicy.run(sys.argv[1])\n")
        servers.append(Server(script, endpoint or
                              f"unix:{tmp_path}/{len(servers)}.sock"))
        return servers[-1]

    yield start
    for server in servers:
        with server:
            pass


@pytest.fixture
def blocklist(tmp_path):
    path = tmp_path / "blocked"
    path.write_text("# senders\nSpam@Example.com  # shouts\n@bad.example\n")
    return path


def block_senders(endpoint, blocklist, *options):
    return Server(SDK / "block_senders.py", "--listen", endpoint,
                  "--list", blocklist, *options)


def replace(path, text):
    """As editors do it: a new file in place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


# ------------------------------------------------------------ block_senders

def test_block_senders(endpoint, blocklist):
    with block_senders(endpoint, blocklist) as server, \
            Weir(server.endpoint) as weir:
        assert weir.subscriptions()[pb.PHASE_RCPT] is True
        assert weir.subscriptions()[pb.PHASE_MAIL] is False
        assert pb.PHASE_HEADERS not in weir.subscriptions()
        verdicts = {b"spam@example.com": REJECT, b"SPAM@EXAMPLE.COM": REJECT,
                    b"anyone@bad.example": REJECT, b"": RELAY,
                    b"ham@example.com": RELAY, b"x@sub.bad.example": RELAY,
                    b"caf\xe9@bad.example": REJECT}
        for session, (sender, action) in enumerate(verdicts.items(), 1):
            weir.mail(session, sender)
            decision = weir.ask(session, 1, rcpt=rcpt(b"r@example.net"))
            assert decision.action == action, sender
            if action == REJECT:
                assert decision.reply.code == 550
                assert decision.reply.enhanced == "5.1.1"
                assert list(decision.reply.lines) == [b"User unknown"]
                assert decision.rule in ("spam@example.com", "@bad.example")
        assert server.stop() == 0


def test_block_senders_options(tmp_path, blocklist):
    blocklist.write_text("<>\n")
    with block_senders(f"unix:{tmp_path}/s", blocklist, "--at", "mail",
                       "--reply", "451 4.7.1 Later, please") as server, \
            Weir(server.endpoint) as weir:
        assert pb.PHASE_RCPT not in weir.subscriptions()
        decision = weir.mail(1, b"", seq=1)
        assert decision.action == TEMPFAIL
        assert (decision.reply.code, decision.reply.enhanced) == (451, "4.7.1")
        assert weir.mail(2, b"a@b.example", seq=1).action == RELAY


def test_block_senders_reloads(tmp_path, blocklist):
    with block_senders(f"unix:{tmp_path}/s", blocklist) as server, \
            Weir(server.endpoint) as weir:
        def verdict(session):
            weir.mail(session, b"new@example.com")
            weir.send(session, 1, 5000, rcpt=rcpt(b"r@example.net"))
            answer = weir.receive()
            updated = answer.WhichOneof("answer") == "update"
            if updated:
                assert answer.update.version != weir.welcome.version
                assert answer.update.subscriptions == \
                    weir.welcome.subscriptions
                answer = weir.receive()
            return answer.decision.action, updated

        assert verdict(1) == (RELAY, False)
        replace(blocklist, "new@example.com\n")
        assert verdict(2) == (REJECT, True)
        replace(blocklist, "no sender at all\n")
        assert verdict(3)[0] == REJECT  # the last good list
        server.wait_for("line 1: 'no sender at all' is neither")
        blocklist.unlink()
        assert verdict(4)[0] == REJECT
        replace(blocklist, "\n")
        assert verdict(5)[0] == RELAY


@pytest.mark.parametrize("script, options, words", [
    ("block_senders.py", ["--list", "/nonexistent"], "No such file"),
    ("block_senders.py", ["--list", "{bad}"], "line 1"),
    ("block_senders.py", ["--list", os.devnull, "--reply", "250 2.0.0 Ok"],
     "CODE ENHANCED TEXT"),
    ("block_senders.py", ["--list", os.devnull, "--reply", "550 4.0.0 No"],
     "does not fit 550"),
    ("tag_header.py", ["--rule", "a", "("], "rule a"),
    ("tag_header.py", ["--rule", "a", "b", "--header", "X Y"], "rule a"),
    ("choose_outbound.py", ["--table", "{bad}"], "line 1"),
    ("choose_outbound.py", [], "--table"),
])
def test_wrong_options_are_named(tmp_path, script, options, words):
    bad = tmp_path / "bad"
    bad.write_text("nonsense\n")
    options = [o.format(bad=bad) for o in options]
    with Server(SDK / script, "--listen", f"unix:{tmp_path}/s",
                *options) as server:
        assert server.wait() == 2
        assert words in server.log()


# --------------------------------------------------------------- tag_header

def tag_header(endpoint, *options):
    return Server(SDK / "tag_header.py", "--listen", endpoint, *options,
                  "--rule", "offer", r"buy\s+(now|today)", "--rule", "greek",
                  "αβγ")


def edits(decision):
    return [(e.op, e.name, e.value, e.index) for e in decision.headers]


def tag(value):
    return (pb.HeaderEdit.OP_ADD, b"X-Weir-Tag", value, 0)


def untag(index):
    return (pb.HeaderEdit.OP_DELETE, b"X-Weir-Tag", b"", index)


MIME = b"Content-Type: text/plain; charset=%s\r\n" \
    b"Content-Transfer-Encoding: %s\r\n\r\n"
MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
CASES = [
    (RAW, b"Please BUY\r\n NOW!\r\n", [tag(b"offer")]),
    (RAW, b"Please do not.\r\n", []),
    (RAW, b"", []),
    (MIME % (b"utf-8", b"base64"),
     base64.encodebytes("αβγ, buy today".encode()),
     [tag(b"offer"), tag(b"greek")]),
    (MIME % (b"iso-8859-7", b"8bit"), "αβγ\r\n".encode("iso-8859-7"),
     [tag(b"greek")]),
    (MIME % (b"utf-8", b"quoted-printable"), b"bu=\r\ny now\r\n",
     [tag(b"offer")]),
    (MIME % (b"no-such-charset", b"8bit"), b"buy now \xff\r\n",
     [tag(b"offer")]),
    (MULTIPART, b"--b\r\n\r\nnothing\r\n--b\r\nContent-Type: text/html\r\n"
     b"\r\n<p>buy now</p>\r\n--b--\r\n", [tag(b"offer")]),
    (MULTIPART, b"--b\r\nContent-Type: image/png\r\n\r\nbuy now\r\n--b--\r\n",
     []),
    (b"X-Weir-Tag: forged\r\nx-weir-tag : again\r\n\r\n", b"buy now\r\n",
     [untag(0), untag(1), tag(b"offer")]),
]


@pytest.mark.parametrize("pieces", [1, 7, 100000])
def test_tag_header(endpoint, pieces):
    with tag_header(endpoint) as server, Weir(server.endpoint) as weir:
        assert weir.subscriptions()[pb.PHASE_END_OF_MESSAGE] is True
        assert weir.subscriptions()[pb.PHASE_HEADERS] is False
        assert weir.subscriptions()[pb.PHASE_BODY] is False
        for number, (raw, body, expected) in enumerate(CASES, 1):
            weir.mail(1, b"a@b.example")  # all in one session
            weir.send(1, headers=headers(raw, number))
            for at in range(0, len(body), pieces):
                weir.send(1, body=pb.Body(offset=at, message=number,
                                          data=body[at:at + pieces]))
            decision = weir.ask(1, number, end_of_message=pb.EndOfMessage(
                size=len(raw) + len(body)))
            assert decision.action == RELAY
            assert edits(decision) == expected, body
            weir.send(1, transaction_end=pb.TransactionEnd(
                outcome=pb.OUTCOME_DELIVERED))


def test_tag_header_looks_no_further_than_its_limit(tmp_path):
    with tag_header(f"unix:{tmp_path}/s", "--limit", "20") as server, \
            Weir(server.endpoint) as weir:
        prefix = [s.body_prefix for s in weir.welcome.subscriptions
                  if s.phase == pb.PHASE_BODY]
        assert prefix == [20]
        weir.mail(1, b"a@b.example")
        end = weir.content(1, RAW, b"-" * 20 + b"buy now")
        assert edits(weir.ask(1, 1, end_of_message=end)) == []


# ---------------------------------------------------------- choose_outbound

def test_choose_outbound(endpoint, tmp_path):
    table = tmp_path / "table"
    table.write_text("10.0.0.0/8 clean\n10.1.0.0/16 203.0.113.10 out1.example"
                     "\n2001:db8::/32 2001:db8:ffff::25 # v6\n")
    with Server(SDK / "choose_outbound.py", "--listen", endpoint,
                "--table", table) as server, Weir(server.endpoint) as weir:
        def choice(session, client):
            decision = weir.ask(session, 1, connect=connect(client))
            assert decision.action == RELAY
            out = decision.outbound
            if not decision.HasField("outbound"):
                return None
            return out.source_pool or out.source_address, out.ehlo_name

        assert weir.subscriptions()[pb.PHASE_CONNECT] is True
        for session, (client, expected) in enumerate([
                ("10.2.3.4", ("clean", "")),
                ("10.1.3.4", ("203.0.113.10", "out1.example")),
                ("::ffff:10.1.3.4", ("203.0.113.10", "out1.example")),
                ("2001:db8::1", ("2001:db8:ffff::25", "")),
                ("192.0.2.1", None), ("2001:db9::1", None)], 1):
            assert choice(session, client) == expected, client
        replace(table, "192.0.2.0/24 dirty\n")
        weir.send(99, 1, 5000, connect=connect("192.0.2.1"))
        update = weir.receive().update
        assert update.version.startswith("table@") \
            and update.version != weir.welcome.version
        assert weir.decision(99, 1).outbound.source_pool == "dirty"


# -------------------------------------------------------------- the SDK: API

def test_readme_hello_world(tmp_path):
    """The README's first program is short, runs, and does what it says."""
    readme = (SDK / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", readme, re.DOTALL).group(1)
    assert len(program.splitlines()) <= 15
    script = tmp_path / "hello.py"
    script.write_text(program)
    with Server(script, "--listen", f"unix:{tmp_path}/s") as server, \
            Weir(server.endpoint) as weir:
        refused = weir.ask(1, 1, rcpt=rcpt(b"Nobody@example.com"))
        assert refused.action == REJECT and refused.reply.code == 550
        assert weir.ask(1, 2, rcpt=rcpt(b"a@example.com")).action == RELAY


DECISIONS = [
    ("relay()", "action: ACTION_RELAY"),
    ("None", "action: ACTION_RELAY"),
    ("relay(Scope.TRANSACTION)",
     "action: ACTION_RELAY scope: SCOPE_TRANSACTION"),
    ("reject()", "action: ACTION_REJECT reply { code: 550 enhanced: '5.7.1' }"),
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
    "relay().rewrite('a>b')", "'relay'", "550", "1 / 0",
]


@pytest.mark.parametrize("handler", ["def", "async def"])
def test_decisions(run, handler):
    """Each helper as bytes on the wire; what is invalid is on_error's."""
    from google.protobuf import text_format
    sources = [d for d, _ in DECISIONS] + INVALID
    server = run("policy = Policy(context=False)\n"
                 f"ANSWERS = [{', '.join(f'lambda event: {s}' for s in sources)}]\n"
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
        ({"connect": connect("192.0.2.9")}, "process=None, health=None"),
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


# ------------------------------------------------------ the SDK: what it does

ORDER = """
policy = Policy()
@policy.rcpt
async def rcpt(session, event):
    await asyncio.sleep(int(event.recipient) / 1000)
    return relay().because(rule=str(len(session.transaction.recipients)))
"""


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
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 300, mail=pb.Mail(sender=b"a@b"))
        answer = weir.receive()
        assert (answer.seq, answer.working.extra_ms) == (1, 5000)
        answer = weir.receive()
        assert (answer.seq, answer.annotate.annotations) == (0, {"list": "x"})
        assert weir.decision(1, 1).action == REJECT


def test_body_credit_follows_the_handler(run):
    """No more than the window is ever allowed ahead of what was taken."""
    server = run("policy = Policy(body_window=100, body_limit=0)\n"
                 "@policy.body(decide=True)\n"
                 "async def body(session, event):\n"
                 "    await asyncio.sleep(0.02)\n")
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


# ------------------------------------------------------- start, stop, restart

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
    with Weir(server.endpoint) as weir:
        weir.send(1, 1, 60000, mail=pb.Mail(sender=b"50"))
        assert weir.silent(0.1)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


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
                                   "/run/x.sock", "tls:127.0.0.1:1"])
def test_wrong_endpoints_are_named(run, where):
    server = run(STOP, where or "-")
    assert server.wait() == 1
    assert "is no endpoint" in server.log()


# ------------------------------------------------------------------- in bulk

@pytest.mark.parametrize("handler", ["def", "async def"])
def test_ten_thousand_questions(run, handler):
    """MAIL and 9 RCPT for 1000 sessions on one connection, at once."""
    server = run("policy = Policy()\n@policy.mail\n"
                 f"{handler} mail(session, event):\n    return relay()\n"
                 f"@policy.rcpt\n{handler} rcpt(session, event):\n"
                 "    return reject() if event.index else relay()\n")
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


# ------------------------------------------------- installation and documents

def test_install_with_pip(tmp_path):
    """From a copy of the source tree, without network, into its own place."""
    for folder in ("proto", "policy-examples/python"):
        shutil.copytree(ROOT / folder, tmp_path / "weir" / folder,
                        ignore=shutil.ignore_patterns("build", "*.egg-info"))
    target = tmp_path / "site"
    subprocess.run(
        ["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-index",
         "--no-build-isolation", "--no-deps", "--target", target,
         tmp_path / "weir/policy-examples/python"], check=True, timeout=120)
    assert (target / "weir_policy/policy.desc").is_file()
    assert (target / "weir_policy/py.typed").is_file()
    script = tmp_path / "block_senders.py"
    shutil.copy(SDK / "block_senders.py", script)
    shutil.rmtree(tmp_path / "weir")
    blocked = tmp_path / "blocked"
    blocked.write_text("@bad.example\n")
    # no protoc in this PATH: the installed package needs none
    with Server(script, "--listen", f"unix:{tmp_path}/s", "--list", blocked,
                PYTHONPATH=str(target), PATH="") as server, \
            Weir(server.endpoint) as weir:
        weir.mail(1, b"a@bad.example")
        assert weir.ask(1, 1, rcpt=rcpt(b"c@d")).reply.code == 550


@pytest.mark.skipif(not shutil.which("mypy"), reason="mypy is not installed")
def test_types(tmp_path):
    scripts = ["block_senders.py", "tag_header.py", "choose_outbound.py"]
    subprocess.run(["mypy", "--strict", "--cache-dir", tmp_path,
                    "weir_policy", *scripts], cwd=SDK, check=True)


def test_examples_are_short():
    for name in ("block_senders.py", "tag_header.py", "choose_outbound.py"):
        assert len((SDK / name).read_text().splitlines()) <= 80, name


# ---------------------------------------------------------- doc/POLICY.md

PAPER = (ROOT / "doc" / "POLICY.md").read_text()


def blocks(*kinds):
    return re.findall(rf"^```({'|'.join(kinds)})\n(.*?)^```$", PAPER,
                      re.DOTALL | re.MULTILINE)


def test_paper_examples_are_exact():
    """Each hex dump is the frame of the message that follows it."""
    from google.protobuf import text_format
    found = blocks("hex", "ToPolicy", "FromPolicy")
    assert len(found) == 10
    for (kind, dump), (message, words) in zip(found[::2], found[1::2]):
        assert kind == "hex"
        expected = text_format.Parse(words, getattr(pb, message)())
        assert bytes.fromhex(dump) == frame(expected), words
    sizes = re.findall(r"^(?:Hello|Welcome|Ready), (\d+) bytes", PAPER, re.M)
    assert [int(n) for n in sizes] == [
        len(bytes.fromhex(dump)) for _, dump in found[:6:2]]


@pytest.fixture
def paper_server(tmp_path):
    [(_, source)] = blocks("python")
    assert len(source.splitlines()) <= 60
    script = tmp_path / "server.py"
    script.write_text(source)
    return lambda path: Server(script, path,
                               PYTHONPATH=generated_directory())


def arrive(path):
    until = time.monotonic() + 10
    while True:
        try:
            return Weir(f"unix:{path}")
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_paper_server(paper_server, tmp_path):
    path = tmp_path / "demo.sock"
    for _ in range(2):  # the second time over the socket of the first
        with paper_server(path), arrive(path) as weir:
            assert weir.subscriptions() == {
                pb.PHASE_MAIL: False, pb.PHASE_RCPT: True,
                pb.PHASE_SESSION_END: False}
            for session, (sender, action) in enumerate([
                    (b"x@bad.example", REJECT), (b"", RELAY),
                    (b"X@BAD.EXAMPLE", REJECT), (b"a@b.example", RELAY)], 1):
                weir.mail(session, sender)
                got = weir.ask(session, 1, rcpt=rcpt(b"c@d"))
                assert got.action == action
            assert got.reply.code == 0
            weir.send(ping=pb.Ping(token=4))
            assert weir.receive().pong.token == 4
            weir.send(1, cancel=pb.Cancel(seq=1))
            weir.send(drain=pb.Drain())
            weir.send(1, session_end=pb.SessionEnd())
            weir.mail(9, b"x@bad.example")
            batch = b"".join(
                frame(pb.ToPolicy(session=9, seq=n, rcpt=rcpt(b"c@d", n)))
                for n in range(1, 1001))
            weir.send_raw(batch)
            for n in range(1, 1001):
                assert weir.decision(9, n).reply.enhanced == "5.1.1"
            for bad in (b"\xff\xff\xff\xff", b"\0\0\0\x02\xff\xff"):
                with Weir(f"unix:{path}") as other:
                    other.send_raw(bad)
                    assert other.receive() is None
            assert weir.ask(9, 1001, rcpt=rcpt(b"c@d")).action == REJECT


def test_paper_quotes_weir():
    """The words of the tables of mistakes are weir's own."""
    source = "".join(path.read_text() for path in
                     sorted((ROOT / "src").glob("*/*.c")))
    source = re.sub(r'"\s*\n\s*"', "", source)  # strings over several lines
    tables = PAPER.partition("## Common mistakes")[2]
    words = [row for row in re.findall(r"^\| (.+?) \|", tables, re.M)
             if row != "weir's words"]
    assert len(words) > 20
    assert [w for w in words if w not in source] == []


def test_paper_knows_every_phase_and_cause():
    for name, _ in pb.Phase.items():
        if name != "PHASE_UNSPECIFIED":
            assert f"\n| {name[6:]} |" in PAPER, name
    for name, _ in pb.Grant.items():
        if name != "GRANT_UNSPECIFIED":
            assert f"\n| `{name[6:].lower()}` |" in PAPER, name
