"""policy-examples/ruby/handlers: every status, every fact, every change."""

import itertools
import re
import time

import pytest
from blackbox import certificate, wait_for
from policy_harness import RELAY, Weir, connect, headers, pb, rcpt
from ruby_handlers import (EXAMPLE, FILES, MESSAGE, SECTION, deliver, handlers,
                           served, update)
from ruby_harness import needs_ruby

pytestmark = needs_ruby

# ------------------------------------------------------- each status, each phase

ENDS = {"mail_from": 1, "rcpt_to": 2, "data": 3, "header": 4,
        "end_of_headers": 4, "body": 4, "end_of_message": 4}


def test_refusals_at_each_phase_of_a_message(served):
    server, weir = served(**{name: "continue" for name in ENDS})
    with weir.connect() as client:
        assert deliver(client)[-1].startswith("250")
        for name, end in ENDS.items():
            server.change(**{name: 'reject "554 5.1.2 No, thanks"'})
            answers = deliver(client)
            assert len(answers) == end, (name, answers)
            assert answers[-1] == "554 5.1.2 No, thanks\r\n", name
            server.change(**{name: 'tempfail "Later"'})
            assert deliver(client)[-1] == "451 4.7.1 Later\r\n", name
            server.change(**{name: "continue"})
            assert deliver(client)[-1].startswith("250"), name
    rules = {row["rule"] for row in weir.wait_rows(
        "SELECT rule FROM decisions WHERE action = 'reject'", count=7)}
    assert rules == {f"{name}.rb:2" for name in ENDS}


def test_refusals_at_the_phases_of_a_session(served):
    server, weir = served(connect='reject "554 5.7.1 Not you"')
    with weir.connect(hello=False) as client:
        assert client.reply() == "554 Not you\r\n"
        assert client.ask("EHLO x").startswith("503")
    server.change(connect='tempfail "Not now"')
    with weir.connect(hello=False) as client:
        assert client.reply() == "451 Not now\r\n"
    server.change(connect=None, helo='reject "No" if helo_name == "bad"',
                  unknown='reject "502 Not here" if command == "VRFY"')
    with weir.connect(hello=False) as client:
        assert client.reply().startswith("220")
        assert client.ask("EHLO bad") == "550 No\r\n"
        assert client.ask("MAIL FROM:<a@b>") == "503 5.5.1 EHLO was refused\r\n"
    with weir.connect() as client:
        assert client.ask("VRFY joe") == "502 Not here\r\n"
        assert client.ask("NOOP").startswith("250")
        assert client.ask("FROB").startswith("250")     # the MX's answer
    server.change(helo='disconnect "Bye"')
    with weir.connect(hello=False) as client:
        client.reply()
        assert client.ask("EHLO x") == "421 Bye\r\n"
        assert client.rest() == b""


def test_replies_with_and_without_codes(served):
    server, weir = served(rcpt_to="continue")
    with weir.connect() as client:
        for said, answer in {
                '"550 5.1.1 User unknown"': "550 5.1.1 User unknown",
                '"551 User not local"': "551 User not local",
                '"5.2.1 Mailbox disabled"': "550 5.2.1 Mailbox disabled",
                '"Simply not"': "550 5.7.1 Simply not",
                '"554"': "554 ", "": "550 5.7.1",
                '"One\\nTwo caf\\u00e9"': "550-5.7.1 One\r\n550 5.7.1 Two café",
        }.items():
            server.change(rcpt_to=f"reject {said}")
            assert deliver(client)[-1].startswith(answer), said


def test_accept_runs_no_more_handlers(served):
    noisy = {name: f'log "called"; reject' for name in ENDS}
    server, weir = served(**noisy, close='log "called"')
    for name in ("end_of_message", "body", "end_of_headers", "header", "data",
                 "rcpt_to", "mail_from"):
        server.change(**{name: "accept"})
        with weir.connect() as client:
            # whoever comes before the one that accepts does nothing yet
            answers = deliver(client)
        if name != "mail_from":
            assert not answers[-1].startswith("250"), name
    with weir.connect() as client:
        assert deliver(client)[-1].startswith("250")
        assert deliver(client)[-1].startswith("250")    # each asked anew
    server.change(mail_from=noisy["mail_from"], connect="accept")
    count = server.log().count(": called")
    with weir.connect() as client:
        assert deliver(client)[-1].startswith("250")
        assert deliver(client)[-1].startswith("250")
        client.ask("QUIT")
    server.wait_for("close: called")
    wait_for(lambda: server.log().count(": called") > count, "close")
    assert server.log().count(": called") == count + 1


def test_discard(served, bench):
    server, weir = served(rcpt_to='discard "Fine" if recipient =~ /^drop/')
    with weir.connect() as client:
        answers = deliver(client, recipients=("drop@y.example", "b@y.example"))
        assert answers[1] == "250 Fine\r\n" and answers[-1].startswith("250")
        wait_for(lambda: bench.server.messages, "message")
        assert bench.server.messages[0].recipients == ["b@y.example"]
        server.change(rcpt_to=None, end_of_message="discard")
    with weir.connect() as client:
        assert deliver(client)[-1].startswith("250")
    server.change(end_of_message=None)
    server.change(connect="discard")
    with weir.connect(hello=False) as client:
        assert client.reply().startswith("451")
    server.wait_for("connect.rb:2: discard is for mail_from, rcpt_to")
    assert len(bench.server.messages) == 1


def test_skip(served):
    server, weir = served(
        header='log header_name; skip if header_name == "X-One"',
        body='log chunk; skip', end_of_message='log "the end"')
    with weir.connect() as client:
        client.envelope("a@x.example", "b@y.example")
        client.ask("DATA")
        client.send(SECTION + b"line one\r\n")
        server.wait_for("body: line one")
        assert client.raw(b"line two\r\n.\r\n").startswith("250")
    server.wait_for("the end")
    assert re.findall("header: (.*)", server.log()) == ["Subject", "X-One"]
    assert "line two" not in server.log()


# ------------------------------------------------------------- facts and changes

def fact_names():
    source = (EXAMPLE / "lib" / "facts.rb").read_text()
    public = source[:source.index("    private")]
    return re.findall(r"^    def (\w+)", public, re.M)


def test_every_fact_at_every_phase(handlers):
    """With the harness in weir's place: it has a client's certificate."""
    show = "log({" + ", ".join(f"{n}: ({n} rescue 0)" for n in fact_names()
                               ) + "}.inspect)"
    # body.rb defines body itself
    server = handlers(**{name: show.replace("body: (body", "body: (nil")
                         if name == "body" else show for name in FILES
                         if name not in ("start", "stop")})
    server.wait_for("listening on ")
    known = {}

    def seen(name, **facts):
        """A call of `name` knew all of these, and those before."""
        known.update(facts)
        words = [f":{fact}=>{value}" for fact, value in known.items()]
        wait_for(lambda: any(
            line.startswith(f"INFO {name}: {{") and
            all(word in line for word in words)
            for line in server.log().splitlines()),
            f"{words} at {name} in {server.log()}", 3)

    with Weir(server.endpoint) as weir:
        ask = itertools.count(1)

        def event(**event):
            return weir.ask(1, next(ask), **event).action

        now = time.strftime("%Y-%m-%d %H:")
        assert event(connect=connect("192.0.2.9")) == RELAY
        seen("connect", connection_id='"01SESSION"', listener='"outbound"',
             client_address='"192.0.2.9"', client_port="4711",
             destination_address='"192.0.2.25"', destination_port="25",
             connected_at=now)
        for fact in ("helo_name", "tls_version", "tls_cipher", "tls_bits",
                     "tls_certificate", "tls_subject", "tls_issuer",
                     "tls_verified", "mx_tls_version", "mx_tls_cipher",
                     "mx_tls_bits", "mx_tls_certificate", "mx_tls_subject",
                     "mx_tls_issuer", "mx_tls_verified",
                     "auth_type", "auth_identity", "sender", "message_id",
                     "header_name", "chunk", "received_at"):
            seen("connect", **{fact: "nil"})
        known.clear()
        weir.send(1, tls=pb.Tls(
            leg=pb.LEG_CLIENT, version="TLS1.3", cipher_bits=256,
            cipher="AES-256-GCM", peer_certificate=b"\x30",
            peer_subject="CN=c", peer_issuer="CN=ca", verified=True))
        weir.send(1, tls=pb.Tls(
            leg=pb.LEG_UPSTREAM, version="TLS1.2", cipher_bits=128,
            cipher="AES-128-GCM", peer_certificate=b"\x31",
            peer_subject="CN=mx", peer_issuer="CN=cb"))
        weir.send(1, auth=pb.Auth(mechanism="PLAIN", identity=b"joe"))
        event(ehlo=pb.Ehlo(verb=b"EHLO", name=b"h.example"))
        seen("helo", helo_name='"h.example"', helo_verb='"EHLO"',
             tls_version='"TLS1.3"', tls_cipher='"AES-256-GCM"',
             tls_bits="256", tls_certificate='"0"', tls_subject='"CN=c"',
             tls_issuer='"CN=ca"', tls_verified="true",
             mx_tls_version='"TLS1.2"', mx_tls_cipher='"AES-128-GCM"',
             mx_tls_bits="128", mx_tls_certificate='"1"',
             mx_tls_subject='"CN=mx"', mx_tls_issuer='"CN=cb"',
             mx_tls_verified="false", auth_type='"PLAIN"',
             auth_identity='"joe"', client_address='"192.0.2.9"')
        event(command=pb.Command(verb=b"VRFY", arguments=b"joe"))
        seen("unknown", command='"VRFY"', arguments='"joe"')
        del known["command"], known["arguments"]
        event(mail=pb.Mail(transaction_id="01T", sender=b"caf\xe9@b",
                           parameters=[b"SIZE=1"]))
        seen("mail_from", transaction_id='"01T"', sender=r'"caf\xE9@b"',
             sender_parameters='["SIZE=1"]', recipients="[]", recipient="nil",
             received_at=now)
        event(rcpt=rcpt(b"c@d"))
        event(rcpt=pb.Rcpt(recipient=b"e@f", index=1, parameters=[b"X=1"]))
        seen("rcpt_to", recipient='"e@f"', recipient_parameters='["X=1"]',
             recipients='["c@d", "e@f"]', accepted_recipients="nil")
        event(data=pb.Data(accepted=[1]))
        seen("data", accepted_recipients='["e@f"]', recipient="nil",
             recipient_parameters="nil", message_id="nil")
        event(headers=headers(SECTION))
        del known["message_id"]
        seen("header", message_id='"<i@d>"', header_name='"Message-ID"',
             header_value='"<i@d>"', header_nth="0")
        nths = re.findall(r':header_value=>"(\d)", :header_nth=>(\d)',
                          server.log())
        assert nths == [("1", "0"), ("2", "1")]
        seen("end_of_headers", header_name="nil", header_value="nil",
             header_nth="nil", chunk="nil")
        weir.send(1, body=pb.Body(data=b"abc", message=1, offset=0))
        weir.send(1, body=pb.Body(data=b"def\xff", message=1, offset=3))
        server.wait_for(':chunk_offset=>3')
        seen("body", chunk=r'"def\xFF"', chunk_offset="3", size="nil")
        event(end_of_message=pb.EndOfMessage(size=99))
        seen("end_of_message", chunk="nil", chunk_offset="nil", size="99",
             body=r'"abcdef\xFF"', body_complete="true")
        weir.send(1, transaction_end=pb.TransactionEnd(
            outcome=pb.OUTCOME_ABORTED))
        server.wait_for("INFO abort:")
        seen("abort", size="nil", body="nil")
        weir.send(1, session_end=pb.SessionEnd(cause="quit"))
        server.wait_for("INFO close:")
        for fact in ("transaction_id", "sender", "sender_parameters",
                     "received_at", "accepted_recipients", "message_id",
                     "body_complete"):
            known[fact] = "nil"
        seen("close", cause='"quit"', recipients="[]")
        # a fact that this test does not know is one that is not tested
        assert set(known) | {"command", "arguments", "headers"} >= \
            set(fact_names()) - {"field", "connection_id", "connected_at",
                                 "listener", "client_port",
                                 "destination_address", "destination_port"}


def test_facts_from_weir(served, bench, place):
    bench.mx(tls=certificate(place), extensions=("PIPELINING", "AUTH PLAIN"),
             script={"AUTH": b"235 2.7.0 welcome\r\n"})
    server, weir = served(
        end_of_message='log [client_address, client_port, helo_name, sender,'
        ' recipients, field("subject"), headers.size, body, size,'
        ' tls_version, mx_tls_version, mx_tls_subject[/mx.example.net/],'
        ' auth_type, auth_identity, connection_id, transaction_id, message_id].inspect', close="log cause")
    with weir.connect() as client:
        port = client.socket.getsockname()[1]
        assert client.ask("AUTH PLAIN AGpvZQBzZWNyZXQ=").startswith("235")
        assert deliver(client)[-1].startswith("250")
        client.ask("QUIT")
    line = server.wait_for("end_of_message: [")
    row, = weir.wait_rows("SELECT id, session_id FROM transactions")
    assert line.endswith(
        f'["127.0.0.1", {port}, "client.example.org", "a@x.example",'
        ' ["b@y.example"], "hello", 4, "line one\\r\\nline two\\r\\n",'
        f' {len(MESSAGE)}, nil, "TLS1.3", "mx.example.net", "PLAIN", "joe",'
        f' "{row["session_id"]}", "{row["id"]}", "<i@d>"]'), line
    server.wait_for("close: quit")


CHANGES = {
    "header": 'change_header "X-One", "9", header_nth'
              ' if header_name == "x-one"',
    "end_of_headers": 'insert_header 0, "X-Top", "t"; delete_header "X-One", 0',
    "body": 'add_header "X-Size", chunk.bytesize unless'
            ' state[:seen]; state[:seen] = true',
    "end_of_message": 'add_header "X-End", "e\\r\\n f"; accept',
}


@pytest.mark.parametrize("files", [["header"], ["header", "end_of_headers"],
                                   list(CHANGES)])
def test_changes_of_the_header(served, bench, files):
    CHANGES["body"] = CHANGES["body"].replace("size unless", "size.to_s unless")
    _, weir = served(**{name: CHANGES[name] for name in files})
    with weir.connect() as client:
        assert deliver(client)[-1].startswith("250")
    data = wait_for(lambda: bench.server.messages, "message")[0].data
    expected = SECTION.replace(b"x-one: 2", b"x-one: 9")
    if "end_of_headers" in files:
        expected = b"X-Top: t\r\n" + expected.replace(b"X-One: 1\r\n", b"")
    if "body" in files:
        expected = expected[:-2] + b"X-Size: 20\r\nX-End: e\r\n f\r\n\r\n"
    # the name is written as the change spells it
    assert data.replace(b"X-One: 9", b"x-one: 9") == \
        expected + b"line one\r\nline two\r\n"


def test_changes_that_cannot_be_are_named(served):
    server, weir = served(end_of_headers="continue")
    with weir.connect() as client:
        for code, words in {
                'change_header "X-None", "v"': "no field X-None number 0",
                'delete_header "X-One", 2': "no field X-One number 2",
                'insert_header 9, "X", "v"': "only 4 fields",
                'add_header "X Y", "v"': "no name of a header field",
                'change_sender "a@b"': "change_sender is for mail_from",
                'reject "451 4.0.0 No"': "reject takes a 5xx code",
                'skip': "skip is for header, body"}.items():
            server.change(end_of_headers=code)
            assert deliver(client)[-1].startswith("451 4.3.0"), code
            assert "end_of_headers.rb:2: " in server.wait_for(words)


def test_changes_of_the_envelope_with_weir(served, bench):
    """The MX has the new ones; the facts keep what the client said."""
    server, weir = served(
        mail_from='change_sender "new@x.example" if sender == "a@x.example"',
        rcpt_to='change_recipient "other@y.example" if recipient =~ /^b@/',
        end_of_message="log [sender, recipients].inspect")
    with weir.connect() as client:
        assert deliver(client, recipients=["b@y.example", "c@y.example"]
                       )[-1].startswith("250")
        message = wait_for(lambda: bench.server.messages, "message")[0]
        assert message.sender == "new@x.example"
        assert message.recipients == ["other@y.example", "c@y.example"]
        server.change(mail_from='change_sender ""; accept')
        assert deliver(client)[-1].startswith("250")
    wait_for(lambda: len(bench.server.messages) == 2, "second message")
    assert bench.server.messages[1].sender == ""
    assert bench.server.messages[1].recipients == ["b@y.example"]
    server.wait_for('["a@x.example", ["b@y.example", "c@y.example"]]')


def test_changes_of_the_envelope(handlers):
    server = handlers(mail_from='change_sender "new@x"; accept',
                      rcpt_to='change_recipient "other@y"')
    server.wait_for("listening on ")
    with Weir(server.endpoint) as weir:
        made = weir.mail(1, b"a@b", seq=1)
        assert (made.action, made.rewrite, made.rewrite_set) == (
            RELAY, b"new@x", True)
        server.change(mail_from='change_sender ""')
        update(weir)
        made = weir.mail(2, b"a@b", seq=1)
        assert (made.rewrite, made.rewrite_set) == (b"", True)
        assert weir.ask(2, 2, rcpt=rcpt(b"c@d")).rewrite == b"other@y"
