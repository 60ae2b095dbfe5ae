"""Policy: handlers in, a running policy server out."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from . import wire
from ._server import Connection
from .decisions import Decision
from .events import (Auth, Body, Command, Connect, Data, Ehlo, EndOfMessage,
                     Headers, Mail, Phase, Rcpt, Reply, SessionEnd, Tls,
                     TransactionEnd, Upstream)
from .session import Session

log = logging.getLogger("weir_policy")

E = TypeVar("E")
Handler = Callable[[Session, E], Decision | None | Awaitable[Decision | None]]

_NOTIFY_ONLY = {Phase.UPSTREAM, Phase.TLS, Phase.REPLY, Phase.TRANSACTION_END,
                Phase.SESSION_END}


@dataclass(slots=True)
class Registered:
    function: Callable[[Session, Any], Any]
    decide: bool
    prefix: int


class Hook(Generic[E]):
    """The decorator of one phase."""

    def __init__(self, handlers: dict[Phase, Registered],
                 phase: Phase) -> None:
        self._handlers = handlers
        self._phase = phase

    @overload
    def __call__(self, handler: Handler[E]) -> Handler[E]: ...

    @overload
    def __call__(self, *, decide: bool | None = None, prefix: int = 0
                 ) -> Callable[[Handler[E]], Handler[E]]: ...

    def __call__(self, handler: Handler[E] | None = None, *,
                 decide: bool | None = None, prefix: int = 0) -> Any:
        if handler is None:
            return lambda h: self._register(h, decide, prefix)
        return self._register(handler, decide, prefix)

    def _register(self, handler: Handler[E], decide: bool | None,
                  prefix: int) -> Handler[E]:
        if self._phase in self._handlers:
            raise ValueError(f"{self._phase.name} has a handler already")
        if decide and self._phase in _NOTIFY_ONLY:
            raise ValueError(f"weir does not wait at {self._phase.name}")
        if decide is None:
            decide = self._phase not in _NOTIFY_ONLY | {Phase.BODY}
        self._handlers[self._phase] = Registered(handler, decide, prefix)
        return handler

    def remove(self) -> None:
        """No handler any more; see Policy.update()."""
        self._handlers.pop(self._phase, None)


class Policy:
    """A policy server.

    software     its name and version, for weir's log
    version      of its rules: recorded with every decision; may be set at any
                 time, and weir is told
    context      also hear of the phases before those that have a handler, so
                 that the session knows them
    body_limit   bytes of body kept in session.message when END_OF_MESSAGE has
                 a handler; 0: none, and weir need not send them
    body_window  body bytes per message that weir may send ahead
    stop_timeout seconds that SIGTERM leaves to handlers that are at work

    Each phase has a decorator. weir waits for what its handler returns, but
    at body (unless decide=True), upstream, tls, reply, transaction_end and
    session_end, and where decide=False says so.
    """

    def __init__(self, software: str = "weir_policy/1.0", *,
                 version: str = "", context: bool = True,
                 body_limit: int = 10 * 1024 * 1024,
                 body_window: int = 256 * 1024,
                 stop_timeout: float = 5.0) -> None:
        if body_window < 1:
            raise ValueError("body_window is at least one byte")
        self.software = software
        self.context = context
        self.body_limit = body_limit
        self.body_window = body_window
        self.stop_timeout = stop_timeout
        self.handlers: dict[Phase, Registered] = {}
        self.asked: set[Phase] = set()  # where weir was ever to wait
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Future[Any]] = set()
        self._version = version
        on = self.handlers
        self.connect: Hook[Connect] = Hook(on, Phase.CONNECT)
        self.upstream: Hook[Upstream] = Hook(on, Phase.UPSTREAM)
        self.tls: Hook[Tls] = Hook(on, Phase.TLS)
        self.ehlo: Hook[Ehlo] = Hook(on, Phase.EHLO)
        self.auth: Hook[Auth] = Hook(on, Phase.AUTH)
        self.command: Hook[Command] = Hook(on, Phase.COMMAND)
        self.mail: Hook[Mail] = Hook(on, Phase.MAIL)
        self.rcpt: Hook[Rcpt] = Hook(on, Phase.RCPT)
        self.data: Hook[Data] = Hook(on, Phase.DATA)
        self.headers: Hook[Headers] = Hook(on, Phase.HEADERS)
        self.body: Hook[Body] = Hook(on, Phase.BODY)
        self.end_of_message: Hook[EndOfMessage] = Hook(
            on, Phase.END_OF_MESSAGE)
        self.reply: Hook[Reply] = Hook(on, Phase.REPLY)
        self.transaction_end: Hook[TransactionEnd] = Hook(
            on, Phase.TRANSACTION_END)
        self.session_end: Hook[SessionEnd] = Hook(on, Phase.SESSION_END)

    @property
    def version(self) -> str:
        return self._version

    @version.setter
    def version(self, version: str) -> None:
        if version != self._version:
            self._version = version
            self.update()

    def update(self) -> None:
        """Tell weir the present version and handlers, when they changed while
        it is connected: they count for sessions that start from then on."""
        for connection in self.connections:
            connection.update()

    def subscriptions(self, offered: frozenset[int] = frozenset()
                      ) -> list[tuple[Phase, bool, int]]:
        """(phase, decide, body_prefix) for all that the handlers need, as far
        as weir offers it."""
        wanted = {Phase.TRANSACTION_END, Phase.SESSION_END, *self.handlers}
        if self.context and self.handlers:
            end = max(p if p <= Phase.END_OF_MESSAGE else Phase.HEADERS
                      for p in self.handlers)
            wanted |= {p for p in Phase if 0 < p < end and p != Phase.COMMAND}
        if self.body_limit == 0 and Phase.BODY not in self.handlers:
            wanted.discard(Phase.BODY)
        self.asked |= {p for p, h in self.handlers.items() if h.decide}
        return [self._subscription(phase) for phase in sorted(wanted)
                if not offered or phase in offered]

    def _subscription(self, phase: Phase) -> tuple[Phase, bool, int]:
        handler = self.handlers.get(phase)
        if handler is not None:
            return phase, handler.decide, handler.prefix
        return phase, False, self.body_limit if phase == Phase.BODY else 0

    def run(self, endpoint: str | argparse.Namespace,
            tls: ssl.SSLContext | None = None) -> None:
        """Serve at "unix:/path", "tcp:host:port" or "tls:host:port" until
        SIGTERM or SIGINT. It takes what arguments() made of the command line,
        too; and for TLS a context, as wire.server_tls() makes it."""
        if not logging.getLogger().handlers:
            logging.basicConfig(level=logging.INFO,
                                format="%(levelname)s %(message)s")
        if isinstance(endpoint, argparse.Namespace):
            tls = tls or _tls_of(endpoint)
            where: str = endpoint.listen
        else:
            where = endpoint
        try:
            asyncio.run(self._until_signal(where, tls))
        except (OSError, ValueError) as error:
            raise SystemExit(f"{where}: {error}") from None

    async def _until_signal(self, endpoint: str,
                            tls: ssl.SSLContext | None) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self.serve(endpoint, stop, tls)

    async def serve(self, endpoint: str, stop: asyncio.Event,
                    tls: ssl.SSLContext | None = None) -> None:
        """Serve until `stop` is set; then answer what was asked, and close."""
        kind = wire.split(endpoint)[0]
        if (kind == "tls") != (tls is not None):
            raise ValueError("TLS needs a certificate" if kind == "tls" else
                             "a certificate is for tls:host:port")
        listener = wire.listen(endpoint)
        where = wire.endpoint_of(listener, kind)
        inode = _inode(listener)
        loop = asyncio.get_running_loop()
        if listener.family == socket.AF_UNIX:
            server: asyncio.AbstractServer = await loop.create_unix_server(
                lambda: Connection(self), sock=listener)
        else:
            server = await loop.create_server(lambda: Connection(self),
                                              sock=listener, ssl=tls)
        log.info("listening on %s", where)
        try:
            await stop.wait()
        finally:
            server.close()
            if inode is not None and _inode_of(where[5:]) == inode:
                os.unlink(where[5:])
        log.info("stopping")
        await self._finish()

    async def _finish(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.stop_timeout
        for connection in list(self.connections):
            connection.stop()
        while (self.connections or self.tasks) and loop.time() < until:
            await asyncio.sleep(0.02)


def _inode(listener: socket.socket) -> int | None:
    if listener.family != socket.AF_UNIX:
        return None
    return _inode_of(listener.getsockname())


def _inode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None


def _tls_of(options: argparse.Namespace) -> ssl.SSLContext | None:
    if not getattr(options, "tls_cert", None):
        return None
    try:
        return wire.server_tls(options.tls_cert, options.tls_key,
                               options.tls_client_ca)
    except OSError as error:
        raise SystemExit(f"{options.tls_cert}: {error}") from None


def arguments(description: str | None = None) -> argparse.ArgumentParser:
    """A parser that knows --listen and what TLS needs, to which a policy adds
    its own; Policy.run() takes what it makes of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--listen", required=True, metavar="ENDPOINT",
                        help="unix:/path, tcp:host:port (port 0: any) or"
                             " tls:host:port")
    parser.add_argument("--tls-cert", metavar="PEM",
                        help="this server's certificate, for tls:")
    parser.add_argument("--tls-key", metavar="PEM",
                        help="its key (default: in the same file)")
    parser.add_argument("--tls-client-ca", metavar="PEM",
                        help="only a weir with a certificate of this CA")
    return parser
