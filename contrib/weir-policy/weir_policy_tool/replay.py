"""weir-policy replay: recorded sessions before a policy, and what differs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from weir_policy.events import Mode

from . import words
from .differences import Differences, Judge, Side
from .options import positive
from .peer import Peer, Problem
from .play import Answer, Timeouts
from .recording import Reader, Record

HELP = "put recorded sessions to a policy, and show what it changes"
ABOUT = """\
Puts the sessions of a capture to the policy server at ENDPOINT, one event
after the other in the recorded order and as fast as it answers, and shows
where its verdicts differ from what was decided when the mail was real, or with
--against from those of another policy server, side by side.

A capture knows which transactions and recipients were refused by policies, but
not each policy's word; two servers are compared in all that they answer.

The exit status is 0 if nothing differs, 1 if something does, 2 if it could not
be tried.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("capture", metavar="CAPTURE",
                        help="a file of weir-policy capture")
    parser.add_argument("endpoint", metavar="ENDPOINT",
                        help="unix:/path, tcp:host:port or tls:host:port of"
                             " the new policy server")
    parser.add_argument("--against", metavar="ENDPOINT",
                        help="the old one")
    parser.add_argument("--decisions", action="store_true",
                        help="show each decision of the new one, and compare"
                             " nothing")
    parser.add_argument("--pace", type=positive, metavar="FACTOR",
                        help="so many times as fast as it was, at most: 1"
                             " for policies that count by time (default: as"
                             " fast as the server answers)")
    parser.add_argument("--examples", type=int, default=3, metavar="N",
                        help="of each difference (default: %(default)s)")
    parser.add_argument("--timeout", type=positive, default=2.0,
                        metavar="SECONDS", help="for each answer (default:"
                        " %(default)s; 15 at end_of_message)")
    parser.add_argument("--policy-name", default="weir-policy",
                        metavar="NAME", help="its name in weir.conf")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object instead of words")


def run(options: argparse.Namespace) -> int:
    reader = Reader(options.capture)
    timeouts = Timeouts(options.timeout, max(15.0, options.timeout))
    endpoints = [options.endpoint]
    endpoints += [options.against] if options.against else []
    peers: list[Peer] = []
    try:
        for endpoint in endpoints:
            peers.append(Peer(endpoint, options.tls_context,
                              options.tls_name))
            peers[-1].handshake(policy=options.policy_name,
                                mode=Mode.ENFORCE)
        return _replay(options, reader,
                       [Side(peer, timeouts) for peer in peers])
    finally:
        for peer in peers:
            peer.close()


def _replay(options: argparse.Namespace, reader: Reader,
            sides: list[Side]) -> int:
    found = Differences(options.examples)
    judge = Judge(sides, found)
    decisions: list[dict[str, Any]] = []
    try:
        for record in paced(reader, options.pace):
            if not record.message.session:
                continue
            for answer in judge.take(record):
                if options.decisions and options.json:
                    decisions.append(_decision(record, answer))
                elif options.decisions:
                    print(_decision_line(record, answer))
    except TimeoutError as error:
        raise Problem(str(error)) from None
    notes = _notes(reader, sides)
    if options.json:
        extra = {"decisions": decisions} if options.decisions else {}
        print(json.dumps({**found.data(), "notes": notes, **extra}, indent=2))
    else:
        for note in notes:
            print(f"weir-policy: {note}", file=sys.stderr)
        _show(found, options)
    return 1 if found.rows and not options.decisions else 0


def paced(records: Iterable[Record], pace: float | None
          ) -> Iterator[Record]:
    """The records, none before its time."""
    started, first = time.monotonic(), None
    for record in records:
        if pace:
            first = record.microseconds if first is None else first
            due = (record.microseconds - first) / 1e6 / pace
            time.sleep(max(0.0, started + due - time.monotonic()))
        yield record


def _decision_line(record: Record, answer: Answer) -> str:
    where = f"{record.connection}/{record.message.session}"
    about = "".join(f"{w}  " for w in [words.about(answer.event)] if w)
    return (f"{where:8} {answer.phase.name.lower():15}"
            f" {about}{words.verdict(answer)}")


def _decision(record: Record, answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = {
        "time": record.microseconds / 1e6, "connection": record.connection,
        "session": record.message.session,
        "phase": answer.phase.name.lower(),
        "about": words.about(answer.event), "error": answer.error}
    if answer.decision is not None:
        made["decision"] = words.decision_data(answer.decision)
    return made


def _notes(reader: Reader, sides: list[Side]) -> list[str]:
    notes = []
    if reader.cut:
        notes.append(f"{reader.path}: the last record is not whole, and was"
                     " passed over")
    if not reader.bodies and any(side.wants_bodies for side in sides):
        notes.append(f"{reader.path} was made without --bodies: a policy that"
                     " looks at them saw empty ones, as truncated")
    return notes


def _show(found: Differences, options: argparse.Namespace) -> None:
    data: dict[str, Any] = found.data()
    if not options.decisions:
        for row in data["differences"]:
            print(f"{row['count']:6}  {row['phase']:15} {row['old']}  ->"
                  f"  {row['new']}")
            for example in row["examples"]:
                print("        " + "  ".join(
                    f"{k}={words.printable(str(v))}"
                    for k, v in example.items() if v))
    print(f"{data['sessions']} sessions, {data['transactions']} transactions,"
          f" {data['questions']} questions"
          + ("" if options.decisions else
             f", {data['different']} verdicts differ")
          + (f", {data['unknown']} cannot be judged"
             if data["unknown"] else ""))
