"""The slowest one sets the pace: what nobody takes yet waits outside weir.

Many large messages meet a peer that stops to read. weir may fill its queues,
which are small, and no more; nothing of the mail may be missing afterwards.
"""

import contextlib
import socket
import threading

import pytest
import weir as under_test
from blackbox import CONFIG, PATIENCE, decision, frame, pb, wait_for

MIB = 1 << 20
SESSIONS, SIZE = 16, 5 * MIB
# Per session two queues of some 100 KiB, in twice their size while they grow;
# a sanitizer's shadow is as large again, several times.
GROWTH = 24 * MIB

LINE = b"." * 2 + b"x" * 996 + b"\r\n"     # a dot that is doubled
MESSAGE = b"Subject: large\r\n\r\n" + LINE * (SIZE // len(LINE)) + b"end\r\n"
SMALL_BUFFERS = 16 * 1024


def is_sanitized():
    program = under_test.PROGRAM.read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def peak(proxy):
    """The most memory that it ever had."""
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


class SlowMX:
    """What it is sent after 354 stays in the kernel until it may be read."""

    def __init__(self, bench):
        self.read = threading.Event()
        self.good = []
        self.server = bench.mx(script={"DATA": self.data})
        self.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                      SMALL_BUFFERS)

    def data(self, session, line):
        session.send(b"354 go\r\n")
        self.read.wait(10 * PATIENCE)
        pieces, tail = [session.buffer], session.buffer[-5:]
        session.buffer = b""
        while tail != b"\r\n.\r\n":
            session.more()
            pieces.append(session.buffer)
            tail = (tail + session.buffer)[-5:]
            session.buffer = b""
        self.good.append(b"".join(pieces) == MESSAGE + b".\r\n")
        return b"250 2.0.0 taken\r\n"


class Sender(threading.Thread):
    """One message; `sent` counts what has left."""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.client = proxy.connect()
        self.client.socket.settimeout(10 * PATIENCE)
        self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF,
                                      SMALL_BUFFERS)
        self.sent, self.reply = 0, None
        assert self.client.envelope()[0].startswith("250")
        assert self.client.ask("DATA").startswith("354")
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            for at in range(0, len(MESSAGE), 32768):
                self.client.send(MESSAGE[at:at + 32768])
                self.sent = min(at + 32768, len(MESSAGE))
            self.reply = self.client.raw(b".\r\n")
        self.client.close()


def stand_still(senders):
    """Until nobody has got rid of anything for half a second."""
    last, since = None, 0

    def is_still():
        nonlocal last, since
        now = [sender.sent for sender in senders]
        last, since = now, since + 1 if now == last else 0
        return since >= 50
    wait_for(is_still, "standstill", 5 * PATIENCE)


def all_delivered(senders, mx):
    for sender in senders:
        sender.join(10 * PATIENCE)
    assert [sender.reply for sender in senders] == \
        ["250 2.0.0 taken\r\n"] * SESSIONS
    assert mx.good == [True] * SESSIONS


def bounded(proxy, before):
    grown = peak(proxy) - before
    if not is_sanitized():
        assert grown < GROWTH, f"{grown / MIB:.1f} MiB"


def test_a_slow_mx_slows_its_clients(bench):
    mx = SlowMX(bench)
    proxy = bench.weir(limits="message_size = 20MB")
    senders = [Sender(proxy) for _ in range(SESSIONS)]
    before = peak(proxy)
    stand_still(senders)
    assert all(0 < sender.sent < SIZE for sender in senders), "they wait"
    bounded(proxy, before)
    mx.read.set()
    all_delivered(senders, mx)
    bounded(proxy, before)


@pytest.mark.parametrize("stops", ["policy", "mx"])
def test_what_is_held_waits_on_the_disk(bench, stops):
    """The policy that decides at the end does not, or the MX does not take
    what it released."""
    mx = SlowMX(bench)
    decide = threading.Event()
    if stops == "mx":
        decide.set()

    def answer(event, connection):
        if event.WhichOneof("event") == "end_of_message":
            decide.wait(10 * PATIENCE)
        return decision()
    bench.policy(decide=["end_of_message"], answer=answer,
                 keys={"message_timeout": "5m", "transaction_timeout": "10m"})
    (bench.place / "spool").mkdir()
    proxy = bench.weir(limits='message_size = 20MB spool_memory = 64KB '
                       f'spool_directory = "{bench.place}/spool"')
    senders = [Sender(proxy) for _ in range(SESSIONS)]
    before = peak(proxy)
    wait_for(lambda: all(sender.sent == len(MESSAGE) for sender in senders),
             "all of it in the spools", 5 * PATIENCE)
    stand_still(senders)
    bounded(proxy, before)
    assert not any(sender.reply for sender in senders)
    decide.set()
    mx.read.set()
    all_delivered(senders, mx)
    bounded(proxy, before)
    assert not list((bench.place / "spool").iterdir())


CROWD = 60
BODY = b"Subject: x\r\n\r\n" + (b"x" * 998 + b"\r\n") * 100 + b".\r\n"


def test_bodies_wait_for_a_policy_that_asks_for_all_at_once(bench):
    """It answers HEADERS of a crowd in one write; together their bodies are
    more than weir queues for one policy, and that is no reason for a 451."""
    asked = []

    def answer(event, connection):
        if event.WhichOneof("event") != "headers":
            return decision()
        asked.append(event)
        if len(asked) < CROWD:
            return None
        return b"".join(
            frame(pb.FromPolicy(session=one.session, seq=one.seq,
                                decision=decision())) for one in asked)
    bench.policy(decide=["headers", "body", "end_of_message"], answer=answer,
                 keys={"timeout": "1m", "transaction_timeout": "5m"})
    mx = bench.mx()
    proxy = bench.weir()
    clients = [proxy.connect() for _ in range(CROWD)]
    for client in clients:
        client.socket.settimeout(10 * PATIENCE)
        client.envelope()
        assert client.ask("DATA").startswith("354")
        client.send(BODY)
    replies = [client.reply() for client in clients]
    assert [r for r in replies if not r.startswith("250")] == []
    assert len(mx.messages) == CROWD


class Pipeliner(threading.Thread):
    """Sends NOOPs, and reads nothing."""

    COUNT, COMMAND = 50000, b"NOOP " + b"z" * 400 + b"\r\n"

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.client = proxy.connect()
        self.client.socket.settimeout(10 * PATIENCE)
        self.sent = 0
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            for _ in range(self.COUNT // 100):
                self.client.send(self.COMMAND * 100)
                self.sent += 100


# what the record may queue of many commands is another matter
UNRECORDED = CONFIG.replace(
    'sqlite = "{place}/weir.db" json = "{place}/weir.json"',
    'sqlite = "" json = ""').replace("127.0.0.1:0\" control", "\" control")
REPLY = b"250-" + b"y" * 400 + b"\r\n250 2.0.0 ok\r\n"


def test_a_client_that_does_not_read_its_replies_waits(bench):
    """It pipelines, the MX says much, and weir keeps neither."""
    bench.mx(script={"NOOP": REPLY})
    proxy = bench.weir(text=UNRECORDED)
    before = peak(proxy)
    pipeliner = Pipeliner(proxy)
    stand_still([pipeliner])
    assert pipeliner.sent < pipeliner.COUNT, "it waits"
    bounded(proxy, before)
    client, got = pipeliner.client, 0
    while got < len(REPLY) * pipeliner.COUNT:
        data = client.socket.recv(MIB)
        assert data, "weir closed"
        begin = got % len(REPLY)
        assert data == (REPLY * (len(data) // len(REPLY) + 2))[
            begin:begin + len(data)]
        got += len(data)
    pipeliner.join(PATIENCE)
    assert client.ask("QUIT").startswith("221")
    client.close()
    bounded(proxy, before)


def test_a_client_that_never_reads_is_given_up(bench):
    bench.mx(script={"NOOP": REPLY})
    proxy = bench.weir(upstream="command_timeout = 2s",
                       limits="client_timeout = 2s")
    pipeliner = Pipeliner(proxy)
    stand_still([pipeliner])
    wait_for(lambda: proxy.metric("weir_sessions_open") == 0, "end of it",
             3 * PATIENCE)
    pipeliner.client.close()
