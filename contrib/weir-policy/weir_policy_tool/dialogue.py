"""Many questions at once on one connection, and which have their answer.

A Player plays one session after the contract; a Dialogue is for trying a
server: it makes frames without sending them, so that they can be joined or
cut, and then sees that each question gets one valid decision and nothing
else comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from weir_policy import wire
from weir_policy.events import KINDS, Outcome, Phase

from . import edits
from .edits import Invalid
from .message import Event, Session
from .peer import Peer, Problem

NEVER_ASKED = {Phase.UPSTREAM, Phase.TLS, Phase.REPLY, Phase.TRANSACTION_END,
               Phase.SESSION_END}
REFUSALS = {edits.REJECT, edits.TEMPFAIL, edits.DISCARD, edits.DISCONNECT}
MESSAGE = (b"From: a@example.org\r\nTo: b@example.net\r\nSubject: a test\r\n"
           b"\r\nA short body.\r\n")


class Broken(Exception):
    """What the server did wrong, in words."""


class Dialogue:
    def __init__(self, peer: Peer, timeout: float) -> None:
        self.peer = peer
        self.timeout = timeout
        self.subscriptions = {s.phase: s for s in peer.welcome.subscriptions}
        self.seqs: dict[int, int] = {}
        self.open: dict[tuple[int, int], tuple[Phase, float]] = {}
        self.cancelled: set[tuple[int, int]] = set()
        self.decisions: dict[tuple[int, int], Any] = {}
        self.credit: dict[tuple[int, int], int] = {}  # session, message
        self.undecided = ""  # why it could not decide, in its words
        self.slowest = (0.0, Phase.UNSPECIFIED)
        self.write: Callable[[bytes], None] = peer.send_raw

    def decides(self, phase: Phase) -> bool:
        subscription = self.subscriptions.get(phase)
        return bool(subscription and subscription.decide
                    and phase not in NEVER_ASKED)

    def frame(self, session: int, event: Event, notify: bool = False,
              deadline_ms: int = 0) -> bytes:
        """The event as weir would send it; nothing if it would not."""
        (kind, value), = event.items()
        phase = KINDS[kind][0]
        if phase not in self.subscriptions:
            return b""
        seq = 0
        if self.decides(phase) and not notify:
            seq = self.seqs[session] = self.seqs.get(session, 0) + 1
            self.open[session, seq] = (phase, time.monotonic())
            deadline_ms = deadline_ms or round(self.timeout * 1000)
        if phase == Phase.BODY:
            value = {"message": 1, **value}
            room = min(self.subscriptions[phase].body_prefix or 1 << 30,
                       self.peer.welcome.body_credit or 1 << 30)
            value["data"] = value["data"][:room]
        return wire.encode(wire.ToPolicy(
            session=session, seq=seq, deadline_ms=deadline_ms if seq else 0,
            **{kind: value}))

    def frames(self, session: int, events: Iterable[Event],
               notify: bool = False) -> bytes:
        return b"".join(self.frame(session, e, notify) for e in events)

    def cancel(self, session: int, seq: int) -> bytes:
        self.open.pop((session, seq), None)
        self.cancelled.add((session, seq))
        return wire.encode(wire.ToPolicy(session=session,
                                         cancel={"seq": seq}))

    def settle(self, seconds: float | None = None) -> None:
        """Until every question has its answer."""
        until = time.monotonic() + (seconds or self.timeout)
        while self.open:
            left = until - time.monotonic()
            message = self._receive(left) if left > 0 else None
            if message is None:
                names = ", ".join(sorted({p.name for p, _ in
                                          self.open.values()}))
                raise Broken(f"{len(self.open)} questions without an answer"
                             f" after {seconds or self.timeout:g} s"
                             f" (at {names})")
            self._take(message)

    def quiet(self, seconds: float = 0.3) -> None:
        """Take what comes for so long; a decision would be wrong."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = self._receive(left)
            if message is not None:
                self._take(message)

    def ping(self) -> None:
        """The connection lives: a Pong with the token comes back."""
        token = time.monotonic_ns()
        self.peer.send(ping={"token": token})
        until = time.monotonic() + self.timeout
        while (left := until - time.monotonic()) > 0:
            message = self._receive(left)
            if message is None:
                break
            if message.WhichOneof("answer") != "pong":
                self._take(message)
            elif message.pong.token == token:
                return
            else:
                raise Broken(f"Ping with token {token} was answered with"
                             f" token {message.pong.token}")
        raise Broken(f"no Pong in {self.timeout:g} s after a Ping")

    def _receive(self, seconds: float) -> Any:
        try:
            message = self.peer.receive(max(seconds, 0.001))
        except TimeoutError:
            return None
        if message is None:
            raise Broken("the server closed the connection")
        return message

    def _take(self, message: Any) -> None:
        kind = message.WhichOneof("answer")
        where = message.session, message.seq
        if kind == "decision":
            self._decision(where, message.decision)
        elif kind == "credit":
            key = message.session, message.credit.message
            if message.credit.max_offset < self.credit.get(key, 0):
                raise Broken("a Credit takes back what an earlier one gave:"
                             f" {message.credit.max_offset} after"
                             f" {self.credit[key]}")
            self.credit[key] = message.credit.max_offset
        elif kind == "working" and where not in self.open \
                and where not in self.cancelled:
            raise Broken(f"Working for session {where[0]} seq {where[1]},"
                         " where nothing is asked")
        elif kind == "welcome":
            raise Broken("a second Welcome")

    def _decision(self, where: tuple[int, int], decision: Any) -> None:
        if where in self.cancelled:
            return
        if where not in self.open:
            why = "a notification (seq 0) was answered" if where[1] == 0 else \
                "it was answered before" if where in self.decisions else \
                "nothing like that was asked"
            raise Broken(f"a Decision for session {where[0]} seq {where[1]}:"
                         f" {why}")
        phase, asked = self.open.pop(where)
        took = time.monotonic() - asked
        self.slowest = max(self.slowest, (took, phase))
        self.decisions[where] = decision
        if decision.action == 0 and decision.reason:
            self.undecided = f"{phase.name}: {decision.reason}"
            return  # that is allowed, and on_error decides
        try:
            edits.validate(decision, phase)
        except Invalid as error:
            raise Broken(f"at {phase.name} an invalid decision: {error}"
                         ) from None

    def refused(self, session: int, phase: Phase | None = None) -> bool:
        """Any of the session's decisions so far is no RELAY."""
        return any(d.action in REFUSALS for (s, _), d in
                   self.decisions.items() if s == session)

    def whole(self, number: int, session: Session | None = None) -> None:
        """A session from its first event to its last."""
        session = session or Session(MESSAGE, b"a@example.org",
                                     [b"b@example.net"])
        self.write(self.frames(number, session.before()))
        self.settle()
        if not self.refused(number):
            for event in session.content(list(range(
                    len(session.recipients)))):
                self.write(self.frame(number, event))
                self.settle(max(self.timeout, 15.0)
                            if "end_of_message" in event else None)
                if self.refused(number):
                    break
        outcome, by = (Outcome.REJECTED, "policy") \
            if self.refused(number) else (Outcome.DELIVERED, "mx")
        self.write(self.frames(number, session.after(outcome, by), True))


def closed(peer: Peer, seconds: float = 2.0) -> bool:
    """The server ends the connection; what it says before does not count."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            if peer.receive(left) is None:
                return True
        except TimeoutError:
            return False
        except Problem:
            return True
    return False
