"""PROXY headers: from a sender that says exactly what it should, from HAProxy
on a router, and weir's own to Postfix and HAProxy."""

import contextlib
import select
import shutil
import socket
import struct
import subprocess
import urllib.request

import blackbox
import pytest
from netns import wait_until
from weir import MARK, ROOT, Client, listening, usual

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BEHIND = """\
user = ""
workers = 2
hostname = "weir.example.org"
listener "proxied" {
  address = "127.0.0.1:10025"
  mode = "proxy-protocol"
  allow = {"127.0.0.1"}
  proxy_timeout = 300ms
}
listener "proxied6" {
  address = "[::1]:10025"
  mode = "proxy-protocol"
}
upstream { mark = 25 %(upstream)s }
record { sqlite = "%(place)s/weir.db" json = "" }
status { address = "127.0.0.1:8025" control = "" }
%(more)s
"""
BEFORE = """\
user = ""
workers = 2
hostname = "weir.example.org"
listener "fixed" {
  address = "10.8.0.1:10025"
  mode = "fixed"
  destination = "10.7.0.2:25"
  allow = {"10.8.0.0/24"}
  send_proxy = true
}
listener "fixed6" {
  address = "[fd08::1]:10025"
  mode = "fixed"
  destination = "10.7.0.2:25"
  allow = {"fd08::/64"}
  send_proxy = true
}
upstream { mark = 25 %(upstream)s }
record { sqlite = "%(place)s/weir.db" json = "" }
status { address = "" control = "" }
%(more)s
"""


def v1(client, destination, family="TCP4"):
    return (f"PROXY {family} {client[0]} {destination[0]} {client[1]}"
            f" {destination[1]}\r\n").encode()


def v2(client, destination, more=b"", command=0x21):
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    body = (socket.inet_pton(family, client[0]) +
            socket.inet_pton(family, destination[0]) +
            struct.pack("!HH", client[1], destination[1]) + more)
    kind = 0x21 if family == socket.AF_INET6 else 0x11
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body)) + body


def proxied(host, header, near="127.0.0.1", source=None):
    client = Client(host, near, 10025, source=source, timeout=10)
    client.send(header)
    return client


def refused(namespace, why):
    """How many connections so far, by weir's own figures."""
    with namespace.inside(), urllib.request.urlopen(
            "http://127.0.0.1:8025/metrics", timeout=5) as response:
        text = response.read().decode()
    return int(text.partition(
        f'weir_connections_refused_total{{why="{why}"}} ')[2].split()[0])


MX4, MX6 = ("10.7.0.2", 25), ("fd07::2", 25)
ONE4, ONE6 = ("192.0.2.9", 57344), ("2001:db8::9", 57344)


def test_both_versions_and_families(net, scripted, weir, place):
    """The record, the policies and the MX's choice go by the header; what
    follows it, the client's first command as well, is SMTP."""
    host, mx = net.pair()
    servers = {MX4: scripted(mx), MX6: scripted(mx, address="fd07::2")}
    proxy = weir(host, usual(place, text=BEHIND))
    addition = b"\x04\0\x05hello"
    for header, destination in (
            (v1(ONE4, MX4), MX4), (v1(ONE6, MX6, "TCP6"), MX6),
            (v2(ONE4, MX4), MX4), (v2(ONE6, MX6, addition), MX6)):
        with proxied(host, header + b"EHLO early.example.org\r\n") as smtp:
            assert smtp.reply().startswith("220")
            assert smtp.reply().startswith("250")
            assert smtp.deliver().startswith("250")
            assert smtp.ask("QUIT").startswith("221")
        assert len(servers[destination].messages) == 1
        servers[destination].messages.clear()
    rows = proxy.wait_rows("SELECT * FROM sessions WHERE cause = 'quit'"
                           " ORDER BY id", count=4)
    assert [((row["client_address"], row["client_port"]),
             (row["destination_address"], row["destination_port"]))
            for row in rows] == [(ONE4, MX4), (ONE6, MX6)] * 2


def test_a_header_in_pieces(net, scripted, weir, place):
    host, mx = net.pair()
    scripted(mx)
    weir(host, usual(place, text=BEHIND.replace("300ms", "10s")))
    for header in (v1(ONE4, MX4), v2(ONE4, MX4)):
        with proxied(host, b"") as smtp:
            smtp.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in header + b"EHLO a.example.org\r\n":
                smtp.send(bytes([octet]))
            assert smtp.reply().startswith("220")
            assert smtp.reply().startswith("250")


@pytest.mark.parametrize("family", [4, 6])
def test_bad_headers_end_without_a_greeting(net, scripted, weir, place,
                                            family):
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, usual(place, text=BEHIND.replace("5s", "300ms")))
    near = "127.0.0.1" if family == 4 else "::1"
    bad = {
        b"EHLO client.example.org\r\n": "no PROXY header",
        v1(ONE4, MX4).replace(b"TCP4", b"TCP6"):
            "a PROXY line that cannot be read",
        v2(ONE4, MX4, b"\x04\0\x05hell"):
            "a PROXY header with an addition that is cut off",
        v2(ONE4, MX4, command=0x2f):
            "a PROXY header of an unknown version or command",
    }
    if family == 4:     # the other one waits for 5 s
        bad[b""] = bad[v1(ONE4, MX4)[:-1]] = "no whole PROXY header in time"
    for header, why in bad.items():
        before = proxy.log.count(f'reason="{why}"')
        with proxied(host, header, near) as smtp:
            assert smtp.reply() == ""
        proxy.wait_log(f'reason="{why}"', before + 1)
    assert refused(host, "proxy_header") == len(bad)
    assert not server.sessions


def test_health_checks_end_quietly(net, scripted, weir, place):
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, usual(place, text=BEHIND))
    for header in (SIGNATURE + b"\x20\0\0\0", v2(ONE4, MX4, command=0x20)):
        with proxied(host, header) as smtp:
            assert smtp.reply() == ""
    with proxied(host, b"") as smtp:    # as HAProxy's, of version 1
        smtp.send(v1(smtp.socket.getsockname(), smtp.socket.getpeername()))
        assert smtp.reply() == ""
    with proxied(host, b"") as smtp:
        smtp.socket.shutdown(socket.SHUT_WR)
        assert smtp.reply() == ""
    assert "session.refused" not in proxy.log
    assert not server.sessions and refused(host, "proxy_header") == 0


def test_without_a_destination_no_service(net, weir, place):
    host, _ = net.pair()
    proxy = weir(host, usual(place, text=BEHIND))
    headers = (b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x21\0\0\0",
               v1(ONE4, ("10.7.0.2", 0)), v1(ONE4, ("0.0.0.0", 25)),
               v1(ONE4, ("127.0.0.1", 10025)))
    for header in headers:
        with proxied(host, header) as smtp:
            assert smtp.reply().startswith("421 4.3.5 ")
    assert refused(host, "loop") == len(headers)
    proxy.wait_rows("SELECT * FROM sessions WHERE cause = 'refused'",
                    count=len(headers))


def test_only_allowed_proxies_are_believed(net, scripted, weir, place):
    host, mx = net.pair()
    server = scripted(mx)
    weir(host, usual(place, text=BEHIND))
    with proxied(host, v2(ONE4, MX4), source="127.0.0.2") as smtp:
        assert smtp.reply().startswith("421 4.3.5 ")
    assert refused(host, "not_allowed") == 1 and not server.sessions


def test_silent_connections_count(net, scripted, weir, place):
    host, mx = net.pair()
    scripted(mx)
    weir(host, usual(place, text=BEHIND.replace("300ms", "10s"),
                     more="limits { connections = 2 }"))
    wait_until(lambda: not open_sessions(host), "who looked whether it serves")
    with contextlib.ExitStack() as silent:
        three = [silent.enter_context(proxied(host, b"")) for _ in range(3)]
        # two workers accept: which of them was one too many is open
        told, _, _ = select.select([c.socket for c in three], [], [], 10)
        assert len(told) == 1
        smtp, = (c for c in three if c.socket in told)
        assert smtp.reply().startswith("421 4.3.2 ")
    wait_until(lambda: not open_sessions(host), "them to end")
    with proxied(host, v1(ONE4, MX4)) as smtp:
        smtp.hello()


def open_sessions(host):
    """Connections that weir has accepted and not closed, by the kernel."""
    return host.run("ss", "-Htn", "state", "established", "state",
                    "close-wait", "( sport = :10025 )").stdout.strip()


def test_a_reload_and_a_stop_let_them_speak(net, scripted, weir, place):
    """A connection whose header has not come yet is served all the same; by
    what the listener is then."""
    host, mx = net.pair()
    scripted(mx)
    text = usual(place, text=BEHIND.replace("300ms", "10s"))
    proxy = weir(host, text)
    one, two, three = (proxied(host, b"") for _ in range(3))
    wait_until(lambda: open_sessions(host).count("10025") == 3, "them")
    proxy.reload(text.replace("upstream { mark = 25", "upstream { mark = 26"))
    proxy.wait_log("event=reload.done")
    one.send(v1(ONE4, MX4))
    one.hello()
    proxy.reload(text.replace('"proxied"', '"renamed"'))
    proxy.wait_log("event=reload.done", 2)
    two.send(v1(ONE4, MX4))
    assert two.reply() == ""
    proxy.wait_log("a reload has taken the listener away")
    proxy.reload(text)
    proxy.wait_log("event=reload.done", 3)
    proxy.process.terminate()
    wait_until(lambda: 10025 not in listening(proxy.process.pid), "the drain")
    three.send(v1(ONE4, MX4))
    three.hello()
    for smtp in (one, three):
        assert smtp.ask("QUIT").startswith("221")
    assert proxy.process.wait(10) == 0


def test_a_stop_does_not_wait_for_the_silent(net, weir, place):
    host, _ = net.pair()
    proxy = weir(host, "drain_timeout = 100ms\n" +
                 usual(place, text=BEHIND.replace("300ms", "1h")))
    with proxied(host, b"PROXY ") as smtp:
        wait_until(lambda: open_sessions(host), "it")
        assert proxy.stop() == 0
        assert smtp.reply() == ""


@pytest.fixture
def haproxy(place, stack):
    if shutil.which("haproxy", path="/usr/sbin") is None:
        pytest.skip("haproxy is missing: apt-get install haproxy")

    def start(namespace, text, *ports):
        path = place / "haproxy.cfg"
        path.write_text(text)
        process = namespace.popen("/usr/sbin/haproxy", "-db", "-f", path,
                                  stdout=open(place / "haproxy.log", "wb"),
                                  stderr=subprocess.STDOUT)
        wait_until(lambda: process.poll() is not None or
                   set(ports) <= set(listening(process.pid)), "HAProxy")
        assert process.poll() is None, (place / "haproxy.log").read_text()
        stack.callback(process.kill)
        return process
    return start


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_behind_haproxy(net, scripted, weir, haproxy, place, version):
    """The shipped example: a router hands connections to HAProxy, which tells
    weir where they were going. Its health checks are no sessions."""
    client, host, mx = net.routed()
    servers = [scripted(mx), scripted(mx, address="fd07::2")]
    proxy = weir(host, usual(place, text=BEHIND.replace("300ms", "5s")))
    example = (ROOT / "contrib" / "haproxy.cfg.example").read_text()
    haproxy(host, example.replace("send-proxy-v2", version), 10024)
    host.run(ROOT / "contrib" / "weir-rules", "nft", "install",
             "--tproxy", "inside", "--port", 10024, "--mark", MARK,
             "--user", "")
    for address, server in zip(("10.7.0.2", "fd07::2"), servers):
        with Client(client, address) as smtp:
            smtp.hello()
            assert smtp.deliver().startswith("250")
            assert smtp.ask("QUIT").startswith("221")
        assert len(server.messages) == 1
    rows = proxy.wait_rows(
        "SELECT * FROM sessions WHERE cause = 'quit' ORDER BY id", count=2)
    assert [(row["client_address"], row["destination_address"])
            for row in rows] == [("10.8.0.9", "10.7.0.2"),
                                 ("fd08::9", "fd07::2")]
    assert "session.refused" not in proxy.log      # by its health checks


def test_to_postfix(net, weir, postfix, place):
    """Postfix reads weir's header before it greets, also when it is dialled
    anew, and knows the client by it."""
    client, host, mx = net.routed()
    server = postfix.mx(
        mx, main="smtpd_upstream_proxy_protocol = haproxy\n")
    weir(host, usual(place, text=BEFORE))
    for _ in range(2):
        with Client(client, "10.8.0.1", 10025) as smtp:
            smtp.hello()
            assert smtp.deliver().startswith("250")
            assert smtp.ask("QUIT").startswith("221")
    server.wait_mailbox(2)
    assert len(server.wait_log("client=unknown[10.8.0.9]", 2)) == 2
    assert not server.log_lines("10.7.0.1")


def reader(headers):
    """A script's greeting: first reads a header, into this list."""
    def read(session, _):
        header = session.socket.recv(16, socket.MSG_WAITALL)
        size = int.from_bytes(header[14:16], "big")
        headers.append(header + session.socket.recv(size, socket.MSG_WAITALL))
    return read


def test_the_header_says_where_the_client_connected_to(net, weir, place,
                                                       scripted):
    """Both families, whatever the family of the smart host; and again where
    TLS fails and weir dials once more."""
    client, host, mx = net.routed()
    headers = []

    def broken(session, _):
        session.send(b"220 2.0.0 Go ahead\r\n")
        session.socket.sendall(b"this is no TLS\r\n")
        session.socket.shutdown(socket.SHUT_WR)

    server = scripted(mx, script={"greeting": reader(headers),
                                  "STARTTLS": broken},
                      extensions=("STARTTLS",))
    weir(host, usual(place, text=BEFORE))
    for near, own in (("10.8.0.1", "10.8.0.9"), ("fd08::1", "fd08::9")):
        with Client(client, near, 10025) as smtp:
            port = smtp.socket.getsockname()[1]
            smtp.hello()
            assert smtp.deliver().startswith("250")
        assert set(headers) == {v2((own, port), (near, 10025))}
        headers.clear()
    assert len(server.messages) == 2


def test_a_new_connection_in_a_session_has_a_header_too(bench):
    """From another address to the same place; but not to a next hop, which
    knows nothing of it."""
    headers = []
    hop = bench.mx()
    server = bench.mx(script={"greeting": reader(headers)})
    ways = {"source@example.net": {"source_address": "127.0.0.2"},
            "hop@example.net": {"next_hop": blackbox.pb.Endpoint(
                address="127.0.0.1", port=hop.port)}}

    def choose(event, _):
        chosen = ways.get(event.rcpt.recipient.decode())
        return blackbox.decision(
            outbound=blackbox.pb.Outbound(**chosen) if chosen else None)

    bench.policy(["rcpt"], answer=choose,
                 keys={"grants": '{"outbound", "next_hop"}'})
    proxy = bench.weir(listener="send_proxy = true",
                       more='pool "two" { addresses = {"127.0.0.2"} }\n')
    with proxy.connect() as smtp:
        own = smtp.socket.getsockname()
        for recipient in ("a@example.net", *ways):
            assert smtp.deliver("a@example.org", recipient).startswith("250")
        assert smtp.ask("QUIT").startswith("221")
    assert set(headers) == {v2(own, ("127.0.0.1", proxy.port))}
    assert [session.peer[0] for session in server.sessions][:2] == \
        ["127.0.0.1", "127.0.0.2"]
    assert [message.recipients for message in server.messages] == \
        [["a@example.net"], ["source@example.net"]]
    assert [message.recipients for message in hop.messages] == \
        [["hop@example.net"]]
