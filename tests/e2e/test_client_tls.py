"""TLS between client and weir, with real sockets and real clients."""

import os
import signal
import socket
import ssl
import subprocess

import pytest
from authority import Authority, openssl
from blackbox import CONFIG, Client, certificate, decision, pb, wait_for
from weir import PROGRAM, usual

MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What all tests of this file share: they only read it."""
    place = tmp_path_factory.mktemp("authority")
    place.chmod(0o755)
    return Authority(place)


def offer(*paths, more=""):
    names = ", ".join(f'"{path}"' for path in paths)
    return f'client_tls = offer tls_certificate = {{{names}}} {more}'


def context(files, **options):
    made = ssl.create_default_context(cafile=str(files.certificate))
    made.check_hostname = options.pop("check", True)
    for name, value in options.items():
        setattr(made, name, value)
    return made


class Secure(Client):
    """Says EHLO, STARTTLS, and is then inside TLS."""

    def __init__(self, port, tls, name="mx.example.net", session=None):
        super().__init__(port)
        self.clear = self.hello()
        self.said = self.ask("STARTTLS")
        if self.said[:3] == "220":
            assert not self.buffer
            self.socket = tls.wrap_socket(self.socket, server_hostname=name,
                                          session=session)


def deliver(client):
    client.envelope()
    assert client.ask("DATA")[:3] == "354"
    return client.raw(MESSAGE + b".\r\n")


def test_offer_whole(bench, files):
    """TLS on both legs; everything that policies and the record hear."""
    mine, tenant = files.issue("mx.example.net"), files.issue("tenant")
    server = bench.mx(tls=certificate(bench.place))
    p = bench.policy(notify=["tls", "session_end"])
    proxy = bench.weir(listener=offer(
        mine, more=f'tls_client_ca = "{files.certificate}"'))
    tls = context(files)
    tls.load_cert_chain(tenant)
    client = Secure(proxy.port, tls)
    assert "250 STARTTLS\r\n" in client.clear
    assert client.ask("MAIL FROM:<a@b>").startswith("503 5.5.1")
    inside = client.ask("EHLO inside")
    assert "STARTTLS" not in inside and "REQUIRETLS" not in inside
    assert client.ask("STARTTLS").startswith("503 5.5.1")
    assert deliver(client)[:3] == "250"
    client.ask("QUIT")
    assert server.messages[0].tls
    assert server.lines.count("EHLO inside") == 1
    p.wait("session_end")
    upstream, mine = [event.tls for event in p.wait("tls", 2)]
    assert (upstream.leg, mine.leg) == (pb.LEG_UPSTREAM, pb.LEG_CLIENT)
    assert mine.version == "TLS1.3" and mine.verified and not mine.resumed
    assert mine.peer_subject == "CN=tenant" and mine.handshake_us > 0
    der = ssl.PEM_cert_to_DER_cert(
        openssl("x509", "-in", tenant).decode())
    assert mine.peer_certificate == der
    row, = proxy.wait_rows(
        "SELECT s.*, c.der FROM sessions s JOIN certificates c"
        " ON c.id = s.client_tls_certificate WHERE cause NOT NULL")
    assert (row["client_tls_version"], row["client_tls_subject"],
            row["client_tls_issuer"], row["client_tls_verified"],
            row["client_tls_resumed"], row["client_tls_error"]) == \
        ("TLS1.3", "CN=tenant", "CN=test authority", 1, 0, None)
    assert row["der"] == der and row["upstream_tls_version"] == "TLS1.3"
    shown = proxy.api(f"/sessions/{row['id']}")
    assert shown["client_tls"]["subject"] == "CN=tenant"
    assert shown["client_tls"]["verified"] is True
    assert proxy.metric("weir_client_tls_handshakes_total") == 1


def test_a_policy_refuses_who_shows_no_certificate(bench, files):
    """What tls_client_ca is for: the decision is a policy's."""
    seen = {}

    def answer(event, _):
        if event.WhichOneof("event") == "mail" and not seen.get("verified"):
            return decision(2, 550, "5.7.1", ["no certificate"])
        return decision()
    p = bench.policy(decide=["mail"], notify=["tls"], answer=answer)
    bench.mx()
    proxy = bench.weir(listener=offer(
        files.issue("mx.example.net"),
        more=f'tls_client_ca = "{files.certificate}"'))
    client = Secure(proxy.port, context(files))
    client.ask("EHLO x")
    event, = p.wait("tls")
    assert not event.tls.verified and not event.tls.peer_certificate
    assert "certificate" in event.tls.verify_error
    seen["verified"] = event.tls.verified
    assert client.ask("MAIL FROM:<a@b>").startswith("550 5.7.1")


def test_sni_chooses_the_certificate(bench, files):
    """Several smart hosts behind one listener, keys in files of their own."""
    one, key = files.issue("one.example.net", apart=True)
    two = files.issue("two.example.net", "more.example.net",
                      "*.wild.example.net")
    bench.mx()
    proxy = bench.weir(listener=offer(one, two,
                                      more=f'tls_key = {{"{key}", ""}}'))
    tls = context(files)
    for name in ("one.example.net", "two.example.net", "more.example.net",
                 "x.wild.example.net"):
        client = Secure(proxy.port, tls, name)
        assert client.ask("EHLO x")[:3] == "250"
        client.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        Secure(proxy.port, tls, "three.example.net")
    row, = proxy.wait_rows(
        "SELECT * FROM sessions WHERE cause = 'tls_failed'")
    assert row["client_tls_error"] and row["client_tls_version"] is None
    assert wait_for(lambda: proxy.metric("weir_client_tls_failed_total") == 1,
                    "the counter")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_clients_resume_with_any_worker(bench, files, version):
    bench.mx()
    proxy = bench.weir(listener=offer(files.issue("mx.example.net")),
                       text=CONFIG.replace("workers = 1", "workers = 4"))
    tls = context(files, maximum_version=getattr(ssl.TLSVersion, version))
    session, resumed = None, 0
    for _ in range(8):
        client = Secure(proxy.port, tls, session=session)
        client.ask("EHLO x")
        client.ask("QUIT")
        session = client.socket.session
        resumed += client.socket.session_reused
        client.close()
    assert resumed == 7
    assert wait_for(
        lambda: proxy.metric("weir_client_tls_resumed_total") == 7, "seven")


def test_a_handshake_that_is_not_done_ends(bench, files):
    bench.mx()
    proxy = bench.weir(listener=offer(files.issue("mx.example.net")),
                       limits="client_tls_timeout = 200ms")
    with proxy.connect() as client:
        assert client.ask("STARTTLS")[:3] == "220"
        assert client.rest() == b""
    row, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert (row["cause"], row["client_tls_error"]) == \
        ("tls_failed", "TLS handshake timed out")


def test_there_is_no_renegotiation(bench, files):
    """TLS 1.2 has it; it ends the connection."""
    bench.mx()
    proxy = bench.weir(listener=offer(files.issue("mx.example.net")))
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}",
         "-starttls", "smtp", "-tls1_2", "-crlf"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    client.stdin.write(b"EHLO x\n")
    client.stdin.flush()
    while b"250 SIZE" not in (line := client.stdout.readline()):
        assert line
    client.stdin.write(b"R\n")
    client.stdin.flush()
    assert b"RENEGOTIATING" in client.stdout.read()
    assert client.wait(10) != 0
    row, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert row["cause"] == "client_gone"


BEHIND = [b"EHLO evil\r\n", b"MAIL FROM:<evil@x>\r\nRCPT TO:<b@example.net>"
          b"\r\nDATA\r\n", b"RSET\r\n", b"\n", b"\x16"]


@pytest.mark.parametrize("apart", [False, True])
def test_nothing_plain_is_taken_behind_starttls(bench, files, apart):
    """CVE-2011-0411, CVE-2014-3556, CVE-2021-38371: in the same segment, and
    in one of its own, ahead of the handshake."""
    server = bench.mx()
    proxy = bench.weir(listener=offer(files.issue("mx.example.net")))
    for behind in BEHIND:
        with proxy.connect() as client:
            if not apart:
                client.send(b"STARTTLS\r\n" + behind)
                assert client.reply().startswith("421 4.7.0")
                assert client.rest() == b""
                continue
            assert client.ask("STARTTLS")[:3] == "220"
            client.send(behind + b"x" * 5)      # a whole record's header
            assert not client.rest().startswith(b"2")
    assert not [line for line in server.lines if "evil" in line]
    assert set(server.lines) == {"EHLO client.example.org"}
    name = "weir_tls_injection_total" if not apart else \
        "weir_client_tls_failed_total"
    assert wait_for(lambda: proxy.metric(name) == len(BEHIND), name)


def test_nothing_said_in_clear_is_remembered(bench, files):
    """RFC 3207 4.2: a HELO, a transaction and capabilities of before."""
    bench.mx()
    proxy = bench.weir(listener=offer(files.issue("mx.example.net")))
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b>")[:3] == "250"
        assert client.ask("STARTTLS").startswith("503 5.5.1 Not in a mail")
        assert client.ask("RSET")[:3] == "250"
        assert client.ask("STARTTLS x").startswith("501 5.5.4")
        assert client.ask("STARTTLS")[:3] == "220"


def test_reload_takes_a_new_certificate(bench, files):
    """Old sessions go on; a file that cannot be used changes nothing."""
    bench.mx()
    path = bench.place / "weir.pem"
    path.write_bytes(files.issue("old.example.net").read_bytes())
    proxy = bench.weir(listener=offer(path))
    tls = context(files)
    old = Secure(proxy.port, tls, "old.example.net")
    waiting = proxy.connect()       # its handshake comes behind the reload

    def reload(event):
        count = proxy.log.count(event)
        proxy.process.send_signal(signal.SIGHUP)
        wait_for(lambda: proxy.log.count(event) > count, event)
    path.write_bytes(b"no certificate")
    reload("event=reload.failed")
    assert f"cannot use certificate {path}" in proxy.log
    Secure(proxy.port, tls, "old.example.net").close()
    path.write_bytes(files.issue("new.example.net").read_bytes())
    reload("event=reload.done")
    Secure(proxy.port, tls, "new.example.net").close()
    old.ask("EHLO inside")
    assert deliver(old)[:3] == "250"
    assert waiting.ask("STARTTLS")[:3] == "220"
    inside = tls.wrap_socket(waiting.socket, server_hostname="old.example.net")
    assert inside.getpeercert()["subject"][0][0][1] == "old.example.net"


def test_a_wrong_file_is_told_before_the_start(bench, files):
    proxy = bench.weir(listener=offer(files.issue("mx.example.net")))
    text = proxy.config.read_text().replace("mx.example.net.pem", "gone.pem")
    wrong = bench.place / "wrong.conf"
    wrong.write_text(text)
    for option in (["-t"], []):
        done = subprocess.run([PROGRAM, *option, "-c", wrong], timeout=20,
                              capture_output=True, text=True)
        assert done.returncode == 1
        assert 'listener "fixed": cannot read' in done.stderr
        assert "gone.pem: No such file" in done.stderr


def test_a_key_only_root_may_read(net, weir, scripted, place, files):
    """Read before privileges drop; a reload says that it is out of reach."""
    host, mx = net.pair()
    scripted(mx)
    path = place / "secret.pem"
    path.write_bytes(files.issue("mx.example.net").read_bytes())
    path.chmod(0o600)
    os.chown(place, 65534, 65534)
    text = usual(place, text=FIXED_OFFER % {"path": path})
    proxy = weir(host, text)
    tls = context(files)

    def greets():
        with host.inside():
            client = socket.create_connection(("127.0.0.1", 10025), 10)
        for line in (b"EHLO x\r\n", b"STARTTLS\r\n"):
            client.recv(4096)
            client.sendall(line)
        assert client.recv(4096).startswith(b"220")
        tls.wrap_socket(client, server_hostname="mx.example.net").close()
    greets()
    proxy.reload(text)
    proxy.wait_log("event=reload.failed")
    assert f"cannot read {path}: Permission denied; weir is not root" \
        in proxy.log
    greets()
    path.chmod(0o644)
    proxy.reload(text)
    proxy.wait_log("event=reload.done")
    greets()


FIXED_OFFER = """\
user = "nobody"
hostname = "weir.example.org"
workers = 2
listener "fixed" {
  address = "127.0.0.1:10025" mode = "fixed" destination = "10.7.0.2:25"
  client_tls = "offer" tls_certificate = "%(path)s"
}
record { sqlite = "" }
status { address = "" control = "" }
"""


def test_passthrough_is_blind(bench, files):
    """The client's TLS is the MX's own; weir counts octets, and no more."""
    server = bench.mx(tls=files.issue("mx.example.net"))
    p = bench.policy(notify=["ehlo", "command", "mail", "tls", "session_end"])
    proxy = bench.weir(listener="client_tls = passthrough")
    client = Secure(proxy.port, context(files))
    assert "STARTTLS" in client.clear and "REQUIRETLS" not in client.clear
    client.ask("EHLO inside")
    assert deliver(client)[:3] == "250"
    client.ask("QUIT")
    client.close()
    assert server.messages[0].tls
    end, = p.wait("session_end")
    assert end.session_end.cause == "tunnel"
    assert [e.WhichOneof("event") for e in p.seen()
            if e.session == end.session] == \
        ["ehlo", "command", "session_end"]
    row, = proxy.wait_rows("SELECT * FROM sessions WHERE cause = 'tunnel'")
    assert row["client_bytes"] > 500 and row["upstream_bytes"] > 500
    assert row["upstream_tls_version"] is None
    lines = proxy.rows("SELECT * FROM communications")
    assert not [line for line in lines if "inside" in line["data"]]
    assert [line for line in lines if "STARTTLS passed through"
            in line["data"]]
    assert proxy.metric("weir_tunnels_total") == 1


def test_passthrough_in_clear_is_mediated(bench, files):
    server = bench.mx(tls=files.issue("mx.example.net"))
    proxy = bench.weir(listener="client_tls = passthrough")
    with proxy.connect() as client:
        assert deliver(client)[:3] == "250"
    assert not server.messages[0].tls and "STARTTLS" not in server.lines
    assert proxy.wait_rows("SELECT * FROM transactions")


@pytest.mark.parametrize("by", ["client", "mx", "mx apart"])
def test_passthrough_injection(bench, files, by):
    """Response injection (CVE-2021-22947, NO STARTTLS) and command injection,
    where the two ends are to speak TLS."""
    def starttls(session, line):
        evil = b"250-evil\r\n250 AUTH PLAIN\r\n"
        session.send(b"220 go\r\n" + (evil if by == "mx" else b""))
        if by == "mx apart":
            wait_for(lambda: passed, "the 220")
            session.send(evil)
        session.more()
    passed = []
    bench.mx(tls=files.issue("mx.example.net"),
             script={} if by == "client" else {"STARTTLS": starttls})
    proxy = bench.weir(listener="client_tls = passthrough")
    client = proxy.connect()
    if by == "client":
        client.send(b"STARTTLS\r\nMAIL FROM:<evil@x>\r\n")
    else:
        client.send(b"STARTTLS\r\n")
    if by == "mx apart":
        assert client.reply() == "220 go\r\n"
        passed.append(1)
    rest = client.rest()
    assert b"evil" not in rest and b"AUTH" not in rest
    # behind the MX's 220 the client waits for TLS, and for nothing else
    assert rest == b"" if by == "mx apart" else rest.startswith(b"421 4.7.0")
    assert wait_for(lambda: proxy.metric("weir_tls_injection_total") == 1,
                    "the counter")


def test_swaks_and_openssl(bench, files):
    """Clients that others wrote; one of them with a certificate."""
    server = bench.mx(tls=certificate(bench.place))
    mine, tenant = files.issue("mx.example.net"), files.issue("tenant")
    proxy = bench.weir(listener=offer(
        mine, more=f'tls_client_ca = "{files.certificate}"'))
    done = subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{proxy.port}", "--tls", "--from",
         "a@example.org", "--to", "b@example.net"],
        capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port}",
         "-starttls", "smtp", "-servername", "mx.example.net",
         "-verify_return_error", "-CAfile", files.certificate, "-cert",
         tenant, "-key", tenant, "-crlf", "-quiet", "-ign_eof"],
        input="EHLO openssl\nMAIL FROM:<a@example.org>\n"
        "RCPT TO:<b@example.net>\nDATA\nSubject: openssl\n\nbody\n.\nQUIT\n",
        capture_output=True, text=True, timeout=30)
    assert "250 2.0.0 queued" in done.stdout, done.stdout + done.stderr
    assert len(server.messages) == 2 and all(m.tls for m in server.messages)
    rows = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL"
                           " ORDER BY id", count=2)
    assert [row["client_tls_subject"] for row in rows] == [None, "CN=tenant"]
    assert [row["client_tls_verified"] for row in rows] == [0, 1]


POSTFIX = """\
smtp_tls_loglevel = 1
smtp_tls_CAfile = %(place)s/authorities.pem
sender_dependent_relayhost_maps = inline:{{
  {{ encrypt@example.org = [10.7.0.2] }}
  {{ secure@example.org = [10.7.0.2]:25 }}
  {{ through@example.org = [fd07::2] }} }}
smtp_tls_policy_maps = inline:{{
  {{ [10.7.0.2] = encrypt }}
  {{ [10.7.0.2]:25 = secure match=weir.example.org }}
  {{ [fd07::2] = secure match=mx.example.net }} }}
"""


def test_postfix_that_insists_on_tls(net, postfix, weir, redirect, place,
                                     files):
    """Redirected: it believes to talk to the MX. `secure` wants a name and an
    authority that it knows: where weir offers TLS its own, and where STARTTLS
    is passed through the MX's."""
    host, mx = net.pair()
    server = postfix.mx(mx)
    proxy = weir(host, usual(place).replace(
        'address = "127.0.0.1:10025"', 'address = "127.0.0.1:10025" ' +
        offer(files.issue("weir.example.org"))).replace(
        'address = "[::1]:10025"',
        'address = "[::1]:10025" client_tls = "passthrough"'))
    redirect(host)
    (place / "authorities.pem").write_bytes(
        files.certificate.read_bytes() + openssl(
            "x509", "-in", server.place / "mx.pem"))
    sender = postfix.client(host, main=POSTFIX % {"place": place})
    for level in ("encrypt", "secure", "through"):
        sender.sendmail(f"{level}@example.org", "b@example.net")
    assert sorted(m["Return-Path"] for m in server.wait_mailbox(3)) == [
        f"<{level}@example.org>" for level in ("encrypt", "secure", "through")]
    sender.wait_log("status=sent (250 2.0.0 Ok: queued as", 3)
    sender.wait_log("Verified TLS connection", 2)
    sessions = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL"
                               " ORDER BY client_tls_version", count=3)
    assert [(row["client_tls_version"], row["upstream_tls_version"],
             row["cause"]) for row in sessions] == \
        [(None, None, "tunnel")] + 2 * [("TLS1.3", "TLS1.3", "quit")]
