"""What a policy knows of one SMTP session: everything weir has told so far."""

from __future__ import annotations

import email
import email.message
import email.policy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .events import (Auth, Body, Connect, Data, Ehlo, Endpoint, EndOfMessage,
                     Event, Gap, Headers, Hello, Leg, Mail, Rcpt, Tls,
                     TransactionEnd, Upstream)


class Message:
    """The content, as far as it was shown."""

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self.body = bytearray()
        self.size = 0  # of all of it, known at END_OF_MESSAGE
        self.truncated = False  # longer than the policy's body_limit
        self.gaps: tuple[Gap, ...] = ()  # not sent, for want of credit

    @property
    def complete(self) -> bool:
        """Nothing is missing in `body`; known at END_OF_MESSAGE."""
        return not self.truncated and not self.gaps

    def raw(self) -> bytes:
        return self.headers.raw + bytes(self.body)

    def parse(self) -> email.message.Message:
        """The message as Python's email package sees it."""
        return email.message_from_bytes(self.raw(),
                                        policy=email.policy.compat32)

    def text(self) -> str:
        """All text parts, decoded (base64, quoted-printable, charset), one
        after the other. Never fails: what cannot be decoded is replaced."""
        parts = []
        for part in self.parse().walk():
            if part.get_content_maintype() != "text":
                continue
            data = part.get_payload(decode=True)
            if not isinstance(data, bytes):
                continue
            try:
                charset = part.get_content_charset("utf-8")
                parts.append(data.decode(charset, "replace"))
            except (LookupError, ValueError):
                parts.append(data.decode("latin-1"))
        return "\n".join(parts)


@dataclass(slots=True)
class Transaction:
    """The envelope, from MAIL on."""

    id: str
    sender: str
    mail: Mail
    recipients: list[Rcpt] = field(default_factory=list)  # every one shown
    accepted: tuple[int, ...] | None = None  # their indexes, known at DATA
    message: Message | None = None


class Session:
    """One SMTP session. `state` is the policy's own."""

    def __init__(self, working: Callable[[float], None],
                 annotate: Callable[[dict[str, str]], None],
                 time_left: Callable[[], float | None],
                 body_limit: int, weir: Hello | None = None) -> None:
        self.weir = weir or Hello()
        self.resumed = False
        self.connection_id = ""
        self.listener = ""
        self.client = Endpoint()
        self.destination = Endpoint()
        self.connect: Connect | None = None
        self.upstream: Upstream | None = None
        self.tls: dict[Leg, Tls] = {}
        self.ehlo = ""
        self.auth: Auth | None = None
        self.transaction: Transaction | None = None
        self.state: dict[str, Any] = {}
        self._working = working
        self._annotate = annotate
        self._time_left = time_left
        self._body_limit = body_limit

    @property
    def envelope(self) -> Transaction:
        """The present transaction. Raises LookupError, and so leaves it to
        on_error, if there is none."""
        if self.transaction is None:
            raise LookupError("no transaction has begun in this session")
        return self.transaction

    @property
    def message(self) -> Message:
        """The present transaction's content; likewise."""
        if self.envelope.message is None:
            raise LookupError("no message has begun in this session")
        return self.envelope.message

    def working(self, seconds: float) -> None:
        """Tell weir that the answer to the present question takes so much
        longer, counted from now."""
        self._working(seconds)

    def time_left(self) -> float | None:
        """Seconds until weir stops waiting for the present question; None if
        it does not wait."""
        return self._time_left()

    def annotate(self, **facts: str) -> None:
        """Add facts to weir's record of this session."""
        self._annotate(facts)

    def apply(self, event: Event) -> None:
        """Learn from an event, before the handler sees it."""
        match event:
            case Connect():
                self.connect = event
                self.connection_id = event.connection_id
                self.listener = event.listener
                self.resumed = event.resumed
                self.client = event.client or Endpoint()
                self.destination = event.destination or Endpoint()
            case Upstream():
                self.upstream = event
            case Tls():
                self.tls[event.leg] = event
            case Ehlo():
                self.ehlo = event.name
            case Auth():
                self.auth = event
            case Mail():
                self.transaction = Transaction(event.transaction_id,
                                               event.sender, event)
            case _ if self.transaction is not None:
                self._apply_to(self.transaction, event)

    def _apply_to(self, transaction: Transaction, event: Event) -> None:
        message = transaction.message
        match event:
            case Rcpt():
                transaction.recipients.append(event)
            case Data():
                transaction.accepted = event.accepted
            case Headers():
                transaction.message = Message(event)
            case Body() if message is not None and self._body_limit:
                room = self._body_limit - len(message.body)
                message.body += event.data[:max(room, 0)]
                message.truncated |= len(event.data) > room
            case EndOfMessage() if message is not None:
                message.size = event.size
                message.truncated |= event.truncated
                message.gaps = event.gaps

    def forget(self, event: Event) -> None:
        """Let go of what ended with an event, after the handler saw it."""
        if isinstance(event, TransactionEnd):
            self.transaction = None
