"""weir's side of the policy protocol, for tests of policy servers.

Server runs a policy server as its own process; Weir connects to it as weir
does. Nothing here comes from the servers under test: the messages are made by
protoc from proto/policy.proto, in a directory that goes away with the process.
"""

import importlib
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "contrib" / "sdk" / "python"
EXAMPLES = ROOT / "policy-examples" / "python"
RELAY, REJECT, TEMPFAIL, DISCARD, DISCONNECT = 1, 2, 3, 4, 5  # Decision.action
RAW = b"Subject: hello\r\nFrom: a@b.example\r\n\r\n"
PATIENCE = 10.0  # seconds; only a failing test waits so long

_generated = None


def generated_directory():
    """Where policy_pb2.py is, made on first use."""
    global _generated
    if _generated is None:
        _generated = tempfile.TemporaryDirectory(prefix="weir-policy-pb2-")
        subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}",
                        f"--python_out={_generated.name}", "policy.proto"],
                       check=True)
    return _generated.name


def load_protocol():
    sys.path.insert(0, generated_directory())
    try:
        return importlib.import_module("policy_pb2")
    finally:
        sys.path.pop(0)


pb = load_protocol()


def frame(message):
    data = message.SerializeToString()
    return len(data).to_bytes(4, "big") + data


class Server:
    """A policy server in its own process, from start to stop()."""

    def __init__(self, *command, program="/usr/bin/python3", **environment):
        self.lines = []
        self._news = queue.Queue()
        self.process = subprocess.Popen(
            [program, *map(str, command)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True, errors="replace",
            env={**os.environ, "PYTHONPATH": str(SDK),
                 "PYTHONDONTWRITEBYTECODE": "1", **environment})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self._news.put(line.rstrip("\n"))
        self._news.put(None)

    def wait_for(self, words, patience=PATIENCE):
        """The first log line, past or to come, that contains `words`."""
        for line in self.lines:
            if words in line:
                return line
        until = time.monotonic() + patience
        while True:
            try:
                line = self._news.get(timeout=max(until - time.monotonic(),
                                                  0.001))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no {words!r} in {self.log()}")
            self.lines.append(line)
            if words in line:
                return line

    def log(self):
        while not self._news.empty():
            line = self._news.get()
            if line is not None:
                self.lines.append(line)
        return "\n".join(self.lines)

    @property
    def endpoint(self):
        return self.wait_for("listening on ").split("listening on ")[1]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        code = self.process.wait(patience)
        self._reader.join(patience)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.process.stderr.close()


# For run(): a decision takes as many ms as the recipient says, and its
# rule is how many recipients the session knew by then.
ORDER = """
policy = Policy()
@policy.rcpt
async def rcpt(session, event):
    await asyncio.sleep(int(event.recipient) / 1000)
    return relay().because(rule=str(len(session.envelope.recipients)))
"""


@pytest.fixture
def run(tmp_path):
    """run(source): a policy from source, served; gives its Server."""
    servers = []

    def start(source, endpoint=None):
        script = tmp_path / f"policy{len(servers)}.py"
        script.write_text("import asyncio\nfrom weir_policy import *\n"
                          + source + "\nimport sys\npolicy.run(sys.argv[1])\n")
        servers.append(Server(script, endpoint or
                              f"unix:{tmp_path}/{len(servers)}.sock"))
        return servers[-1]

    yield start
    for server in servers:
        with server:
            pass


class Weir:
    """One connection to a policy server."""

    def __init__(self, endpoint, handshake=True, tls=None, **hello):
        kind, _, rest = endpoint.partition(":")
        if kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(rest)
        else:
            host, _, port = rest.rpartition(":")
            self.socket = socket.create_connection(
                (host.strip("[]"), int(port)), PATIENCE)
            if kind == "tls":
                self.socket = tls.wrap_socket(self.socket)
        self._buffer = b""
        self._held = []
        self.welcome = None
        if handshake:
            self.handshake(**hello)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    # ------------------------------------------------------------- messages

    def handshake(self, **hello):
        self.greet(**hello)
        self.ready()

    def greet(self, **hello):
        self.hello(**hello)
        answer = self.receive()
        assert answer.WhichOneof("answer") == "welcome", answer
        self.welcome = answer.welcome

    def ready(self):
        self.send(ready=pb.Ready(subscriptions=self.welcome.subscriptions))

    def hello(self, **changes):
        facts = {"major": 1, "software": "weir/test", "instance": "test",
                 "policy": "test", "mode": pb.MODE_ENFORCE,
                 "phases": range(1, 16), "max_frame": 1 << 20}
        self.send(hello=pb.Hello(**{**facts, **changes}))

    def subscriptions(self):
        return {s.phase: s.decide for s in self.welcome.subscriptions}

    def send(self, session=0, seq=0, deadline_ms=0, **event):
        self.send_raw(frame(pb.ToPolicy(session=session, seq=seq,
                                        deadline_ms=deadline_ms, **event)))

    def send_raw(self, data):
        self.socket.sendall(data)

    def receive(self, patience=PATIENCE):
        """The next FromPolicy; None at the end of the connection."""
        if self._held:
            return self._held.pop(0)
        self.socket.settimeout(patience)
        while True:
            if len(self._buffer) >= 4:
                end = 4 + int.from_bytes(self._buffer[:4], "big")
                if len(self._buffer) >= end:
                    data, self._buffer = (self._buffer[4:end],
                                          self._buffer[end:])
                    return pb.FromPolicy.FromString(data)
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self._buffer, "half a frame before the end"
                return None
            self._buffer += data

    def silent(self, seconds=0.2):
        """Nothing arrives for so long."""
        try:
            answer = self.receive(seconds)
        except TimeoutError:
            return True
        self._held.append(answer)
        return False

    def ask(self, session, seq, deadline_ms=5000, **event):
        """The decision for one event."""
        self.send(session, seq, deadline_ms, **event)
        return self.decision(session, seq)

    def decision(self, session, seq):
        answer = self.receive()
        assert answer is not None, "the server closed the connection"
        assert answer.WhichOneof("answer") == "decision", answer
        assert (answer.session, answer.seq) == (session, seq), answer
        return answer.decision

    def flood(self, most, **event):
        """How often it takes a question that nobody answers, of `most`."""
        step, taken = 5000, 0
        many = step * frame(pb.ToPolicy(session=1, seq=1, **event))
        self.socket.settimeout(2)
        try:
            while taken < most:
                self.socket.sendall(many)
                taken += step
        except TimeoutError:
            pass
        return taken

    # ------------------------------------------------------------ shortcuts

    def mail(self, session, sender, seq=0):
        event = pb.Mail(transaction_id="01TX", raw=b"FROM:<" + sender + b">",
                        sender=sender)
        if seq:
            return self.ask(session, seq, mail=event)
        self.send(session, mail=event)
        return None

    def content(self, session, raw, body):
        """HEADERS and BODY as notifications; END_OF_MESSAGE's event."""
        self.send(session, headers=headers(raw))
        if body:
            self.send(session, body=pb.Body(data=body, message=1))
        return pb.EndOfMessage(size=len(raw) + len(body))


def connect(client, destination="192.0.2.25"):
    return pb.Connect(connection_id="01SESSION", listener="outbound",
                      client=pb.Endpoint(address=client, port=4711),
                      destination=pb.Endpoint(address=destination, port=25))


def rcpt(recipient, index=0):
    return pb.Rcpt(raw=b"TO:<" + recipient + b">", recipient=recipient,
                   index=index)


def headers(raw, message=1):
    """A Headers event, its fields found as weir finds them."""
    event = pb.Headers(raw=raw, message=message)
    offset = 0
    for line in raw.splitlines(keepends=True):
        if line[:1] in b" \t" and event.fields:
            event.fields[-1].length += len(line)
        elif b":" in line:
            event.fields.add(offset=offset, length=len(line), name_length=len(
                line.partition(b":")[0].rstrip(b" \t")))
        offset += len(line)
    return event
