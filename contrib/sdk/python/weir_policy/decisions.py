"""What a policy answers.

A decision begins with one of relay, reject, tempfail, discard, disconnect, and
can be refined: `relay().add_header("X-Spam", "yes").because(rule="r1")`. Each
step gives a new decision, so one that is kept can be used again and again.
What could never be valid raises ValueError here, in the policy's own
traceback; what weir.conf does not grant is weir's to refuse.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .wire import WireDecision


class Scope(enum.IntEnum):
    """How far a decision reaches."""

    COMMAND = 0
    TRANSACTION = 1
    SESSION = 2


class TlsLevel(enum.IntEnum):
    AS_CONFIGURED = 0
    NONE = 1
    MAY = 2
    ENCRYPT = 3
    VERIFY = 4
    DANE = 5


class Tlsa(NamedTuple):
    """A record that the MX's certificate must match, for TlsLevel.DANE."""

    usage: int
    selector: int
    matching: int
    data: bytes


_RELAY, _REJECT, _TEMPFAIL, _DISCARD, _DISCONNECT = 1, 2, 3, 4, 5
_ADD, _INSERT, _CHANGE, _DELETE = 1, 2, 3, 4

_NAME = re.compile(rb"[!-9;-~]+\Z")
_BAD_IN_VALUE = re.compile(rb"\0|\r(?!\n[ \t])|(?<!\r)\n")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\Z", re.ASCII)


def _bytes(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode("utf-8", "surrogateescape")


def word(value: str) -> str:
    """Text for weir's record, which is ASCII: the rest is shown escaped."""
    plain = value.encode("ascii", "backslashreplace").decode("ascii")
    return plain.replace("\0", "\\x00")


class Decision:
    """One answer to one question of weir."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def __repr__(self) -> str:
        return f"<Decision {str(self._message)!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return bool(self._message == other._message)

    __hash__ = None  # type: ignore[assignment]

    def _copy(self) -> Decision:
        copy = WireDecision()
        copy.CopyFrom(self._message)
        return Decision(copy)

    def _edit(self, op: int, name: str | bytes, value: str | bytes,
              index: int) -> Decision:
        name, value = _bytes(name), _bytes(value)
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no name of a header field")
        if _BAD_IN_VALUE.search(value):
            raise ValueError(f"a header value folds with CRLF and white space"
                             f" only: {value!r}")
        copy = self._copy()
        copy._message.headers.add(op=op, name=name, value=value, index=index)
        return copy

    def add_header(self, name: str | bytes, value: str | bytes) -> Decision:
        """Add a field at the end of the header section."""
        return self._edit(_ADD, name, value, 0)

    def insert_header(self, index: int, name: str | bytes,
                      value: str | bytes) -> Decision:
        """Insert before the field at `index`; 0 is the top."""
        return self._edit(_INSERT, name, value, index)

    def change_header(self, name: str | bytes, value: str | bytes,
                      index: int = 0) -> Decision:
        """Replace the `index`th field of that name, counted from 0."""
        return self._edit(_CHANGE, name, value, index)

    def delete_header(self, name: str | bytes, index: int = 0) -> Decision:
        """Delete the `index`th field of that name, counted from 0."""
        return self._edit(_DELETE, name, b"", index)

    def splice(self, offset: int, remove: int = 0,
               insert: str | bytes = b"") -> Decision:
        """Replace `remove` bytes of the body at `offset` by `insert`."""
        insert = _bytes(insert)
        if _BARE.search(insert):
            raise ValueError("a line of the body ends with CRLF")
        copy = self._copy()
        copy._message.body.add(offset=offset, remove=remove, insert=insert)
        return copy

    def outbound(self, *, source_address: str = "", pool: str = "",
                 ehlo_name: str = "",
                 tls: TlsLevel = TlsLevel.AS_CONFIGURED,
                 tls_names: Iterable[str] = (), tlsa: Iterable[Tlsa] = (),
                 next_hop: tuple[str, int] | None = None) -> Decision:
        """Choose how weir connects to the MX: one address or one pool of
        weir.conf, the EHLO name, the TLS level; of VERIFY the names of which
        the certificate must carry one, of DANE the records; or another
        destination, (address, port), which needs the grant "next_hop"."""
        if source_address and pool:
            raise ValueError("either an address or a pool, not both")
        copy = self._copy()
        choice = copy._message.outbound
        choice.SetInParent()
        choice.source_address = source_address
        choice.source_pool = pool
        choice.ehlo_name = ehlo_name
        choice.tls = tls
        choice.tls_names.extend(tls_names)
        for usage, selector, matching, data in tlsa:
            choice.tlsa.add(usage=usage, selector=selector, matching=matching,
                            data=data)
        if next_hop is not None:
            choice.next_hop.address, choice.next_hop.port = next_hop
        return copy

    def rewrite(self, address: str | bytes) -> Decision:
        """At MAIL a new sender ("" for <>), at RCPT a new recipient."""
        address = _bytes(address)
        if re.search(rb"[\r\n\0<>]", address):
            raise ValueError(f"{address!r} cannot be an address")
        copy = self._copy()
        copy._message.rewrite = address
        copy._message.rewrite_set = True
        return copy

    def delay(self, seconds: float) -> Decision:
        """Let the client wait so long for the reply."""
        copy = self._copy()
        copy._message.delay_ms = round(seconds * 1000)
        return copy

    def because(self, *, rule: str = "", score: float = 0.0, reason: str = "",
                annotations: Mapping[str, str] | None = None) -> Decision:
        """For weir's record only: the client never sees it."""
        copy = self._copy()
        copy._message.rule = word(rule)
        copy._message.score = score
        copy._message.reason = word(reason)
        for key, value in (annotations or {}).items():
            copy._message.annotations[word(key)] = word(value)
        return copy


def _decision(action: int, scope: Scope, text: str, code: int,
              enhanced: str) -> Decision:
    message = WireDecision(action=action, scope=scope)
    if code:
        if not 1 <= code <= 599:
            raise ValueError(f"{code} is no SMTP reply code")
        if enhanced and (not _ENHANCED.match(enhanced)
                         or int(enhanced[0]) != code // 100):
            raise ValueError(f"enhanced code {enhanced!r} does not fit {code}")
        lines = [_bytes(line) for line in text.split("\n")] if text else []
        if len(lines) > 32:
            raise ValueError(f"{len(lines)} lines of text, and 32 are allowed")
        for line in lines:
            if len(line) > 510 or re.search(rb"[\r\0]", line):
                raise ValueError(f"{line!r} cannot be a line of a reply")
        message.reply.code = code
        message.reply.enhanced = enhanced
        message.reply.lines.extend(lines)
    return Decision(message)


def relay(scope: Scope = Scope.COMMAND) -> Decision:
    """Let it pass. With Scope.TRANSACTION: and do not ask me again about this
    message."""
    return _decision(_RELAY, scope, "", 0, "")


def reject(text: str = "", code: int = 550, enhanced: str = "5.7.1",
           scope: Scope = Scope.COMMAND) -> Decision:
    """Refuse for good. Several lines of text: separate them with "\\n". Code 0
    leaves the whole reply to weir."""
    if code and code // 100 != 5:
        raise ValueError(f"reject takes a 5xx code, not {code}")
    return _decision(_REJECT, scope, text, code, enhanced)


def tempfail(text: str = "", code: int = 451, enhanced: str = "4.7.1",
             scope: Scope = Scope.COMMAND) -> Decision:
    """Refuse for now: the client's queue tries again."""
    if code and code // 100 != 4:
        raise ValueError(f"tempfail takes a 4xx code, not {code}")
    return _decision(_TEMPFAIL, scope, text, code, enhanced)


def discard(text: str = "", scope: Scope = Scope.COMMAND) -> Decision:
    """Answer 250 and drop it. Needs the grant "discard"."""
    return _decision(_DISCARD, scope, text, 250 if text else 0, "")


def disconnect(text: str = "", enhanced: str = "4.7.0") -> Decision:
    """Answer 421 and close the connection."""
    return _decision(_DISCONNECT, Scope.COMMAND, text, 421, enhanced)


def failed(reason: str) -> Decision:
    """No decision: weir does what `on_error` says. The SDK sends this when a
    handler raises."""
    message = WireDecision(reason=reason)
    return Decision(message)
