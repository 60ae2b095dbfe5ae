"""Recorded sessions, played to one policy server or two, and where verdicts
differ: from what was decided then, or from each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weir_policy.decisions import Scope
from weir_policy.events import Outcome, Phase, text

from . import edits, words
from .peer import Peer
from .play import Answer, Player, Timeouts
from .recording import Record

_OLD = {Outcome.REJECTED: "refused", Outcome.DEFERRED: "refused",
        Outcome.DISCARDED: "discard"}


def label(answer: Answer | None) -> str:
    """A verdict in a few words, so that like ones are counted together."""
    if answer is None or (answer.decision is None and not answer.error):
        return "not asked"
    if answer.error:
        return f"FAILED {answer.error}"
    decision = answer.decision
    made = [words.ACTIONS[decision.action]]
    if decision.action in words.DEFAULTS:
        r = decision.reply
        made += [str(r.code or words.DEFAULTS[decision.action]), r.enhanced]
    made += [what for what, given in [
        ("+headers", len(decision.headers)), ("+body", len(decision.body)),
        ("+rewrite", decision.rewrite_set), ("+delay", decision.delay_ms),
        ("+outbound", decision.HasField("outbound"))] if given]
    return " ".join(w for w in made if w)


def essence(answer: Answer | None) -> bytes:
    """What a verdict does: all of it but the words for the record."""
    if answer is None or answer.decision is None:
        return label(answer).encode()
    copy = type(answer.decision)()
    copy.CopyFrom(answer.decision)
    for name in ("rule", "score", "reason", "annotations"):
        copy.ClearField(name)
    return bytes(copy.SerializeToString(deterministic=True)) \
        + answer.error.encode()


class Differences:
    """Counted by phase, old and new verdict, with a few examples of each."""

    def __init__(self, examples: int) -> None:
        self.examples = examples
        self.rows: dict[tuple[str, str, str], list[Any]] = {}
        self.sessions = self.transactions = self.questions = self.unknown = 0

    def add(self, phase: str, old: str, new: str,
            example: dict[str, str]) -> None:
        row = self.rows.setdefault((phase, old, new), [0, []])
        row[0] += 1
        if len(row[1]) < self.examples:
            row[1].append(example)

    def data(self) -> dict[str, Any]:
        ordered = sorted(self.rows.items(), key=lambda r: -int(r[1][0]))
        return {"sessions": self.sessions, "transactions": self.transactions,
                "questions": self.questions, "unknown": self.unknown,
                "different": sum(row[0] for row in self.rows.values()),
                "differences": [
                    {"phase": phase, "old": old, "new": new, "count": count,
                     "examples": examples}
                    for (phase, old, new), (count, examples) in ordered]}


class Side:
    """One policy server, and its player of each open session."""

    def __init__(self, peer: Peer, timeouts: Timeouts) -> None:
        self.peer = peer
        self.timeouts = timeouts
        self.players: dict[tuple[int, int], Player] = {}
        self.count = 0
        phases = {s.phase: s.decide for s in peer.welcome.subscriptions}
        self.wants_bodies = Phase.BODY in phases
        self.last: int = max((p for p, decide in phases.items() if decide),
                             default=0)

    def tell(self, key: tuple[int, int], event: dict[str, Any]
             ) -> Answer | None:
        player = self.players.get(key)
        if player is None:
            self.count += 1
            player = Player(self.peer, self.count, self.timeouts)
            self.players[key] = player
        answer = player.tell(event)
        if "session_end" in event:
            del self.players[key]
        return answer


@dataclass
class _Seen:
    """What is known of a recorded session, and the new verdicts in it."""

    connection_id: str = ""
    client: str = ""
    transaction_id: str = ""
    sender: str = ""
    recipients: dict[int, str] = field(default_factory=dict)
    accepted: set[int] | None = None
    by_mx: set[int] = field(default_factory=set)  # RCPTs that the MX refused
    rcpt: dict[int, Answer] = field(default_factory=dict)
    whole: Answer | None = None  # a new refusal of the session
    refusal: Answer | None = None  # and of the transaction
    failed: bool = False  # on_error would decide
    last: Phase = Phase.UNSPECIFIED

    def example(self, answers: dict[str, Answer | None],
                index: int | None = None) -> dict[str, str]:
        made = {"connection": self.connection_id, "client": self.client,
                "transaction": self.transaction_id, "sender": self.sender}
        if index is not None:
            made["recipient"] = self.recipients.get(index, "")
        for name, answer in answers.items():
            if answer is not None and answer.decision is not None:
                made[f"{name}_rule"] = answer.decision.rule
                made[f"{name}_reason"] = answer.decision.reason
        return {key: value for key, value in made.items() if value}


class Judge:
    """Takes the records, and counts what differs."""

    def __init__(self, sides: list[Side], found: Differences) -> None:
        self.sides = sides
        self.found = found
        self.sessions: dict[tuple[int, int], _Seen] = {}

    def take(self, record: Record) -> list[Answer]:
        """The answers of the first server to one record."""
        message = record.message
        kind = message.WhichOneof("event")
        if kind is None or kind in ("cancel", "drain"):
            return []
        key = record.connection, message.session
        seen = self.sessions.get(key)
        if seen is None:
            seen = self.sessions[key] = _Seen()
            self.found.sessions += 1
        inner = getattr(message, kind)
        event = {kind: {f.name: value for f, value in inner.ListFields()}}
        self._note(seen, kind, inner)
        answers = [side.tell(key, event) for side in self.sides]
        self._compare(seen, kind, answers)
        if kind == "transaction_end" and len(self.sides) == 1:
            self._judge(seen, inner)
        if kind == "session_end":
            del self.sessions[key]
        asked = [a for a in answers[:1] if a is not None and not a.repeated]
        self.found.questions += len(asked)
        return asked

    def _note(self, seen: _Seen, kind: str, inner: Any) -> None:
        if kind == "connect":
            seen.connection_id = inner.connection_id
            seen.client = inner.client.address
        elif kind == "mail":
            self.found.transactions += 1
            seen.transaction_id = inner.transaction_id
            seen.sender = f"<{text(inner.sender)}>"
            seen.recipients, seen.rcpt = {}, {}
            seen.accepted, seen.by_mx, seen.refusal = None, set(), None
            seen.failed = False
        elif kind == "rcpt":
            seen.recipients[inner.index] = f"<{text(inner.recipient)}>"
        elif kind == "data":
            seen.accepted = set(inner.accepted)
        elif kind == "reply" and inner.phase == Phase.RCPT \
                and inner.reply.code >= 400:
            seen.by_mx.add(inner.index)
        if kind.upper() in Phase.__members__ and kind not in (
                "reply", "transaction_end"):
            seen.last = Phase[kind.upper()]

    def _compare(self, seen: _Seen, kind: str,
                 answers: list[Answer | None]) -> None:
        new = answers[0]
        if len(answers) == 1:
            if new is not None and not new.repeated:
                self._remember(seen, new)
            return
        old = answers[1]
        if any(a is not None and a.repeated for a in answers) \
                or (old is None and new is None):
            return
        if essence(old) != essence(new):
            index = None
            for answer in (new, old):
                if answer is not None and "rcpt" in answer.event:
                    index = answer.event["rcpt"].get("index", 0)
            names = label(old), label(new)
            self.found.add(kind, names[0], names[1] + (
                " (otherwise)" if names[0] == names[1] else ""),
                seen.example({"old": old, "new": new}, index))

    def _remember(self, seen: _Seen, answer: Answer) -> None:
        if answer.error:
            seen.failed = True
            self.found.add(answer.phase.name.lower(), "a decision",
                           label(answer), seen.example({"new": answer}))
        elif answer.phase == Phase.RCPT:
            seen.rcpt[answer.event["rcpt"].get("index", 0)] = answer
        elif answer.action != edits.RELAY:
            if answer.phase in (Phase.CONNECT, Phase.EHLO) or \
                    answer.action == edits.DISCONNECT or \
                    answer.decision.scope == Scope.SESSION:
                seen.whole = answer
            elif answer.phase >= Phase.MAIL:
                seen.refusal = answer

    def _judge(self, seen: _Seen, end: Any) -> None:
        """One transaction against what was decided of it."""
        if seen.failed:
            return
        old = "relay" if end.decided_by in ("mx", "weir", "") else \
            _OLD.get(end.outcome, "relay")
        refused = {i: a for i, a in seen.rcpt.items()
                   if a.action != edits.RELAY}
        new = seen.whole or seen.refusal
        if new is None and refused and len(refused) == len(seen.recipients):
            new = list(refused.values())[-1]
        verdict = "relay" if new is None else \
            "discard" if new.action == edits.DISCARD else "refused"
        if verdict != old:
            if new is None and self.sides[0].last > seen.last:
                self.found.unknown += 1  # the rest of it was never sent
            else:
                self.found.add("transaction", old, label(new)
                               if new is not None else "relay",
                               seen.example({"new": new}))
        elif new is None:
            self._judge_recipients(seen)

    def _judge_recipients(self, seen: _Seen) -> None:
        if seen.accepted is None:
            return
        for index in seen.recipients:
            answer = seen.rcpt.get(index)
            old = "relay" if index in seen.accepted | seen.by_mx \
                else "refused"
            now = "relay" if answer is None or answer.action == edits.RELAY \
                else "refused"
            if old != now:
                self.found.add("rcpt", old, "relay" if now == "relay"
                               else label(answer),
                               seen.example({"new": answer}, index))
