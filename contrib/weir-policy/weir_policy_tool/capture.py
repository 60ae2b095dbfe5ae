"""weir-policy capture: weir's session stream, written to a file."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import grp
import os
import shutil
import signal
import socket
import sys
import time
from typing import Any

from weir_policy import wire
from weir_policy.events import Phase

from .options import count, positive
from .peer import Problem
from .recording import Writer

HELP = "record what weir tells a policy, to be put to others later"
ABOUT = """\
Listens at ENDPOINT as a policy server that decides nothing, and writes what
weir tells it of each session to FILE, until --seconds or --sessions are over
or it gets SIGINT or SIGTERM. It needs a block in weir.conf, which may stay
there for good: while nobody listens, weir tries again every 10 seconds or so,
and says so once in its log.

    policy "capture" {
      endpoint = "unix:/run/weir/capture.sock"
      mode = observe
    }

The file is for its owner only: it holds addresses and headers, and with
--bodies whole messages.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("endpoint", metavar="ENDPOINT",
                        help="where to listen: unix:/path or tcp:host:port")
    parser.add_argument("file", metavar="FILE", help="a new file")
    parser.add_argument("--bodies", action="store_true",
                        help="with the bodies of the messages")
    parser.add_argument("--seconds", type=positive, metavar="N",
                        help="stop after N seconds")
    parser.add_argument("--sessions", type=count, metavar="N",
                        help="record N sessions, then stop")
    parser.add_argument("--group", metavar="NAME",
                        help="the group that may use the socket (default:"
                             " weir, if there is one and root captures)")


class Capture:
    """The sessions of all connections, on their way into the file."""

    def __init__(self, writer: Writer, bodies: bool,
                 wanted: int | None) -> None:
        self.writer = writer
        self.bodies = bodies
        self.wanted = wanted
        self.connections = 0
        self.begun = self.ended = self.records = 0
        self.open: set[tuple[int, int]] = set()
        self.stop = asyncio.Event()
        self.problem: Problem | None = None

    def take(self, connection: int, payload: bytes, message: Any) -> None:
        key = connection, message.session
        kind = message.WhichOneof("event")
        if kind == "connect" and (self.wanted is None
                                  or self.begun < self.wanted):
            self.begun += 1
            self.open.add(key)
        if message.session and key not in self.open:
            return  # it began before us, or there are enough
        self.write(connection, payload)
        if kind == "session_end":
            self.open.discard(key)
            self.ended += 1
            if self.wanted is not None and self.ended >= self.wanted:
                self.stop.set()

    def write(self, connection: int, payload: bytes) -> None:
        try:
            self.writer.add(time.time_ns() // 1000, connection, payload)
            self.records += 1
        except Problem as problem:
            self.problem = problem
            self.stop.set()

    def lost(self, connection: int) -> None:
        gone = {key for key in self.open if key[0] == connection}
        self.open -= gone
        if gone:
            say(f"weir's connection is gone, with {len(gone)} sessions open")


class Connection(asyncio.Protocol):
    """One connection from weir: it hears everything and decides nothing."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.frames = wire.Frames()
        capture.connections += 1
        self.number = capture.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self.frames.feed(data):
                self._take(frame, wire.decode(frame))
        except wire.ProtocolError as error:
            say(f"closing a connection that is not weir's: {error}")
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.capture.lost(self.number)

    def _take(self, frame: bytes, message: Any) -> None:
        kind = message.WhichOneof("event")
        answer = wire.FromPolicy()
        if kind == "hello":
            self.frames.limit = wire.FRAME_MAX
            self._welcome(answer.welcome, message.hello)
            self.transport.write(wire.encode(answer))
            self.capture.write(self.number, frame)
        elif kind == "ready":
            say("weir is there")
        elif kind == "ping":
            answer.pong.token = message.ping.token
            self.transport.write(wire.encode(answer))
        elif message.session:
            self.capture.take(self.number, frame, message)

    def _welcome(self, welcome: Any, hello: Any) -> None:
        welcome.major = 1
        welcome.software = "weir-policy-capture/1"
        welcome.max_frame = min(hello.max_frame or wire.FRAME_MAX,
                                wire.FRAME_MAX)
        for phase in hello.phases:
            if phase != Phase.BODY or self.capture.bodies:
                welcome.subscriptions.add(phase=phase)


def say(words: str) -> None:
    print(f"weir-policy: {words}", file=sys.stderr, flush=True)


def _weirs_group() -> str | None:
    """weir connects as its own user, and root's sockets are not for others."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return grp.getgrnam("weir").gr_name
    return None


def run(options: argparse.Namespace) -> int:
    kind, where, _ = wire.split(options.endpoint)
    if kind == "tls":
        raise Problem("capture listens at unix:/path or tcp:host:port")
    try:
        listener = wire.listen(options.endpoint)
        group = options.group or _weirs_group()
        if kind == "unix" and group:
            shutil.chown(where, group=group)
            os.chmod(where, 0o660)
    except (OSError, LookupError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Problem(f"{options.endpoint}: {reason}") from None
    try:
        writer = Writer(options.file, options.bodies)
        return asyncio.run(_capture(options, listener, writer))
    finally:
        if kind == "unix":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(where)


async def _capture(options: argparse.Namespace, listener: socket.socket,
                   writer: Writer) -> int:
    capture = Capture(writer, options.bodies, options.sessions)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, capture.stop.set)
    if listener.family == socket.AF_UNIX:
        server: asyncio.AbstractServer = await loop.create_unix_server(
            lambda: Connection(capture), sock=listener)
    else:
        server = await loop.create_server(lambda: Connection(capture),
                                          sock=listener)
    say(f"listening on {wire.endpoint_of(listener)}")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(capture.stop.wait(), options.seconds)
    server.close()
    writer.close()
    if capture.problem is not None:
        raise capture.problem
    unfinished = len(capture.open)
    say(f"{options.file}: {capture.begun} sessions"
        + (f", {unfinished} of them not to their end" if unfinished else "")
        + ("" if capture.connections else
           "; weir never came: is there a policy block with this endpoint?"))
    return 0 if capture.begun else 1
