"""weir's side of one connection to a policy server.

It blocks, with a limit on each wait: the tool plays one thing after another,
and so that is all it needs.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from typing import Any

from weir_policy import wire
from weir_policy.events import Grant, Mode, Phase

from . import looks

HANDSHAKE_SECONDS = 5.0
_NO_TLS = {"WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL",
           "TLSV1_ALERT_PROTOCOL_VERSION", "RECORD_LAYER_FAILURE"}


class Problem(Exception):
    """What went wrong, where, and what to do, for people."""


class Peer:
    """One connection. `welcome` is what the server answered to Hello."""

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None,
                 name: str = "") -> None:
        self.endpoint = endpoint
        self.frames = wire.Frames()
        self.waiting: deque[Any] = deque()
        self.first = b""  # the first bytes that came
        self.welcome: Any = None
        self.max_frame = wire.FRAME_MAX
        self.socket = _connect(endpoint, tls, name)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def shutdown(self) -> None:
        """No more will be sent; answers can still be read."""
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.unwrap()
        self.socket.shutdown(socket.SHUT_WR)

    def handshake(self, seconds: float = HANDSHAKE_SECONDS,
                  **changes: Any) -> None:
        """Hello, Welcome, Ready."""
        self.hello(**changes)
        answer = self.receive(seconds)
        if answer is None:
            raise Problem(f"{self.endpoint}: the connection was closed instead"
                          " of a Welcome; see the policy's own log")
        if answer.WhichOneof("answer") != "welcome":
            raise Problem(f"{self.endpoint}: answered Hello with"
                          f" {answer.WhichOneof('answer') or 'nothing known'},"
                          " not with Welcome")
        self.welcome = answer.welcome
        self.max_frame = self.welcome.max_frame or self.max_frame
        self.frames.limit = self.max_frame
        self.send(ready={"subscriptions": list(self.welcome.subscriptions)})

    def hello(self, **changes: Any) -> None:
        facts = {"major": 1, "software": "weir-policy/1",
                 "instance": f"{time.time_ns():x}", "policy": "weir-policy",
                 "mode": Mode.ENFORCE, "max_frame": wire.FRAME_MAX,
                 "phases": [p for p in Phase if p],
                 "grants": [g for g in Grant if g]}
        self.send(hello={**facts, **changes})

    def send(self, session: int = 0, seq: int = 0, deadline_ms: int = 0,
             **event: Any) -> None:
        self.send_raw(wire.encode(wire.ToPolicy(
            session=session, seq=seq, deadline_ms=deadline_ms, **event)))

    def send_raw(self, data: bytes) -> None:
        self.socket.settimeout(HANDSHAKE_SECONDS)
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise Problem(f"{self.endpoint}: the policy server does not read"
                          " what is sent") from None
        except (BrokenPipeError, ConnectionResetError):
            raise Problem(f"{self.endpoint}: the server closed the connection"
                          ) from None
        except OSError as error:
            raise Problem(f"{self.endpoint}: the connection broke: {error}"
                          ) from None

    def receive(self, seconds: float) -> Any:
        """The next message; None at the end of the connection. TimeoutError
        if there is none in time."""
        until = time.monotonic() + seconds
        while not self.waiting:
            self.socket.settimeout(max(until - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(1 << 18)
            except TimeoutError:
                raise TimeoutError(
                    f"{self.endpoint}: no answer in {seconds:g} s"
                    + self._half()) from None
            except OSError:
                data = b""
            if not data:
                return None
            self.first = (self.first + data)[:64]
            self._take(data)
        return self.waiting.popleft()

    def _take(self, data: bytes) -> None:
        try:
            for frame in self.frames.feed(data):
                self.waiting.append(wire.decode(frame, wire.FromPolicy))
        except wire.ProtocolError as error:
            hint = looks.like(self.first) if self.welcome is None else ""
            raise Problem(f"{self.endpoint}: {hint or error}") from None

    def _half(self) -> str:
        """What stands in the way, when half a frame is all that came."""
        if self.welcome is not None or not self.first:
            return ""
        return f"; {looks.like(self.first) or 'half a frame came'}"


def client_tls(ca: str | None, certificate: str | None,
               key: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if ca:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def _connect(endpoint: str, tls: ssl.SSLContext | None,
             name: str) -> socket.socket:
    kind, host, port = wire.split(endpoint)
    made = None
    try:
        if kind == "unix":
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(HANDSHAKE_SECONDS)
            made.connect(host)
            return made
        made = socket.create_connection((host, port), HANDSHAKE_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if kind == "tls":
            context = tls or client_tls(None, None, None)
            return context.wrap_socket(made, server_hostname=name or host)
        return made
    except OSError as error:
        if made is not None:
            made.close()
        raise Problem(f"{endpoint}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (f"its certificate is not accepted: {error.verify_message}"
                " (--tls-ca names the CA, --tls-name the expected name)")
    if isinstance(error, ssl.SSLError):
        return ("it does not speak TLS 1.3"
                if error.reason in _NO_TLS else f"TLS failed: {error.reason}")
    if isinstance(error, FileNotFoundError):
        return "there is no such socket; is the policy server running?"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there; is the policy server running?"
    if isinstance(error, PermissionError):
        return "no permission to write to the socket"
    return error.strerror or str(error) or type(error).__name__
