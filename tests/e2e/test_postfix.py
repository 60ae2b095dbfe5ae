"""Real Postfix to real Postfix, through weir and a real redirect rule."""

import ssl

import pytest
from weir import usual


def test_the_harness_itself_delivers(net, postfix):
    """Without weir: what the other tests take for granted."""
    host, mx = net.pair()
    server, sender = postfix.mx(mx), postfix.client(host)
    sender.sendmail("a@example.org", "b@example.net")
    message, = server.wait_mailbox()
    assert message["Return-Path"] == "<a@example.org>"
    assert sender.wait_log("status=sent")


@pytest.mark.parametrize("address", ["10.7.0.2", "fd07::2"])
def test_redirect_output_starttls_recorded(net, postfix, weir, redirect,
                                           place, address):
    host, mx = net.pair()
    server = postfix.mx(mx)
    proxy = weir(host, usual(place))
    redirect(host)
    sender = postfix.client(host, relayhost=f"[{address}]")
    sender.sendmail("a@example.org", "b@example.net", subject="through weir")
    message, = server.wait_mailbox()
    assert message["Subject"] == "through weir"
    assert any("TLSv1.3" in received for received
               in message.get_all("Received")), message.as_string()
    sender.wait_log("status=sent (250 2.0.0 Ok: queued as")
    session, = proxy.wait_rows(
        "SELECT s.*, c.der FROM sessions s JOIN certificates c"
        " ON c.id = s.upstream_tls_certificate WHERE cause NOT NULL")
    assert session["upstream_tls_version"] == "TLS1.3"
    assert session["upstream_tls_cipher"] == "AES-256-GCM"
    assert session["upstream_tls_subject"] == "CN=mx.example.net"
    assert session["upstream_tls_verified"] == 0        # its own issuer
    pem = (server.place / "mx.pem").read_text()
    begin = pem.index("-----BEGIN CERTIFICATE")
    assert session["der"] == ssl.PEM_cert_to_DER_cert(pem[begin:])
    assert session["client_tls_version"] is None
    assert session["listener"] == ("outbound6" if ":" in address
                                   else "outbound")
    assert (session["destination_address"], session["destination_port"],
            session["outcome"], session["cause"]) == \
        (address, 25, "delivered", "quit")
    transaction, = proxy.rows("SELECT * FROM transactions")
    assert (transaction["sender"], transaction["decided_by"],
            transaction["code"], transaction["enhanced"],
            transaction["held"]) == ("a@example.org", "mx", 250, "2.0.0", 0)
    recipient, = proxy.rows("SELECT * FROM recipients")
    assert (recipient["address"], recipient["accepted"],
            recipient["code"]) == ("b@example.net", 1, 250)


def test_prerouting_as_a_router(net, postfix, weir, redirect, place):
    inner, host, mx = net.routed()
    server = postfix.mx(mx)
    proxy = weir(host, usual(place, text=USUAL_ALL))
    redirect(host, "--prerouting", "inside")
    for address in ("10.7.0.2", "fd07::2"):
        sender = postfix.client(inner, relayhost=f"[{address}]")
        sender.sendmail("a@example.org", "b@example.net", subject=address)
        sender.wait_log("status=sent")
        sender.stop()
    assert [m["Subject"] for m in server.wait_mailbox(2)] == \
        ["10.7.0.2", "fd07::2"]
    assert len(proxy.wait_rows("SELECT * FROM sessions", count=2)) == 2


USUAL_ALL = """\
user = ""
listener "outbound" { address = "0.0.0.0:10025" }
listener "outbound6" { address = "[::]:10025" }
upstream { mark = 25 %(upstream)s }
record { sqlite = "%(place)s/weir.db" }
status { address = "" control = "" }
%(more)s
"""
