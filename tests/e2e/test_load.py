"""Many sessions at once, while policies die and come back. contrib/check
runs this with the thread sanitizer too."""

import threading
import time

import pytest
from weir import FIXED, Client, policy as start_policy, usual

THREADS, SECONDS = 8, 6.0


class Sender(threading.Thread):
    """Delivers numbered messages until told to stop, and keeps the replies."""

    def __init__(self, namespace, name, stopping):
        super().__init__()
        self.namespace, self.label, self.stopping = namespace, name, stopping
        self.replies = {}

    def run(self):
        number = 0
        while not self.stopping.is_set():
            with Client(self.namespace, "127.0.0.1", 10025) as client:
                if not client.reply().startswith("220"):
                    continue
                if not client.ask("EHLO c.example.org").startswith("250"):
                    continue
                for _ in range(5):
                    number += 1
                    name = f"{self.label}-{number}"
                    self.replies[name] = self.one(client, name)
                    if self.replies[name][:3] in ("", "421"):
                        break
                else:
                    client.ask("QUIT")

    @staticmethod
    def one(client, name):
        """The reply that decided about one message; half are pipelined."""
        lines = [f"MAIL FROM:<{name}@example.org>",
                 f"RCPT TO:<{name}@example.net>", "DATA"]
        if hash(name) % 2:
            client.send("".join(f"{line}\r\n" for line in lines).encode())
            replies = [client.reply() for _ in lines]
        else:
            replies = []
            for line in lines:
                replies.append(client.ask(line))
                if replies[-1][:1] not in ("2", "3"):
                    break
        if replies[-1].startswith("354"):
            return client.ask(f"Subject: {name}\r\n\r\n{'x' * 3000}\r\n.")
        refused = next(r for r in replies if r[:1] not in ("2", "3"))
        if refused[:3] not in ("", "421"):
            client.ask("RSET")
        return refused


@pytest.mark.parametrize("kill", ["SIGKILL", "SIGTERM"])
def test_load_policy_killed_and_restarted(net, scripted, weir, place, stack,
                                          kill):
    """No message lost, none doubled: the MX has what it answered 250 for,
    which is what the clients were answered 250 for, once each."""
    host, mx = net.pair()
    server = scripted(mx)
    (place / "list").write_text("nobody@example.org\n")
    arguments = {
        "block": ("block_senders.py", "--list", place / "list"),
        "tag": ("tag_header.py", "--rule", "x", "xxxx")}
    running, blocks = {}, ""

    def up(name):
        running[name], text = start_policy(
            place, name, *arguments[name],
            grants=["headers"] if name == "tag" else [],
            more='timeout = 1s breaker_time = 1s')
        return text

    for name in arguments:
        blocks += up(name)
    stack.callback(lambda: [s.__exit__() for s in running.values()])
    proxy = weir(host, usual(place, more=blocks, text=FIXED))
    stopping = threading.Event()
    senders = [Sender(host, f"s{n}", stopping) for n in range(THREADS)]
    for sender in senders:
        sender.start()
    until = time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            for name in arguments:
                time.sleep(0.5)
                running[name].process.send_signal(
                    9 if kill == "SIGKILL" else 15)
                running[name].wait()
                running[name].__exit__()
                time.sleep(0.3)
                up(name)
    finally:
        stopping.set()
        for sender in senders:
            sender.join(30)
    replies = {}
    for sender in senders:
        replies.update(sender.replies)
    arrived = sorted(m.sender.split("@")[0] for m in server.messages)
    accepted = sorted(n for n, r in replies.items() if r.startswith("250"))
    others = {r[:9] for r in replies.values() if not r.startswith("250")}
    assert arrived == accepted, (len(arrived), len(accepted))
    assert len(accepted) > 50
    assert all(reply[:1] == "4" for reply in others), others
    assert all(b"X-Weir-Tag: x\r\n" in m.data for m in server.messages)
    assert proxy.stop() == 0
    rows = proxy.rows("SELECT outcome, count(*) AS n FROM transactions"
                      " GROUP BY outcome ORDER BY outcome")
    counts = {row["outcome"]: row["n"] for row in rows}
    assert counts["delivered"] == len(accepted), (counts, others)
    assert sum(counts.values()) == len(
        [r for r in replies.values() if r]), (counts, others)


def test_load_streams_with_the_record_on(net, scripted, weir, place):
    """Nobody decides: everything passes, byte for byte, and is recorded."""
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, usual(place, text=FIXED))
    stopping = threading.Event()
    senders = [Sender(host, f"s{n}", stopping) for n in range(THREADS)]
    for sender in senders:
        sender.start()
    time.sleep(3)
    stopping.set()
    for sender in senders:
        sender.join(30)
    replies = {}
    for sender in senders:
        replies.update(sender.replies)
    assert {r[:3] for r in replies.values()} == {"250"}
    assert sorted(m.sender for m in server.messages) == \
        sorted(f"{name}@example.org" for name in replies)
    for message in server.messages:
        name = message.sender.split("@")[0]
        assert message.data == (f"Subject: {name}\r\n\r\n{'x' * 3000}\r\n"
                                .encode())
        assert message.recipients == [f"{name}@example.net"]
    assert proxy.stop() == 0
    row, = proxy.rows("SELECT count(*) AS n FROM transactions"
                      " WHERE outcome = 'delivered'")
    assert row["n"] == len(replies)
