"""The sessions of a connection from weir, each with its own runner.

A runner takes its session's events strictly in order: the next one waits
until the handler of the one before is done. Runners know nothing of each
other, so a slow session keeps no other one waiting. Plain functions run at
once; coroutines become tasks, which Cancel and the deadline cancel.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import wire
from .decisions import Decision, failed, relay, word
from .events import Body, Event, Phase, SessionEnd
from .session import Session

if TYPE_CHECKING:
    from ._server import Connection

log = logging.getLogger("weir_policy")

RELAY = relay()


@dataclass(slots=True)
class Question:
    """An event that waits for its turn; seq 0 awaits no answer."""

    seq: int
    phase: Phase
    event: Event
    deadline: float | None  # of the loop's clock
    size: int  # in memory, about
    cancelled: bool = False


class Runner:
    def __init__(self, connection: Connection, ident: int) -> None:
        self.connection = connection
        self.ident = ident
        self.policy = connection.policy
        self.session = Session(self._working, self._annotate,
                               self._time_left, self.policy.body_limit,
                               connection.weir)
        self.backlog: deque[Question] = deque()
        self.question: Question | None = None
        self.task: asyncio.Future[Decision | None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.credited = (0, 0)  # message, body bytes it may send

    def push(self, question: Question) -> None:
        self.backlog.append(question)
        self.connection.hold(question.size)
        self._advance()

    def cancel(self, seq: int) -> None:
        if seq == 0:
            return
        for question in (self.question, *self.backlog):
            if question is not None and question.seq == seq:
                question.cancelled = True
                if question is self.question and self.task is not None:
                    self.task.cancel()

    def lost(self) -> None:
        """weir is gone: whatever is open ends, and the session with it."""
        self.backlog.clear()
        if self.task is not None:
            self.task.cancel()
        end = SessionEnd("policy connection lost", 0, 0)
        self.push(Question(0, Phase.SESSION_END, end, None, 0))

    def _advance(self) -> None:
        while self.task is None and self.backlog:
            self.question = self.backlog.popleft()
            self._start(self.question)

    def _start(self, question: Question) -> None:
        self.session.apply(question.event)
        handler = self.policy.handlers.get(question.phase)
        if question.cancelled or handler is None:
            # weir may ask once more before it knows that a handler is gone
            gone = question.phase in self.policy.asked
            self._finish(question, RELAY if gone else
                         failed("no handler for this phase"))
            return
        try:
            result = handler.function(self.session, question.event)
        except Exception as error:
            self._finish(question, self._failure(question, error))
            return
        if inspect.isawaitable(result):
            self._wait(question, result)
        else:
            self._finish(question, result)

    def _wait(self, question: Question,
              result: Awaitable[Decision | None]) -> None:
        self.task = asyncio.ensure_future(result)
        self.policy.tasks.add(self.task)
        self.task.add_done_callback(self._done)
        self._arm(question)

    def _arm(self, question: Question) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if question.deadline is not None and self.task is not None:
            self.timer = asyncio.get_running_loop().call_at(
                question.deadline, self._expire, question)

    def _expire(self, question: Question) -> None:
        """weir has stopped waiting: an answer would only be dropped."""
        log.warning("session %d: no answer at %s before the deadline",
                    self.ident, question.phase.name)
        self.cancel(question.seq)

    def _done(self, task: asyncio.Future[Decision | None]) -> None:
        question = self.question
        assert question is not None
        self.policy.tasks.discard(task)
        self.task = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        error: BaseException | None
        if task.cancelled():
            error = asyncio.CancelledError("the handler was cancelled")
        else:
            error = task.exception()
        if error is None:
            self._finish(question, task.result())
        elif question.cancelled or self.connection.closed:
            self._finish(question, RELAY)
        else:
            self._finish(question, self._failure(question, error))
        self._advance()

    def _failure(self, question: Question, error: BaseException) -> Decision:
        log.error("session %d: the handler for %s failed; weir's on_error"
                  " decides", self.ident, question.phase.name, exc_info=error)
        return failed(f"{type(error).__name__} in the policy's handler")

    def _finish(self, question: Question, result: Decision | None) -> None:
        if question.seq:
            if not question.cancelled:
                self._answer(question, RELAY if result is None else result)
            self.connection.settled()
        if isinstance(question.event, Body):
            self._credit(question.event)
        self.session.forget(question.event)
        self.question = None
        self.connection.hold(-question.size)
        if question.phase is Phase.SESSION_END:
            self.backlog.clear()
            self.connection.runners.pop(self.ident, None)

    def _answer(self, question: Question, result: object) -> None:
        if not isinstance(result, Decision):
            result = self._failure(question, TypeError(
                f"a handler returns a Decision or None, not {result!r}"))
        answer = self._message(question.seq)
        answer.decision.CopyFrom(result._message)
        if self.connection.send(answer):
            return
        answer.decision.CopyFrom(failed("decision too large")._message)
        self.connection.send(answer)

    def _message(self, seq: int = 0) -> Any:
        return wire.FromPolicy(session=self.ident, seq=seq)

    def _credit(self, body: Body) -> None:
        """Allow as much again as was taken, in steps of half a window."""
        window = self.policy.body_window
        message, allowed = self.credited
        if message != body.message:
            allowed = window
        taken = body.offset + len(body.data)
        if allowed - taken <= window // 2:
            allowed = taken + window
            credit = self._message()
            credit.credit.max_offset = allowed
            credit.credit.message = body.message
            self.connection.send(credit)
        self.credited = body.message, allowed

    def _working(self, seconds: float) -> None:
        question = self.question
        if question is None or not question.seq:
            return
        answer = self._message(question.seq)
        answer.working.extra_ms = round(seconds * 1000)
        self.connection.send(answer)
        if question.deadline is not None:
            later = asyncio.get_running_loop().time() + seconds
            question.deadline = max(question.deadline, later)
        self._arm(question)

    def _annotate(self, facts: dict[str, str]) -> None:
        answer = self._message()
        for key, value in facts.items():
            answer.annotate.annotations[word(key)] = word(value)
        self.connection.send(answer)

    def _time_left(self) -> float | None:
        if self.question is None or self.question.deadline is None:
            return None
        return self.question.deadline - asyncio.get_running_loop().time()
