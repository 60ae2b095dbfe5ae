"""weir-policy send: one message before one policy server."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from weir_policy.events import Outcome, Phase

from . import edits, words
from .edits import Invalid
from .message import Event, Session, addresses, with_crlf
from .options import ip_address, mailbox, positive, recipient
from .peer import Peer, Problem
from .play import Answer, Player, Timeouts

HELP = "show what a policy server makes of one message"
ABOUT = """\
Plays weir's part in one SMTP session with one message, and shows each phase
with the verdict of the policy server, and the message as it would leave.
Nothing is sent anywhere else. All grants are given.

The exit status is 0 if the message would be delivered to somebody, 1 if not,
2 if the policy server could not be asked or gave no valid decision. With
--expect it is 0 if every TEXT is in a line of the report, else 1.
"""
_UNSEEN = {"upstream", "body"}  # not worth a line when it is only told
_OUTCOMES = {edits.REJECT: Outcome.REJECTED, edits.TEMPFAIL: Outcome.DEFERRED,
             edits.DISCARD: Outcome.DISCARDED,
             edits.DISCONNECT: Outcome.DEFERRED}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("message", metavar="MESSAGE.eml",
                        help="a file, or - for standard input")
    parser.add_argument("--from", dest="sender", metavar="ADDRESS",
                        type=mailbox,
                        help="envelope sender; '' for <> (default: of the"
                             " Return-Path or From field)")
    parser.add_argument("--to", action="append", metavar="ADDRESS",
                        type=recipient,
                        help="envelope recipient; may be repeated (default:"
                             " of the To, Cc and Bcc fields)")
    parser.add_argument("--client", default=Session.client, metavar="ADDRESS",
                        type=ip_address,
                        help="the client's address (default: %(default)s)")
    parser.add_argument("--destination", default=Session.destination,
                        metavar="ADDRESS", type=ip_address,
                        help="the MX's address (default: %(default)s)")
    parser.add_argument("--listener", default=Session.listener,
                        metavar="NAME", help="default: %(default)s")
    parser.add_argument("--helo", default="client.example", metavar="NAME",
                        help="EHLO name (default: %(default)s)")
    parser.add_argument("--tls", nargs="?", const="TLS1.3", default="",
                        metavar="VERSION",
                        help="the client uses STARTTLS (default version:"
                             " %(const)s)")
    parser.add_argument("--auth", default="", metavar="IDENTITY",
                        help="the client is authenticated")
    parser.add_argument("--policy-name", default="weir-policy",
                        metavar="NAME", help="its name in weir.conf")
    parser.add_argument("--timeout", type=positive, default=2.0,
                        metavar="SECONDS", help="for each answer (default:"
                        " %(default)s; 15 at end_of_message)")
    parser.add_argument("--output", metavar="FILE",
                        help="write the message as it would leave")
    parser.add_argument("--expect", action="append", metavar="TEXT",
                        help="this must be in a line of the report; may be"
                             " repeated")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object instead of words")


class Report:
    """What happened, from the first phase to the message that leaves."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.answers: list[Answer] = []
        self.told: list[Event | Answer] = []  # with those, in order
        self.annotations: dict[str, str] = {}
        self.outcome = Outcome.DELIVERED
        self.sender = session.sender
        self.recipients: list[bytes] = []
        self.message = b""
        self.failure = ""

    def add(self, event: Event, answer: Answer | None, told: bool) -> None:
        if answer is None:
            if told and event.keys().isdisjoint(_UNSEEN):
                self.told.append(event)
        else:
            self.answers.append(answer)
            self.told.append(answer)
            if answer.error and not self.failure:
                self.failure = f"{answer.phase.name.lower()}: {answer.error}"


def play(player: Player, session: Session) -> Report:
    """Take the session through the policy, as far as it goes."""
    report = Report(session)
    kept: dict[int, bytes] = {}
    ends: list[Answer] = []
    for event in session.before():
        answer = player.tell(event)
        report.add(event, answer, player.told)
        refused = answer is not None and answer.action != edits.RELAY
        rewrite = answer is not None and answer.decision is not None \
            and answer.decision.rewrite_set
        if "mail" in event and rewrite and answer is not None:
            report.sender = answer.decision.rewrite
        elif "rcpt" in event and not refused and not player.over:
            kept[event["rcpt"]["index"]] = answer.decision.rewrite \
                if rewrite and answer is not None \
                else event["rcpt"]["recipient"]
        if refused and answer is not None:
            ends.append(answer)
    headers, body = session.headers, session.body
    if kept and not player.transaction.over and not player.over:
        ends = []
        for event in session.content(list(kept)):
            answer = player.tell(event)
            report.add(event, answer, player.told)
            if answer is None or answer.error:
                continue
            if answer.action != edits.RELAY:
                ends.append(answer)
                break
            try:
                headers = edits.edit_headers(headers, answer.decision.headers)
                body = edits.splice(body, answer.decision.body)
            except Invalid as error:
                answer.error = str(error)
                report.failure = report.failure or str(error)
    if ends:
        report.outcome = _OUTCOMES.get(ends[-1].action, Outcome.DEFERRED)
    elif not report.failure:
        report.recipients = list(kept.values())
        report.message = headers + body
    for event in session.after(report.outcome, "policy" if ends else "mx"):
        player.tell(event)
    report.annotations = player.annotations
    return report


def lines(report: Report) -> list[str]:
    out = []
    for step in report.told:
        if isinstance(step, Answer):
            event, verdict = step.event, words.verdict(step)
            if not step.repeated:
                verdict += f"  {step.seconds * 1000:.1f} ms"
        else:
            event, verdict = step, "told"
        what = "".join(f"{w}  " for w in [words.about(event)] if w)
        out.append(f"{next(iter(event)):15} {what}{verdict}")
    if not report.answers:
        out.append("the policy server decides nothing of this message")
    out += [f"{'record':15} {words.printable(k)}={words.printable(v)}"
            for k, v in sorted(report.annotations.items())]
    if report.failure:
        out.append(f"{'outcome':15} on_error of weir.conf decides"
                   f" ({report.failure})")
        return out
    out.append(f"{'outcome':15} {report.outcome.name.lower()}")
    if report.outcome == Outcome.DELIVERED:
        out.append(f"{'sender':15} <{words.printable(report.sender)}>")
        out += [f"{'recipient':15} <{words.printable(r)}>"
                for r in report.recipients]
        before = report.session.raw
        out.append(f"{'message':15} " + (
            "unchanged" if report.message == before else
            f"{len(before)} bytes became {len(report.message)}"))
    return out


def data(report: Report) -> dict[str, Any]:
    phases = []
    for answer in report.answers:
        row: dict[str, Any] = {
            "phase": answer.phase.name.lower(),
            "ms": round(answer.seconds * 1000, 3),
            "event": words.plain(next(iter(answer.event.values())))}
        if answer.phase in (Phase.HEADERS, Phase.BODY):
            del row["event"]
        if answer.decision is not None:
            row["decision"] = words.decision_data(answer.decision)
        if answer.error:
            row["error"] = answer.error
        phases.append(row)
    return {"phases": phases, "annotations": report.annotations,
            "outcome": "on_error" if report.failure
            else report.outcome.name.lower(), "error": report.failure,
            "sender": words.plain(report.sender),
            "recipients": words.plain(report.recipients),
            "message": words.plain(report.message)}


def read(options: argparse.Namespace) -> Session:
    try:
        raw = sys.stdin.buffer.read() if options.message == "-" \
            else Path(options.message).read_bytes()
    except OSError as error:
        raise Problem(f"{options.message}: {error.strerror}") from None
    raw = with_crlf(raw)

    def encoded(value: str) -> bytes:
        return value.encode("utf-8", "surrogateescape")

    sender = encoded(options.sender) if options.sender is not None else \
        next(iter(addresses(raw, "Return-Path", "From")), b"")
    recipients = list(map(encoded, options.to or ())) or \
        addresses(raw, "To", "Cc", "Bcc")
    if not recipients:
        raise Problem(f"{options.message}: no recipient in its header fields;"
                      " give one with --to")
    return Session(raw, sender, recipients, options.client,
                   options.destination, options.listener,
                   encoded(options.helo), options.tls, encoded(options.auth))


def run(options: argparse.Namespace) -> int:
    session = read(options)
    with Peer(options.endpoint, options.tls_context,
              options.tls_name) as peer:
        peer.handshake(policy=options.policy_name)
        player = Player(peer, 1, Timeouts(
            options.timeout, max(15.0, options.timeout)))
        report = play(player, session)
    shown = lines(report)
    if options.json:
        print(json.dumps(data(report), indent=2))
    else:
        print("\n".join(shown))
        if report.message not in (b"", session.raw) and not options.output:
            print(f"{'-' * 15} as it would leave")
            print(words.display(report.message), end="")
    if options.output and report.message:
        try:
            Path(options.output).write_bytes(report.message)
        except OSError as error:
            raise Problem(f"{options.output}: {error.strerror}") from None
    if options.expect:
        return _expected(options.expect, shown)
    if report.failure:
        return 2
    return 0 if report.outcome == Outcome.DELIVERED else 1


def _expected(expected: list[str], shown: list[str]) -> int:
    flat = [" ".join(line.split()) for line in shown]
    missing = [text for text in expected
               if not any(" ".join(text.split()) in line for line in flat)]
    for text in missing:
        print(f"weir-policy: not as expected: no line has {text!r}",
              file=sys.stderr)
    return 1 if missing else 0
