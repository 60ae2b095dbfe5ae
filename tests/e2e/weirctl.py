"""weirctl under test, which lies beside the weir under test; in a pipe or on
a terminal. And a server that says what no weir would."""

import contextlib
import fcntl
import http.server
import json
import os
import re
import select
import socketserver
import struct
import subprocess
import termios
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import weir

PROGRAM = weir.PROGRAM.with_name("weirctl")
SECONDS = 60


def why_not():
    if not os.access(PROGRAM, os.X_OK):
        return f"no weirctl to test: {PROGRAM} (build it)"
    return None


def environment(**more):
    kept = {name: value for name, value in os.environ.items()
            if name not in ("COLUMNS", "NO_COLOR", "LANG", "LC_CTYPE", "TZ")}
    return {**kept, "LC_ALL": "C.UTF-8", "TERM": "xterm",
            **{name: str(value) for name, value in more.items()}}


@dataclass
class Ran:
    code: int
    out: str
    err: str = ""

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return self.out.splitlines()


@dataclass
class Ctl:
    """weirctl with some options in front of every command."""
    options: tuple = ()
    environment: dict = field(default_factory=environment)

    def command(self, words):
        return [str(word) for word in (PROGRAM, *self.options, *words)]

    def __call__(self, *words, **more):
        done = subprocess.run(
            self.command(words), stdin=subprocess.DEVNULL, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS,
            env={**self.environment, **{n: str(v) for n, v in more.items()}})
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words, **more):
        ran = self(*words, **more)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran

    def json(self, *words):
        return self.ok(*words, "--json").json

    @contextlib.contextmanager
    def running(self, *words):
        """It goes on until the block ends; yields the process."""
        with subprocess.Popen(self.command(words), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=self.environment) as process:
            try:
                yield process
            finally:
                process.kill()

    def terminal(self, *words, columns=100, rows=40, until=None, **more):
        """What it writes to a terminal; killed when `until` has matched."""
        ours, theirs = os.openpty()
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                        struct.pack("HHHH", rows, columns, 0, 0))
            process = subprocess.Popen(
                self.command(words), stdin=subprocess.DEVNULL, stdout=theirs,
                stderr=theirs, env={**self.environment, **more})
            os.close(theirs)
            out = self._read(ours, process, until)
            return Ran(process.wait(SECONDS), out.replace("\r\n", "\n"))
        finally:
            os.close(ours)

    @staticmethod
    def _read(terminal, process, until):
        out, end = b"", time.monotonic() + SECONDS
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:     # the other end is closed
                break
            out += data
            if until and re.search(until, out.decode(errors="replace")):
                process.kill()
                until = None
        return out.decode()


STYLE = re.compile(r"\x1b\[[0-9;]*m")


def is_safe(text, coloured=False):
    """Nothing that a terminal obeys but weirctl's own colours."""
    if coloured:
        text = STYLE.sub("", text)
    return all(c == "\n" or (c.isprintable() and c not in "\u200b\u202e")
               for c in text)


class Fake(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A control socket with answers of the test's: {path: (code, body)},
    where body is bytes, or something for JSON, or a function of the handler."""

    daemon_threads = True

    def __init__(self, place, answers):
        self.path = Path(place) / "fake.sock"
        self.path.unlink(missing_ok=True)
        self.answers, self.asked = answers, []
        super().__init__(str(self.path), Handler)
        self.thread = threading.Thread(target=self.serve_forever,
                                       kwargs={"poll_interval": 0.01},
                                       daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()
        self.path.unlink(missing_ok=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "-"

    def log_message(self, *_):
        pass

    def answer(self):
        self.server.asked.append(f"{self.command} {self.path}")
        code, body = self.server.answers.get(
            self.path.split("?")[0],
            (404, {"error": "no such path; the page is at /"}))
        if callable(body):
            body(self)
            return
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer
