"""weir-export-syslog, with real sessions and a real rsyslogd, which takes the
messages and their structured data apart."""

import json
import tempfile
from pathlib import Path

import exporters
import pytest
from exporters import wait_for
from test_exporters_mariadb import mail

NAME = "weir-export-syslog"
COMMON = {"time": "2026-11-22T01:20:33.765434Z",
          "session": "01M80DEDF5675KB33T0VEV60FE"}
DATA = "weir@32473"


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="weir-exporters-") as place:
        made = exporters.Rsyslog(Path(place)).start()
        yield made
        made.close()


@pytest.fixture
def rsyslog(server):
    server.forget()
    return server


def write(path, *events):
    with open(path, "a", encoding="utf-8") as file:
        for event in events:
            file.write(json.dumps({**COMMON, **event}) + "\n")
    return path


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix"])
def test_what_a_real_session_gives(bench, place, rsyslog, kind):
    bench.mx()
    proxy = bench.weir()
    mail(proxy, sender=b'"a]\\"=\\\\"@b.example')
    exporters.wait_closed(place / "weir.json", 1)
    exporters.once(place, NAME, "--to", rsyslog.where(kind), "--hostname",
                   "out-3.example.org", json=place / "weir.json")
    clear, got = rsyslog.received(2)    # all others are details
    assert clear["msgid"] == "tls_result"       # the MX offers none
    event, = [event for event in exporters.lines(place / "weir.json")
              if event["event"] == "transaction"]
    assert (got["pri"], got["host"], got["app"], got["procid"], got["msgid"],
            got["protocol"]) == ("22", "out-3.example.org", "weir", "-",
                                 "transaction", "1")
    assert got["time"] == event["time"]
    data = got["data"][DATA]
    assert data["session"] == event["session"]
    assert data["sender"] == event["sender"] == '"a]\\"=\\\\"@b.example'
    assert (data["outcome"], data["code"], data["recipients"], data["held"]
            ) == ("delivered", "250", "1", "false")
    assert r'sender="\"a\]\\\"=' in got["raw"]


def test_nothing_from_a_wire_can_make_a_message_of_its_own(place, rsyslog):
    evil = ('x"] <13>1 - evil - - - -\n<13>1 - evil - - -\r\0\x1b[2J'
            '\u2028\u202e\u0085 \\" ] \U0001f980')
    path = write(place / "weir.json",
                 {"event": "transaction", "outcome": "rejected",
                  "sender": evil, "reply": evil},
                 {"event": "e v\n" + "i" * 40, "a b": "c", "d\ne": "f"})
    options = ("--level", "debug", "--to")
    for kind in ("udp", "tcp", "unix"):
        (place / f"{NAME}.state").unlink(missing_ok=True)
        exporters.once(place, NAME, *options, rsyslog.where(kind), json=path)
        first, second = rsyslog.received(2)
        assert (first["app"], first["pri"], second["app"]) == (
            "weir", "20", "weir")
        data = first["data"][DATA]["sender"]
        for text in (first["msg"].replace("\\\\", "\\"), data):
            assert "\\x0a" in text and "\\xe2\\x80\\xae" in text
            assert "\n" not in text and "\u202e" not in text
            assert "\U0001f980" in text
        assert second["msgid"] == "e?v?" + "i" * 28
        assert set(second["data"][DATA]) == {"session"}
        rsyslog.forget()


def test_a_long_message_is_cut_between_characters(place, rsyslog):
    path = write(place / "weir.json",
                 {"event": "transaction", "outcome": "deferred",
                  "reply": "\U0001f980" * 3000})
    for kind, size in (("udp", 2048), ("tcp", 8192), ("unix", 8192)):
        (place / f"{NAME}.state").unlink(missing_ok=True)
        exporters.once(place, NAME, "--to", rsyslog.where(kind), json=path)
        got, = rsyslog.received(1)
        assert got["data"][DATA] == {"session": COMMON["session"],
                                     "outcome": "deferred"}
        length = len(got["msg"].encode()) + len(got["raw"])
        assert size - 150 < length < size
        assert "\ufffd" not in got["msg"]
        rsyslog.forget()


SEVERITIES = [
    ({"event": "transaction", "outcome": "delivered"}, 6),
    ({"event": "transaction", "outcome": "discarded"}, 6),
    ({"event": "transaction", "outcome": "aborted"}, 5),
    ({"event": "transaction", "outcome": "deferred"}, 4),
    ({"event": "transaction", "outcome": "rejected"}, 4),
    ({"event": "recipient", "accepted": False}, 5),
    ({"event": "decision", "result": "relay", "error": "timeout"}, 3),
    ({"event": "decision", "result": "reject", "applied": True}, 5),
    ({"event": "upstream", "error": "refused"}, 4),
    ({"event": "tls", "error": "handshake"}, 4),
    ({"event": "tls_result", "result": "validation-failure"}, 4),
    ({"event": "tls_result", "result": "starttls-not-supported"}, 6),
    ({"event": "rehomed", "error": "refused"}, 4), ({"event": "rehomed"}, 6),
    ({"event": "close", "cause": "client_gone"}, 5),
    ({"event": "close", "cause": "internal"}, 3),
    ({"event": "mx_state", "to": "blocked"}, 4),
    ({"event": "mx_state", "to": "normal"}, 5), ({"event": "later", "session": ""}, 6),
    ({"event": "later"}, 7), ({"event": "greeting"}, 7),
    ({"event": "open"}, 7), ({"event": "line", "data": "QUIT"}, 7),
    ({"event": "upstream"}, 7), ({"event": "close", "cause": "quit"}, 7),
    ({"event": "recipient", "accepted": True}, 7), ({"event": "tls"}, 7),
    ({"event": "tls_result", "result": "success"}, 7),
    ({"event": "decision", "result": "relay", "applied": True}, 7),
    ({"event": "decision", "result": "reject", "applied": False}, 7)]


@pytest.mark.parametrize("level, least", [("debug", 7), ("info", 6),
                                          ("warning", 4)])
def test_severity_by_what_happened(place, rsyslog, level, least):
    path = write(place / "weir.json", *(event for event, _ in SEVERITIES))
    expected = [str(23 * 8 + severity) for _, severity in SEVERITIES
                if severity <= least]
    exporters.once(place, NAME, "--to", rsyslog.where("tcp"), "--level",
                   level, "--facility", "local7", json=path)
    assert [got["pri"] for got in rsyslog.received(len(expected))] == expected


def test_thousands_arrive_by_every_way(place, rsyslog):
    path = write(place / "weir.json", *(
        {"event": "transaction", "outcome": "delivered", "size": number}
        for number in range(1500)))
    for kind in ("udp", "tcp", "unix"):
        (place / f"{NAME}.state").unlink(missing_ok=True)
        exporters.once(place, NAME, "--to", rsyslog.where(kind), "--rate",
                       "5000", json=path)
        got = rsyslog.received(1500)
        assert [int(one["data"][DATA]["size"]) for one in got] == list(
            range(1500))
        rsyslog.forget()


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_waits_for_a_server_that_is_away(place, rsyslog, kind):
    path = place / "weir.json"
    running = exporters.Exporter(place, NAME, "--to", rsyslog.where(kind),
                                 json=path)
    try:
        for turn in range(2):
            rsyslog.kill()
            write(path, {"event": "transaction", "outcome": "delivered",
                         "size": turn})
            running.wait_log("trying again in 1 s")
            rsyslog.start()
            wait_for(lambda: str(turn) in {
                one["data"][DATA]["size"] for one in rsyslog.received(1)},
                "what came meanwhile")
        running.stop()
    finally:
        running.close()
        if rsyslog.process.poll() is not None:
            rsyslog.start()


@pytest.mark.parametrize("options, words", [
    (["--to", "tcp:x"], "is none of udp:HOST:PORT"),
    (["--to", "udp:127.0.0.1:1", "--hostname", "a b"], "--hostname"),
    (["--to", "udp:127.0.0.1:1", "--sd-id", "a]"], "--sd-id"),
    (["--to", "udp:127.0.0.1:1", "--size", "99"], "--size")])
def test_what_cannot_work_is_said(place, options, words):
    code = 2 if "--hostname" not in options and len(options) == 2 else 64
    assert words in exporters.once(place, NAME, *options, code=code)
