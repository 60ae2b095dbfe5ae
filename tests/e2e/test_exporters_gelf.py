"""weir-export-gelf. Debian has no Graylog: the receiver here was written from
the specification of GELF 1.1, not from the exporter."""

import contextlib
import json
import random
import re
import socket
import threading
import zlib

import exporters
import pytest
from exporters import wait_for
from test_exporters_mariadb import mail
from test_exporters_syslog import COMMON, write

NAME = "weir-export-gelf"


def check(message):
    """What the specification demands of every message."""
    assert message["version"] == "1.1"
    assert isinstance(message["host"], str) and message["host"]
    assert isinstance(message["short_message"], str)
    assert message["short_message"]
    assert isinstance(message["timestamp"], (int, float))
    assert message["level"] in range(8)
    for name, value in message.items():
        if name in ("version", "host", "short_message", "full_message",
                    "timestamp", "level"):
            continue
        assert re.fullmatch(r"_[\w.-]*", name) and name != "_id", name
        assert isinstance(value, (str, int, float)), (name, value)
        assert not isinstance(value, bool), (name, value)
    return message


class Datagrams:
    """Chunks may come in any order."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(.2)
        self.where = f"udp:127.0.0.1:{self.socket.getsockname()[1]}"
        self.sizes = []

    def all(self):
        got = []
        try:
            while True:
                got.append(self.socket.recv(65536))
        except TimeoutError:
            pass
        self.sizes = [len(one) for one in got]
        random.Random(1).shuffle(got)
        whole, parts = [], {}
        for data in got:
            if data[:2] != b"\x1e\x0f":
                whole.append(data)
                continue
            number, count = data[10], data[11]
            assert 0 <= number < count <= 128
            pieces = parts.setdefault(data[2:10], {"count": count})
            assert pieces["count"] == count and number not in pieces
            pieces[number] = data[12:]
        for pieces in parts.values():
            whole.append(b"".join(pieces[number]
                                  for number in range(pieces["count"])))
        return sorted((check(json.loads(self.plain(data))) for data in whole),
                      key=lambda one: one["timestamp"])

    @staticmethod
    def plain(data):
        return data if data[:1] == b"{" else zlib.decompress(data)


class Streams:
    def __init__(self, port=0):
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.where = f"tcp:127.0.0.1:{self.port}"
        self.got, self.open = [], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                self.open.append(self.socket.accept()[0])
            except OSError:
                return
            threading.Thread(target=self.read, args=(self.open[-1],),
                             daemon=True).start()

    def read(self, connection):
        data = b""
        while more := connection.recv(65536):
            *whole, data = (data + more).split(b"\0")
            self.got += [check(json.loads(one)) for one in whole]
        connection.close()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("compress", ["zlib", "none"])
def test_what_a_real_session_gives(bench, place, compress):
    bench.mx()
    proxy = bench.weir()
    mail(proxy, sender="\U0001f980@b.example".encode())
    exporters.wait_closed(place / "weir.json", 1)
    graylog = Datagrams()
    exporters.once(place, NAME, "--to", graylog.where, "--compress", compress,
                   "--hostname", "out-3", "--level", "debug",
                   json=place / "weir.json")
    got = graylog.all()
    events = sorted(exporters.lines(place / "weir.json"),
                    key=lambda one: one["time"])
    assert len(got) == len(events)
    one, = [one for one in got if one["_event"] == "transaction"]
    event, = [one for one in events if one["event"] == "transaction"]
    assert (one["host"], one["level"], one["_outcome"], one["_code"],
            one["_held"]) == ("out-3", 6, "delivered", 250, "false")
    assert one["_sender"] == event["sender"]
    assert one["_session"] == event["session"]
    assert f"{one['timestamp']:.6f}"[-6:] == event["time"][20:26]
    assert one["short_message"].startswith("event=transaction session=")


@pytest.mark.parametrize("chunk", [1420, 8192])
def test_what_no_datagram_holds_comes_in_chunks(place, chunk):
    noise = random.Random(7)
    reply = "".join(chr(noise.randrange(0x4e00, 0x9fff)) for _ in range(20000))
    path = write(place / "weir.json",
                 {"event": "transaction", "reply": reply},
                 {"event": "transaction", "reply": "x" * 60000})
    graylog = Datagrams()
    exporters.once(place, NAME, "--to", graylog.where, "--chunk", chunk,
                   json=path)
    first, second = sorted(graylog.all(), key=lambda one: one["_reply"],
                           reverse=True)
    assert first["_reply"] == reply and second["_reply"] == "x" * 60000
    assert max(graylog.sizes) <= chunk
    assert len(graylog.sizes) > 40000 / chunk
    assert graylog.sizes[-1] < 1420     # 60000 times x, compressed


def test_more_than_128_chunks_hold_is_cut(place):
    path = write(place / "weir.json", {"event": "transaction",
                                       "reply": "\U0001f980" * 100_000})
    graylog = Datagrams()
    exporters.once(place, NAME, "--to", graylog.where, "--compress", "none",
                   json=path)
    one, = graylog.all()
    assert one["_reply"] == "\U0001f980" * 256
    assert one["_session"] == COMMON["session"]


def test_names_and_values_are_what_the_format_allows(place):
    evil = {"id": "x", "a b\n": {"c": [1, None]}, "\u00e9": True, "z": 1.5,
            "nothing": None, "s": "\n\0\u202e"}
    path = write(place / "weir.json", {"event": "later", "session": "",
                                       **evil})
    graylog = Datagrams()
    exporters.once(place, NAME, "--to", graylog.where, json=path)
    one, = graylog.all()
    assert one["_event_id"] == "x" and one["_z"] == 1.5
    assert one["_a_b_"] == '{"c":[1,null]}' and one["__"] == "true"
    assert one["_nothing"] == "null" and one["_s"] == \
        "\\x0a\\x00\\xe2\\x80\\xae"


def test_over_tcp_and_a_server_that_goes_and_comes(place):
    path = place / "weir.json"
    graylog = Streams()
    running = exporters.Exporter(place, NAME, "--to", graylog.where,
                                 json=path)
    try:
        write(path, *({"event": "transaction", "size": number}
                      for number in range(500)))
        wait_for(lambda: len(graylog.got) == 500, "500 messages")
        graylog.close()
        write(path, {"event": "transaction", "size": 500})
        running.wait_log("trying again in 1 s")
        again = Streams(graylog.port)
        wait_for(lambda: any(one["_size"] == 500 for one in again.got),
                 "what came meanwhile")
        # a batch comes again if its connection was closed under it
        assert {one["_size"] for one in graylog.got + again.got} == set(
            range(501))
        running.stop()
        again.close()
    finally:
        running.close()
