"""weir-policy capture and replay: a policy is back-tested on what real weir
told of real sessions."""

import contextlib
import os
import re
import signal
import stat
import subprocess
import time

import pytest
from policy_harness import EXAMPLES, ROOT, Server, Weir, connect, pb, rcpt, run
from weir_policy_command import PROGRAM, as_json, weir_policy

CAPTURE = """
policy "capture" {{
  endpoint = "unix:{place}/capture.sock"
  mode = observe
}}
policy "blocklist" {{ endpoint = "unix:{place}/block.sock" }}
"""


class Recorder(Server):
    """weir-policy capture, running."""

    def __init__(self, endpoint, path, *options):
        super().__init__(PROGRAM, "capture", endpoint, path, *options,
                         PYTHONPATH="")
        self.wait_for("listening on ")


@pytest.fixture
def blocklist(place, stack):
    """blocklist(name, senders) serves them at place/NAME.sock."""
    def serve(name, *senders):
        listed = place / f"{name}.list"
        listed.write_text("".join(f"{s}\n" for s in senders))
        server = stack.enter_context(contextlib.closing(Closing(
            EXAMPLES / "block_senders.py", "--listen",
            f"unix:{place}/{name}.sock", "--list", listed)))
        return server.endpoint
    return serve


class Closing(Server):
    def close(self):
        self.__exit__()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as opened:
        yield opened


def mail(weir, sender, *recipients):
    with weir.connect() as client:
        replies = client.envelope(sender, *recipients)
        if all(reply.startswith("5") for reply in replies):
            return
        client.content("Subject: x\r\n\r\nA special offer.\r\n")


@pytest.fixture
def captured(bench, place, blocklist):
    """Four sessions, one of them refused by a blocklist."""
    blocklist("block", "@bad.example")
    weir = bench.weir(more=CAPTURE.format(place=place), ready=False)
    weir.wait_log("event=policy.ready policy=blocklist")
    mail(weir, "early@good.example", "r@example.net")  # while nobody captures
    path = place / "mail.capture"
    with Recorder(f"unix:{place}/capture.sock", path, "--bodies",
                  "--sessions", "4") as recorder:
        recorder.wait_for("weir is there", patience=15)
        for sender in ("a@good.example", "b@bad.example", "c@good.example",
                       "d@other.example"):
            mail(weir, sender, "r@example.net", "s@example.net")
        assert recorder.wait() == 0
        recorder.wait_for(f"{path}: 4 sessions")
    return weir, path


def test_weir_does_without_a_capture(bench, place, blocklist):
    """An observer that is away costs one line of the log, and nothing else."""
    blocklist("block", "@bad.example")
    weir = bench.weir(more=CAPTURE.format(place=place), ready=False)
    weir.wait_log("event=policy.ready policy=blocklist")
    assert weir.get("/readyz")[0] == 200
    for _ in range(3):
        mail(weir, "a@good.example", "r@example.net")
        time.sleep(0.3)
    loud = [line for line in weir.log.splitlines()
            if "policy=capture" in line and "level=debug" not in line]
    assert len(loud) == 1 and "event=policy.unreachable" in loud[0], loud
    assert not [row for row in weir.rows(
        "SELECT * FROM decisions WHERE policy = 'capture'")]


def test_the_same_policy_decides_the_same(captured, blocklist, place):
    weir, path = captured
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not (place / "capture.sock").exists()
    same = blocklist("same", "@bad.example")
    assert weir_policy("replay", path, same) == (
        "4 sessions, 4 transactions, 8 questions, 0 verdicts differ\n")
    assert weir_policy("replay", path, same, "--against",
                       f"unix:{place}/block.sock").endswith(
                           " 0 verdicts differ\n")
    decisions = weir_policy("replay", path, same, "--decisions")
    assert decisions.count("reject 550 5.1.1 User unknown"
                           " rule=@bad.example\n") == 2
    assert re.search(r"^\d/\d+ +rcpt +<r@example.net>  reject 550 5.1.1",
                     decisions, re.M), decisions
    listed = as_json("replay", path, same, "--decisions")["decisions"]
    assert len(listed) == 8
    assert [d["phase"] for d in listed if d["decision"]["action"] == "reject"
            and time.time() - d["time"] < 60] == ["rcpt", "rcpt"]


def test_a_new_version_is_back_tested(captured, blocklist, place):
    """Other senders are blocked: what was let through, and what was not."""
    _, path = captured
    new = blocklist("new", "@good.example")
    found = as_json("replay", path, new, code=1)
    assert [(d["phase"], d["old"], d["new"], d["count"])
            for d in found["differences"]] == [
                ("transaction", "relay", "reject 550 5.1.1", 2),
                ("transaction", "refused", "relay", 1)]
    example = found["differences"][0]["examples"][0]
    assert example["sender"] == "<a@good.example>"
    assert example["new_rule"] == "@good.example"
    assert len(example["transaction"]) == 26 and example["client"]
    shown = weir_policy("replay", path, new, code=1)
    assert re.search(r"^     2  transaction     relay  ->  reject 550 5\.1\.1$",
                     shown, re.M)
    assert shown.endswith(", 3 verdicts differ\n")


def test_two_servers_side_by_side(captured, blocklist, place):
    """Compared at each phase, whatever was decided then."""
    _, path = captured
    new = blocklist("new", "@good.example")
    found = as_json("replay", path, new, "--against",
                    f"unix:{place}/block.sock", "--examples", "1", code=1)
    assert [(d["phase"], d["old"], d["new"], d["count"])
            for d in found["differences"]] == [
                ("rcpt", "relay", "reject 550 5.1.1", 4),
                ("rcpt", "reject 550 5.1.1", "relay", 2)]
    [example] = found["differences"][1]["examples"]
    assert example["recipient"] == "<r@example.net>"
    assert example["old_rule"] == "@bad.example"


EDITOR = """
policy = Policy("editor/{version}")
@policy.end_of_message
async def end(session, event):
    assert b"special offer" in session.message.body, session.message
    return relay().add_header("X-Version", "{version}").because(rule="{rule}")
"""


def test_edits_are_compared_by_what_they_do(captured, run):
    """Not by the words for the record; a changed value is a difference."""
    _, path = captured
    one = run(EDITOR.format(version=1, rule="a")).endpoint
    same = run(EDITOR.format(version=1, rule="b")).endpoint
    other = run(EDITOR.format(version=2, rule="a")).endpoint
    weir_policy("replay", path, same, "--against", one)
    found = as_json("replay", path, other, "--against", one, code=1)
    assert [(d["phase"], d["old"], d["new"], d["count"])
            for d in found["differences"]] == [
                ("end_of_message", "relay +headers",
                 "relay +headers (otherwise)", 3)]


def test_what_cannot_be_judged_is_counted(captured, run):
    """The refused transaction has no content that a policy could look at."""
    _, path = captured
    found = as_json("replay", path, run(EDITOR.format(
        version=1, rule="a")).endpoint)
    assert (found["different"], found["unknown"]) == (0, 1)


def test_a_policy_that_fails(captured, run):
    _, path = captured
    found = as_json("replay", path, run(
        "policy = Policy()\n@policy.mail\ndef mail(session, event):\n"
        "    return 1 / 0\n").endpoint, code=1)
    [difference] = found["differences"]
    assert difference["phase"] == "mail" and difference["count"] == 4
    assert "ZeroDivisionError" in difference["new"]


def test_a_capture_that_was_cut_off(captured, blocklist, place):
    """Whole up to its last record, wherever it ends."""
    _, path = captured
    same = blocklist("same", "@bad.example")
    data = path.read_bytes()
    short = place / "short"
    for at in range(len(data) - 300, len(data), 37):
        short.write_bytes(data[:at])
        found = as_json("replay", short, same)
        assert found["different"] == 0 and found["sessions"] == 4
    assert "the last record is not whole" in found["notes"][0]
    for damaged, words in [
            (b"garbage", "is no capture of weir-policy"),
            (b"weir-capture 2 bodies=no\n", "is of version 2 of the format"),
            (data[:60] + bytes(16) + data[60:], "the file is damaged")]:
        short.write_bytes(damaged)
        assert words in weir_policy("replay", short, same, code=2)


# ----------------------------------------------- capture alone, without weir

def test_without_bodies(place, run):
    """No BODY is asked for; a policy that wants bodies is told it has none."""
    path = place / "c"
    with Recorder("tcp:127.0.0.1:0", path) as recorder:
        with Weir(recorder.endpoint) as weir:
            assert weir.subscriptions() == {
                p: False for p in range(1, 16) if p != pb.PHASE_BODY}
            weir.send(ping=pb.Ping(token=7))
            assert weir.receive().pong.token == 7
            weir.send(1, connect=connect("192.0.2.9"))
            time.sleep(0.6)
            weir.mail(1, b"a@b")
            weir.send(1, rcpt=rcpt(b"c@d"))
            weir.send(1, data=pb.Data(accepted=[0]))
            weir.send(1, headers=pb.Headers(raw=b"\r\n", message=1))
            weir.send(1, end_of_message=pb.EndOfMessage(size=500))
            weir.send(1, transaction_end=pb.TransactionEnd(
                outcome=pb.OUTCOME_DELIVERED, decided_by="mx"))
            weir.send(9, reply=pb.Reply())  # of a session from before
        recorder.wait_for("gone, with 1 sessions open")
        recorder.signal(signal.SIGTERM)
        assert recorder.wait() == 0
        assert "1 sessions" in recorder.log()
    server = run("policy = Policy()\n@policy.end_of_message\n"
                 "def end(session, event):\n"
                 "    return relay().because(rule=str(session.message.truncated)"
                 ")\n")
    shown = weir_policy("replay", path, server.endpoint, "--decisions")
    assert "relay rule=True" in shown
    started = time.monotonic()
    weir_policy("replay", path, server.endpoint, "--pace", "0.5")
    assert time.monotonic() - started > 1.2
    found = as_json("replay", path, server.endpoint)
    assert "made without --bodies" in found["notes"][0]
    assert (found["sessions"], found["different"]) == (1, 0)


def test_capture_stops_in_time_and_overwrites_nothing(place):
    path = place / "c"
    endpoint = f"unix:{place}/s"
    done = weir_policy("capture", endpoint, path, "--seconds", "0.3", code=1)
    assert "0 sessions; weir never came" in done
    assert "is there already" in weir_policy("capture", endpoint, path, code=2)
    assert "no endpoint" in weir_policy("capture", "x", place / "d", code=2)
    assert "capture listens at unix" in weir_policy(
        "capture", "tls:127.0.0.1:1", place / "d", code=2)
    for option, value in (("--seconds", "0"), ("--sessions", "-1")):
        assert f"'{value}' is no " in weir_policy(
            "capture", endpoint, place / "d", option, value, code=2)
    assert not (place / "s").exists()


def test_capture_outlives_what_is_not_weir(place):
    path = place / "c"
    with Recorder(f"unix:{place}/s", path, "--group", "nogroup") as recorder:
        assert stat.S_IMODE(os.stat(place / "s").st_mode) == 0o660
        with Weir(recorder.endpoint, handshake=False) as bad:
            bad.send_raw(b"GET / HTTP/1.1\r\n\r\n")
            assert bad.receive() is None
        recorder.wait_for("closing a connection that is not weir's")
        with Weir(recorder.endpoint) as weir:
            weir.send(1, connect=connect("192.0.2.9"))
            weir.send(1, session_end=pb.SessionEnd(cause="quit"))
            weir.send(drain=pb.Drain())
            weir.silent(0.1)
        recorder.signal(signal.SIGKILL)
        recorder.wait()
    reading = subprocess.run(
        ["/usr/bin/python3", "-B", "-c",
         "import sys\n"
         f"sys.path[:0] = ['{ROOT}/contrib/weir-policy',"
         f" '{ROOT}/contrib/sdk/python']\n"
         "from weir_policy_tool.recording import Reader\n"
         "print([(r.connection, r.message.WhichOneof('event'))"
         " for r in Reader(sys.argv[1])])", path],
        capture_output=True, text=True, check=True)
    assert reading.stdout.strip() == (
        "[(2, 'hello'), (2, 'connect'), (2, 'session_end')]")
