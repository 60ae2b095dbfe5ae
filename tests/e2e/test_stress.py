"""Everybody misbehaves at once, and nothing may crash, hang, leak or lie.

contrib/check runs this with the sanitizers, too. SEED repeats one run's dice
(not its timing); a failure names it.
"""

import collections
import contextlib
import os
import random
import socket
import struct
import threading
import time

import pytest
from mta import certificate
from mx import Gone
from netns import wait_until
from weir import FIXED, Client, policy as start_policy, usual

WARM_UPS = 12       # so many that each worker has had one
CLIENTS, SECONDS = 8, 15.0
PATIENCE = 30.0         # of a client: more than all that may take its time
SEED = os.environ.get("SEED", str(random.getrandbits(32)))

WATCHED = ["/metrics", "/api/v1/status", "/api/v1/sessions",
           "/api/v1/policies"]
MALFORMED = [b"2\r\n", b"hello\r\n", b"999 what\r\n", b"250-a\r\n251 b\r\n",
             b"250 a\r\n250 surplus\r\n", b"250 bare\n", b"354 go\r\n",
             b"\0\xff" * 300 + b"\r\n", b"250-" + b"x" * 99999 + b"\r\n"]
REFUSALS = [b"421 4.3.2 later\r\n", b"450 4.2.0 later\r\n",
            b"550-5.1.1 no\r\n550 5.1.1 never\r\n"]


def unreliable(dice):
    """An MX's reply: mostly the usual one (None)."""
    def answer(session, line):
        throw = dice.random()
        if throw < 0.03:
            raise Gone
        if throw < 0.06:
            time.sleep(dice.random() / 4)
        elif throw < 0.09:
            return dice.choice(MALFORMED)
        elif throw < 0.14:
            return dice.choice(REFUSALS)
        return None
    return answer


def unreliable_starttls(dice):
    usual_one = unreliable(dice)

    def answer(session, line):
        throw = dice.random()
        if throw < 0.1:
            return b"454 4.7.0 not now\r\n"
        if throw < 0.2:         # injection
            session.send(b"220 go\r\n250 injected\r\n")
            raise Gone
        if throw < 0.3:         # no TLS at all
            session.send(b"220 go\r\n")
            time.sleep(0.05)
            session.send(b"\x15\x03\x01nonsense")
            raise Gone
        return usual_one(session, line)
    return answer


class Sender(threading.Thread):
    """Sessions of all kinds until told to stop."""

    def __init__(self, namespace, label, stopping):
        super().__init__()
        self.namespace, self.label, self.stopping = namespace, label, stopping
        self.dice = random.Random(f"{SEED} {label}")
        self.number = self.sessions = 0
        self.accepted, self.completed, self.hung = set(), set(), []

    def run(self):
        while not self.stopping.is_set():
            self.sessions += 1
            try:
                with Client(self.namespace, "127.0.0.1", 10025,
                            timeout=PATIENCE) as client:
                    self.dice.choice([self.polite, self.polite, self.impolite,
                                      self.blind])(client)
            except TimeoutError:
                self.hung.append(self.number)
            except OSError:
                pass            # reset by the one or the other

    def message(self):
        """Its name, and its lines up to the final dot."""
        self.number += 1
        name = f"{self.label}-{self.number}"
        size = self.dice.choice([10, 1000, 1000, 50000, 1000000])
        # dots of the content are doubled
        body = (self.dice.choice(["x" * 70, "..", "...", ""]) + "\r\n") * (
            size // 50)
        return name, [f"MAIL FROM:<{name}@example.org>",
                      f"RCPT TO:<{name}@example.net>", "DATA",
                      f"Subject: {name}\r\n\r\n{body}end\r\n."]

    def polite(self, client):
        if not (client.reply().startswith("220") and
                client.ask("EHLO c.example.org").startswith("250")):
            return
        for _ in range(3):
            name, lines = self.message()
            for line in lines:
                if line is lines[-1]:
                    self.completed.add(name)
                reply = client.ask(line)
                if reply[:1] not in ("2", "3"):
                    break
            else:
                if reply.startswith("250"):
                    self.accepted.add(name)
                continue
            if reply[:3] in ("", "421") or line is lines[-1]:
                return
            client.ask("RSET")
        client.ask("QUIT")

    def impolite(self, client):
        """Breaks off in the middle of something, one way or another."""
        name, lines = self.message()
        octets = "\r\n".join(["EHLO c", *lines, "QUIT", ""]).encode()
        cut = self.dice.choice([self.dice.randrange(200),
                                self.dice.randrange(len(octets))])
        if octets[:cut].endswith(b"\r\nend\r\n.\r") or \
                b"\r\nend\r\n.\r\n" in octets[:cut]:
            self.completed.add(name)
        if self.dice.random() < 0.5:
            client.reply()
        client.send(octets[:cut])
        how = self.dice.randrange(3)
        if how == 0:            # a reset
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     struct.pack("ii", 1, 0))
        elif how == 1:          # a half-close
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(65536):
                pass

    def blind(self, client):
        """All at once, before anything was answered."""
        octets = "EHLO c\r\n"
        for _ in range(self.dice.randrange(1, 6)):
            name, lines = self.message()
            self.completed.add(name)
            octets += "\r\n".join([*lines, ""])
        client.send(octets.encode() + b"NOOP\r\nQUIT\r\n")
        while client.socket.recv(65536):
            pass


def garbage_server(path, dice, seconds):
    """What answers at a policy's socket, but is none."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        listener.settimeout(0.1)
        until, kept = time.monotonic() + seconds, []
        while time.monotonic() < until:
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                continue
            what = dice.choice([dice.randbytes(40), b"HTTP/1.1 400 Bad\r\n",
                                b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0",
                                b"", None])
            if what is None:    # silence
                kept.append(peer)
                continue
            try:
                peer.sendall(what)
            except OSError:
                pass
            peer.close()
        for peer in kept:
            peer.close()


def http(namespace, path):
    with namespace.inside():
        peer = socket.create_connection(("127.0.0.1", 8025), timeout=PATIENCE)
    with peer:
        peer.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:8025\r\n\r\n"
                     .encode())
        text = b"".join(iter(lambda: peer.recv(65536), b""))
    assert text.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200")), text[:200]
    return text.partition(b"\r\n\r\n")[2].decode()


def metrics(namespace):
    """name{labels} -> value."""
    lines = [line.rpartition(" ") for line in
             http(namespace, "/metrics").splitlines()
             if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def total(figures, name):
    return sum(value for key, value in figures.items()
               if key.partition("{")[0] == name)


READERS = 6     # of the record: each is opened when all others are busy


def leaked(process, opened):
    """What is open now and was not, nor is one more reader of the record."""
    now = descriptors(process)
    return {name: count for name, count in (now - opened).items()
            if "weir.db" not in name or now[name] > 1 + READERS}


def descriptors(process):
    """What is open, without the numbers of sockets."""
    folder = f"/proc/{process.pid}/fd"
    opened = []
    for name in os.listdir(folder):
        try:
            opened.append(os.readlink(f"{folder}/{name}").partition("[")[0])
        except FileNotFoundError:
            pass                # closed just now
    return collections.Counter(opened)


class Trouble:
    """The policy that comes and goes, reloads, and a status page that is
    watched; all of it from the test's own thread."""

    def __init__(self, host, proxy, place, configs):
        self.host, self.proxy, self.place = host, proxy, place
        self.configs = configs
        self.dice = random.Random(f"{SEED} trouble")
        self.server = None
        self.rounds = 0

    def up(self):
        self.server, text = start_policy(
            self.place, "tag", "tag_header.py", "--rule", "x", "xxxx",
            grants=["headers"], more='timeout = 1s breaker_time = 1s'
            ' on_error = "relay"')
        return text

    def down(self):
        if self.server is not None:
            self.server.process.kill()
            self.server.wait()
            self.server.__exit__()
        self.server = None

    def round(self):
        self.rounds += 1
        self.proxy.reload(self.configs[self.rounds % 2])
        for path in WATCHED:
            http(self.host, path)
        time.sleep(0.5)
        self.down()
        garbage_server(self.place / "tag.sock", self.dice, 0.7)
        self.up()
        time.sleep(0.5)


def deliver_once(host, server):
    """One message through, so that all that opens itself late is open."""
    script, server.script = server.script, {}
    with Client(host, "127.0.0.1", 10025) as client:
        client.hello()
        assert client.deliver("warm-up@example.org").startswith("250")
        assert client.ask("QUIT").startswith("221")
    server.script = script


def test_stress(net, scripted, weir, place, stack):
    host, mx = net.pair()
    dice = random.Random(f"{SEED} mx")
    script = {verb: unreliable(dice) for verb in
              ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot", "RSET",
               "QUIT", "NOOP")}
    script["STARTTLS"] = unreliable_starttls(dice)
    server = scripted(mx, tls=certificate(place / "mx.pem"), script=script)
    trouble = Trouble(host, None, place, None)
    stack.callback(trouble.down)
    block = trouble.up()
    text = FIXED.replace('status { address = ""',
                         'status { address = "127.0.0.1:8025"')
    trouble.configs = [usual(place, more=block, text=text), usual(
        place, more=block + "limits { client_timeout = 4m }\n"
        'listener "more" { address = "127.0.0.1:10026" }\n', text=text)]
    proxy = trouble.proxy = weir(host, trouble.configs[0])
    for _ in range(WARM_UPS):   # each worker opens some, and has one by then
        deliver_once(host, server)
    proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL",
                    count=WARM_UPS)
    for path in WATCHED:
        http(host, path)        # which opens the record, too
    time.sleep(2.5)             # lingering closes take 2 s
    opened = descriptors(proxy.process)

    stopping = threading.Event()
    senders = [Sender(host, f"s{n}", stopping) for n in range(CLIENTS)]
    until = time.monotonic() + SECONDS
    for sender in senders:
        sender.start()
    try:
        while time.monotonic() < until:
            trouble.round()
            assert proxy.process.poll() is None, (SEED, proxy.log[-3000:])
    finally:
        stopping.set()
        for sender in senders:
            sender.join(2 * PATIENCE)
    assert not any(sender.is_alive() for sender in senders), SEED
    assert not any(sender.hung for sender in senders), (
        SEED, [sender.hung for sender in senders],
        http(host, "/api/v1/sessions"))

    wait_until(lambda: metrics(host)["weir_sessions_open"] == 0,
               f"all sessions to end (SEED={SEED})", PATIENCE)
    proxy.reload(trouble.configs[0])
    proxy.wait_log("event=reload.done", trouble.rounds + 1)
    check_mail(server, senders)
    figures = metrics(host)
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not leaked(proxy.process, opened), "all again", 15)
    assert leaked(proxy.process, opened) == {}, SEED
    assert proxy.stop() == 0, SEED
    for word in ("Sanitizer", "runtime error", "assert"):
        assert word not in proxy.log, (SEED, proxy.log[-5000:])
    check_figures(proxy, figures, sum(s.sessions for s in senders) + WARM_UPS)


def check_mail(server, senders):
    """Promise 1: nothing lost that was accepted, nothing twice, nothing that
    the client did not complete."""
    accepted = set().union(*(sender.accepted for sender in senders))
    completed = set().union(*(sender.completed for sender in senders))
    arrived = [m.sender.split("@")[0] for m in server.messages
               if not m.sender.startswith("warm-up@")]
    assert len(arrived) == len(set(arrived)), SEED
    assert accepted <= set(arrived), (SEED, accepted - set(arrived))
    assert set(arrived) <= completed, (SEED, set(arrived) - completed)
    assert len(accepted) > 20, (SEED, len(accepted))
    for message in server.messages:
        assert message.data.endswith((b"\r\nend\r\n", b"Hello.\r\n")), SEED


def check_figures(proxy, figures, sessions):
    """What was counted is what was recorded is what was done."""
    assert total(figures, "weir_connections_total") == sessions, SEED
    assert total(figures, "weir_connections_refused_total") == 0, SEED
    assert total(figures, "weir_messages_total") == \
        total(figures, "weir_transactions_total"), (SEED, figures)
    if total(figures, "weir_record_dropped_total") > 0:
        pytest.skip("this machine is too slow to record all of it")
    row, = proxy.rows("SELECT count(*) AS n FROM sessions"
                      " WHERE cause NOT NULL")
    assert row["n"] == sessions, SEED
    row, = proxy.rows("SELECT count(*) AS n FROM sessions WHERE cause IS NULL")
    assert row["n"] == 0, SEED
    for row in proxy.rows("SELECT outcome, count(*) AS n FROM transactions"
                          " GROUP BY outcome"):
        assert figures[f'weir_messages_total{{outcome="{row["outcome"]}"}}'] \
            == row["n"], (SEED, row)
