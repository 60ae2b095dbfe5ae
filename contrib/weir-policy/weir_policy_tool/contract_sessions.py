"""What `weir-policy check` tries, second part: sessions and questions."""

from __future__ import annotations

import subprocess
import time

from weir_policy import wire
from weir_policy.events import Outcome, Phase

from .contract import Note, Server, Skip
from .dialogue import MESSAGE, Broken, Dialogue, closed
from .message import Session
from .peer import Problem

LARGE = 2_000_000
SESSIONS = 50
RECIPIENTS = 100


def _session(**changes: object) -> Session:
    made = Session(MESSAGE, b"a@example.org", [b"b@example.net"])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _asked(dialogue: Dialogue) -> Dialogue:
    """Skips a server that decides nothing."""
    if not any(dialogue.decides(p) for p in Phase if p):
        dialogue.peer.close()
        raise Skip("it decides at no phase")
    return dialogue


def answers(server: Server) -> None:
    """Each question gets one valid decision in time; notifications none."""
    dialogue = server.dialogue()
    with dialogue.peer:
        dialogue.whole(1)
        dialogue.whole(2**64 - 1)
        dialogue.quiet()
    if dialogue.undecided:
        raise Note(f"it could not decide at {dialogue.undecided}; on_error"
                   " would")
    slowest, phase = dialogue.slowest
    if slowest > server.timeout / 2:
        raise Note(f"{phase.name} took {slowest:.1f} s; weir waits"
                   f" {server.timeout:g} s")


def notifications(server: Server) -> None:
    """Events with seq 0 are not answered."""
    dialogue = server.dialogue()
    with dialogue.peer:
        session = _session()
        for events in (session.before(), session.content([0]),
                       session.after(Outcome.DELIVERED, "mx")):
            dialogue.write(dialogue.frames(1, events, True))
        dialogue.quiet()
        dialogue.ping()


def strange_bytes(server: Server) -> None:
    """What came off the wire need not be UTF-8, nor be there at all."""
    dialogue = server.dialogue()
    odd = b"caf\xe9\xff\x00\"@[IPv6:::1]"
    sessions = [_session(sender=odd, recipients=[odd, b""], helo=odd),
                _session(sender=b"", client="2001:db8::1"),
                Session(b"", b"a@example.org", [b"b@example.net"]),
                Session(b"no header at all\r\n", b"a@b", [b"b@c"]),
                Session(b"Subject: =?utf-8?b?=FF\xff\r\n\r\n\x00\xff\r\n",
                        b"a@b", [b"b@c"])]
    with dialogue.peer:
        for number, session in enumerate(sessions, 1):
            dialogue.whole(number, session)


def pipelining(server: Server) -> None:
    """MAIL and 100 RCPT come in one write, before any answer."""
    dialogue = _asked(server.dialogue())
    with dialogue.peer:
        recipients = [b"r%d@example.net" % n for n in range(RECIPIENTS)]
        dialogue.write(dialogue.frames(
            1, _session(recipients=recipients).before()))
        dialogue.settle()


def many_sessions(server: Server) -> None:
    """Sessions share a connection; each answer names its own."""
    dialogue = server.dialogue()
    with dialogue.peer:
        parts = [list(_session().before()) for _ in range(SESSIONS)]
        for step in range(len(parts[0])):
            dialogue.write(b"".join(
                dialogue.frame(number, events[step])
                for number, events in enumerate(parts, 1)))
        dialogue.settle(max(server.timeout, 5.0))
        for number in range(1, SESSIONS, 2):  # half of them just end
            dialogue.write(dialogue.frames(
                number, list(_session().after(Outcome.ABORTED, "mx"))[1:], True))
        dialogue.whole(SESSIONS + 1)


def two_connections(server: Server) -> None:
    """weir opens several connections; numbers may be the same on each."""
    one, two = server.dialogue(), server.dialogue()
    with one.peer, two.peer:
        for dialogue in (one, two):
            dialogue.write(dialogue.frames(1, _session().before()))
        for dialogue in (two, one):
            dialogue.settle()
        if one.subscriptions.keys() != two.subscriptions.keys():
            raise Broken("two connections at once get other subscriptions:"
                         f" {sorted(one.subscriptions)} and"
                         f" {sorted(two.subscriptions)}")


def cancel(server: Server) -> None:
    """A cancelled question may stay without an answer; the next may not."""
    dialogue = _asked(server.dialogue())
    with dialogue.peer:
        dialogue.write(dialogue.frames(1, _session().before()))
        data = b"".join(dialogue.cancel(*key) for key in list(dialogue.open))
        data += dialogue.cancel(1, 4711) + dialogue.cancel(4712, 1)
        dialogue.write(data)
        dialogue.cancelled -= {(1, 4711), (4712, 1)}
        try:
            dialogue.whole(2)
            dialogue.ping()
        except (Broken, Problem) as error:
            raise Broken(f"after Cancel: {error}") from None


def deadline(server: Server) -> None:
    """A deadline that is over before it can be kept hurts nobody."""
    dialogue = _asked(server.dialogue())
    with dialogue.peer:
        data = b"".join(dialogue.frame(1, event, deadline_ms=1)
                        for event in _session().before())
        dialogue.cancelled |= set(dialogue.open)
        dialogue.open.clear()
        dialogue.write(data)
        time.sleep(0.1)
        try:
            dialogue.whole(2)
        except (Broken, Problem) as error:
            raise Broken(f"after a deadline of 1 ms: {error}") from None


def vanishing(server: Server) -> None:
    """The connection goes away with sessions and questions open; weir comes
    back, and tells them anew with `resumed`."""
    for _ in range(3):
        dialogue = server.dialogue()
        dialogue.write(dialogue.frames(1, _session().before()))
        dialogue.peer.close()
    dialogue = server.dialogue()
    with dialogue.peer:
        session = _session()
        events = list(session.before())
        events[0]["connect"]["resumed"] = True
        dialogue.write(dialogue.frames(9, events, True))
        try:
            content = [e for e in session.content([0]) if "data" not in e]
            for event in content:
                dialogue.write(dialogue.frame(9, event))
                dialogue.settle(max(15.0, server.timeout))
                if dialogue.refused(9):
                    break
        except Broken as error:
            raise Broken(f"in a resumed session: {error}") from None
    server.alive()


def large_body(server: Server) -> None:
    """Two million bytes of body, no faster than its credit allows."""
    dialogue = server.dialogue()
    subscription = dialogue.subscriptions.get(Phase.BODY)
    if subscription is None:
        dialogue.peer.close()
        raise Skip("it does not want BODY")
    with dialogue.peer:
        session = Session(MESSAGE + b"0123456789abcde\r\n" * (LARGE // 17),
                          b"a@example.org", [b"b@example.net"])
        dialogue.write(dialogue.frames(1, session.before(), True))
        data, headers, *_, end = session.content([0])
        dialogue.write(dialogue.frame(1, data, True)
                       + dialogue.frame(1, headers))
        dialogue.settle()
        if dialogue.refused(1):
            raise Skip("it refuses the message at HEADERS")
        _body(dialogue, session.body, subscription.body_prefix)
        dialogue.write(dialogue.frame(1, end))
        dialogue.settle(max(15.0, server.timeout))


def _body(dialogue: Dialogue, body: bytes, prefix: int) -> None:
    allowed = dialogue.peer.welcome.body_credit
    body = body[:prefix] if prefix else body
    key, at = (1, 1), 0
    until = time.monotonic() + dialogue.timeout
    while at < len(body) and not dialogue.refused(1):
        limit = max(dialogue.credit.get(key, 0),
                    dialogue.credit.get((1, 0), 0), allowed) \
            if allowed else len(body)
        piece = body[at:min(limit, at + 65536)]
        if piece:
            seq = dialogue.seqs[1] = dialogue.seqs.get(1, 0) + 1
            if dialogue.decides(Phase.BODY):
                dialogue.open[1, seq] = (Phase.BODY, time.monotonic())
            else:
                seq = 0
            dialogue.write(wire.encode(wire.ToPolicy(
                session=1, seq=seq,
                deadline_ms=round(dialogue.timeout * 1000) if seq else 0,
                body={"offset": at, "message": 1, "data": piece})))
            at += len(piece)
            until = time.monotonic() + dialogue.timeout
        elif time.monotonic() > until:
            raise Broken(f"no Credit after {at} body bytes: weir pauses its"
                         " client, and then on_error decides")
        dialogue.quiet(0.001 if piece else 0.02)


def thousand_sessions(server: Server) -> None:
    """Sessions that ended before are no burden: a thousand come and go."""
    dialogue = server.dialogue()
    with dialogue.peer:
        started = time.monotonic()
        for first in range(1, 1001, 50):
            numbers = range(first, first + 50)
            dialogue.write(b"".join(dialogue.frames(n, _session().before())
                                    for n in numbers))
            dialogue.settle(max(5.0, server.timeout))
            dialogue.write(b"".join(dialogue.frames(
                n, list(_session().after(Outcome.ABORTED, "mx"))[1:], True)
                for n in numbers))
        took = time.monotonic() - started
        dialogue.ping()
    if took > 10:
        raise Note(f"1000 sessions took {took:.0f} s")


def end_is_end(server: Server) -> None:
    """weir closes; the server notices and closes its side."""
    dialogue = server.dialogue()
    with dialogue.peer as peer:
        peer.shutdown()
        if not closed(peer, 5.0):
            raise Broken("weir has closed the connection, and the server keeps"
                         " it open")


def restart(server: Server) -> None:
    """Stopped and started again, it is there within 10 seconds."""
    if not server.restart:
        raise Skip("--restart COMMAND is not given")
    dialogue = server.dialogue()
    with dialogue.peer as peer:
        dialogue.write(dialogue.frames(1, _session().before()))
        done = subprocess.run(server.restart, shell=True, timeout=60,
                              check=False)
        if done.returncode:
            raise Broken(f"{server.restart!r} failed: exit status"
                         f" {done.returncode}")
        if not closed(peer):
            raise Broken("the connection outlived the restart")
    until = time.monotonic() + 10
    while True:
        try:
            server.connect().close()
            break
        except Problem as error:
            if time.monotonic() > until:
                raise Broken(f"10 seconds after the restart: {error}"
                             ) from None
            time.sleep(0.05)
    server.alive()


CHECKS = [answers, notifications, strange_bytes, pipelining, many_sessions,
          two_connections, cancel, deadline, vanishing, large_body,
          thousand_sessions, end_is_end, restart]
