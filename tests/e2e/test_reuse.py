"""Reuse of connections to the MX (weir.conf(5), REUSE)."""

import socket

import pytest
import test_process
from blackbox import certificate
from netns import wait_until
from weir import Client, usual

REUSE = "reuse = 30s"
# one thread, so that the next session comes where the connection is
ONE = "workers = 1"


def one_worker(config):
    return config.replace("workers = 2", ONE)


def by_session(proxy, count):
    """(id, reused) of the closed sessions, in order."""
    rows = proxy.wait_rows("SELECT id, upstream_reused AS reused FROM sessions"
                           " WHERE cause IS NOT NULL ORDER BY id", count=count)
    return [(row["id"], row["reused"]) for row in rows]


def send(host, name="client.example.org", **options):
    with Client(host, **options) as client:
        greeting = client.reply()
        hello = client.ask(f"EHLO {name}")
        assert client.deliver().startswith("250")
        assert client.ask("QUIT").startswith("221")
    return greeting, hello


@pytest.mark.parametrize("tls", [False, True])
def test_one_connection_serves_a_row_of_sessions(net, scripted, weir, redirect,
                                                 place, tls):
    host, mx = net.pair()
    server = scripted(mx, tls=certificate(place) if tls else None)
    proxy = weir(host, one_worker(usual(place, upstream=REUSE)))
    redirect(host)
    said = {send(host) for _ in range(5)}
    assert len(said) == 1           # each was told the same
    assert len(server.sessions) == 1 and len(server.messages) == 5
    assert all(message.tls == tls for message in server.messages)
    sessions = by_session(proxy, 5)
    assert [reused for _, reused in sessions] == \
        [None] + [session for session, _ in sessions[:-1]]
    lines = server.sessions[0].lines
    assert (lines.count("RSET"), lines.count("QUIT")) == (5, 0)
    rows = proxy.rows("SELECT upstream_tls_version AS v FROM sessions")
    assert {row["v"] for row in rows} == {"TLS1.3" if tls else None}
    proxy.reload(one_worker(usual(place, upstream=REUSE, more="")))
    proxy.wait_log("event=reload.done")
    send(host)                      # never across a reload
    assert len(server.sessions) == 2


def test_two_senders_share_nothing(net, scripted, weir, redirect, place):
    client, host, mx = net.routed()
    client.address("eth0", "10.8.0.10/24")
    server = scripted(mx)
    weir(host, one_worker(usual(place, upstream=REUSE)).replace(
        "127.0.0.1:10025", "*:10025").replace("[::1]:10025", "[::1]:10026"))
    redirect(host, "--prerouting", "inside")
    for source in ("10.8.0.9", "10.8.0.10") * 2:
        send(client, source=source)
    assert len(server.sessions) == 2 and len(server.messages) == 4
    send(client, name="other.example.org", source="10.8.0.9")
    assert len(server.sessions) == 3
    # what was dialled for the other name is what is there now
    send(client, name="other.example.org", source="10.8.0.9")
    assert len(server.sessions) == 3


def shut(connection):
    connection.shutdown(socket.SHUT_RDWR)


def take_leave(connection):
    # at once: what was said before may not be acknowledged yet
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"421 4.4.2 idle\r\n")


def test_a_dead_one_is_not_noticed(net, scripted, weir, redirect, place):
    """The MX closes, or says 421, between two sessions, or under one."""
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, one_worker(usual(place, upstream=REUSE)))
    redirect(host)
    for end in (shut, take_leave):
        send(host)
        end(server.sessions[-1].socket)
    send(host)
    assert len(server.messages) == 3 and len(server.sessions) == 3
    with Client(host) as client:
        client.hello()
        assert len(server.sessions) == 3
        shut(server.sessions[-1].socket)
        wait_until(lambda: len(server.sessions) == 4, "a new one")
        assert client.deliver().startswith("250")
        assert client.ask("QUIT").startswith("221")
    assert len(server.messages) == 4
    assert len(by_session(proxy, 4)) == 4


def test_it_leaves_in_time(net, scripted, weir, redirect, place):
    host, mx = net.pair()
    server = scripted(mx)
    weir(host, one_worker(usual(place, upstream="reuse = 200ms")))
    redirect(host)
    send(host)
    wait_until(lambda: server.sessions[0].lines[-1] == "QUIT", "QUIT")
    send(host)
    assert len(server.sessions) == 2


def test_a_drain_leaves_all(net, scripted, weir, redirect, place):
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, one_worker(usual(place, upstream=REUSE)))
    redirect(host)
    send(host)
    assert proxy.stop() == 0
    assert server.sessions[0].lines[-1] == "QUIT"


def test_postfix_sends_twenty(net, postfix, weir, redirect, place):
    """One by one, so that each has a session of its own."""
    host, mx = net.pair()
    server = postfix.mx(mx)
    proxy = weir(host, one_worker(usual(place, upstream=REUSE)))
    redirect(host)
    sender = postfix.client(host, relayhost="[10.7.0.2]")
    for number in range(20):
        sender.sendmail("a@example.org", "b@example.net",
                        subject=f"number {number}")
        wait_until(lambda: sender.log().count("status=sent") > number,
                   f"message {number}")
    subjects = sorted(int(message["Subject"].split()[1])
                      for message in server.wait_mailbox(20))
    assert subjects == list(range(20))
    reused = [reused for _, reused in by_session(proxy, 20)]
    assert len(reused) == 20 and reused[0] is None
    assert sum(1 for one in reused if one) >= 18, reused


def test_users_share_nothing(net, scripted, weir, redirect, place):
    """Processes of one machine: the same user goes on, another one does not."""
    host, mx = net.pair()
    server = scripted(mx)
    weir(host, one_worker(usual(place, upstream=REUSE)))
    redirect(host)
    for tenant in ("shop", "blog", "shop", "blog"):
        assert test_process.send(host, tenant, None, "10.7.0.2")[1] == "sent"
    assert len(server.sessions) == 2 and len(server.messages) == 4


def test_all_of_a_machine_are_one_where_nobody_is_looked_up(
        net, scripted, weir, redirect, place):
    host, mx = net.pair()
    server = scripted(mx)
    weir(host, one_worker(usual(place, upstream=REUSE)).replace(
        '0.1:10025"', '0.1:10025" process = false'))
    redirect(host)
    for tenant in ("shop", "blog"):
        assert test_process.send(host, tenant, None, "10.7.0.2")[1] == "sent"
    assert len(server.sessions) == 1 and len(server.messages) == 2
