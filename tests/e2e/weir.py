"""The weir under test, as a process in a namespace.

WEIR names the program; without it, the one that was built in build/.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

from netns import wait_until
from policy_harness import EXAMPLES, ROOT, Server

PROGRAM = Path(os.environ.get("WEIR", ROOT / "build" / "weir")).resolve()
MARK, WORKERS = 25, 2

# one listener for each family, everything recorded, no status page
USUAL = """\
user = ""
workers = 2
hostname = "weir.example.org"
listener "outbound" { address = "127.0.0.1:10025" }
listener "outbound6" { address = "[::1]:10025" }
upstream { mark = 25 %(upstream)s }
record { sqlite = "%(place)s/weir.db" json = "%(place)s/weir.json" }
status { address = "" control = "" }
%(more)s
"""

# a relay to one MX, for tests that need no redirect
FIXED = """\
user = ""
workers = 2
hostname = "weir.example.org"
listener "fixed" {
  address = "127.0.0.1:10025"
  mode = "fixed"
  destination = "10.7.0.2:25"
}
upstream { mark = 25 %(upstream)s }
record { sqlite = "%(place)s/weir.db" json = "" }
status { address = "" control = "" }
%(more)s
"""


def why_not():
    if not os.access(PROGRAM, os.X_OK):
        return f"no weir to test: {PROGRAM} (build it, or set WEIR)"
    return None


def usual(place, upstream="", more="", text=USUAL):
    return text % {"place": place, "upstream": upstream, "more": more}


def listening(pid):
    """(port, how often) of what a process' namespace listens on."""
    ports = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            for line in list(file)[1:]:
                words = line.split()
                if words[3] == "0A":
                    ports.append(int(words[1].rpartition(":")[2], 16))
    return ports


class Weir:
    """Runs from start() to stop(); `log` is all it said."""

    def __init__(self, namespace, place, config):
        self.namespace, self.place = namespace, place
        self.config = place / "weir.conf"
        self.config.write_text(config)
        self.process = None
        self.log_path = place / "weir.log"
        self.log_path.touch()

    def start(self, port=10025, wait=True, policies=None, options=(),
              **environment):
        """Waits until it listens, and each worker has its policies."""
        self.process = self.namespace.popen(
            *options, PROGRAM, "-c", self.config,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL, stderr=open(self.log_path, "ab"))
        if wait:
            wait_until(lambda: self.process.poll() is not None or
                       port in listening(self.process.pid),
                       f"weir to listen; log:\n{self.log}")
            assert self.process.poll() is None, self.log
            if policies is None:
                policies = self.config.read_text().count('policy "')
            self.wait_log("event=policy.ready", WORKERS * policies)
        return self

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, words, count=1):
        wait_until(lambda: self.log.count(words) >= count,
                   f"{count} x {words!r} in the log")

    def reload(self, config):
        self.config.write_text(config)
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        return self.namespace.stop(self.process)

    def rows(self, query, *values):
        """The rows of the record, as dicts."""
        path = f"file:{self.place}/weir.db?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True,
                                                timeout=5)) as database:
            database.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in database.execute(query, values)]
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []       # not yet
                raise

    def wait_rows(self, query, *values, count=1):
        wait_until(lambda: len(self.rows(query, *values)) >= count,
                   f"{count} rows of {query}")
        return self.rows(query, *values)

    def json_lines(self, path="weir.json"):
        text = (self.place / path).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


class Client:
    """An SMTP client that says exactly what it is told."""

    def __init__(self, namespace, host="10.7.0.2", port=25, source=None,
                 timeout=20):
        with namespace.inside():
            self.socket = socket.create_connection(
                (host, port), timeout=timeout,
                source_address=(source, 0) if source else None)
        self.buffer = b""
        self.begun = time.monotonic()

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """One whole reply, its lines joined; "" at the end."""
        text = b""
        while True:
            while b"\n" not in self.buffer:
                try:
                    data = self.socket.recv(65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    return (text + self.buffer).decode()
                self.buffer += data
            line, _, self.buffer = self.buffer.partition(b"\n")
            text += line + b"\n"
            if line[3:4] != b"-":
                return text.decode()

    def ask(self, line):
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def hello(self):
        greeting = self.reply()
        assert greeting.startswith("220"), greeting
        reply = self.ask("EHLO client.example.org")
        assert reply.startswith("250"), reply
        return reply

    def envelope(self, sender="a@example.org", *recipients):
        assert self.ask(f"MAIL FROM:<{sender}>").startswith("250")
        return [self.ask(f"RCPT TO:<{recipient}>")
                for recipient in recipients or ("b@example.net",)]

    def content(self, text="Subject: hello\r\n\r\nHello.\r\n"):
        reply = self.ask("DATA")
        if not reply.startswith("354"):
            return reply
        return self.ask(f"{text}.")

    def deliver(self, *envelope, text="Subject: hello\r\n\r\nHello.\r\n"):
        self.envelope(*envelope)
        return self.content(text)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def policy(place, name, script, *options, grants=(), more=""):
    """An example policy in its own process, and its block of weir.conf."""
    path = place / f"{name}.sock"
    server = Server(EXAMPLES / script, "--listen", f"unix:{path}", *options)
    server.wait_for("listening on ")
    return server, block(name, f"unix:{path}", grants, more)


def block(name, endpoint, grants=(), more=""):
    words = ", ".join(f'"{grant}"' for grant in grants)
    return (f'policy "{name}" {{ endpoint = "{endpoint}"'
            f" grants = {{{words}}} {more} }}\n")
