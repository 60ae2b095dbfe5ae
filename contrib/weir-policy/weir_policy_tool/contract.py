"""What `weir-policy check` tries, first part: the connection itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from weir_policy import wire
from weir_policy.events import Phase

from .dialogue import NEVER_ASKED, Broken, Dialogue, closed
from .peer import Peer, Problem

UNKNOWN = b"\xf2\x3f\x02hi"  # field 1022, which no version has


class Skip(Exception):
    """Why something cannot be tried with this server."""


class Note(Exception):
    """Nothing wrong, but good to know."""


@dataclass
class Server:
    """The server under test."""

    connect: Callable[[], Peer]
    timeout: float
    restart: str = ""  # a command

    def dialogue(self, **hello: Any) -> Dialogue:
        peer = self.connect()
        try:
            peer.handshake(**hello)
        except (Problem, TimeoutError) as error:
            peer.close()
            raise Broken(str(error)) from None
        return Dialogue(peer, self.timeout)

    def alive(self) -> None:
        """It still takes connections and answers."""
        try:
            dialogue = self.dialogue()
        except (Broken, Problem) as error:
            raise Broken(f"after that, a new connection fails: {error}"
                         ) from None
        with dialogue.peer:
            dialogue.whole(1)


def handshake(server: Server) -> None:
    """Nothing before Hello; then Welcome within 5 seconds."""
    with server.connect() as peer:
        try:
            early = peer.receive(0.3)
            if early is None:
                raise Broken("the server closes a connection at once")
            raise Broken("the server speaks before weir's Hello")
        except TimeoutError:
            pass
        started = time.monotonic()
        try:
            peer.handshake()
        except (Problem, TimeoutError) as error:
            raise Broken(str(error)) from None
        if time.monotonic() - started > 1:
            raise Note(f"Welcome took {time.monotonic() - started:.1f} s")


def welcome(server: Server) -> None:
    """Subscriptions to known phases, each once; decide where weir waits."""
    with server.dialogue().peer as peer:
        answer = peer.welcome
    if answer.major not in (0, 1):
        raise Broken(f"Welcome.major is {answer.major}, and Hello.major was 1")
    if 0 < answer.max_frame < 1024:
        raise Broken(f"Welcome.max_frame is {answer.max_frame} bytes: that is"
                     " too small for any message")
    seen: set[int] = set()
    for s in answer.subscriptions:
        if s.phase not in set(Phase) - {Phase.UNSPECIFIED}:
            raise Broken(f"a subscription to phase {s.phase}, which the"
                         " protocol does not have")
        if s.phase in seen:
            raise Broken(f"two subscriptions to {Phase(s.phase).name}")
        seen.add(s.phase)
        if s.body_prefix and s.phase != Phase.BODY:
            raise Broken(f"body_prefix at {Phase(s.phase).name}: it is for"
                         " BODY")
    if not seen:
        raise Broken("no subscriptions at all: weir will tell it nothing")
    if answer.features:
        raise Broken("features that Hello did not offer:"
                     f" {', '.join(answer.features)}")
    _notes(answer)


def _notes(answer: Any) -> None:
    notes = [f"decide at {Phase(s.phase).name} becomes notify"
             for s in answer.subscriptions
             if s.decide and s.phase in NEVER_ASKED]
    if Phase.SESSION_END not in {s.phase for s in answer.subscriptions}:
        notes.append("without SESSION_END it cannot forget sessions")
    if not answer.software:
        notes.append("Welcome.software is empty: weir's log cannot name it")
    if not answer.version:
        notes.append("Welcome.version is empty: the record cannot say which"
                     " rules decided")
    if notes:
        raise Note("; ".join(notes))


def other_version(server: Server) -> None:
    """A Hello of another major version ends the connection."""
    with server.connect() as peer:
        peer.hello(major=2)
        try:
            answer = peer.receive(server.timeout)
        except TimeoutError:
            raise Broken("Hello of version 2 gets no answer, and the"
                         " connection stays") from None
        if answer is None or answer.welcome.major > 1:
            return
        raise Broken("Hello of version 2 was answered with Welcome of version"
                     f" {answer.welcome.major or 1}")


def ping(server: Server) -> None:
    """Pong with the same token."""
    dialogue = server.dialogue()
    with dialogue.peer:
        dialogue.ping()


def unknown_event(server: Server) -> None:
    """An event of a later version is ignored."""
    dialogue = server.dialogue()
    with dialogue.peer:
        for payload in (b"\x08\x05" + UNKNOWN, UNKNOWN, b""):
            dialogue.write(len(payload).to_bytes(4, "big") + payload)
        dialogue.ping()
        dialogue.whole(1)


def unknown_fields(server: Server) -> None:
    """Fields of a later version are ignored, in every event."""
    dialogue = server.dialogue()
    with dialogue.peer:
        write = dialogue.write

        def with_more(data: bytes) -> None:
            frames = wire.Frames()
            frames.limit = wire.FRAME_MAX
            for frame in frames.feed(data):
                more = frame + UNKNOWN
                write(len(more).to_bytes(4, "big") + more)

        dialogue.write = with_more
        dialogue.whole(1)
        dialogue.ping()


def half_frames(server: Server) -> None:
    """Frames arrive in pieces of any size."""
    dialogue = server.dialogue()
    with dialogue.peer:
        write = dialogue.write

        def cut(data: bytes) -> None:
            for at in range(0, len(data), 3):
                write(data[at:at + 3])

        dialogue.write = cut
        dialogue.whole(1)


def half_frame_then_nothing(server: Server) -> None:
    """weir dies in the middle of a frame: only that connection ends."""
    dialogue = server.dialogue()
    dialogue.write(b"\x00\x00\x10\x00\x08\x01")
    dialogue.peer.close()
    with server.connect() as peer:
        peer.send_raw(b"\x00\x00")
    server.alive()


def oversized(server: Server) -> None:
    """A frame over max_frame (65536 bytes before the handshake is done) ends
    the connection, before it is read."""
    with server.connect() as peer:
        peer.send_raw(b"\xff\xff\xff\xff")
        if not closed(peer):
            raise Broken("before Hello a frame of 4 GiB is announced, and the"
                         " server waits for it")
    dialogue = server.dialogue()
    with dialogue.peer as peer:
        peer.send_raw((peer.max_frame + 1).to_bytes(4, "big"))
        if not closed(peer):
            raise Broken(f"a frame of {peer.max_frame + 1} bytes is announced"
                         f" where {peer.max_frame} are allowed, and the"
                         " server waits for it")
    server.alive()


def garbage(server: Server) -> None:
    """What is no message ends that connection, and no other."""
    good = server.dialogue()
    with good.peer:
        for handshake_first in (False, True):
            bad = server.dialogue().peer if handshake_first \
                else server.connect()
            with bad:
                bad.send_raw(b"\0\0\0\x04\xff\xff\xff\xff")
                if not closed(bad):
                    raise Broken("a frame that is no protobuf message "
                                 + ("after" if handshake_first else "before")
                                 + " the handshake, and the connection stays")
        good.ping()
        good.whole(1)


def drain(server: Server) -> None:
    """After Drain what is open is finished; weir closes, not the server."""
    dialogue = server.dialogue()
    with dialogue.peer:
        dialogue.write(wire.encode(wire.ToPolicy(drain={})))
        try:
            dialogue.whole(1)
            dialogue.ping()
        except (Broken, Problem) as error:
            raise Broken(f"after Drain: {error}") from None
    server.alive()


CHECKS = [handshake, welcome, other_version, ping, unknown_event,
          unknown_fields, half_frames, half_frame_then_nothing, oversized,
          garbage, drain]
