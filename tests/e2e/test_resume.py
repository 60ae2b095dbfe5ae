"""A policy that dies and comes back, again and again, while mail flows that it
holds and edits: every message arrives, once, and as the policy wants it."""

import contextlib
import random
import signal
import threading
import time
from collections import Counter

import pytest
from blackbox import decision, pb, wait_for
from policy_harness import EXAMPLES, Server

SENDERS = 6
BODY = "xxxx offer\r\n" * 500


class Sender(threading.Thread):
    """Delivers numbered messages, each until it is taken, as an MTA does."""

    def __init__(self, proxy, label, stopping):
        super().__init__()
        self.proxy, self.label, self.stopping = proxy, label, stopping
        self.accepted, self.deferred, self.others = [], [], []
        self.begun = 0

    def run(self):
        client, number = None, 0
        while not self.stopping.is_set():
            number += 1
            name, reply = f"{self.label}-{number}", ""
            self.begun += 1
            until = time.monotonic() + 55  # run() joins for 60
            while not reply.startswith("2") and time.monotonic() < until:
                with contextlib.suppress(OSError):
                    client = client or self.proxy.connect()
                    reply = self.deliver(client, name)
                if reply.startswith("2"):
                    self.accepted.append(name)
                elif reply.startswith("4"):
                    self.deferred.append(reply)
                    time.sleep(0.1)
                else:
                    self.others.append((name, reply))
                if reply[:3] in ("", "421"):
                    client = None
        if client is not None:
            client.ask("QUIT")
            client.close()

    @staticmethod
    def deliver(client, name):
        lines = [f"MAIL FROM:<{name}@example.org>",
                 f"RCPT TO:<{name}@example.net>", "DATA"]
        client.send("".join(f"{line}\r\n" for line in lines).encode())
        replies = [client.reply() for _ in lines]
        if not replies[2].startswith("354"):
            if replies[0].startswith("2"):
                client.ask("RSET")
            return next(r for r in replies if r[:1] not in ("2", "3"))
        return client.ask(f"Subject: {name}\r\n\r\n{BODY}.")


class Chaos:
    def __init__(self, bench, name):
        self.bench, self.name = bench, name
        self.server = bench.mx()

    def run(self, block, trouble, seconds):
        """trouble(stopping) makes some until it is told to stop."""
        proxy = self.bench.weir(more=block, ready=False)
        proxy.wait_log("event=policy.ready ")
        stopping = threading.Event()
        senders = [Sender(proxy, f"s{n}", stopping) for n in range(SENDERS)]
        maker = threading.Thread(target=trouble, args=(stopping,))
        for thread in (*senders, maker):
            thread.start()
        time.sleep(seconds)
        stopping.set()
        for thread in (*senders, maker):
            thread.join(60)
        self.count(senders)
        return proxy

    def count(self, senders):
        accepted = [name for s in senders for name in s.accepted]
        deferred = [reply for s in senders for reply in s.deferred]
        arrived = Counter(m.sender.split("@")[0]
                          for m in self.server.messages)
        lost = set(accepted) - set(arrived)
        doubled = [name for name, n in arrived.items() if n > 1] + \
            list(set(arrived) - set(accepted))
        print(f"{self.name}: sent {sum(s.begun for s in senders)}, "
              f"delivered {len(arrived)}, deferred once or more "
              f"{len(deferred)}, lost {len(lost)}, doubled {len(doubled)}")
        assert not lost and not doubled, (lost, doubled)
        assert [s.others for s in senders] == [[]] * len(senders)
        assert len(accepted) == sum(s.begun for s in senders) > 50
        for message in self.server.messages:
            name = message.sender.split("@")[0]
            assert message.data == (f"Subject: {name}\r\nX-Weir-Tag: x\r\n"
                                    f"\r\n{BODY}").encode()
            assert message.recipients == [f"{name}@example.net"]
        self.deferred, self.accepted = deferred, accepted


def example(path):
    return Server(EXAMPLES / "tag_header.py", "--listen", f"unix:{path}",
                  "--rule", "x", "offer")


def block(path):
    return (f'policy "tag" {{ endpoint = "unix:{path}" grants = {{"headers"}}'
            ' timeout = 5s message_timeout = 5s }\n')


def test_kill_9_every_second(bench, place):
    chaos, path = Chaos(bench, "kill -9 every second"), place / "tag.sock"
    running, away = [example(path)], []
    running[0].wait_for("listening on")

    def trouble(stopping):
        while not stopping.wait(1.0):
            began = time.monotonic()
            running[0].signal(signal.SIGKILL)
            running[0].wait()
            running[0].__exit__()
            running[0] = example(path)
            running[0].wait_for("listening on", patience=60)
            away.append(time.monotonic() - began)
    try:
        proxy = chaos.run(block(path), trouble, seconds=8)
    finally:
        running[0].__exit__()
    print(f"{len(away)} deaths, away for {max(away):.1f} s at most")
    assert len(away) >= 2
    # weir looks for it at growing intervals, and that takes its time, too
    assert max(away) > 1 or chaos.deferred == []
    assert proxy.metric(
        'weir_policy_sessions_resumed_total{policy="tag"}') > 0


def test_stopped_for_a_second(bench, place):
    chaos, path = Chaos(bench, "SIGSTOP for a second"), place / "tag.sock"
    with example(path) as server:
        server.wait_for("listening on")

        def trouble(stopping):
            while not stopping.wait(1.0):
                server.signal(signal.SIGSTOP)
                time.sleep(1.0)
                server.signal(signal.SIGCONT)
        chaos.run(block(path), trouble, seconds=6)
    assert chaos.deferred == []


def test_began_without(bench):
    """A session that began in a gap was deferred until it ended, however soon
    the policy was back."""
    policy = bench.policy(decide=["mail"], notify=["connect"])
    proxy = bench.weir()
    policy.close()
    proxy.wait_log("event=policy.lost ")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@example.org>").startswith("451")
        policy.open()
        wait_for(lambda: policy.seen("connect"), "return")
        assert policy.one("connect").resumed
        assert client.ask("MAIL FROM:<a@example.org>").startswith("250")
    assert policy.one("mail").sender == b"a@example.org"


def test_more_than_can_be_repeated(bench):
    """A policy comes back to a message with more recipients than are kept for
    it: the message went on as if the policy had said so, with no on_error."""
    policy = bench.policy(decide=["data"], notify=["rcpt"])
    proxy = bench.weir()
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@example.org>").startswith("250")
        for start in range(0, 4000, 100):
            client.send("".join(
                f"RCPT TO:<{n}{'x' * 60}@{'y' * 60}.example.net>\r\n"
                for n in range(start, start + 100)).encode())
            assert set(client.codes(100)) == {"250"}
        policy.cut()
        wait_for(lambda: proxy.metric(
            'weir_policy_sessions_resumed_total{policy="p0"}'), "return")
        assert client.ask("DATA").startswith("451")
        client.ask("QUIT")
    decided, = proxy.wait_rows("SELECT phase, error FROM decisions")
    assert decided == {"phase": "data", "error": "overload"}


@pytest.mark.parametrize("garbage", [
    b"\xff\xff\xff\xff", b"HTTP/1.1 500 no\r\n\r\n", b"\0\0\0\x02\xff\xff",
    b""])
def test_garbage_and_cuts(bench, place, garbage):
    """A server that breaks the protocol, or hangs up, in place of every
    fortieth answer, is back at once."""
    chance = random.Random(1)

    def answer(event, connection):
        if chance.random() < 1 / 40:
            with contextlib.suppress(OSError):
                connection.sendall(garbage)
                connection.close()
            raise OSError
        if event.WhichOneof("event") != "end_of_message":
            return decision()
        made = decision()
        made.headers.add(op=pb.HeaderEdit.OP_ADD, name=b"X-Weir-Tag",
                         value=b"x")
        return made
    chaos = Chaos(bench, f"garbage {garbage!r}")
    policy = bench.policy(decide=["mail", "rcpt", "headers",
                                  "end_of_message"], notify=["body"],
                          answer=answer, name="tag",
                          keys={"grants": '{"headers"}', "timeout": "5s"})
    chaos.run("", lambda stopping: stopping.wait(), seconds=3)
    assert len(policy.connections) > 3
    assert wait_for(lambda: not chaos.deferred or len(chaos.deferred) <=
                    2 * len(policy.connections), "few that were deferred")
