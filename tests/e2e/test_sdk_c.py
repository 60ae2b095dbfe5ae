"""libweir-policy: the hello of its papers with real weir, installed as users
install it; and how it lives with weirs that come, go, and misbehave.

For the latter tests/golden/probe.c is the policy: it answers when it is told.
"""

import contextlib
import json
import random
import re
import signal
import socket
import subprocess
import threading
import time

import c_policy
import pytest
from policy_harness import (PATIENCE, REJECT, RELAY, ROOT, Weir, connect, frame,
                            headers, pb, rcpt)

README = ROOT / "contrib" / "sdk" / "c" / "README.md"
MANUAL = ROOT / "doc" / "weir_policy.3"
PROBE = ROOT / "tests" / "golden" / "probe.c"


@pytest.fixture(scope="module")
def library():
    reason = c_policy.why_not()
    if reason:
        pytest.skip(reason)
    return c_policy.Library()


def hello(text):
    """(program, how it is compiled)"""
    program = re.search(r"^#include <weir_policy.h>\n.*?^int main.*?^}\n", text,
                        re.S | re.M)[0]
    command, = re.findall(r"^ *(cc -o hello .*)$", text, re.M)
    return program, command


def refuse_nobody(bench, library, place, program, command):
    assert program.count("\n") <= 15
    (place / "hello.c").write_text(program)
    library.compile(command, place)
    server = library.server(place / "hello", f"unix:{place}/hello.sock")
    with server:
        server.wait_for("listening on ")
        weir = bench.weir(
            more=f'policy "hello" {{ endpoint = "unix:{place}/hello.sock" }}',
            ready=False)
        weir.wait_log(r"event=policy\.ready ")
        with weir.connect() as client:
            client.ask("MAIL FROM:<a@example.org>")
            assert client.ask("RCPT TO:<Nobody@example.com>").startswith(
                "550 5.1.1 User unknown")
            assert client.ask("RCPT TO:<b@example.com>").startswith("250")
        weir.stop()
        assert server.stop() == 0, server.log()


def test_the_hello_of_the_readme(bench, library, place):
    refuse_nobody(bench, library, place, *hello(README.read_text()))


def test_the_hello_of_the_manual(bench, library, place):
    refuse_nobody(bench, library, place, *hello(
        MANUAL.read_text().replace("\\&", "")))


def test_the_bench(library, place):
    """tests/bench/sdk_bench measures any policy server."""
    subprocess.run(["make", "-s", "-C", c_policy.BUILD,
                    "tests/bench/sdk_bench"], check=True, timeout=300)
    program, command = hello(README.read_text())
    (place / "hello.c").write_text(program)
    library.compile(command, place)

    def measure(*options):
        return subprocess.run(
            [c_policy.BUILD / "tests" / "bench" / "sdk_bench", "-t", "0.2",
             *options, f"unix:{place}/hello.sock"], capture_output=True,
            text=True, timeout=60)
    assert "cannot connect" in measure().stderr
    with library.server(place / "hello", f"unix:{place}/hello.sock") as server:
        server.wait_for("listening on ")
        for sessions in ("1", "50"):
            done = measure("-c", sessions)
            found = re.search(
                r"^rcpt +(\d+) +[\d.]+ +[\d.]+\nall +(\d+)\n$",
                done.stdout, re.M)
            assert found and 100 < int(found[1]) == int(found[2]), done
        assert server.stop() == 0


# ------------------------------------------------------------------- its life

class Probe:
    def __init__(self, library, place, *options, endpoint=None, **popen):
        self.endpoint = endpoint or f"unix:{place}/probe.sock"
        self.process = subprocess.Popen(
            [library.probe, *options, self.endpoint], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", env=library.environment, **popen)
        line = self.log()
        assert "listening on " in line, line

    def log(self):
        return self.process.stderr.readline()

    def line(self):
        return json.loads(self.process.stdout.readline())

    def wait(self, kind):
        while kind not in (line := self.line()):
            assert line
        return line[kind]

    def command(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def end(self):
        """What it still said; a leak would be its exit code."""
        rest = self.process.stdout.read()
        log = self.process.stderr.read()
        assert self.process.wait(PATIENCE) == 0, log
        return [json.loads(line) for line in rest.splitlines()]


@pytest.fixture
def probe(library, tmp_path):
    """probe(option...): one that must end well."""
    made = []
    if not hasattr(library, "probe"):
        sources = f"{PROBE} {PROBE.parent / 'facts.c'}"
        library.compile(
            f"cc -D_GNU_SOURCE -o {library.place.name}/probe {sources}"
            " $(pkg-config --cflags --libs weir-policy)", tmp_path)
        library.probe = f"{library.place.name}/probe"

    def start(*options, **more):
        made.append(Probe(library, tmp_path, *options, **more))
        return made[-1]
    yield start
    for one in made:
        if one.process.poll() is None:
            one.terminate()
            one.end()


def ask_rcpt(weir, session, seq):
    weir.send(session, seq, 5000, rcpt=rcpt(b"a@b.example"))


def test_answers_come_in_any_order(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        for session in (1, 2):
            for seq in (1, 2):
                ask_rcpt(weir, session, seq)
        for _ in range(4):
            one.wait("rcpt")
        assert weir.silent()
        for number in (4, 1, 3, 2):
            one.command("pick", number)
            one.command("relay")
        got = [weir.receive() for _ in range(4)]
        assert [(g.session, g.seq) for g in got] == [
            (2, 2), (1, 1), (2, 1), (1, 2)]
        assert {g.decision.action for g in got} == {RELAY}


def test_an_answer_after_cancel_is_not_sent(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        ask_rcpt(weir, 1, 1)
        ask_rcpt(weir, 1, 2)
        weir.send(1, cancel=pb.Cancel(seq=1))
        assert one.wait("cancel") == {"request": 1, "session": 1}
        one.command("working", 5)
        one.command("relay")
        one.command("reject", 550, "-", "-")
        assert weir.decision(1, 2).action == REJECT
        assert weir.silent()


def test_the_end_of_a_session_cancels_and_frees(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        weir.send(7, 1, 5000, mail=pb.Mail(sender=b"a@b.example"))
        one.wait("mail")
        weir.send(7, session_end=pb.SessionEnd(cause="client"))
        assert one.line() == {"cancel": {"request": 1, "session": 0}}
        assert one.wait("session_end")["cause"] == "client"
        assert one.line() == {"freed": "transaction"}
        assert one.line() == {"freed": "session"}
        one.command("relay")        # late: only freed
        assert weir.silent()


def test_a_transaction_ends_where_the_next_begins(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        weir.send(1, mail=pb.Mail())
        weir.send(1, transaction_end=pb.TransactionEnd())
        one.wait("transaction_end")
        assert one.line() == {"freed": "transaction"}
        weir.send(1, mail=pb.Mail())
        one.wait("mail")
        weir.send(1, mail=pb.Mail())
        assert one.line() == {"freed": "transaction"}
        one.wait("mail")


def test_a_lost_connection_ends_its_sessions(probe):
    one = probe()
    with Weir(one.endpoint) as other:
        with Weir(one.endpoint) as weir:
            weir.send(1, connect=connect("192.0.2.1"))
            one.wait("connect")
            ask_rcpt(weir, 1, 1)
            one.wait("rcpt")
        assert one.wait("cancel")["session"] == 0
        assert one.wait("session_end")["cause"] == "policy connection lost"
        one.command("relay")
        ask_rcpt(other, 1, 1)
        one.wait("rcpt")
        one.command("relay")
        assert other.decision(1, 1).action == RELAY


def test_credit_follows_what_was_taken(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        assert weir.welcome.body_credit == 262144
        weir.send(1, headers=headers(b"A: b\r\n\r\n"))
        for offset in range(0, 200000, 50000):
            weir.send(1, body=pb.Body(offset=offset, message=1,
                                      data=b"x" * 50000))
            one.wait("body")
        credit = weir.receive().credit
        assert (credit.max_offset, credit.message) == (412144, 1)
        assert weir.silent()        # not for each piece
        weir.send(1, body=pb.Body(message=2, data=b"x" * 140000))
        one.wait("body")
        credit = weir.receive().credit
        assert (credit.max_offset, credit.message) == (402144, 2)


def test_credit_by_hand(probe):
    one = probe("-m")
    with Weir(one.endpoint) as weir:
        weir.send(1, body=pb.Body(message=1, data=b"x" * 200000))
        one.wait("body")
        assert weir.silent()
        one.command("credit", 2, 200000)        # of another message
        one.command("credit", 1, 200000)
        one.command("credit", 1, 100000)        # less than before
        assert weir.receive().credit.max_offset == 462144
        assert weir.silent()


def test_update_and_annotate(probe):
    one = probe()
    with Weir(one.endpoint) as weir, Weir(one.endpoint,
                                          handshake=False) as between:
        assert set(weir.subscriptions()) == set(range(1, 16))
        assert weir.welcome.version == "7"
        between.greet()
        weir.send(3, mail=pb.Mail())
        one.wait("mail")
        one.command("annotate", "6b", "76")
        one.command("version", "38")
        for phase in range(1, 15):
            one.command("forget", phase)
        one.command("update")
        got = weir.receive()
        assert (got.session, dict(got.annotate.annotations)) == (3, {"k": "v"})
        update = weir.receive().update
        assert update.version == "8"
        assert [s.phase for s in update.subscriptions] == [15]
        between.ready()
        assert between.receive().update == update
        # this session still asks as before: nobody is there who would decide
        assert weir.ask(3, 1, rcpt=rcpt(b"x")).action == RELAY


def test_timers_and_working(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        begun = time.monotonic()
        for us in (2 ** 64 - 1, 300000, 100000, 200000, 1):
            one.command("timer", us)
        for _ in range(4):
            assert one.line() == {"timer": 1}
        assert 0.29 < time.monotonic() - begun < 3
        ask_rcpt(weir, 1, 1)
        one.wait("rcpt")
        one.command("working", 7000)
        got = weir.receive()
        assert (got.session, got.seq, got.working.extra_ms) == (1, 1, 7000)
        one.command("relay")
        assert weir.decision(1, 1).action == RELAY


def test_sigterm_lets_what_is_open_be_answered(probe, tmp_path):
    one = probe()
    with Weir(one.endpoint) as weir, Weir(one.endpoint) as idle:
        ask_rcpt(weir, 1, 1)
        one.wait("rcpt")
        one.terminate()
        assert idle.receive() is None
        assert not (tmp_path / "probe.sock").exists()
        assert weir.silent()
        one.command("relay")
        assert weir.decision(1, 1).action == RELAY
        assert weir.receive() is None
    assert one.end()[-1] == {"end": 0}


def test_stop_does_not_wait_for_the_cancelled(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        ask_rcpt(weir, 1, 1)
        one.wait("rcpt")
        weir.send(1, cancel=pb.Cancel(seq=1))
        one.wait("cancel")
        one.command("stop")
        assert weir.receive() is None
    assert one.end()[-1] == {"end": 0}


@pytest.mark.parametrize("data, words", [
    (b"GET / HTTP/1.1\r\n\r\n", "a frame larger than allowed"),
    (frame(pb.ToPolicy(ping=pb.Ping())), "the first frame is no Hello"),
    (frame(pb.ToPolicy(hello=pb.Hello(major=2))),
     "it speaks another version of the protocol"),
    (frame(pb.ToPolicy(hello=pb.Hello(major=1))) * 2,
     "the second frame is no Ready"),
    (b"\x00\x00\x00\x02", "ends in the middle of a frame"),
])
def test_whoever_is_not_weir_is_told_off(probe, data, words):
    one = probe()
    weir = Weir(one.endpoint, handshake=False)
    with weir:
        weir.send_raw(data)
        weir.socket.shutdown(socket.SHUT_WR)
        while weir.receive():
            pass
    log = one.log()
    if "it begins with" in log:
        log = one.log()
    assert words in log


@pytest.mark.parametrize("event, words", [
    (dict(session=0, mail=pb.Mail()), "an event of no session"),
    (dict(hello=pb.Hello(major=1)), "the handshake comes twice"),
    (dict(session=1, headers=pb.Headers(raw=b"A: b\r\n", fields=[
        pb.Field(offset=1, length=6, name_length=1)])),
     "a header field is none"),
    (dict(session=1, headers=pb.Headers(raw=b"A: b\r\n", fields=[
        pb.Field(offset=0xffffffff, length=0xffffffff)])),
     "a header field is none"),
    (dict(session=1, headers=pb.Headers(raw=b"A b\r\n", fields=[
        pb.Field(length=5, name_length=5)])), "a header field is none"),
    (dict(session=1, headers=pb.Headers(raw=b"A: b\r\n", fields=[
        pb.Field()] * 100000)), "takes too much memory"),
    (dict(session=1, body=pb.Body(offset=2**64 - 1, data=b"xx")),
     "a body longer than any"),
])
def test_events_that_cannot_be(probe, event, words):
    one = probe()
    with Weir(one.endpoint) as weir:
        weir.send(**event)
        assert weir.receive() is None
    assert words in one.log()
    with Weir(one.endpoint) as weir:        # others are served on
        weir.send(ping=pb.Ping(token=3))
        assert weir.receive().pong.token == 3


def test_frames_whole_and_byte_by_byte(probe):
    one = probe()
    with Weir(one.endpoint) as weir:
        data = b"".join(frame(pb.ToPolicy(session=1, seq=n, deadline_ms=9,
                                          rcpt=rcpt(b"x" * n)))
                        for n in range(1, 40))
        for at in range(len(data)):
            weir.send_raw(data[at:at + 1])
        for n in range(1, 40):
            assert len(one.wait("rcpt")["recipient"]) == 2 * n
            one.command("relay")
            assert weir.decision(1, n).action == RELAY


def test_mutated_frames(probe):
    """Whatever comes, somebody is told off, and the next one is served. With
    sanitizers this is worth most."""
    chance = random.Random(3)
    vectors = json.loads((PROBE.parent / "vectors.json").read_text())
    frames = [bytes.fromhex(entry["frame"])[4:]
              for entry in vectors["to_policy"] if len(entry["frame"]) < 2000]
    one = probe("-r")
    for stream in (one.process.stdout, one.process.stderr):
        threading.Thread(target=stream.read, daemon=True).start()
    for _ in range(400):
        with Weir(one.endpoint) as weir, contextlib.suppress(OSError):
            for data in chance.sample(frames, 5):
                data = bytearray(data)
                for _ in range(chance.randrange(3)):
                    if data:
                        data[chance.randrange(len(data))] = chance.choice(
                            (0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)))
                weir.send_raw(len(data).to_bytes(4, "big") + data)
    with Weir(one.endpoint) as weir:
        weir.send(ping=pb.Ping(token=3))
        assert weir.receive().pong.token == 3
    one.terminate()
    assert one.process.wait(PATIENCE) == 0


def test_what_is_not_read_is_not_piled_up(probe):
    """Questions stay in the socket while the answers are not taken."""
    one = probe()
    with Weir(one.endpoint) as weir:
        pings = frame(pb.ToPolicy(ping=pb.Ping(token=2**64 - 1))) * 10000
        weir.socket.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                sent += weir.socket.send(pings)
        status = open(f"/proc/{one.process.pid}/status").read()
        if not c_policy.make_variable("SANITIZER_FLAGS"):
            assert int(re.search(r"VmRSS:\s*(\d+)", status)[1]) < 20000
        assert sent < 50 << 20


def test_sockets(probe, library, tmp_path):
    one = probe()
    taken = subprocess.run(
        [library.probe, one.endpoint], capture_output=True, text=True,
        env=library.environment, timeout=PATIENCE)
    assert "Address already in use" in taken.stderr     # alive: left alone
    one.process.kill()
    one.process.wait()
    with Weir(probe().endpoint):                        # dead: replaced
        pass
    (tmp_path / "file").write_text("mine")
    for endpoint, words in [(f"unix:{tmp_path}/file", "already in use"),
                            ("unix:" + "x" * 200, "too long"),
                            ("unix:", "not unix:/path"),
                            ("tcp:127.0.0.1", "not unix:/path"),
                            ("fd:0", "not unix:/path"),
                            ("x", "not unix:/path")]:
        refused = subprocess.run(
            [library.probe, endpoint], stdin=socket.socket(),
            capture_output=True, text=True, timeout=PATIENCE,
            env=library.environment)
        assert refused.returncode == 1 and words in refused.stderr, refused
    assert (tmp_path / "file").read_text() == "mine"


def test_tcp_and_an_inherited_socket(probe):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        one = probe(endpoint=f"fd:{listener.fileno()}",
                    pass_fds=[listener.fileno()])
        with Weir(f"tcp:127.0.0.1:{port}"):
            pass
        one.terminate()
        one.end()
    one = probe(endpoint=f"tcp:[::1]:{port}")
    with Weir(one.endpoint):
        pass
