"""Who the MX is: levels verify and dane by decision, SNI, resumption."""

import hashlib
import signal
import ssl

import pytest
from blackbox import CONFIG, certificate, decision, pb, wait_for
from policy_harness import run
from tls_ca import Authority
from weir import Client, usual

MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"
TRUST = 'tls_ca = "{ca}" tls = "{level}"'
BLOCK = ('tls "it" {{ networks = {{"127.0.0.0/8"}} level = "{level}"'
         ' names = {{{names}}} }}\n')


@pytest.fixture
def authority(place):
    return Authority(place)


def deliver(client):
    client.envelope()
    reply = client.ask("DATA")
    if reply[:3] != "354":
        return reply
    client.send(MESSAGE + b".\r\n")
    return client.reply()


def block(*names, level="verify"):
    return BLOCK.format(level=level, names=", ".join(f'"{n}"' for n in names))


def trusting(authority, level="may"):
    return TRUST.format(ca=authority.file, level=level)


def asked_for(server):
    """Which names clients ask for, from now on."""
    seen = []

    def note(_socket, name, _context):
        seen.append(name)
    server.tls.sni_callback = note
    return seen


def mail(proxy):
    """The reply to MAIL."""
    with proxy.connect() as client:
        reply = client.ask("MAIL FROM:<a@example.org>")
        client.ask("QUIT")
        return reply


def test_verified_by_configuration(bench, authority):
    server = bench.mx(tls=authority.issue("mx.example.net", "*.example.org"))
    names = asked_for(server)
    proxy = bench.weir(upstream=trusting(authority),
                       more=block("nobody.example", "mx.example.net"))
    for _ in range(2):
        with proxy.connect() as client:
            assert deliver(client)[:3] == "250"
            client.ask("QUIT")
    assert all(m.tls for m in server.messages) and len(server.messages) == 2
    assert names == ["nobody.example"] * 2      # the first of them
    assert proxy.metric('weir_tls_verifications_total{result="ok"}') == 2
    assert proxy.metric("weir_tls_handshakes_total") == 2
    assert proxy.metric("weir_tls_resumed_total") == 1
    rows = proxy.wait_rows("SELECT result FROM tls_results", count=4)
    assert {row["result"] for row in rows} == {"success"}


@pytest.mark.parametrize("days, names, result, words", [
    (2, ("other.example.net",), "certificate-host-mismatch",
     "is for other.example.net, not for mx.example.net"),
    (-1, ("mx.example.net",), "certificate-expired", "has expired"),
    (None, (), "certificate-not-trusted", "is not trusted"),
])
def test_somebody_else_gets_nothing(bench, place, authority, days, names,
                                    result, words):
    server = bench.mx(tls=certificate(place) if days is None else
                      authority.issue(*names, days=days))
    proxy = bench.weir(upstream=trusting(authority),
                       more=block("mx.example.net"))
    with proxy.connect() as client:
        client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
                    b"NOOP\r\n")
        reply = client.reply()
        assert reply.startswith("451 4.7.5 ") and words in reply, reply
        assert client.codes(2) == ["503", "250"]
    assert not [line for line in server.lines if line[:4] in ("MAIL", "RCPT")]
    assert proxy.wait_rows("SELECT * FROM tls_results WHERE result = ?",
                           result)
    assert proxy.metric('weir_tls_verifications_total{result="failed"}') == 1


def test_resumed_is_not_verified(bench, place):
    """Resumption vouches for nothing: it fails each time, and says why."""
    bench.mx(tls=certificate(place))
    p = bench.policy(notify=["tls"])
    proxy = bench.weir(more=block("mx.example.net"))
    for _ in range(3):
        with proxy.connect() as client:
            # a word first, so that the ticket has come
            assert client.ask("NOOP")[:3] == "250"
            assert client.ask("MAIL FROM:<a@b.example>")[:9] == "451 4.7.5"
            client.ask("QUIT")
    assert [e.tls.resumed for e in p.wait("tls", 3)] == [False, True, True]


def test_a_reload_left_trust_and_priority_as_they_were(bench, place,
                                                       authority):
    """Both are of the configuration; open sessions keep what they had."""
    (place / "new").mkdir()
    other = Authority(place / "new")
    bench.mx(tls=authority.issue("mx.example.net"))
    p = bench.policy(notify=["tls"])
    proxy = bench.weir(upstream=trusting(authority),
                       more=block("mx.example.net"))

    def reload(event, before, after):
        text = proxy.config.read_text()
        assert before in text
        proxy.config.write_text(text.replace(before, after))
        count = proxy.log.count(event)
        proxy.process.send_signal(signal.SIGHUP)
        wait_for(lambda: proxy.log.count(event) > count, event)

    with proxy.connect() as old:
        reload("event=reload.failed", str(authority.file),
               f"{place}/gone.crt")
        assert "upstream TLS: cannot read certificates" in proxy.log
        assert mail(proxy)[:3] == "250"
        reload("event=reload.done", f"{place}/gone.crt", str(other.file))
        wait_for(lambda: "is not trusted" in mail(proxy), "another trust")
        assert old.ask("MAIL FROM:<a@example.org>")[:3] == "250"
    reload("event=reload.failed", 'tls = "may"',
           'tls = "may" tls_priority = "NORMAL:+NONSENSE"')
    reload("event=reload.done", "+NONSENSE", "-VERS-TLS1.3")

    def last():
        assert "is not trusted" in mail(proxy)
        return p.seen("tls")[-1].tls.version
    assert p.wait("tls", 3)[0].tls.version == "TLS1.3"
    wait_for(lambda: last() == "TLS1.2", "another priority")
    assert "restart_needed" not in proxy.log


def test_without_names_nothing_is_guessed(bench, authority):
    """Level verify, and no resolver that knows the domain."""
    server = bench.mx(tls=authority.issue("mx.example.net"))
    proxy = bench.weir(upstream=trusting(authority, "verify"))
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@example.org>")[:3] == "250"
        assert client.ask("RCPT TO:<b@[192.0.2.1]>")[:9] == "451 4.7.5"
    assert not [line for line in server.lines if line[:4] == "RCPT"]


def outbound(level, names=(), tlsa=()):
    return decision(outbound=pb.Outbound(tls=level, tls_names=names, tlsa=[
        pb.Tlsa(usage=u, selector=s, matching=m, data=d)
        for u, s, m, d in tlsa]))


PER_RECIPIENT = """
NAMES = {"good.example": ["*.example.net"], "bad.example": ["mx.bad.example"]}
policy = Policy()
@policy.rcpt
def rcpt(session, event):
    names = NAMES.get(event.recipient.rpartition("@")[2])
    if names is None:
        return relay()
    return relay().outbound(tls=TlsLevel.VERIFY, tls_names=names)
"""


def test_by_decision_for_each_recipient(bench, authority, run):
    """What the SDK's policy asks of TLS at RCPT is that recipient's alone."""
    server = bench.mx(tls=authority.issue("mx.example.net"))
    policy = run(PER_RECIPIENT)
    proxy = bench.weir(upstream=trusting(authority), more='policy "sts" {'
                       f' endpoint = "{policy.endpoint}"'
                       ' grants = {"outbound"} }\n', ready=False)
    proxy.wait_log("event=policy.ready policy=sts")
    with proxy.connect() as client:
        client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<1@good.example>\r\n"
                    b"RCPT TO:<2@bad.example>\r\nRCPT TO:<3@plain.example>\r\n"
                    b"RCPT TO:<4@good.example>\r\nDATA\r\n")
        assert client.codes(6) == ["250", "250", "451", "250", "250", "354"]
        assert client.raw(MESSAGE + b".\r\n")[:3] == "250"
    assert server.messages[0].recipients == [
        "1@good.example", "3@plain.example", "4@good.example"]
    results = proxy.wait_rows("SELECT * FROM tls_results WHERE policy = 'sts'",
                              count=2)
    assert [row["result"] for row in results] == [
        "success", "certificate-host-mismatch"]


def test_by_decision_at_mail_and_dane(bench, place):
    """TLSA records that a policy brings; MAIL is where they count."""
    server = bench.mx(tls=certificate(place))
    der = ssl.PEM_cert_to_DER_cert((place / "crt").read_text())
    right = (3, 0, 1, hashlib.sha256(der).digest())
    wrong = (3, 0, 1, hashlib.sha256(b"x").digest())
    unusable = (1, 0, 1, right[3])
    given = {"right@b.example": [right], "wrong@b.example": [wrong],
             "both@b.example": [wrong, right], "none@b.example": [unusable]}

    def answer(event, _connection):
        return outbound(pb.TLS_LEVEL_DANE,
                        tlsa=given[event.mail.sender.decode()])
    bench.policy(["mail"], answer=answer, keys={"grants": '{"outbound"}'})
    proxy = bench.weir()
    with proxy.connect() as client:
        for sender, code in (("right", "250"), ("wrong", "451"),
                             ("both", "250"), ("none", "250")):
            reply = client.ask(f"MAIL FROM:<{sender}@b.example>")
            assert reply[:3] == code, reply
            client.ask("RSET")
    assert not [line for line in server.lines if "wrong" in line]


def test_a_certificate_teaches_the_name(bench, authority):
    """A greeting that the certificate bears out is what SNI asks for."""
    server = bench.mx(tls=authority.issue("mx.example.net"))
    names = asked_for(server)
    proxy = bench.weir(upstream=trusting(authority))
    for _ in range(2):
        assert mail(proxy)[:3] == "250"
    assert names == [None, "mx.example.net"]


def test_a_wrong_certificate_teaches_the_name(bench, authority):
    """A server of many names shows its right certificate to who asks for it:
    the name that was demanded in vain is asked for next time."""
    server = bench.mx(tls=authority.issue("many.example.com"))
    right = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    right.load_cert_chain(authority.issue("mx.example.net"))
    names = []

    def choose(tls_socket, name, _context):
        names.append(name)
        if name == "mx.example.net":
            tls_socket.context = right
    server.tls.sni_callback = choose
    wanted = outbound(pb.TLS_LEVEL_VERIFY,
                      names=["*.example.net", "mx.example.net"])
    bench.policy(["mail"], answer=lambda *_: wanted,
                 keys={"grants": '{"outbound"}'})
    proxy = bench.weir(upstream=trusting(authority))
    assert [mail(proxy)[:3] for _ in range(3)] == ["451", "250", "250"]
    assert names == [None, "mx.example.net", "mx.example.net"]


def test_a_name_that_is_refused_costs_no_encryption(bench, authority):
    """The MX ends the handshake for its own name: once more without one."""
    server = bench.mx(tls=authority.issue("mx.example.net"))
    names = []

    def refuse(_socket, name, _context):
        names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name else None
    server.tls.sni_callback = refuse
    proxy = bench.weir(upstream=trusting(authority))
    for _ in range(2):
        with proxy.connect() as client:
            assert deliver(client)[:3] == "250"
            client.ask("QUIT")
    assert names == [None, "mx.example.net", None]
    assert all(m.tls for m in server.messages)
    assert proxy.metric("weir_tls_fallback_total") == 0


def test_resumed_by_any_worker(bench, authority):
    """Sessions of four workers, one memory of TLS sessions."""
    bench.mx(tls=authority.issue("mx.example.net"))
    p = bench.policy(notify=["tls"])
    proxy = bench.weir(text=CONFIG.replace("workers = 1", "workers = 4"))
    wait_for(lambda: len(p.seen("ready")) == 4, "each worker's connection")
    for _ in range(12):
        with proxy.connect() as client:
            client.ask("NOOP")
            client.ask("QUIT")
    assert [e.tls.resumed for e in p.wait("tls", 12)] == [False] + [True] * 11


def test_a_real_postfix_is_verified(net, postfix, weir, redirect, place):
    """Two MXs, one with the right name, at level verify."""
    host, mx = net.pair()
    authority = Authority(place)
    server = postfix.mx(mx, "smtpd_tls_chain_files = "
                        f"{authority.issue('mx.example.net')}\n")
    proxy = weir(host, usual(place, f'tls_ca = "{authority.file}"',
                             'tls "it" { networks = {"10.7.0.0/24"} level = "verify"'
                             ' names = {"mx.example.net"} }\n'
                             'tls "not" { networks = {"fd07::/64"}'
                             ' level = "verify"'
                             ' names = {"mx.example.org"} }\n'))
    redirect(host)
    with Client(host, "10.7.0.2", 25) as client:
        client.hello()
        assert deliver(client)[:3] == "250"
    message, = server.wait_mailbox()
    assert any("TLSv1.3" in line for line in message.get_all("Received"))
    with Client(host, "fd07::2", 25) as client:
        client.hello()
        assert client.ask("MAIL FROM:<a@example.org>") == (
            "451 4.7.5 the certificate of the MX is for mx.example.net, not "
            "for mx.example.org\r\n")
    assert proxy.wait_rows("SELECT * FROM tls_results WHERE result ="
                           " 'certificate-host-mismatch'")
    assert len(server.mailbox()) == 1
