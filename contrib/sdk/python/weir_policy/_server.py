"""One connection from weir, and the sessions on it.

    bytes -> Frames -> _Connection -> _Runner (one per session) -> handler
    bytes <- one write per turn    <-         its decision      <-

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

from . import _wire
from .decisions import Decision, failed, relay, word
from .events import KINDS, Body, Event, Phase, SessionEnd, convert
from .session import Session

if TYPE_CHECKING:
    from .policy import Policy

log = logging.getLogger("weir_policy")

HANDSHAKE_SECONDS = 10.0
RELAY = relay()


@dataclass(slots=True)
class _Question:
    """An event that waits for its turn; seq 0 awaits no answer."""

    seq: int
    phase: Phase
    event: Event
    deadline: float | None  # of the loop's clock
    cancelled: bool = False


class _Runner:
    def __init__(self, connection: Connection, ident: int) -> None:
        self.connection = connection
        self.ident = ident
        self.policy = connection.policy
        self.session = Session(self._working, self._annotate,
                               self._time_left, self.policy.body_limit)
        self.backlog: deque[_Question] = deque()
        self.question: _Question | None = None
        self.task: asyncio.Future[Decision | None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.credited = (0, 0)  # message, body bytes it may send

    def push(self, question: _Question) -> None:
        self.backlog.append(question)
        self._advance()

    def cancel(self, seq: int) -> None:
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
        self.push(_Question(0, Phase.SESSION_END, end, None))

    def _advance(self) -> None:
        while self.task is None and self.backlog:
            self.question = self.backlog.popleft()
            self._start(self.question)

    def _start(self, question: _Question) -> None:
        self.session.apply(question.event)
        handler = self.policy.handlers.get(question.phase)
        if question.cancelled or handler is None:
            self._finish(question, failed("no handler for this phase"))
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

    def _wait(self, question: _Question,
              result: Awaitable[Decision | None]) -> None:
        self.task = asyncio.ensure_future(result)
        self.policy.tasks.add(self.task)
        self.task.add_done_callback(self._done)
        self._arm(question)

    def _arm(self, question: _Question) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if question.deadline is not None and self.task is not None:
            self.timer = asyncio.get_running_loop().call_at(
                question.deadline, self._expire, question)

    def _expire(self, question: _Question) -> None:
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

    def _failure(self, question: _Question, error: BaseException) -> Decision:
        log.error("session %d: the handler for %s failed; weir's on_error"
                  " decides", self.ident, question.phase.name, exc_info=error)
        return failed(f"{type(error).__name__} in the policy's handler")

    def _finish(self, question: _Question, result: Decision | None) -> None:
        if question.seq:
            if not question.cancelled:
                self._answer(question, RELAY if result is None else result)
            self.connection.settled()
        if isinstance(question.event, Body):
            self._credit(question.event)
        self.session.forget(question.event)
        self.question = None
        if question.phase is Phase.SESSION_END:
            self.backlog.clear()
            self.connection.runners.pop(self.ident, None)

    def _answer(self, question: _Question, result: object) -> None:
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
        return _wire.FromPolicy(session=self.ident, seq=seq)

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


class Connection(asyncio.Protocol):
    """One connection from weir: handshake, then its sessions."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.runners: dict[int, _Runner] = {}
        self.ready = False
        self.closed = False
        self._greeted = False
        self._stopping = False
        self._unanswered = 0
        self._frames = _wire.Frames()
        self._out = bytearray()
        self._flushing = False

    # ------------------------------------------------- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.policy.connections.add(self)
        self._patience = self.loop.call_later(
            HANDSHAKE_SECONDS, self._fail, "no handshake in time")

    def data_received(self, data: bytes) -> None:
        self._flushing = True  # what is sent now leaves in one write, below
        try:
            for frame in self._frames.feed(data):
                if self.closed:
                    break
                self._take(_wire.decode(frame))
        except _wire.ProtocolError as error:
            self._fail(str(error))
        finally:
            self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._patience.cancel()
        self.policy.connections.discard(self)
        if self.runners:
            log.warning("weir's connection is gone, with %d sessions open",
                        len(self.runners))
        for runner in list(self.runners.values()):
            runner.lost()

    def pause_writing(self) -> None:
        """weir does not read: then we do not read either."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.closed:
            self.transport.resume_reading()

    # -------------------------------------------------------------- output

    def send(self, message: Any) -> bool:
        """Queue one message. False if it does not fit into a frame."""
        if self.closed:
            return True
        frame = _wire.encode(message)
        if len(frame) - 4 > self._frames.limit:
            log.error("session %d: an answer of %d bytes, and %d are allowed",
                      message.session, len(frame) - 4, self._frames.limit)
            return False
        self._out += frame
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)
        return True

    def _flush(self) -> None:
        self._flushing = False
        if self._out and not self.transport.is_closing():
            self.transport.write(bytes(self._out))
        self._out.clear()

    def settled(self) -> None:
        """One question has its answer, or needs none any more."""
        self._unanswered -= 1
        if self._stopping:
            self._close_if_idle()

    def stop(self) -> None:
        """Answer what was asked, then close."""
        self._stopping = True
        self.loop.call_later(0.05, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._unanswered == 0 and not self.closed:
            self._flush()
            self.transport.close()

    def _fail(self, why: str) -> None:
        log.error("closing weir's connection: %s", why)
        self._flush()
        self.closed = True
        self.transport.close()

    # --------------------------------------------------------------- input

    def _take(self, message: Any) -> None:
        kind = message.WhichOneof("event")
        if not self._greeted:
            self._hello(kind, message)
        elif not self.ready:
            self._ready(kind, message)
        elif kind in KINDS:
            self._event(kind, message)
        elif kind == "cancel":
            runner = self.runners.get(message.session)
            if runner is not None:
                runner.cancel(message.cancel.seq)
        elif kind == "ping":
            answer = _wire.FromPolicy()
            answer.pong.token = message.ping.token
            self.send(answer)
        elif kind == "drain":
            log.info("weir drains: %d sessions are open", len(self.runners))
        # else: an event of a later version, which this one did not ask for

    def _hello(self, kind: str | None, message: Any) -> None:
        if kind != "hello":
            raise _wire.ProtocolError(f"{kind} came before Hello")
        hello = message.hello
        if hello.major != 1:
            raise _wire.ProtocolError(
                f"{hello.software} speaks version {hello.major} of the"
                " protocol, and this is version 1")
        self._greeted = True
        self.phases = frozenset(hello.phases)
        self._hello_name = f"{hello.software}, policy {hello.policy!r}"
        limit = min(hello.max_frame or _wire.FRAME_MAX, _wire.FRAME_MAX)
        answer = _wire.FromPolicy()
        welcome = answer.welcome
        welcome.major = 1
        welcome.software = self.policy.software
        welcome.version = self.policy.version
        welcome.max_frame = limit
        self._subscribe(welcome)
        if any(s.phase == Phase.BODY for s in welcome.subscriptions):
            welcome.body_credit = self.policy.body_window
        self.send(answer)
        self._frames.limit = limit

    def _subscribe(self, target: Any) -> None:
        for phase, decide, prefix in self.policy.subscriptions(self.phases):
            target.subscriptions.add(phase=phase, decide=decide,
                                     body_prefix=prefix)

    def _ready(self, kind: str | None, message: Any) -> None:
        if kind != "ready":
            raise _wire.ProtocolError(f"{kind} came before Ready")
        self.ready = True
        self._patience.cancel()
        log.info("connected: %s", self._hello_name)
        for phase in message.ready.refused:
            log.warning("weir refused a subscription: %s", phase)

    def update(self) -> None:
        """Tell weir the present version of the rules."""
        if self.ready and not self.closed:
            answer = _wire.FromPolicy()
            answer.update.version = self.policy.version
            self._subscribe(answer.update)
            self.send(answer)

    def _event(self, kind: str, message: Any) -> None:
        phase, cls = KINDS[kind]
        if message.session == 0:
            raise _wire.ProtocolError(f"{kind} without a session")
        event = convert(cls, getattr(message, kind))
        deadline = None
        if message.seq:
            self._unanswered += 1
            if message.deadline_ms:
                deadline = self.loop.time() + message.deadline_ms / 1000
        runner = self.runners.get(message.session)
        if runner is None:
            runner = self.runners[message.session] = _Runner(
                self, message.session)
        runner.push(_Question(message.seq, phase, event, deadline))
