"""One connection from weir: frames in, frames out.

    bytes -> Frames -> Connection -> Runner (one per session) -> handler
    bytes <- one write per turn   <-        its decision      <-
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from . import wire
from ._runner import Question, Runner
from .events import KINDS, Hello, Phase, convert

if TYPE_CHECKING:
    from .policy import Policy

log = logging.getLogger("weir_policy")

HANDSHAKE_SECONDS = 10.0

# When handlers are slower than that, nothing more is read. Body credit makes
# weir pause single sessions long before.
BACKLOG_MAX = 64 * 1024 * 1024
EVENT_COST = 512  # memory of an event, however small its frame


class Connection(asyncio.Protocol):
    """One connection from weir: handshake, then its sessions."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.runners: dict[int, Runner] = {}
        self.weir = Hello()
        self.ready = False
        self.closed = False
        self._greeted = False
        self._stopping = False
        self._unanswered = 0
        self._backlog = 0
        self._congested = False  # weir does not read
        self._told: Any = None  # version and subscriptions, as weir has them
        self._frames = wire.Frames()
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
                self._take(wire.decode(frame), EVENT_COST + len(frame))
        except wire.ProtocolError as error:
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
        self._congested = True
        self._flow()

    def resume_writing(self) -> None:
        self._congested = False
        self._flow()

    def _flow(self) -> None:
        if self._congested or self._backlog > BACKLOG_MAX:
            self.transport.pause_reading()
        elif not self.closed:
            self.transport.resume_reading()

    def hold(self, size: int) -> None:
        """So much waits for its handler; less than 0: waits no more."""
        before, self._backlog = self._backlog, self._backlog + size
        if (before > BACKLOG_MAX) != (self._backlog > BACKLOG_MAX):
            self._flow()

    # -------------------------------------------------------------- output

    def send(self, message: Any) -> bool:
        """Queue one message. False if it does not fit into a frame."""
        if self.closed:
            return True
        frame = wire.encode(message)
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

    def _take(self, message: Any, size: int) -> None:
        kind = message.WhichOneof("event")
        if not self._greeted:
            self._hello(kind, message)
        elif not self.ready:
            self._ready(kind, message)
        elif kind in KINDS:
            self._event(kind, message, size)
        elif kind == "cancel":
            runner = self.runners.get(message.session)
            if runner is not None:
                runner.cancel(message.cancel.seq)
        elif kind == "ping":
            answer = wire.FromPolicy()
            answer.pong.token = message.ping.token
            self.send(answer)
        elif kind == "drain":
            log.info("weir drains: %d sessions are open", len(self.runners))
        # else: an event of a later version, which this one did not ask for

    def _hello(self, kind: str | None, message: Any) -> None:
        if kind != "hello":
            raise wire.ProtocolError(f"{kind} came before Hello")
        hello = message.hello
        if hello.major != 1:
            raise wire.ProtocolError(
                f"{hello.software} speaks version {hello.major} of the"
                " protocol, and this is version 1")
        self._greeted = True
        self.weir = convert(Hello, hello)
        limit = min(hello.max_frame or wire.FRAME_MAX, wire.FRAME_MAX)
        answer = wire.FromPolicy()
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

    def _wanted(self) -> list[tuple[Phase, bool, int]]:
        return self.policy.subscriptions(frozenset(self.weir.phases))

    def _subscribe(self, target: Any) -> None:
        wanted = self._wanted()
        self._told = self.policy.version, wanted
        for phase, decide, prefix in wanted:
            target.subscriptions.add(phase=phase, decide=decide,
                                     body_prefix=prefix)

    def _ready(self, kind: str | None, message: Any) -> None:
        if kind != "ready":
            raise wire.ProtocolError(f"{kind} came before Ready")
        self.ready = True
        self._patience.cancel()
        log.info("connected: %s, policy %r, %s", self.weir.software,
                 self.weir.policy, self.weir.mode.name.lower())
        for phase in message.ready.refused:
            log.warning("weir refused a subscription: %s", phase)
        if self._told != (self.policy.version, self._wanted()):
            self.update()  # changed since Welcome

    def update(self) -> None:
        """Tell weir the present version of the rules."""
        if self.ready and not self.closed:
            answer = wire.FromPolicy()
            answer.update.version = self.policy.version
            self._subscribe(answer.update)
            self.send(answer)

    def _event(self, kind: str, message: Any, size: int) -> None:
        phase, cls = KINDS[kind]
        if message.session == 0:
            raise wire.ProtocolError(f"{kind} without a session")
        event = convert(cls, getattr(message, kind))
        deadline = None
        if message.seq:
            self._unanswered += 1
            if message.deadline_ms:
                deadline = self.loop.time() + message.deadline_ms / 1000
        runner = self.runners.get(message.session)
        if runner is None:
            runner = self.runners[message.session] = Runner(
                self, message.session)
        runner.push(Question(message.seq, phase, event, deadline, size))
