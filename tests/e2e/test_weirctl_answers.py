"""weirctl and answers that a weir of these tests does not give on demand:
states of MXs, years of history, an older weir, and what is no weir at all."""

import json
import re
import socket
import struct
import threading

import pytest
import weir
import weirctl

pytestmark = pytest.mark.skipif(
    bool(weir.why_not() or weirctl.why_not()),
    reason=weir.why_not() or weirctl.why_not() or "")

PAIR = {"group": "example.net", "source": "192.0.2.10", "state": "throttled",
        "state_since": "2026-11-22T08:00:00.000000Z", "open": 3,
        "weight": 40.5, "deferred": 0.42, "rejected": 0.02,
        "cap": {"limit": 2, "most": 4, "open": 1, "refused": 7},
        "phases": {"connect": {"p50_us": 900}, "data": {"p50_us": 1.2e6},
                   "final": {"p50_us": 2e6}},
        "evidence": {"words": "12 of 30 say\x1b too fast"}}
SOURCES = {"default": [], "pools": [{
    "name": "warm", "ehlo_name": "", "addresses": [
        {"address": "192.0.2.10", "watched": True, "up": True, "why": "",
         "since": "", "open": 2, "connections": 1234567, "weight": 1,
         "suspended": True, "suspended_until": "2026-11-22T12:00:00Z"},
        {"address": "192.0.2.11", "watched": True, "up": False,
         "why": "no carrier", "since": "2026-11-22T09:00:00Z", "open": 0,
         "connections": 9, "weight": 2}]}]}
SESSION = {"id": "01M819QCCP8S0SG9Q0BAHA89TE", "sender": "a@example.org",
           "recipients": "b@example.net, c@example.com", "outcome": "deferred",
           "occurred_at": "2026-11-22T08:00:00.000000Z", "code": 451,
           "client": "192.0.2.1", "destination": "198.51.100.1",
           "duration_ms": 85.25, "tls": None, "transactions": 1,
           "connect_error": None, "capped": False}


@pytest.fixture
def answered(place):
    """answered({path: answer}): weirctl, and what it has asked."""
    opened = []

    def start(answers):
        fake = weirctl.Fake(place, {
            path: answer if isinstance(answer, tuple) else (200, answer)
            for path, answer in answers.items()})
        opened.append(fake)
        return weirctl.Ctl(("-s", fake.path, "--utc")), fake.asked
    yield start
    for fake in opened:
        fake.__exit__()


def test_mx_group_with_its_evidence(answered):
    ctl, asked = answered({"/api/v1/mx/example.net": {
        "group": "example.net", "state": "throttled", "sources": [PAIR],
        "phases": {"connect": {"count": 12345, "p50_us": 900, "p90_us": 1500,
                               "p99_us": 30000}},
        "transitions": [{"occurred_at": "2026-11-22T08:00:00.000000Z",
                         "source": "192.0.2.10", "from": "normal",
                         "to": "throttled", "evidence": {
                             "detector": "replies", "words": "12 of 30",
                             "attribution": "source", "code": 421,
                             "text": "slow\x1b[2J"}}],
        "results": {"delivered": 1000}, "categories": {"throttle": 12},
        "replies": {"421": 11},
        "history": [{"at": "2026-11-22T07:00:00.000000Z", "delivered": 1000,
                     "deferred": 3, "rejected": 0, "unreached": 1,
                     "phases": {"connect": {"p50_us": 901}}}]}})
    out = ctl.ok("mx", "example.net", "--hours", "48").out
    assert asked == ["GET /api/v1/mx/example.net?hours=48"]
    assert re.search(r"^example\.net +192\.0\.2\.10 +throttled .* 42 % +2\.0 %"
                     r" +900 us +1\.2 s +2\.0 s +2/4  12 of 30 say\\x1b too fast"
                     r"$", out, re.M)
    assert re.search(r"^connect +12,345 +900 us +1\.5 ms +30 ms$", out, re.M)
    assert re.search(r"^2026-11-22 08:00:00 UTC  192\.0\.2\.10  normal -> "
                     r"throttled  12 of 30; trouble of: source; it said: "
                     r"421 slow\\x1b\[2J$", out, re.M)
    assert re.search(r"^Refused for +throttle 12$", out, re.M)
    assert re.search(r"^2026-11-22 07:00:00 UTC +1,000 +3 +0 +1 +901 us$",
                     out, re.M)
    assert weirctl.is_safe(out)


def test_top_says_how_sure_it_is(answered):
    ctl, asked = answered({"/api/v1/top": {"entries": [
        {"key": "a@example.org", "count": 1234567, "error": 12,
         "delivered": 1234000, "deferred": 500, "rejected": 67,
         "bytes": 1400000},
        {"key": "\u202eb\x1b", "count": 3, "error": 0, "delivered": 3,
         "deferred": 0, "rejected": 0, "bytes": 10}]}})
    out = ctl.ok("top", "sender-domains", "--since", "all").out
    assert asked == ["GET /api/v1/top?by=sender_domains&since=all"]
    assert re.search(r"^a@example\.org +1,234,567 \(-12\) +1,234,000 +500 +67"
                     r" +1\.4 MB$", out, re.M)
    assert "too high by N at most" in out and weirctl.is_safe(out)
    assert re.search(r"^\\xe2\\x80\\xaeb\\x1b +3 +3", out, re.M)


def test_report_is_readable(answered):
    row = {"sender": "shop@example.org", "mx_group": "example.net",
           "code": 550, "enhanced": "5.7.1", "category": "blocklist",
           "count": 1200, "messages": 5000, "recipients": 1300,
           "behaviour": "sends\x1b from a listed address",
           "first_at": "2026-11-22T01:00:00Z",
           "last_at": "2026-11-22T08:00:00Z",
           "example_text": "listed\x1b[2J", "example_session": SESSION["id"]}
    ctl, asked = answered({"/api/v1/report": {
        "from": "2026-11-21T08:00:00Z", "transactions": 9000, "rejected": 1,
        "rows": [row]}})
    out = ctl.ok("report", "--since", "24h").out
    assert asked == ["GET /api/v1/report?since=24h"]
    assert out.startswith("Since       2026-11-21 08:00:00 UTC: 9,000 messages, "
                          "0 delivered, 0 deferred, 1 rejected, ")
    assert re.search(r"^shop@example\.org +example\.net +550 5\.7\.1 +"
                     r"blocklist +1,200 of 5,000 +1,300 .*sends\\x1b from a "
                     r"listed address +listed\\x1b\[2J", out, re.M)
    assert weirctl.is_safe(out)


def test_sources_suspend_and_resume(answered):
    ctl, asked = answered({"/api/v1/sources": SOURCES,
                           "/api/v1/suspend-address": {"ok": True},
                           "/api/v1/resume-address": (
                               404, {"error": "no pool has 192.0.2.99"})})
    out = ctl.ok("sources").out
    assert re.search(r"^192\.0\.2\.10 +warm +suspended until 2026-11-22 "
                     r"12:00:00 UTC .* 1,234,567 ", out, re.M)
    assert re.search(r"^192\.0\.2\.11 +warm +down .* no carrier", out, re.M)
    assert "suspended" in ctl.ok("suspend", "192.0.2.10", "--for", "1h").out
    ran = ctl("resume", "192.0.2.99")
    assert ran.code == 4 and ran.err == "weirctl: no pool has 192.0.2.99\n"
    assert asked[1:] == [
        "POST /api/v1/suspend-address?address=192.0.2.10&for=1h",
        "POST /api/v1/resume-address?address=192.0.2.99"]


def test_status_says_what_is_wrong(answered):
    ctl, _ = answered({"/api/v1/status": {
        "version": "1", "hostname": "h\x1b[2J", "ready": False,
        "why_not": "policy gate is away", "uptime_s": 100000,
        "started_at": "2026-11-21T06:00:00.000000Z",
        "counters": {"deferred": 2}, "latencies": {}, "policies": [],
        "record": {"on": True, "dropped": 7, "sqlite": {
            "on": True, "ok": False, "error": "disk full"}},
        "sources": SOURCES, "mx": [PAIR, {**PAIR, "state": "normal"}],
        "alarms": [{"about": "source", "name": "192.0.2.11",
                    "text": "no carrier"}]}})
    out = ctl.ok("status").out
    assert r"weir        1 on h\x1b[2J, not ready: policy gate is away" in out
    assert re.search(r"^Up +27 h 46 min, since 2026-11-21 06:00:00 UTC$", out,
                     re.M)
    assert re.search(r"^Record +sqlite broken: disk full, .*7 lost$", out,
                     re.M)
    assert re.search(r"^Addresses +0 of 2 can be sent from", out, re.M)
    assert re.search(r"^MX groups +1 not normal", out, re.M)
    assert re.search(r"^Alarm +source 192\.0\.2\.11: no carrier$", out, re.M)
    assert "\x1b[1;31mbroken: " in ctl.terminal("status").out


def test_config_and_operations(answered):
    ctl, asked = answered({
        "/api/v1/config": {
            "file": "/etc/weir/weir.conf",
            "loaded_at": "2026-11-22T08:00:00.000000Z", "keys": [
                {"key": "workers", "value": 4, "default": "0",
                 "is_default": False, "line": 3},
                {"key": "user", "value": "weir", "default": "weir",
                 "is_default": True, "line": None}]},
        "/api/v1/operations": [
            {"occurred_at": "2026-11-22T08:00:00.000000Z", "by": "control",
             "operation": "suspend", "argument": "192.0.2.10",
             "result": "ok"}]})
    out = ctl.ok("config").out
    assert re.search(r"^workers +4 +0 +3$", out, re.M)
    assert re.search(r"^user +weir$", out, re.M)
    out = ctl.ok("operations", "--limit", "5").out
    assert re.search(r"^2026-11-22 08:00:00 UTC +suspend +192\.0\.2\.10 +control "
                     r"+ok$", out, re.M)
    assert asked[-1] == "GET /api/v1/operations?limit=5"


def test_show_has_a_table_for_each_kind(answered):
    """Every column, and what stands in a cell that is made of several."""
    ctl, _ = answered({"/api/v1/sessions/A": {
        "id": "A", "transactions": [
            {"sender": "a@example.org", "outcome": "rejected",
             "decided_by": "mx", "accepted": 1, "recipients": 2, "size": 2048,
             "mail_us": 900, "rcpt_us": 1100, "data_us": 0, "body_us": 1.2e6,
             "reply_us": 3e6, "category": "content", "code": 550,
             "enhanced": "5.7.1", "reply": "spam\x1b"}],
        "recipients": [
            {"address": "b@example.net", "accepted": True, "code": 250,
             "decided_by": "mx", "latency_us": 1100, "enhanced": None,
             "reply": "ok"},
            {"address": "c@example.net", "accepted": False, "code": None,
             "decided_by": "gate", "latency_us": None, "reply": None}],
        "decisions": [
            {"policy": "gate", "phase": "rcpt", "action": "reject",
             "applied": True, "code": 550, "latency_us": 1500, "rule": "r7",
             "reason": "no such user", "error_text": "x"},
            {"policy": "gate", "phase": "mail", "observed": True,
             "would_change": True, "reason": None, "error_text": "late"},
            {"policy": "slow", "phase": "mail", "error": "timeout"},
            {"policy": "slow", "phase": "data", "observed": True},
            {"policy": "slow", "phase": "data"}]}})
    out = ctl.ok("show", "A").out
    messages, tables = out[out.index("Messages"):].split("\n\n", 1)
    assert [re.split(" {2,}", line) for line in messages.splitlines()] == [
        ["Messages"],
        ["SENDER", "OUTCOME", "BY", "ACCEPTED", "SIZE", "MAIL", "RCPT", "BODY",
         "FINAL", "ABOUT", "REPLY"],
        ["a@example.org", "rejected", "mx", "1 of 2", "2.0 kB", "900 us",
         "1.1 ms", "1.2 s", "3.0 s", "content", r"550 5.7.1 spam\x1b"]]
    assert tables == """\
Recipients
RECIPIENT      ACCEPTED  BY     AFTER  REPLY
b@example.net  yes       mx    1.1 ms  250 ok
c@example.net  no        gate

Decisions
POLICY  PHASE  ACTION                   CODE    TOOK  RULE  REASON
gate    rcpt   reject  applied           550  1.5 ms  r7    no such user
gate    mail           would change it                      late
slow    mail           error: timeout
slow    data           observed
slow    data           not applied
"""


# ------------------------------------------------------------------------ tail


def events(*given):
    """An answer that streams these, and then holds the line."""
    hold = threading.Event()

    def stream(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for name, data in given:
            text = f": keep-alive\n\nevent: {name}\ndata: {json.dumps(data)}"
            handler.wfile.write(text.encode() + b"\n\n")
        handler.wfile.flush()
        hold.wait(weirctl.SECONDS)
        handler.close_connection = True
    return stream, hold


TOLD = (
    ("session", SESSION),
    ("session", {**SESSION, "id": "0" * 26, "sender": "x@sub.example.org",
                 "code": 250, "outcome": "delivered"}),
    ("mx", {"occurred_at": "2026-11-22T08:00:00.000000Z",
            "group": "example.net\x1b", "to": "blocked",
            "evidence": {"words": "3 of 5"}}),
    ("omitted", {"n": 17}), ("omitted", {"n": None}))


def test_tail_shows_what_happens_at_once(answered):
    stream, hold = events(*TOLD)
    ctl, asked = answered({"/events": (200, stream)})
    with ctl.running("tail", "--no-retry") as process:
        lines = [process.stdout.readline().decode() for _ in TOLD]
        assert lines == [
            "08:00:00 deferred 451 a@example.org -> b@example.net, "
            f"c@example.com at 198.51.100.1 in 85 ms {SESSION['id']}\n",
            "08:00:00 delivered 250 x@sub.example.org -> b@example.net, "
            f"c@example.com at 198.51.100.1 in 85 ms {'0' * 26}\n",
            "08:00:00 mx group=example.net\\x1b to=blocked: 3 of 5\n",
            "(17 more, too fast to show here; weirctl sessions has them)\n",
            "(some may be missing here; weirctl sessions has them)\n"]
        hold.set()
        assert process.wait(weirctl.SECONDS) == 3
        assert b"weir has ended the stream" in process.stderr.read()
    assert asked == ["GET /events?types=session%2Comitted%2Cmx%2Cpolicy%2C"
                     "operation%2Creload"]


def test_whose_fault_it_was_that_nothing_was_sent(answered):
    """weir's own cap, or an MX that is not there."""
    lost = {**SESSION, "outcome": None, "code": None}
    kinds = {"deferred": SESSION, "deferred (cap)": {**SESSION,
                                                     "capped": True},
             "unreached": {**lost, "connect_error": "timed out"},
             "capped": {**lost, "connect_error": "full", "capped": True},
             "nothing": lost}
    stream, hold = events(*(("session", one) for one in kinds.values()))
    hold.set()
    ctl, _ = answered({"/api/v1/sessions": list(kinds.values()),
                       "/events": (200, stream)})
    lines = ctl.ok("sessions").lines[1:]
    for kind, line in zip(kinds, lines, strict=True):
        kind = "" if kind == "nothing" else kind
        assert re.match(rf"\S+ \S+ +{re.escape(kind)} +(451 +)?a@",
                        line), line
    told = ctl("tail", "--no-retry").out.splitlines()
    for kind, line in zip(kinds, told, strict=True):
        assert re.match(rf"\S+ {re.escape(kind)} (451 )?a@", line), line


def test_tail_goes_on_where_it_ended(answered):
    """The stream ends, breaks, is refused for now; and then for good."""
    asked = []

    def answer(handler):
        asked.append(handler.headers["Last-Event-ID"])
        code = {3: 503, 5: 401}.get(len(asked), 200)
        handler.send_response(code)
        handler.end_headers()
        if code != 200:
            handler.wfile.write(b'{"error": "not now"}')
        elif len(asked) == 4:
            handler.wfile.write(b"retry: 3000\nid: 17\n\n")
        else:
            number = 11 + len(asked)
            told = json.dumps({**SESSION, "sender": f"s{number}@x.example"})
            handler.wfile.write(
                f"retry: 3000\nid: 9\n\nid: {number}\nevent: session\n"
                f"data: {told}\n\nid: 99\nevent: session\nda".encode())
        handler.wfile.flush()
        if len(asked) == 2:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
        handler.close_connection = True
    ctl, _ = answered({"/events": (200, answer)})
    ran = ctl("tail")
    assert asked == [None, "12", "13", "13", "17"]
    assert ran.code == 1 and "weir does not allow it: not now" in ran.err
    assert [line.split()[3] for line in ran.out.splitlines()] == [
        "s12@x.example", "s13@x.example"]
    assert len(re.findall("weir is there again", ran.err)) == 2
    assert len(re.findall("weirctl tries again", ran.err)) == 3


def test_tail_of_a_weir_that_was_never_there(answered):
    ctl, _ = answered({"/events": (503, {"error": "stopping"})})
    ran = ctl("tail")
    assert ran.code == 1 and "weir cannot do it now: stopping" in ran.err
    ran = weirctl.Ctl(("-s", "/nowhere/sock"))("tail")
    assert ran.code == 3 and "weir is not running" in ran.err


@pytest.mark.parametrize("words, found", (
    (("--sender", "A@example.ORG"), 1), (("--sender", "@example.org"), 1),
    (("--sender", "@sub.example.org"), 1), (("--sender", "xample.org"), 0),
    (("--recipient", "@example.com"), 2), (("--recipient", "b@example.n"), 0),
    (("--code", "4xx"), 1), (("--code", "250"), 1), (("--code", "25"), 0),
    (("--outcome", "delivered"), 1), (("--client", "192.0.2.1"), 2),
    (("--client", "192.0.2.1", "--code", "451"), 1),
    (("--mx", "198.51.100.1"), 2), (("--mx", "198.51.100.2"), 0),
))
def test_tail_has_conditions(answered, words, found):
    stream, hold = events(*TOLD[:2])
    hold.set()
    ctl, _ = answered({"/events": (200, stream)})
    ran = ctl("tail", "-j", "--no-retry", *words)
    assert ran.code == 3
    told = [json.loads(line) for line in ran.lines]
    assert len(told) == found
    assert all(one["event"] == "session" and "sender" in one["data"]
               for one in told)


# --------------------------------------------------------------------- trouble


@pytest.mark.parametrize("answer, code, said", (
    ((503, {"error": "the record cannot be read now"}), 1,
     "weir cannot do it now: the record cannot be read now"),
    ((401, {"error": "this needs a token"}), 1, "--token-file"),
    ((404, {"error": "no such path; the page is at /"}), 1,
     "it is older than this weirctl"),
    ((404, {"error": "no such group\x1b[2J"}), 4, r"no such group\x1b[2J"),
    ((400, {"error": "since must be a time\nor so"}), 1,
     "since must be a time\nor so"),
    ((500, b"<html>oops</html>"), 1, "is that weir?"),
    ((200, b"<html>hello</html>"), 1, "no JSON; is that weir?"),
    ((200, b"\xff\xfe"), 1, "no JSON"),
    ((200, lambda handler: handler.connection.shutdown(2)), 3,
     "the connection to weir"),
    ((200, lambda handler: handler.wfile.write(b"220 mx ESMTP\r\n")), 3,
     "is not weir"),
))
def test_other_answers(answered, answer, code, said):
    ctl, _ = answered({"/api/v1/mx": answer})
    ran = ctl("mx")
    assert ran.code == code and ran.out == "" and said in ran.err, ran
    assert weirctl.is_safe(ran.err)


def test_members_that_are_missing_or_strange(answered):
    """A newer weir says more, an older one less: no member is relied on."""
    strange = [None, {}, [None, 1, {}, []],
               [{"group": 1, "state": [], "deferred": "x", "weight": None}],
               {"keys": [{}], "entries": [1, {}], "rows": [{}, None],
                "pools": [1, {"addresses": [{}, 2]}],
                "default": {}, "sources": [[]], "lines": [{}, 1],
                "counters": [], "policies": [1], "transactions": [{}],
                "decisions": [{}], "recipients": [{}], "tls": 3,
                "mx": [1], "history": [1], "transitions": [{"evidence": 1}],
                "phases": {"connect": None}, "alarms": [1], "process": {}}]
    commands = {
        ("status",): "status", ("sessions",): "sessions",
        ("show", "A"): "sessions/A", ("top", "codes"): "top",
        ("report",): "report", ("mx",): "mx", ("mx", "g"): "mx/g",
        ("policies",): "policies", ("sources",): "sources",
        ("config",): "config", ("operations",): "operations"}
    answers = {f"/api/v1/{path}": None for path in commands.values()}
    ctl, _ = answered(answers)
    for one in strange:
        body = json.dumps(one).encode()
        for path in answers:
            answers[path] = (200, body)
        for words in commands:
            ran = ctl(*words)
            assert ran.code == 0 and ran.err == "", (one, words, ran)
