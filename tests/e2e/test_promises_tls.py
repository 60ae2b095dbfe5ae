"""What weir promises about TLS, on the real daemon."""

import ssl
import time

import pytest
from blackbox import Gone, certificate, decision, pb, wait_for

MESSAGE = b"Subject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def pem(place):
    return certificate(place)


def deliver(client):
    client.envelope()
    reply = client.ask("DATA")
    return client.raw(MESSAGE + b".\r\n") if reply[:3] == "354" else reply


def test_starttls_is_stripped_and_done_upstream(bench, pem):
    server = bench.mx(tls=pem, script={
        "EHLO": lambda s, line: b"250-mx\r\n250-AFTER-TLS\r\n250 SIZE 99\r\n"
        if s.tls else None})
    p = bench.policy(notify=["tls", "ehlo", "session_end"])
    proxy = bench.weir()
    client = proxy.connect(hello=False)
    client.reply()
    assert client.ask("EHLO me") == "250-mx\r\n250-AFTER-TLS\r\n250 SIZE 99\r\n"
    assert client.ask("STARTTLS")[0] == "5"
    assert deliver(client)[:3] == "250"
    client.ask("QUIT")
    assert server.lines[:3] == ["EHLO me", "STARTTLS", "EHLO me"]
    assert server.messages[0].tls
    p.wait("session_end")
    tls = p.one("tls")
    assert tls.leg == pb.LEG_UPSTREAM and tls.version == "TLS1.3"
    assert tls.cipher and tls.cipher_bits in (128, 256)
    assert tls.peer_certificate == ssl.PEM_cert_to_DER_cert(
        (bench.place / "crt").read_text())
    assert "mx.example.net" in tls.peer_subject and not tls.verified
    assert tls.handshake_us > 0 and not tls.resumed
    assert len(p.seen("ehlo")) == 1
    row, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert row["upstream_tls_version"] == "TLS1.3"
    assert row["upstream_tls_cipher"] and row["upstream_tls_certificate"]


def test_sessions_are_resumed(bench, pem):
    server = bench.mx(tls=pem)
    p = bench.policy(notify=["tls"])
    proxy = bench.weir()
    for _ in range(3):
        with proxy.connect() as client:
            assert deliver(client)[:3] == "250"
            client.ask("QUIT")
    assert [e.tls.resumed for e in p.wait("tls", 3)] == [False, True, True]
    assert all(m.tls for m in server.messages)


def test_may_goes_on_in_clear_when_starttls_is_refused(bench, pem):
    server = bench.mx(tls=pem, script={"STARTTLS": b"454 4.7.0 not now\r\n"})
    with bench.weir().connect() as client:
        assert deliver(client)[:3] == "250"
    assert not server.messages[0].tls and len(server.sessions) == 1


def test_may_falls_back_with_memory(bench, pem):
    def broken(session, line):
        session.send(b"220 go\r\n")
        session.more()
        session.send(b"this is no TLS\r\n")
        raise Gone
    server = bench.mx(tls=pem, script={"STARTTLS": broken})
    proxy = bench.weir()
    with proxy.connect() as client:
        assert deliver(client)[:3] == "250"
        client.ask("QUIT")
    assert len(server.sessions) == 2
    assert server.sessions[1].lines[0] == server.sessions[0].lines[0]
    with proxy.connect() as client:
        assert deliver(client)[:3] == "250"
        client.ask("QUIT")
    assert len(server.sessions) == 3
    assert "STARTTLS" not in server.sessions[2].lines
    assert len(server.messages) == 2
    rows = proxy.wait_rows("SELECT * FROM sessions WHERE upstream_tls_error"
                           " NOT NULL")
    assert rows


@pytest.mark.parametrize("how", ["not offered", "refused", "broken"])
def test_encrypt_never_sends_mail_in_clear(bench, pem, how):
    def broken(session, line):
        session.send(b"220 go\r\n")
        raise Gone
    server = bench.mx(tls=None if how == "not offered" else pem, script={
        "refused": {"STARTTLS": b"502 5.5.1 no\r\n"},
        "broken": {"STARTTLS": broken}}.get(how))
    with bench.weir(upstream='tls = "encrypt"').connect(False) as client:
        client.reply()
        said = [client.ask("EHLO x")]
        if said[0][:3] == "250":
            said.append(client.ask("MAIL FROM:<a@b.c>"))
        assert said[-1].startswith(("451 4.7.5", "421 4.7.5")), said
    assert not [x for x in server.lines if x.startswith("MAIL")]


def test_encrypt_by_decision(bench):
    server = bench.mx()
    bench.policy(decide=["connect"], keys={"grants": '{"outbound"}'},
                 answer=lambda *_: decision(outbound=pb.Outbound(
                     tls=pb.TLS_LEVEL_ENCRYPT)))
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>").startswith("451 4.7.5")
    assert not [x for x in server.lines if x.startswith("MAIL")]


def test_none_by_decision(bench, pem):
    server = bench.mx(tls=pem)
    bench.policy(decide=["connect"], keys={"grants": '{"outbound"}'},
                 answer=lambda *_: decision(outbound=pb.Outbound(
                     tls=pb.TLS_LEVEL_NONE)))
    with bench.weir().connect() as client:
        assert deliver(client)[:3] == "250"
    assert not server.messages[0].tls


@pytest.mark.parametrize("extra", [b"2", b"250 injected\r\n",
                                   b"250-mx\r\n250 AUTH PLAIN\r\n"])
@pytest.mark.parametrize("level", ["may", "encrypt"])
def test_injected_plaintext_is_refused(bench, pem, extra, level):
    injected = []

    def inject(session, line):
        if not injected:
            injected.append(1)
            session.send(b"220 go\r\n" + extra)
            session.mx.tls.wrap_socket(session.socket, server_side=True)
            raise Gone
        return None
    server = bench.mx(tls=pem, script={"STARTTLS": inject})
    with bench.weir(upstream=f'tls = "{level}"').connect(False) as client:
        client.reply()
        reply = client.ask("EHLO x")
        assert "injected" not in reply and "AUTH" not in reply
        if reply[:3] == "250":
            reply = client.ask("MAIL FROM:<a@b.c>")
        if level == "encrypt":
            assert reply[0] == "4", reply
    assert level == "may" or not [x for x in server.lines
                                  if x.startswith("MAIL")]


def test_a_client_cannot_inject_behind_its_starttls(bench, pem):
    """strip: STARTTLS is refused, what follows is commands in order."""
    server = bench.mx(tls=pem)
    with bench.weir().connect() as client:
        client.send(b"STARTTLS\r\nMAIL FROM:<a@b.c>\r\n")
        assert client.reply()[0] == "5"
        assert client.reply()[:3] == "250"
    assert server.sessions[0].lines[-1].startswith(("MAIL", "QUIT"))


def test_the_handshake_never_blocks_a_worker(bench, pem):
    hang = []

    def slow(session, line):
        if not hang:
            hang.append(1)
            session.send(b"220 go\r\n")
            time.sleep(1)
            raise Gone
        return None
    bench.mx(tls=pem, script={"STARTTLS": slow})
    proxy = bench.weir(upstream="tls_timeout = 500ms")
    first = proxy.connect(hello=False)
    first.reply()
    first.send(b"EHLO first\r\n")
    wait_for(lambda: hang, "the first STARTTLS")
    start = time.monotonic()
    with proxy.connect() as client:
        assert deliver(client)[:3] == "250"
    assert time.monotonic() - start < 0.4
    assert first.reply()[:3] == "250", "fell back"
    first.close()
