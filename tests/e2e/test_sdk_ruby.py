"""The Ruby SDK: its own tests, its installation, what handlers see, and what
becomes of what they return."""

import re
import shutil
import subprocess
import time

import sdk_cases
from blackbox import wait_for
from policy_harness import (REJECT, ROOT, Server, Weir, connect, frame, headers,
                            pb, rcpt)
from ruby_harness import LIB, ORDER, RUBY, SDK, needs_ruby, ruby, run

pytestmark = needs_ruby

# ------------------------------------------- README, installation, generated

def hello_world(tmp_path):
    readme = (SDK / "README.md").read_text()
    program = re.search(r"```ruby\n(.*?)```", readme, re.DOTALL).group(1)
    assert len(program.splitlines()) <= 15
    script = tmp_path / "hello.rb"
    script.write_text(program)
    return script


def test_hello_world_with_weir(bench, place):
    weir_conf = re.search(r'policy "hello" \{.*\}',
                          (SDK / "README.md").read_text())[0]
    with Server(LIB, hello_world(place), f"unix:{place}/hello.sock",
                program=RUBY) as server:
        server.wait_for("listening on ")
        weir = bench.weir(more=weir_conf.replace("/run/weir", str(place)))
        weir.wait_log(r"event=policy\.ready ")
        client = weir.connect()
        assert client.ask("MAIL FROM:<a@example.org>").startswith("250")
        assert client.ask("RCPT TO:<Nobody@example.com>") == \
            "550 5.1.1 User unknown\r\n"
        assert client.ask("RCPT TO:<b@example.net>").startswith("250")
        assert client.ask("DATA").startswith("354")
        assert client.raw(b"Subject: x\r\n\r\nx\r\n.\r\n").startswith("250")
        client.ask("QUIT")
        wait_for(lambda: bench.server.messages, "message")
        assert server.stop() == 0
        assert not (place / "hello.sock").exists()


def test_gem_builds_and_installs_without_network(tmp_path):
    shutil.copytree(SDK, tmp_path / "gem")
    home = tmp_path / "home"
    path = subprocess.run(
        [RUBY, "-e", "print Gem.path.join(':')"], check=True,
        capture_output=True, text=True).stdout
    for command in (["build", "weir_policy.gemspec"],
                    ["install", "--local", "--no-document",
                     "weir_policy-1.0.0.gem"]):
        done = ruby("-S", "gem", *command, cwd=tmp_path / "gem",
                    HOME=str(tmp_path), GEM_HOME=str(home), GEM_PATH=path,
                    http_proxy="http://127.0.0.1:9")
        assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(tmp_path / "gem")
    with Server(hello_world(tmp_path), f"unix:{tmp_path}/s", program=RUBY,
                GEM_PATH=f"{home}:{path}") as server, \
            Weir(server.endpoint) as weir:
        assert weir.ask(1, 1, rcpt=rcpt(b"nobody@example.com")).action == REJECT


def test_its_own_tests():
    done = ruby("-S", "rake", "test", cwd=SDK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures, 0 errors, 0 skips" in done.stdout


def test_generated_file_is_up_to_date(tmp_path):
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(SDK, tmp_path / "contrib" / "sdk" / "ruby")
    made = tmp_path / "contrib/sdk/ruby"
    assert ruby("-S", "rake", "protocol", cwd=made).returncode == 0
    assert (made / "lib/weir_policy/policy_pb.rb").read_text() == \
        (SDK / "lib/weir_policy/policy_pb.rb").read_text(), \
        "cd contrib/sdk/ruby && rake protocol"


# ------------------------------------------------------------------ decisions

DECISIONS = [
    ("relay", "action: ACTION_RELAY"),
    ("nil", "action: ACTION_RELAY"),
    ("relay(scope: :transaction)",
     "action: ACTION_RELAY scope: SCOPE_TRANSACTION"),
    ("reject", "action: ACTION_REJECT reply { code: 550 enhanced: '5.7.1' }"),
    ('reject("a\\nb", code: 554, enhanced: "5.7.0", scope: :session)',
     "action: ACTION_REJECT scope: SCOPE_SESSION reply { code: 554"
     " enhanced: '5.7.0' lines: 'a' lines: 'b' }"),
    ("tempfail('later')", "action: ACTION_TEMPFAIL reply { code: 451"
     " enhanced: '4.7.1' lines: 'later' }"),
    ("discard", "action: ACTION_DISCARD"),
    ("disconnect('bye')", "action: ACTION_DISCONNECT reply { code: 421"
     " enhanced: '4.7.0' lines: 'bye' }"),
    ('relay.add_header("X-A", "v").insert_header(0, "X-B", "w\\r\\n x")'
     '.change_header("X-C", "y", 2).delete_header("X-D", 1)',
     "action: ACTION_RELAY"
     " headers { op: OP_ADD name: 'X-A' value: 'v' }"
     " headers { op: OP_INSERT name: 'X-B' value: 'w\\r\\n x' }"
     " headers { op: OP_CHANGE name: 'X-C' value: 'y' index: 2 }"
     " headers { op: OP_DELETE name: 'X-D' index: 1 }"),
    ("relay.outbound(pool: 'clean', ehlo_name: 'a.example', tls: :encrypt)",
     "action: ACTION_RELAY outbound { source_pool: 'clean'"
     " ehlo_name: 'a.example' tls: TLS_LEVEL_ENCRYPT }"),
    ("relay.outbound(source_address: '192.0.2.1', tls: :verify,"
     " tls_names: ['mx.example'], next_hop: ['192.0.2.7', 25],"
     " tlsa: [{ usage: 3, selector: 1, matching: 1, data: \"\\xff\".b }])",
     "action: ACTION_RELAY outbound { source_address: '192.0.2.1'"
     " tls: TLS_LEVEL_VERIFY tls_names: 'mx.example' next_hop {"
     " address: '192.0.2.7' port: 25 } tlsa { usage: 3 selector: 1"
     " matching: 1 data: '\\377' } }"),
    ("relay.rewrite('')", "action: ACTION_RELAY rewrite_set: true"),
    ("relay.rewrite(event.recipient)",
     "action: ACTION_RELAY rewrite: 'caf\\351@example.com' rewrite_set: true"),
    ("relay.splice(3, remove: 2, insert: \"x\\xff\").delay(1.5)",
     "action: ACTION_RELAY body { offset: 3 remove: 2 insert: 'x\\377' }"
     " delay_ms: 1500"),
    ("relay.because(rule: 'r', score: 2.5, reason: 'why',"
     " annotations: { k: 'v' })",
     "action: ACTION_RELAY rule: 'r' score: 2.5 reason: 'why'"
     " annotations { key: 'k' value: 'v' }"),
]
INVALID = ["reject('x', code: 450)", "'relay'", "550", "1 / 0", "exit",
           "raise NotImplementedError", "throw :x",
           "relay.add_header('X', \"a\\r\\nb\")", "raise Exception"]


def test_decisions(run):
    """Each helper as bytes on the wire; what is invalid is on_error's."""
    from google.protobuf import text_format
    sources = [d for d, _ in DECISIONS] + INVALID
    server = run("answers = ["
                 + ",\n".join(f"->(event) {{ {s} }}" for s in sources) + "]\n"
                 "policy.on(:rcpt) { |_, event| answers[event.index][event] }",
                 options="{context: false}")
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
                assert "policy's handler" in got.reason
        server.wait_for("ZeroDivisionError: divided by 0")
        server.wait_for("policy0.rb:")      # file and line
        assert "on_error decides" in server.log()


def test_what_never_began_is_no_verdict(run):
    server = run("policy.on(:rcpt) { |s, _| reject s.envelope.sender }\n"
                 "policy.on(:end_of_message) { |s, _| reject s.message.body }")
    sdk_cases.what_never_began(server)


def test_every_event_arrives_with_its_facts(run):
    phases = ("connect upstream tls ehlo auth command mail rcpt data headers"
              " body end_of_message reply transaction_end session_end").split()
    server = run(
        "show = proc do |session, event|\n"
        "  warn event.inspect.gsub('WeirPolicy::Events::', ''), event.to_h\n"
        "  next unless event.is_a?(WeirPolicy::Events::EndOfMessage)\n"
        "  t, m = session.transaction, session.message\n"
        "  warn ['state', session.client.address, session.destination.port,\n"
        "    session.listener, session.ehlo.name, session.tls[:client].version,\n"
        "    session.auth.identity, t.id, t.sender, t.recipients.map(&:recipient),\n"
        "    t.accepted, m.headers['subject'], m.body, m.size,\n"
        "    m.raw == m.headers.raw + m.body, session.weir.policy].inspect\n"
        "end\n" + "".join(f"policy.on(:{p}, &show)\n" for p in phases))
    reply = pb.SmtpReply(code=250, enhanced="2.0.0", lines=[b"Ok \xff"])
    raw = b"Subject : one\r\n\ttwo \r\nTo: x\r\n\r\n"
    events = [
        ({"connect": connect("192.0.2.9")},
         'client=#<struct Endpoint address="192.0.2.9", port=4711>'),
        ({"upstream": pb.Upstream(greeting=reply, connect_us=7)},
         r'lines=["Ok \xFF"]>, connect_us=7'),
        ({"tls": pb.Tls(leg=pb.LEG_CLIENT, version="TLS1.3",
                        peer_certificate=b"\x30")}, 'peer_certificate="0"'),
        ({"ehlo": pb.Ehlo(verb=b"EHLO", name=b"h.example")},
         'Ehlo verb="EHLO", name="h.example"'),
        ({"auth": pb.Auth(mechanism="PLAIN", identity=b"joe")},
         'identity="joe"'),
        ({"command": pb.Command(verb=b"VRFY", arguments=b"joe")},
         'Command verb="VRFY", arguments="joe"'),
        ({"mail": pb.Mail(transaction_id="01T", raw=b"FROM:<a@b>",
                          sender=b"a@b", parameters=[b"SIZE=1"])},
         'raw="FROM:<a@b>", sender="a@b", parameters=["SIZE=1"]'),
        ({"rcpt": rcpt(b"c@d")}, 'recipient="c@d", parameters=[], index=0'),
        ({"rcpt": rcpt(b"e@f", 1)}, "index=1"),
        ({"data": pb.Data(accepted=[0, 1])}, "Data accepted=[0, 1]"),
        ({"headers": headers(raw)}, r':raw=>"Subject : one\r\n\ttwo'),
        ({"body": pb.Body(data=b"x\r\n", message=1)}, r':data=>"x\r\n"'),
        ({"end_of_message": pb.EndOfMessage(
            size=9, gaps=[pb.Gap(offset=1, length=2)])},
         "gaps=[#<struct Gap offset=1, length=2>]"),
        ({"reply": pb.Reply(phase=pb.PHASE_RCPT, reply=reply, index=1)},
         "Reply phase=:rcpt"),
        ({"transaction_end": pb.TransactionEnd(
            outcome=pb.OUTCOME_DELIVERED, decided_by="mx")},
         'outcome=:delivered, decided_by="mx"'),
        ({"session_end": pb.SessionEnd(cause="quit", transactions=1,
                                       bytes=3)},
         'SessionEnd cause="quit", transactions=1, bytes=3'),
    ]
    with Weir(server.endpoint) as weir:
        decide = {1, 4, 5, 6, 7, 8, 9, 10, 12}
        assert weir.subscriptions() == {p: p in decide for p in range(1, 16)}
        for event, words in events:
            weir.send(1, **event)
            server.wait_for(words)
        server.wait_for(
            '["state", "192.0.2.9", 25, "outbound", "h.example", "TLS1.3",'
            ' "joe", "01T", "a@b", ["c@d", "e@f"], [0, 1], "one\\ttwo",'
            ' "x\\r\\n", 9, true, "test"]')


# --------------------------------------------------------- order, time, credit

def test_pipelined_questions_are_answered_in_order(run):
    with Weir(run(ORDER).endpoint) as weir:
        batch = frame(pb.ToPolicy(session=1, mail=pb.Mail(sender=b"a@b")))
        for n in range(20):
            batch += frame(pb.ToPolicy(
                session=1, seq=n + 1, deadline_ms=5000,
                rcpt=rcpt(b"%d" % (40 - 2 * n), n)))
        for at in range(0, len(batch), 7):
            weir.send_raw(batch[at:at + 7])
        for n in range(20):
            assert weir.decision(1, n + 1).rule == str(n + 1)


def test_sessions_do_not_wait_for_each_other(run):
    with Weir(run(ORDER).endpoint) as weir, \
            Weir(run(ORDER).endpoint) as other:
        for session in range(1, 13):
            weir.mail(session, b"a@b.example")
        weir.send(1, 1, 5000, rcpt=rcpt(b"700"))
        started = time.monotonic()
        for session in range(2, 13):
            weir.send(session, 1, 5000, rcpt=rcpt(b"100"))
        other.mail(1, b"a@b")       # session ids are the connection's own
        assert other.ask(1, 1, rcpt=rcpt(b"0")).rule == "1"
        answers = [weir.receive() for _ in range(12)]
        assert time.monotonic() - started < 2
        assert {a.session for a in answers} == set(range(1, 13))
        assert answers[-1].session == 1


CANCEL = """
policy.on :mail do |session, event|
  sleep 0.01 until session.cancelled?
  warn "cancelled #{event.sender}"
end
policy.on(:rcpt) { |session, _| relay.because(rule: session.envelope.sender) }
"""


def test_cancel_tells_the_handler(run):
    server = run(CANCEL)
    sdk_cases.cancel(server)


def test_what_is_late_before_its_turn_is_skipped(run):
    server = run(ORDER)
    with Weir(server.endpoint) as weir:
        weir.mail(1, b"a@b")
        weir.send(1, 1, 5000, rcpt=rcpt(b"300"))
        weir.send(1, 2, 100, rcpt=rcpt(b"0"))
        weir.send(1, 3, 5000, rcpt=rcpt(b"0"))
        assert weir.decision(1, 1).rule == "1"
        assert weir.decision(1, 3).rule == "3"
        server.wait_for("the deadline of rcpt passed before its turn")


def test_working_extends_the_deadline(run):
    server = run("policy.on :mail do |session, _|\n"
                 "  raise 'early' unless session.time_left < 0.3\n"
                 "  session.working(5)\n  session.annotate(list: 'x')\n"
                 "  raise 'late' unless session.time_left > 4\n"
                 "  sleep 0.5\n  reject unless session.cancelled?\nend")
    sdk_cases.working(server)


def test_body_credit_follows_the_handler(run):
    """No more than the window is ever allowed ahead of what was taken."""
    server = run("policy.on(:body, decide: true) { sleep 0.02; nil }",
                 options="{body_window: 100, body_limit: 0}")
    sdk_cases.body_credit(server)


def test_a_large_body_with_weir(run, bench):
    """Far more than the window, of which nothing is lost, and an edit."""
    server = run("seen = 0\n"
                 "policy.on(:body) { |_, event| seen += event.data.bytesize }\n"
                 "policy.on :end_of_message do |session, event|\n"
                 "  whole = session.message.raw.bytesize == event.size &&\n"
                 "          seen == session.message.body.bytesize\n"
                 "  relay.splice(0, insert: \"whole: #{whole}\\r\\n\")\n"
                 "end", options="{body_window: 50_000}")
    weir = bench.weir(more=f'policy "b" {{ endpoint = "{server.endpoint}" '
                      'grants = {"body"} }')
    weir.wait_log(r"event=policy\.ready ")
    body = b"".join(b"%07d\r\n" % n for n in range(300_000))
    with weir.connect() as client:
        client.envelope("a@b.example", "c@d.example")
        client.ask("DATA")
        assert client.raw(b"Subject: x\r\n\r\n" + body + b".\r\n"
                          ).startswith("250"), server.log()
    got = wait_for(lambda: bench.server.messages, "message")[0].data
    assert got == b"Subject: x\r\n\r\nwhole: true\r\n" + body


def test_update_and_handlers_that_come_and_go(run):
    server = run("policy.on :mail do |_, event|\n"
                 "  case event.sender\n"
                 "  when 'on'\n    policy.on(:rcpt) { reject }\n"
                 "    policy.version = '2'\n"
                 "  when 'off' then policy.off(:rcpt).update\n  end\n"
                 "  nil\nend")
    with Weir(server.endpoint) as weir, Weir(server.endpoint,
                                             handshake=False) as between:
        assert pb.PHASE_RCPT not in weir.subscriptions()
        between.greet()
        weir.mail(1, b"on")
        update = weir.receive().update
        between.ready()
        assert between.receive().update == update
        assert update.version == "2"
        assert (pb.PHASE_RCPT, True) in [(s.phase, s.decide)
                                         for s in update.subscriptions]
        assert weir.ask(2, 1, rcpt=rcpt(b"a@b")).action == REJECT
        weir.mail(1, b"off")
        assert pb.PHASE_RCPT not in [
            s.phase for s in weir.receive().update.subscriptions]
        assert weir.ask(2, 2, rcpt=rcpt(b"a@b")).action == REJECT  # as it began
        # and one that weir began before it knew
        assert weir.ask(3, 1, rcpt=rcpt(b"a@b")).action == REJECT
        assert weir.ask(3, 2, data=pb.Data()).action == 0   # was never there
