"""The protocol on the wire: messages, frames and endpoints.

No generated code is kept anywhere. `pip install` compiles policy.proto into
policy.desc beside this file; run from weir's source tree, there is none, and
protoc compiles it in memory at import. protobuf makes the classes from that.
"""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

HANDSHAKE_FRAME_MAX = 64 * 1024
FRAME_MAX = 1024 * 1024


class ProtocolError(Exception):
    """What the other side sent is not this protocol."""


def _descriptors() -> bytes:
    here = Path(__file__).resolve().parent
    compiled = here / "policy.desc"
    if compiled.is_file():
        return compiled.read_bytes()
    proto = here.parents[3] / "proto" / "policy.proto"
    if not proto.is_file():
        raise ImportError(f"weir_policy: neither {compiled} nor {proto} is"
                          " there; install the package with pip")
    try:
        return subprocess.run(
            ["protoc", f"--proto_path={proto.parent}",
             "--descriptor_set_out=/dev/stdout", proto.name],
            stdout=subprocess.PIPE, check=True).stdout
    except FileNotFoundError:
        raise ImportError("weir_policy: protoc is missing (Debian:"
                          " protobuf-compiler)") from None


def _message_classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(_descriptors())
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    make = getattr(message_factory, "GetMessageClass", None)
    if make is None:  # protobuf before 4.22
        make = message_factory.MessageFactory(pool).GetPrototype
    return {name: make(pool.FindMessageTypeByName(f"weir.policy.v1.{name}"))
            for name in ("ToPolicy", "FromPolicy", "Decision")}


_classes = _message_classes()
ToPolicy: Any = _classes["ToPolicy"]
FromPolicy: Any = _classes["FromPolicy"]
WireDecision: Any = _classes["Decision"]


def encode(message: Any) -> bytes:
    """One frame: the length, then the message."""
    payload: bytes = message.SerializeToString()
    return len(payload).to_bytes(4, "big") + payload


def decode(frame: bytes, kind: Any = ToPolicy) -> Any:
    """What came from weir; with FromPolicy, what a policy answered."""
    message = kind()
    try:
        message.ParseFromString(frame)
    except DecodeError:
        sender = "weir" if kind is ToPolicy else "a policy"
        raise ProtocolError(f"a frame that is no message of {sender}:"
                            f" {frame[:16]!r}") from None
    return message


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self.limit = HANDSHAKE_FRAME_MAX
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield every frame that is complete now; `limit` may change between
        two of them."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= 4:
                end = start + 4
                length = int.from_bytes(self._buffer[start:end], "big")
                if length > self.limit:
                    head = bytes(self._buffer[start:start + 16])
                    raise ProtocolError(
                        f"a frame of {length} bytes where {self.limit} are"
                        f" allowed; it begins with {head!r}")
                if len(self._buffer) - end < length:
                    break
                start = end + length
                yield bytes(self._buffer[end:start])
        finally:
            del self._buffer[:start]


def split(endpoint: str) -> tuple[str, str, int]:
    """"unix:/path", "tcp:host:port" or "tls:host:port" as kind, path or host,
    and port."""
    kind, _, rest = endpoint.partition(":")
    if kind == "unix" and rest:
        return kind, rest, 0
    host, colon, port = rest.rpartition(":")
    if kind in ("tcp", "tls") and colon and port.isascii() and port.isdigit():
        return kind, host.removeprefix("[").removesuffix("]"), int(port)
    raise ValueError(f"{endpoint!r} is no endpoint: write unix:/path,"
                     " tcp:host:port or tls:host:port")


def listen(endpoint: str) -> socket.socket:
    """A socket that listens at an endpoint; TLS is the caller's.

    A unix socket that a dead server left behind is replaced; one that
    somebody still answers is an error.
    """
    kind, host, port = split(endpoint)
    if kind == "unix":
        return _listen_unix(Path(host))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


def server_tls(certificate: str, key: str | None = None,
               client_ca: str | None = None) -> ssl.SSLContext:
    """TLS 1.3 for a policy server, from PEM files. With client_ca, only a weir
    whose certificate it signed gets in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _listen_unix(path: Path) -> socket.socket:
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise OSError(f"{path} is there and is no socket")
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise OSError(f"another server listens at {path}")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(128)
    return server


def endpoint_of(server: socket.socket, kind: str = "tcp") -> str:
    """Where a socket really listens, in the words of weir.conf."""
    name = server.getsockname()
    if server.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{kind}:{host}:{name[1]}"
