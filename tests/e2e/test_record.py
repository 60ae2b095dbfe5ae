"""Promise 8: the record never stops mail. And what it holds."""

import json
import re
import sqlite3
import subprocess
from contextlib import closing

import pytest
from netns import wait_until
from weir import FIXED, Client, usual


def deliver(host, count=1):
    for number in range(count):
        with Client(host, "127.0.0.1", 10025) as client:
            client.hello()
            text = f"Subject: {number}\r\n\r\n{'x' * 2000}\r\n"
            assert client.deliver(text=text).startswith("250")
            assert client.ask("QUIT").startswith("221")


def test_connections_and_communications(net, scripted, weir, place):
    """The columns and directions that users of the record know."""
    host, mx = net.pair()
    scripted(mx)
    proxy = weir(host, usual(place, text=FIXED))
    deliver(host)
    connection, = proxy.wait_rows("SELECT * FROM connections")
    assert list(connection) == ["id", "mail_from", "mail_to", "occurred_at",
                                "elapse"]
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", connection["id"])
    assert (connection["mail_from"], connection["mail_to"]) == \
        ("a@example.org", "b@example.net")
    assert connection["elapse"] >= 0
    lines = proxy.rows("SELECT * FROM communications ORDER BY id")
    assert list(lines[0]) == ["id", "connection_id", "direction", "data",
                              "occurred_at"]
    assert {line["connection_id"] for line in lines} == {connection["id"]}
    said = [(line["direction"], line["data"]) for line in lines]
    assert ("->", r"MAIL FROM:<a@example.org>\r\n") in said
    assert ("<-", r"250 2.1.5 OK\r\n") in said
    assert {direction for direction, _ in said} <= {
        "->", "<-", ">|", "|>", "|<", "<|", "--"}
    assert any("Subject: 0" in data for _, data in said)
    assert not any("xxxx" in data for _, data in said), "a body was recorded"


def test_json_lines(net, scripted, weir, place):
    host, mx = net.pair()
    scripted(mx)
    config = usual(place, text=FIXED).replace('json = ""',
                                              f'json = "{place}/weir.json"')
    proxy = weir(host, config)
    deliver(host, 3)
    path = place / "weir.json"
    wait_until(lambda: path.exists() and
               path.read_text().count("example.net") >= 3, "three lines")
    assert all(isinstance(json.loads(line), dict)
               for line in path.read_text().splitlines())
    path.rename(place / "weir.json.1")      # as logrotate does
    proxy.reload(config)
    proxy.wait_log("event=reload.done")
    deliver(host)
    wait_until(lambda: path.exists() and "example.net" in path.read_text(),
               "the new file")


def test_auth_is_never_recorded(net, scripted, weir, place):
    """Promise 6: in no sink and no log line."""
    host, mx = net.pair()
    scripted(mx, extensions=("AUTH PLAIN LOGIN",),
             script={"AUTH": lambda s, line: challenge(s)})
    config = usual(place, text=FIXED).replace('json = ""',
                                              f'json = "{place}/weir.json"')
    proxy = weir(host, config.replace('hostname', 'log_level = "debug"\n'
                                      'hostname', 1))
    with Client(host, "127.0.0.1", 10025) as client:
        client.hello()
        assert client.ask("AUTH LOGIN").startswith("334")
        assert client.ask("c2VjcmV0dXNlcg==").startswith("334")
        assert client.ask("c2VjcmV0cGFzcw==").startswith("235")
        client.ask("QUIT")
    assert proxy.stop() == 0
    texts = [path.read_bytes() for path in place.iterdir() if path.is_file()]
    assert any(b"AUTH" in text for text in texts)
    for text in texts:
        assert b"c2VjcmV0cGFzcw" not in text and b"secretpass" not in text


def challenge(session):
    session.send(b"334 VXNlcm5hbWU6\r\n")
    session.read_until(b"\r\n")
    session.send(b"334 UGFzc3dvcmQ6\r\n")
    session.read_until(b"\r\n")
    return b"235 2.7.0 OK\r\n"


@pytest.fixture
def small_disk(place, stack):
    path = place / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0755",
                    "weir-e2e", path], check=True)
    stack.callback(lambda: subprocess.run(["umount", path], check=True))
    return path


def test_disk_full_leaves_mail_untouched(net, scripted, place, small_disk,
                                         weir):
    host, mx = net.pair()
    server = scripted(mx)
    config = usual(place, text=FIXED).replace(f"{place}/weir.db",
                                              f"{small_disk}/weir.db")
    weir(host, config.replace('json = ""', f'json = "{small_disk}/j"'))
    deliver(host)

    def is_recorded(since=""):
        with closing(sqlite3.connect(small_disk / "weir.db",
                                     timeout=5)) as database:
            try:
                seen = database.execute("SELECT count(*) FROM connections"
                                        " WHERE occurred_at > ?", (since,))
            except sqlite3.OperationalError as error:
                assert "no such table" in str(error)
                return False
            return seen.fetchone()[0] > 0
    wait_until(is_recorded, "the database to be there")
    with open(small_disk / "fill", "wb", buffering=0) as fill:
        try:
            while True:
                fill.write(b"\0" * 4096)
        except OSError:
            pass
    deliver(host, 60)
    assert len(server.messages) == 61
    (small_disk / "fill").unlink()

    def recovered():
        deliver(host)
        return is_recorded(begun)
    with closing(sqlite3.connect(":memory:")) as clock:
        begun, = clock.execute(
            "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()
    wait_until(recovered, "the record to recover by itself", 40)


def test_locked_database_leaves_mail_untouched(net, scripted, weir, place):
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, usual(place, text=FIXED))
    deliver(host)
    proxy.wait_rows("SELECT * FROM connections")
    with closing(sqlite3.connect(place / "weir.db",
                                 isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        deliver(host, 20)
        other.execute("ROLLBACK")
    assert len(server.messages) == 21
    proxy.wait_rows("SELECT * FROM connections", count=21)
