"""What weir tells a policy: one class per event, with the names that
policy.proto has.

Text that came off an SMTP wire is `str`, decoded as UTF-8 with
"surrogateescape": bytes that are no UTF-8 survive, and go back as they came.
Where the exact bytes are the point (raw, data), they stay `bytes`.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class Phase(enum.IntEnum):
    UNSPECIFIED = 0
    CONNECT = 1
    UPSTREAM = 2
    TLS = 3
    EHLO = 4
    AUTH = 5
    COMMAND = 6
    MAIL = 7
    RCPT = 8
    DATA = 9
    HEADERS = 10
    BODY = 11
    END_OF_MESSAGE = 12
    REPLY = 13
    TRANSACTION_END = 14
    SESSION_END = 15


class Outcome(enum.IntEnum):
    UNSPECIFIED = 0
    DELIVERED = 1
    DEFERRED = 2
    REJECTED = 3
    DISCARDED = 4
    ABORTED = 5


class Leg(enum.IntEnum):
    UNSPECIFIED = 0
    CLIENT = 1
    UPSTREAM = 2


class Mode(enum.IntEnum):
    UNSPECIFIED = 0
    ENFORCE = 1
    OBSERVE = 2


class Grant(enum.IntEnum):
    UNSPECIFIED = 0
    HEADERS = 1
    BODY = 2
    ENVELOPE = 3
    OUTBOUND = 4
    NEXT_HOP = 5
    DISCARD = 6


@dataclass(slots=True)
class Pool:
    """Source addresses, from weir.conf, that a decision may name."""

    name: str
    addresses: tuple[str, ...]
    ehlo_name: str


@dataclass(slots=True)
class Hello:
    """What weir said of itself: its version, its process, this policy's name
    and rights in weir.conf."""

    software: str = ""
    instance: str = ""
    policy: str = ""
    mode: Mode = Mode.UNSPECIFIED
    features: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    grants: tuple[Grant, ...] = ()
    pools: tuple[Pool, ...] = ()
    max_frame: int = 0


@dataclass(slots=True)
class Endpoint:
    address: str = ""
    port: int = 0


@dataclass(slots=True)
class Process:
    uid: int
    pid: int
    cgroup: str
    command: str


@dataclass(slots=True)
class SourceHealth:
    source: str
    state: str
    open: int
    deferred: float
    rejected: float
    data_reply_p50_ms: int


@dataclass(slots=True)
class DestinationHealth:
    group: str
    sources: tuple[SourceHealth, ...]


@dataclass(slots=True)
class SmtpReply:
    code: int
    enhanced: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class Connect:
    connection_id: str
    listener: str
    client: Endpoint | None
    destination: Endpoint | None
    process: Process | None
    health: DestinationHealth | None
    resumed: bool  # begun on a connection that broke: what follows repeats it


@dataclass(slots=True)
class Upstream:
    local: Endpoint | None
    remote: Endpoint | None
    greeting: SmtpReply | None
    connect_us: int
    greeting_us: int
    error: str


@dataclass(slots=True)
class Tls:
    leg: Leg
    version: str
    cipher: str
    cipher_bits: int
    peer_certificate: bytes
    peer_subject: str
    peer_issuer: str
    verified: bool
    verify_error: str
    resumed: bool
    handshake_us: int


@dataclass(slots=True)
class Ehlo:
    verb: str
    name: str


@dataclass(slots=True)
class Auth:
    mechanism: str
    identity: str


@dataclass(slots=True)
class Command:
    verb: str
    arguments: str


@dataclass(slots=True)
class Mail:
    transaction_id: str
    raw: bytes
    sender: str  # "" for <>
    parameters: tuple[str, ...]


@dataclass(slots=True)
class Rcpt:
    raw: bytes
    recipient: str
    parameters: tuple[str, ...]
    index: int


@dataclass(slots=True)
class Data:
    accepted: tuple[int, ...]


@dataclass(slots=True)
class _Field:
    offset: int
    length: int
    name_length: int


@dataclass(slots=True)
class Header:
    """One field: its name, its value unfolded and stripped, and its bytes."""

    name: str
    value: str
    raw: bytes


@dataclass(slots=True)
class Headers:
    """The header section. insert_header counts by positions in `items`;
    change_header and delete_header by positions in `all(name)`."""

    raw: bytes
    fields: tuple[_Field, ...]
    message: int
    items: list[Header] = field(init=False)

    def __post_init__(self) -> None:
        self.items = [self._header(f) for f in self.fields]

    def _header(self, f: _Field) -> Header:
        raw = self.raw[f.offset:f.offset + f.length]
        value = raw[raw.find(b":", f.name_length) + 1:]
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
        return Header(text(raw[:f.name_length]), text(value.strip()), raw)

    def all(self, name: str) -> list[Header]:
        name = name.lower()
        return [h for h in self.items if h.name.lower() == name]

    def get(self, name: str, default: str = "") -> str:
        """The value of the first field of that name."""
        found = self.all(name)
        return found[0].value if found else default


@dataclass(slots=True)
class Body:
    offset: int
    message: int
    data: bytes


@dataclass(slots=True)
class Gap:
    offset: int
    length: int


@dataclass(slots=True)
class EndOfMessage:
    size: int
    truncated: bool
    gaps: tuple[Gap, ...]


@dataclass(slots=True)
class Reply:
    phase: Phase
    reply: SmtpReply | None
    latency_us: int
    index: int


@dataclass(slots=True)
class TransactionEnd:
    transaction_id: str
    outcome: Outcome
    decided_by: str
    reply: SmtpReply | None
    own_decision_applied: bool
    if_enforced: Outcome


@dataclass(slots=True)
class SessionEnd:
    cause: str
    transactions: int
    bytes: int


Event = (Connect | Upstream | Tls | Ehlo | Auth | Command | Mail | Rcpt | Data
         | Headers | Body | EndOfMessage | Reply | TransactionEnd | SessionEnd)

# The name of each event in policy.proto's oneof.
KINDS: dict[str, tuple[Phase, type[Any]]] = {
    "connect": (Phase.CONNECT, Connect),
    "upstream": (Phase.UPSTREAM, Upstream),
    "tls": (Phase.TLS, Tls),
    "ehlo": (Phase.EHLO, Ehlo),
    "auth": (Phase.AUTH, Auth),
    "command": (Phase.COMMAND, Command),
    "mail": (Phase.MAIL, Mail),
    "rcpt": (Phase.RCPT, Rcpt),
    "data": (Phase.DATA, Data),
    "headers": (Phase.HEADERS, Headers),
    "body": (Phase.BODY, Body),
    "end_of_message": (Phase.END_OF_MESSAGE, EndOfMessage),
    "reply": (Phase.REPLY, Reply),
    "transaction_end": (Phase.TRANSACTION_END, TransactionEnd),
    "session_end": (Phase.SESSION_END, SessionEnd),
}

# ------------------------------------------------- from protobuf to the above

_T = TypeVar("_T")
_Convert = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else text(value)


def _enum(kind: type[enum.IntEnum]) -> _Convert:
    known = {int(member): member for member in kind}
    return lambda value: known.get(value, known[0])


def _converter(hint: Any) -> tuple[bool, _Convert]:
    """How one attribute is converted, and whether it may be absent."""
    if isinstance(hint, types.UnionType):  # "X | None"
        return True, _converter(typing.get_args(hint)[0])[1]
    if typing.get_origin(hint) is tuple:
        item = _converter(typing.get_args(hint)[0])[1]
        return False, lambda values: tuple(map(item, values))
    if hint is str:
        return False, _text
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        return False, _enum(hint)
    if hint in (int, bool, float, bytes):
        return False, _same
    return False, lambda value: convert(hint, value)


_plans: dict[type[Any], list[tuple[str, bool, _Convert]]] = {}


def _plan(kind: type[Any]) -> list[tuple[str, bool, _Convert]]:
    hints = typing.get_type_hints(kind)
    return [(f.name, *_converter(hints[f.name]))
            for f in fields(kind) if f.init]


def convert(kind: type[_T], message: Any) -> _T:
    """A protobuf message as one of the classes above."""
    plan = _plans.get(kind)
    if plan is None:
        plan = _plans[kind] = _plan(kind)
    return kind(*[None if optional and not message.HasField(name)
                  else to(getattr(message, name))
                  for name, optional, to in plan])
