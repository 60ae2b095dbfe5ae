"""What the tests of weir's promises share: no root, no namespaces.

A Bench starts weir in fixed mode on free ports of the loopback, before a
scripted MX, asking policy servers that run in the test's own threads and say
exactly what the test wants said.
"""

import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request

import weir
from mx import Gone, ScriptedMX
from policy_harness import frame, pb

PATIENCE = 8.0      # seconds; only a failing test waits so long

RELAY, REJECT, TEMPFAIL, DISCARD, DISCONNECT = 1, 2, 3, 4, 5
COMMAND, TRANSACTION, SESSION = 0, 1, 2
PHASES = {name.removeprefix("PHASE_").lower(): number
          for name, number in pb.Phase.items() if number}


class Here:
    """The namespace that everything is in anyway."""

    @staticmethod
    def inside():
        return contextlib.nullcontext()


def wait_for(condition, what, patience=PATIENCE):
    until = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < until, f"no {what}"
        time.sleep(0.01)


def decision(action=RELAY, code=0, enhanced="", lines=(), **more):
    made = pb.Decision(action=action, **more)
    if code:
        made.reply.code, made.reply.enhanced = code, enhanced
        made.reply.lines.extend(
            line if isinstance(line, bytes) else line.encode()
            for line in lines)
    return made


class Policy:
    """A policy server: `decide` lists phases, `notify` too.

    answer(event, connection) is called for each request with the ToPolicy;
    it returns a Decision, a FromPolicy, bytes to send as they are, a list of
    such, or None to stay silent. By default everything is relayed.
    """

    def __init__(self, path, decide=(), notify=(), answer=None, welcome=None,
                 name="p", credit=0, prefix=0, greet=None):
        self.path, self.name = str(path), name
        self.answer = answer or (lambda *_: decision())
        self.greet = greet      # (connection) -> None, instead of Welcome
        self.welcome = welcome
        if welcome is None:
            self.welcome = pb.Welcome(software="blackbox/1", version="v7",
                                      body_credit=credit, major=1)
            for phase in (*decide, *notify):
                self.welcome.subscriptions.add(
                    phase=PHASES[phase], decide=phase in decide,
                    body_prefix=prefix if phase == "body" else 0)
        self.events, self.connections = [], []
        self.condition = threading.Condition()
        self.open()

    def open(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(64)
        threading.Thread(target=self._serve, args=(self.socket,),
                         daemon=True).start()

    def _serve(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(connection,),
                             daemon=True).start()

    @staticmethod
    def _read(connection, size):
        data = b""
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def _carry(self, connection):
        self.connections.append(connection)
        with contextlib.suppress(OSError):
            while True:
                size = int.from_bytes(self._read(connection, 4), "big")
                event = pb.ToPolicy.FromString(self._read(connection, size))
                with self.condition:
                    self.events.append(event)
                    self.condition.notify_all()
                kind = event.WhichOneof("event")
                if kind == "hello":
                    if self.greet:
                        self.greet(connection)
                    else:
                        self.send(pb.FromPolicy(welcome=self.welcome),
                                  connection)
                elif event.seq and kind != "cancel":
                    self.reply(event, self.answer(event, connection),
                               connection)
        connection.close()

    def reply(self, event, answer, connection=None):
        for one in answer if isinstance(answer, list) else [answer]:
            if isinstance(one, pb.Decision):
                one = pb.FromPolicy(session=event.session, seq=event.seq,
                                    decision=one)
            elif isinstance(one, pb.Working):
                one = pb.FromPolicy(session=event.session, seq=event.seq,
                                    working=one)
            if one is not None:
                self.send(one, connection)

    def send(self, message, connection=None):
        data = message if isinstance(message, bytes) else frame(message)
        (connection or self.connections[-1]).sendall(data)

    def seen(self, kind=None):
        with self.condition:
            return [event for event in self.events
                    if kind is None or event.WhichOneof("event") == kind]

    def wait(self, kind, count=1):
        """The first `count` events of a kind."""
        return wait_for(lambda: (lambda got: got if len(got) >= count
                                 else None)(self.seen(kind)),
                        f"{count} x {kind} at {self.name}; it saw "
                        f"{[e.WhichOneof('event') for e in self.seen()]}"
                        )[:count]

    def one(self, kind):
        """The only event of a kind, its body."""
        event, = self.wait(kind)
        got = self.seen(kind)
        assert len(got) == 1, got
        return getattr(event, kind)

    def cut(self):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.cut()

    def block(self, **keys):
        text = f'policy "{self.name}" {{ endpoint = "unix:{self.path}"'
        for key, value in keys.items():
            text += f" {key} = {value}"
        return text + " }\n"


CONFIG = """\
workers = 1
user = ""
hostname = "weir.example.org"
log_level = "debug"
drain_timeout = 300ms
listener "fixed" {{
  address = "127.0.0.1:0"
  mode = "fixed"
  destination = "{destination}"
  {listener}
}}
upstream {{ {upstream} }}
record {{ sqlite = "{place}/weir.db" json = "{place}/weir.json" }}
status {{ address = "127.0.0.1:0" control = "" {status} }}
limits {{ {limits} }}
{more}
"""


class Weir:
    def __init__(self, place, destination, policies=0, ready=True, text=None,
                 **parts):
        self.place, self.policies = place, policies
        self.config = place / "weir.conf"
        self.log_path = place / "weir.log"
        self.values = {"listener": "", "upstream": "", "status": "",
                       "limits": "", "more": "", "place": place,
                       "destination": destination, **parts}
        self.config.write_text((text or CONFIG).format(**self.values))
        self.process = subprocess.Popen(
            [weir.PROGRAM, "-c", self.config], stdout=subprocess.DEVNULL,
            stderr=open(self.log_path, "wb"))
        self.port = int(self.wait_log(
            r"event=listener\.open .*?127\.0\.0\.1:(\d+)")[1])
        if ready:
            wait_for(lambda: self.log.count("event=policy.ready ") >= policies,
                     f"ready policies in {self.log}")

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, pattern):
        def look():
            assert self.process.poll() is None or re.search(
                pattern, self.log), self.log
            return re.search(pattern, self.log)
        return wait_for(look, f"{pattern!r} in the log")

    @property
    def status(self):
        return int(self.wait_log(r"event=status\.open .*?:(\d+)")[1])

    def get(self, path, **headers):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.status}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def api(self, path):
        return json.loads(self.get("/api/v1" + path)[2])

    def metric(self, line):
        """The value of one line of /metrics, by its whole name."""
        for text in self.get("/metrics")[2].decode().splitlines():
            name, _, value = text.rpartition(" ")
            if name == line:
                return float(value)
        return None

    def rows(self, query, *values):
        path = f"file:{self.place}/weir.db?mode=ro"
        if not (self.place / "weir.db").is_file():
            return []       # not yet
        with contextlib.closing(sqlite3.connect(path, uri=True,
                                                timeout=5)) as database:
            database.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in database.execute(query, values)]
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []       # nor that
                raise

    def wait_rows(self, query, *values, count=1):
        return wait_for(lambda: (lambda got: got if len(got) >= count
                                 else None)(self.rows(query, *values)),
                        f"{count} rows of {query}")

    def connect(self, hello=True):
        client = Client(self.port)
        if hello:
            client.hello()
        return client

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Client(weir.Client):
    def __init__(self, port):
        super().__init__(Here, "127.0.0.1", port, timeout=PATIENCE)

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def codes(self, count):
        return [self.reply()[:3] for _ in range(count)]

    def raw(self, data):
        self.send(data)
        return self.reply()

    def rest(self):
        """Everything until weir closes."""
        data = self.buffer
        with contextlib.suppress(ConnectionResetError):
            while more := self.socket.recv(65536):
                data += more
        return data


class MX(ScriptedMX):
    def __init__(self, address="127.0.0.1", port=0, **options):
        super().__init__(Here, address, port, **options)
        self.port = self.socket.getsockname()[1]

    @property
    def lines(self):
        """All commands, of all sessions."""
        return [line for session in self.sessions for line in session.lines]


class Bench:
    def __init__(self, place):
        self.place, self.opened = place, contextlib.ExitStack()
        self.policies = []

    def mx(self, **options):
        made = MX(**options)
        self.opened.callback(lambda: made.close())
        self.server = made
        return made

    def policy(self, *arguments, keys=None, **options):
        """keys: of its block in weir.conf"""
        options.setdefault("name", f"p{len(self.policies)}")
        made = Policy(self.place / f"{options['name']}.sock", *arguments,
                      **options)
        made.keys = keys or {}
        self.opened.callback(made.close)
        self.policies.append(made)
        return made

    def weir(self, mx=None, more="", **options):
        """Before the MX last made (or one that is made now)."""
        if mx is None:
            mx = getattr(self, "server", None) or self.mx()
        text = "".join(policy.block(**policy.keys)
                       for policy in self.policies)
        options.setdefault("destination", f"127.0.0.1:{mx.port}")
        made = Weir(self.place, policies=len(self.policies),
                    more=more + text, **options)

        def stop():
            code = made.stop()
            assert code == 0, (code, made.log)
        self.opened.callback(stop)
        self.proxy = made
        return made

    def close(self):
        self.opened.close()


def certificate(place):
    """A self-signed one for mx.example.net, with its key."""
    path = place / "mx.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=mx.example.net", "-keyout", path, "-out", place / "crt"],
        check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (place / "crt").read_bytes())
    return path

