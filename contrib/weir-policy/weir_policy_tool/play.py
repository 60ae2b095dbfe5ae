"""One SMTP session, as a policy server is told it.

A Player takes a session's events in order and tells one policy server what
weir would tell it: only what it subscribed to, a question where it decides,
nothing of what its own earlier verdicts made an end of. It waits for each
answer before it goes on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from weir_policy.decisions import Scope
from weir_policy.events import KINDS, Phase

from . import edits
from .edits import DISCARD, RELAY, Invalid
from .peer import Peer, Problem

_NEVER_ASKED = {Phase.UPSTREAM, Phase.TLS, Phase.REPLY, Phase.TRANSACTION_END,
                Phase.SESSION_END}
_OF_A_MESSAGE = {Phase.RCPT, Phase.DATA, Phase.HEADERS, Phase.BODY,
                 Phase.END_OF_MESSAGE, Phase.TRANSACTION_END}
_CONTENT = {Phase.HEADERS, Phase.BODY, Phase.END_OF_MESSAGE}


@dataclass
class Answer:
    """What came of one event: a decision, or why there is none."""

    phase: Phase
    event: dict[str, Any]
    decision: Any = None
    error: str = ""
    seconds: float = 0.0
    repeated: bool = False  # an earlier decision's scope answered it

    @property
    def action(self) -> int:
        return int(self.decision.action) if self.decision is not None else 0


@dataclass
class Timeouts:
    question: float = 2.0
    message: float = 15.0


@dataclass
class _Transaction:
    over: bool = False
    answer: Answer | None = None  # a verdict that repeats itself
    refused: dict[int, Answer] = field(default_factory=dict)  # by RCPT's index
    asked: bool = True  # False after RELAY for the transaction
    headers: int = 0  # bytes
    body: int = 0  # offset of the next byte
    truncated: bool = False


class Player:
    def __init__(self, peer: Peer, number: int,
                 timeouts: Timeouts | None = None) -> None:
        self.peer = peer
        self.number = number
        self.timeouts = timeouts or Timeouts()
        self.seq = 0
        self.told = False  # of the last event; also when it was asked
        self.over = False
        self.repeat: Answer | None = None  # a refusal for the whole session
        self.asks = True  # False after RELAY for the session
        self.transaction = _Transaction()
        self.message = 0
        self.credit: int | None = None
        self.subscriptions = {s.phase: s for s in
                              peer.welcome.subscriptions}
        self.annotations: dict[str, str] = {}

    def tell(self, event: dict[str, Any]) -> Answer | None:
        """One event, {"mail": {...}}. None where the policy is not asked."""
        self.told = False
        (kind, value), = event.items()
        phase = KINDS[kind][0]
        if self.over and phase != Phase.SESSION_END:
            return None
        if phase == Phase.MAIL:
            self.transaction = _Transaction(asked=self.asks)
        over = self.transaction.over or (phase == Phase.RCPT and value.get(
            "index", 0) in self.transaction.refused)
        if over and phase in _OF_A_MESSAGE - {Phase.TRANSACTION_END}:
            return self._repeated(phase, event)
        if phase == Phase.MAIL and self.repeat is not None:
            self.transaction.over = True
            self.transaction.answer = self.repeat
            return self._repeated(phase, event)
        if phase == Phase.DATA:
            accepted = [i for i in value.get("accepted", ())
                        if i not in self.transaction.refused]
            event = {kind: {**value, "accepted": accepted}}
            if not accepted:
                self.transaction.over = True
                return None
        if phase == Phase.BODY:
            return self._body(value)
        if phase == Phase.HEADERS:
            self.message = value.get("message", self.message + 1)
            self.transaction.headers = len(value.get("raw", b""))
            self.credit = self.peer.welcome.body_credit or None
        if phase == Phase.END_OF_MESSAGE and self._lacks(value):
            event = {kind: {**value, "truncated": True}}
        return self._put(phase, event)

    def _lacks(self, end: dict[str, Any]) -> bool:
        """There was more of the body than this policy was shown."""
        t = self.transaction
        return t.truncated or (Phase.BODY in self.subscriptions and
                               t.headers + t.body < end.get("size", 0))

    def _repeated(self, phase: Phase, event: dict[str, Any]) -> Answer | None:
        old = self.transaction.answer
        if old is None or phase == Phase.BODY:
            return None
        return Answer(phase, event, old.decision, old.error, repeated=True)

    def _put(self, phase: Phase, event: dict[str, Any]) -> Answer | None:
        subscription = self.subscriptions.get(phase)
        if subscription is None:
            return None
        self.told = True
        asks = self.asks and (self.transaction.asked
                              or phase not in _OF_A_MESSAGE | {Phase.MAIL})
        if not subscription.decide or phase in _NEVER_ASKED or not asks:
            self.peer.send(self.number, **event)
            return None
        self.seq += 1
        limit = self.timeouts.message if phase == Phase.END_OF_MESSAGE \
            else self.timeouts.question
        started = time.monotonic()
        answer = Answer(phase, event)
        self.peer.send(self.number, self.seq, round(limit * 1000), **event)
        try:
            answer.decision = self._await(limit)
            edits.validate(answer.decision, phase)
        except (TimeoutError, Invalid) as error:
            answer.error = str(error)
        answer.seconds = time.monotonic() - started
        self._settle(answer)
        return answer

    def _settle(self, answer: Answer) -> None:
        """What a decision means for the events that follow."""
        decision = answer.decision
        if answer.error or decision is None:
            return
        if decision.action == RELAY:
            if decision.scope != Scope.COMMAND:
                self.transaction.asked = False
                self.asks &= decision.scope != Scope.SESSION
            return
        if answer.phase == Phase.CONNECT or \
                decision.action == edits.DISCONNECT:
            self.over = True
        elif answer.phase == Phase.RCPT:
            index = answer.event["rcpt"].get("index", 0)
            self.transaction.refused[index] = answer
            self.transaction.over = decision.scope != Scope.COMMAND
            self.transaction.answer = answer
        elif answer.phase in _OF_A_MESSAGE | {Phase.MAIL}:
            self.transaction.over = True
            self.transaction.answer = answer
        if decision.scope == Scope.SESSION and decision.action != DISCARD:
            self.repeat = answer

    def _body(self, value: dict[str, Any]) -> Answer | None:
        """Body bytes, cut at body_prefix, and no further than the credit."""
        subscription = self.subscriptions.get(Phase.BODY)
        if subscription is None:
            return None
        data: bytes = value["data"]
        offset: int = value.get("offset", self.transaction.body)
        self.transaction.body = offset + len(data)
        prefix = subscription.body_prefix
        if prefix and offset + len(data) > prefix:
            data = data[:max(prefix - offset, 0)]
            self.transaction.truncated = True
        last = None
        while data and not self.transaction.over:
            room = self._room(offset)
            last = self._put(Phase.BODY, {"body": {
                "offset": offset, "message": self.message,
                "data": data[:room]}}) or last
            offset += room
            data = data[room:]
        return last

    def _room(self, offset: int) -> int:
        """How many bytes may be sent from here; waits for credit."""
        piece = min(65536, self.peer.max_frame - 1024)
        if self.credit is None:
            return piece
        until = time.monotonic() + self.timeouts.question
        while self.credit <= offset:
            left = until - time.monotonic()
            message = self._receive(left) if left > 0 else None
            if message is None:
                raise Problem(f"{self.peer.endpoint}: no Credit for body bytes"
                              f" after {offset}: weir would pause its client,"
                              " then follow on_error")
            self._take(message)
        return min(piece, self.credit - offset)

    def _receive(self, seconds: float) -> Any:
        try:
            message = self.peer.receive(max(seconds, 0.001))
        except TimeoutError:
            return None
        if message is None:
            raise Problem(f"{self.peer.endpoint}: the policy server closed the"
                          " connection in the middle of a session")
        return message

    def _take(self, message: Any) -> None:
        """What is no decision: credit, facts for the record."""
        kind = message.WhichOneof("answer")
        if message.session != self.number:
            return
        if kind == "credit" and self.credit is not None and \
                message.credit.message in (0, self.message):
            self.credit = max(self.credit, message.credit.max_offset)
        elif kind == "annotate":
            self.annotations.update(message.annotate.annotations)

    def _await(self, seconds: float) -> Any:
        """The decision on the question just put."""
        until = time.monotonic() + seconds
        while True:
            message = self._receive(until - time.monotonic())
            if message is None:
                raise TimeoutError(f"no decision in {seconds:g} s")
            kind = message.WhichOneof("answer")
            if (message.session, message.seq) == (self.number, self.seq):
                if kind == "decision":
                    return message.decision
                if kind == "working":
                    until = max(until, time.monotonic()
                                + min(message.working.extra_ms / 1000, 30))
            self._take(message)
