"""A weir before the MXs of tls_peer.py, and a client of it."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import tls_peer
from blackbox import CONFIG, Client, Weir

HERE = Path(__file__).parent
UPSTREAM = """tls = "{level}" tls_timeout = {patience}
  command_timeout = {patience} ehlo_timeout = {patience}
  tls_failure_memory = {memory}"""


def name_of(case):
    """Of its listener."""
    return f"case{tls_peer.EVERY_NAME.index(case)}"


class Peers:
    """The MXs, in their process."""

    def __init__(self, pem):
        self.process = subprocess.Popen(
            [sys.executable, "-B", HERE / "tls_peer.py", pem], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports = json.loads(self.process.stdout.readline())
        self.lock = threading.Lock()

    def saw(self, case):
        with self.lock:
            self.process.stdin.write(case + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.communicate()


class Front(Weir):
    """A weir with a listener for each MX."""

    def __init__(self, place, peers, level, patience="1500ms", memory="24h",
                 workers=1):
        place.mkdir()
        listeners = "".join(
            f'listener "{name_of(case)}" {{ address = "127.0.0.1:0" '
            f'mode = "fixed" destination = "127.0.0.1:{port}" }}\n'
            for case, port in peers.ports.items())
        super().__init__(
            place, "127.0.0.1:1", more=listeners,
            text=CONFIG.replace("workers = 1", f"workers = {workers}"),
            upstream=UPSTREAM.format(level=level, patience=patience,
                                     memory=memory))
        self.ports = {case: int(self.wait_log(
            rf"event=listener\.open listener={name_of(case)} "
            r"address=\S+:(\d+)")[1])
            for case in peers.ports}

    def to(self, case):
        client = Client(self.ports[case])
        assert client.reply()[:3] == "220"
        return client


def deliver(front, case, *recipients):
    """What was said to the message, or to its sender."""
    with front.to(case) as client:
        ehlo = client.ask("EHLO client.example.org")
        assert ehlo[:3] == "250", ehlo
        said = client.ask("MAIL FROM:<a@example.org>")
        heard = [client.ask(f"RCPT TO:<{recipient}>")
                 for recipient in recipients or ("b@example.net",)]
        if said[:3] == "250":
            assert all(reply[:3] == "250" for reply in heard), heard
            said = client.content()
        client.ask("QUIT")
        return said
