"""Response injection by whoever sits between weir and the MX, as published:
NO STARTTLS (CVE-2021-22947, CVE-2021-38371 and kin), on real sockets. The
client's leg: test_client_tls.py.

One weir serves all cases; the level is encrypt, so that nothing may go on in
clear."""

import time

import pytest
from blackbox import Bench, certificate
from mx import Gone

EVIL = b"250-evil.example\r\n250-AUTH PLAIN\r\n250 XEVIL\r\n"
OFFER = b"250-mx.example.net\r\n250 STARTTLS\r\n"


def apart(session, *pieces):
    """Each in a segment of its own."""
    for piece in pieces:
        session.send(piece)
        time.sleep(0.02)


def behind_the_220(session):
    session.send(b"220 go\r\n" + EVIL)


def half_a_line(session):
    session.send(b"220 go\r\n250-ev")


def one_octet(session):
    session.send(b"220 go\r\n\n")


def next_segment(session):
    """Ahead of the handshake, or in its middle: no TLS record either way."""
    apart(session, b"220 go\r\n", EVIL)


def every_octet_apart(session):
    for octet in b"220 go\r\n250 x\r\n":
        session.send(bytes([octet]))


def two_replies(session):
    session.send(b"220 go\r\n220 go\r\n")


CASES = [behind_the_220, half_a_line, one_octet, next_segment,
         every_octet_apart, two_replies]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("injection"))
    bench.mx(tls=certificate(bench.place))
    proxy = bench.weir(upstream='tls = "encrypt"')
    proxy.server = bench.server
    yield proxy
    bench.close()


def mail_is_refused(proxy, count):
    """Nothing of what was injected is seen, nothing is sent behind it."""
    with proxy.connect(hello=False) as client:
        said = client.reply() + client.ask("EHLO x")
        if said.endswith("\r\n") and "421" not in said:
            said += client.ask("MAIL FROM:<a@b>")
        assert "evil" not in said.lower() and "AUTH" not in said
        assert "4.7.5" in said.splitlines()[-1] or \
            said.splitlines()[-1].startswith("421"), said
    assert len(proxy.server.sessions) == count
    assert not [line for line in proxy.server.lines
                if line.startswith(("MAIL", "AUTH"))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_starttls(proxy, case):
    def inject(session, line):
        """And then TLS as ever: who does not look goes on."""
        case(session)
        try:
            session.accepted("STARTTLS", line)
        except OSError as error:
            raise Gone from error
        return b""
    proxy.server.script = {"STARTTLS": inject}
    mail_is_refused(proxy, len(proxy.server.sessions) + 1)


def test_before_starttls_was_said(proxy):
    """The reply to it, ahead of it: in the segment of the EHLO reply."""
    proxy.server.script = {"EHLO": OFFER + b"220 go\r\n"}
    mail_is_refused(proxy, len(proxy.server.sessions) + 1)


@pytest.mark.parametrize("greeting", [
    b"220 mx\r\n" + EVIL, b"220 mx\r\n250 ok\r\n250 ok\r\n",
    b"250 preauthenticated\r\n" + EVIL])
def test_greeting(proxy, greeting):
    """As PREAUTH in IMAP: a state ahead of what the client has said."""
    proxy.server.script = {"greeting": greeting}
    with proxy.connect(hello=False) as client:
        said = client.reply()
        if said[:1] == "2":
            said += client.ask("EHLO x")
        assert "evil" not in said and "AUTH" not in said
        assert said.splitlines()[-1].startswith(("421", "2")), said
        if said.splitlines()[-1].startswith("2"):
            assert client.ask("MAIL FROM:<a@b>")[:1] == "4"
    assert not [line for line in proxy.server.lines
                if line.startswith(("MAIL", "AUTH"))]


def test_nothing_of_the_clear_ehlo_is_remembered(proxy):
    """RFC 3207 4.2: what was offered in clear is not offered any more."""
    proxy.server.script = {"EHLO": lambda session, line: None if session.tls
                           else b"250-mx\r\n250-AUTH PLAIN\r\n250-XEVIL\r\n"
                           b"250-SIZE 10\r\n250 STARTTLS\r\n"}
    with proxy.connect(hello=False) as client:
        client.reply()
        said = client.ask("EHLO x")
        assert "AUTH" not in said and "XEVIL" not in said
        assert "SIZE 10\r\n" not in said and "STARTTLS" not in said
        assert client.ask("MAIL FROM:<a@b> SIZE=100")[:3] == "250"
    proxy.server.sessions.clear()
