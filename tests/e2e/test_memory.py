"""Promise 7: memory stays within what is configured, whoever is slow."""

import threading
import time

import pytest
from mx import Gone
from weir import FIXED, Client, policy as start_policy, usual

MIB = 1024 * 1024
LINE = b"x" * 70 + b"\r\n"
CONTENT = b"Subject: large\r\n\r\n" + LINE * (20 * MIB // len(LINE))
# Two queues up to their marks, buffers to read into, the spool's part in
# memory, what goes to a policy: far below one message.
ALLOWED = 8 * MIB
MODES = {"stream": None,
         "hold": ("tag_header.py", "--rule", "x", "no such word")}


def resident(proxy):
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Watch(threading.Thread):
    """The most memory that the process had while it was watched."""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.proxy, self.over = proxy, threading.Event()
        self.before = self.most = resident(proxy)

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, resident(self.proxy))

    def __enter__(self):
        with open(f"/proc/{self.proxy.process.pid}/maps",
                  encoding="ascii") as file:
            maps = file.read()
        if "libasan" in maps or "libtsan" in maps or self.before > 64 * MIB:
            pytest.skip("a sanitizer has memory of its own")
        self.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.join()

    @property
    def grown(self):
        return self.most - self.before


def slow(session, line):
    """Takes the content late, and then in spurts."""
    session.send(b"354 go\r\n")
    time.sleep(1)
    tail, size = b"", 0
    while not (tail + session.buffer).endswith(b"\r\n.\r\n"):
        tail, size = session.buffer[-5:], size + len(session.buffer)
        session.buffer = b""
        if size % 7 == 0:
            time.sleep(0.002)
        session.more()
    session.buffer = b""
    return b"250 2.0.0 queued\r\n"


@pytest.mark.parametrize("mode", MODES)
def test_slow_mx(net, scripted, weir, place, stack, mode):
    host, mx = net.pair()
    scripted(mx, script={"DATA": slow}, extensions=["PIPELINING"])
    more = "limits { message_size = 64MB spool_memory = 256KB }\n"
    if MODES[mode]:
        server, text = start_policy(place, "p", *MODES[mode],
                                    grants=["headers"], more="timeout = 20s")
        stack.enter_context(server)
        more += text
    proxy = weir(host, usual(place, more=more, text=FIXED))
    with Watch(proxy) as watch, Client(host, "127.0.0.1", 10025,
                                       timeout=60) as client:
        client.hello()
        client.envelope()
        assert client.ask("DATA").startswith("354")
        client.send(CONTENT)
        assert client.ask(".").startswith("250")
    assert watch.grown < ALLOWED, watch.grown


def test_mx_refuses_in_the_middle_and_reads_no_more(net, scripted, weir,
                                                    place):
    """weir's queue to it is full then; the client must be let go on."""
    host, mx = net.pair()
    over = threading.Event()

    def refuse(session, line):
        session.send(b"354 go\r\n")
        time.sleep(1)
        session.send(b"552 5.3.4 too large\r\n")
        over.wait(30)
        raise Gone
    scripted(mx, script={"DATA": refuse}, extensions=["PIPELINING"])
    proxy = weir(host, usual(place, text=FIXED))
    try:
        with Watch(proxy) as watch, Client(host, "127.0.0.1", 10025) as client:
            client.hello()
            client.envelope()
            assert client.ask("DATA").startswith("354")
            client.send(CONTENT + b".\r\nQUIT\r\n")
            assert client.reply().startswith("552 5.3.4 too large")
            assert client.reply()[:3] in ("221", "421")
        assert watch.grown < ALLOWED, watch.grown
    finally:
        over.set()


def test_client_that_reads_no_reply(net, scripted, weir, place):
    """It is not read either: its commands stay in its own socket. (What waits
    to be recorded has a bound of its own.)"""
    host, mx = net.pair()
    scripted(mx, script={"NOOP": b"250 " + b"y" * 400 + b"\r\n"})
    proxy = weir(host, usual(place, text=FIXED.replace("%(place)s/weir.db",
                                                       "")))
    with Watch(proxy) as watch, Client(host, "127.0.0.1", 10025,
                                       timeout=3) as client:
        client.hello()
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 * MIB:
                client.send(b"NOOP\r\n" * 10000)
                sent += 60000
    assert watch.grown < ALLOWED, watch.grown
