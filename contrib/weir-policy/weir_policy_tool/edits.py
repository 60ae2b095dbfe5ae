"""What decisions make of a message: header edits and splices, as weir does
them, and why it would refuse a decision as invalid."""

from __future__ import annotations

import re
from typing import Any

from weir_policy.events import Phase

RELAY, REJECT, TEMPFAIL, DISCARD, DISCONNECT = 1, 2, 3, 4, 5
ADD, INSERT, CHANGE, DELETE = 1, 2, 3, 4

_NAME = re.compile(rb"[!-9;-~]+\Z")
_BAD_VALUE = re.compile(rb"\0|\r(?!\n[ \t])|(?<!\r)\n")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")


class Invalid(Exception):
    """A decision that weir would not obey, and why not."""


def split(message: bytes) -> tuple[bytes, bytes]:
    """The header section, with its empty line, and the body."""
    at = 0
    while at < len(message):
        end = message.find(b"\r\n", at)
        end = len(message) if end < 0 else end + 2
        line = message[at:end]
        if line == b"\r\n":
            return message[:end], message[end:]
        folded = line[:1] in (b" ", b"\t") and at > 0
        if not folded and not _FIELD.match(line):
            break
        at = end
    return message[:at], message[at:]


def fields(raw: bytes) -> list[dict[str, int]]:
    """Where the fields are, as Headers.fields has it."""
    found: list[dict[str, int]] = []
    at = 0
    for line in re.findall(rb"(?s).*?\r\n|.+\Z", raw):
        if line[:1] in (b" ", b"\t") and found:
            found[-1]["length"] += len(line)
        elif line != b"\r\n":
            name = line.partition(b":")[0].rstrip(b" \t")
            found.append({"offset": at, "length": len(line),
                          "name_length": len(name)})
        at += len(line)
    return found


def edit_headers(raw: bytes, edits: Any) -> bytes:
    """The header section after a decision's edits."""
    section = [(raw[f["offset"]:f["offset"] + f["name_length"]].lower(),
                raw[f["offset"]:f["offset"] + f["length"]])
               for f in fields(raw)]
    end = raw[sum(len(text) for _, text in section):]
    before: list[list[bytes]] = [[] for _ in range(len(section) + 1)]
    result: list[bytes | None] = [text for _, text in section]
    for edit in edits:
        if not _NAME.match(edit.name):
            raise Invalid("a header edit's name is no field name:"
                          f" {edit.name!r}")
        if _BAD_VALUE.search(edit.value):
            raise Invalid(f"the value of {edit.name.decode()} may fold with"
                          " CRLF and white space only")
        space = b"" if edit.value[:1] in (b" ", b"\t") else b" "
        line = edit.name + b":" + space + edit.value + b"\r\n"
        if edit.op == ADD:
            before[-1].append(line)
        elif edit.op == INSERT:
            if edit.index > len(section):
                raise Invalid(f"INSERT at {edit.index}, and there are"
                              f" {len(section)} fields")
            before[edit.index].append(line)
        elif edit.op in (CHANGE, DELETE):
            same = [i for i, (name, _) in enumerate(section)
                    if name == edit.name.lower()]
            if edit.index >= len(same):
                raise Invalid("there is no such field to CHANGE or DELETE:"
                              f" {edit.name.decode()} number {edit.index}")
            result[same[edit.index]] = line if edit.op == CHANGE else None
        else:
            raise Invalid("a header edit without a known op")
    out = []
    for place, text in zip(before, [*result, None]):
        out += place
        out += [] if text is None else [text]
    return b"".join(out) + end


def splice(body: bytes, splices: Any) -> bytes:
    """The body after a decision's splices."""
    out, at = [], 0
    for s in splices:
        if s.offset < at:
            raise Invalid("splices overlap or descend")
        if s.offset + s.remove > len(body):
            raise Invalid(f"a splice of {s.remove} bytes at {s.offset}, and"
                          f" the body has {len(body)}")
        if _BARE.search(s.insert):
            raise Invalid("a splice inserts a bare CR or LF")
        out += [body[at:s.offset], s.insert]
        at = s.offset + s.remove
    result = b"".join([*out, body[at:]])
    if splices and result and not result.endswith(b"\r\n"):
        result += b"\r\n"
    return result


_CODES = {REJECT: (500, 599, "REJECT", "5xx"),
          TEMPFAIL: (400, 499, "TEMPFAIL", "4xx"),
          DISCARD: (250, 250, "DISCARD", "250"),
          DISCONNECT: (421, 421, "DISCONNECT", "421")}


def validate(decision: Any, phase: Phase) -> None:
    """Raises Invalid, in the words that weir's log has for it."""
    if decision.action == 0:
        raise Invalid("the policy could not decide (ACTION_UNSPECIFIED): "
                      + (decision.reason or "it does not say why"))
    if decision.action not in (RELAY, *_CODES):
        raise Invalid("the action is missing or unknown")
    _validate_reply(decision)
    content = phase in (Phase.HEADERS, Phase.END_OF_MESSAGE)
    if decision.headers and not content:
        raise Invalid("header edits only fit HEADERS and END_OF_MESSAGE")
    if decision.body and phase != Phase.END_OF_MESSAGE:
        raise Invalid("the body can only be changed at END_OF_MESSAGE")
    if (decision.rewrite_set or decision.rewrite) and phase not in (
            Phase.MAIL, Phase.RCPT):
        raise Invalid("a rewrite only fits MAIL and RCPT")
    if re.search(rb"[\r\n\0<>]", decision.rewrite):
        raise Invalid("a rewritten address holds CR, LF, NUL, < or >")
    if decision.HasField("outbound") and phase not in (
            Phase.CONNECT, Phase.MAIL, Phase.RCPT):
        raise Invalid("an outbound choice only fits CONNECT, MAIL and RCPT")
    if decision.action == DISCARD and not \
            Phase.MAIL <= phase <= Phase.END_OF_MESSAGE:
        raise Invalid("DISCARD only fits MAIL to END_OF_MESSAGE")


def _validate_reply(decision: Any) -> None:
    reply = decision.reply
    if not decision.HasField("reply"):
        return
    if decision.action == RELAY:
        raise Invalid("a RELAY carries no reply")
    low, high, action, wanted = _CODES[decision.action]
    if not reply.code and (reply.lines or reply.enhanced):
        raise Invalid("the reply has no code")
    if reply.code and not low <= reply.code <= high:
        raise Invalid(f"the code of a {action} must be {wanted},"
                      f" not {reply.code}")
    if reply.enhanced and not (
            re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", reply.enhanced)
            and int(reply.enhanced[0]) == reply.code // 100):
        raise Invalid("the enhanced code does not fit the code:"
                      f" {reply.enhanced}, {reply.code}")
    if len(reply.lines) > 32 or any(len(line) > 510 for line in reply.lines):
        raise Invalid("the reply is too long: at most 32 lines of 510 bytes")
    if any(re.search(rb"[\r\n\0]", line) for line in reply.lines):
        raise Invalid("a line of the reply holds CR, LF or NUL")
