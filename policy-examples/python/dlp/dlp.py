#!/usr/bin/python3
"""Keep in what must not leave: card numbers, keywords, kinds of files.

The rules are in a file, one a line; it is read again when it changes:

  card 2                    so many different card numbers (Luhn-checked)
  keyword REGEX             in the text; case is ignored
  file *.pst                the name of an attachment, also inside of a zip
  magic 4d5a                how an attachment begins, in hexadecimal

What a rule finds is answered 550, and reported: a line of JSON for each
message in --report, without the data that was found.
"""

import argparse
import asyncio
import fnmatch
import io
import json
import re
import sys
import time
import zipfile
from email.message import Message as Email
from pathlib import Path
from typing import NamedTuple

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[3]}/contrib/sdk/python")
from weir_policy import (Decision, EndOfMessage, Policy, Session, WatchedFile,
                         arguments, reject)

CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.]?\d)")
ZIP_NAMES = 1000    # of one archive


class Rule(NamedTuple):
    text: str
    kind: str
    what: object


def parse_rules(lines: list[tuple[int, str]]) -> list[Rule]:
    rules = []
    for number, line in lines:
        kind, _, rest = line.partition(" ")
        rest = rest.strip()
        try:
            what = {"card": int, "keyword": lambda r: re.compile(r, re.I),
                    "file": str.lower, "magic": bytes.fromhex}[kind](rest)
        except (KeyError, ValueError, re.error) as error:
            raise ValueError(f"line {number}: {line!r}: {error}") from None
        if not what:
            raise ValueError(f"line {number}: {line!r}: what is looked for?")
        rules.append(Rule(line, kind, what))
    return rules


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(map(int, reversed(digits))):
        total += digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4)
    return total % 10 == 0


def cards(text: str) -> set[str]:
    """The different card numbers in a text."""
    numbers = {re.sub("[ -]", "", found) for found in CARD.findall(text)}
    return {n for n in numbers if n[0] in "23456" and luhn(n)
            and len(set(n)) > 1}


def attachments(message: Email) -> list[tuple[str, bytes]]:
    """Names and contents of all parts that are no text to be read, and the
    names in zip archives."""
    found = []
    for part in message.walk():
        name = part.get_filename() or ""
        if part.is_multipart() or (not name and
                                   part.get_content_maintype() == "text"):
            continue
        data = part.get_payload(decode=True) or b""
        found.append((name, data))
        if data.startswith(b"PK\x03\x04"):
            try:
                names = zipfile.ZipFile(io.BytesIO(data)).namelist()
            except (zipfile.BadZipFile, NotImplementedError, ValueError):
                continue
            found += [(inside, b"") for inside in names[:ZIP_NAMES]]
    return found


def findings(rules: list[Rule], text: str,
             files: list[tuple[str, bytes]]) -> list[tuple[str, str]]:
    """(rule, what it found), without what must not get around."""
    found = []
    for rule in rules:
        if rule.kind == "card":
            numbers = cards(text)
            if len(numbers) >= rule.what:
                found.append((rule.text, ", ".join(sorted(
                    "*" * (len(n) - 4) + n[-4:] for n in numbers))))
        elif rule.kind == "keyword":
            hits = len(rule.what.findall(text))
            if hits:
                found.append((rule.text, f"{hits} times"))
        else:
            names = [name for name, data in files
                     if (rule.kind == "magic" and data.startswith(rule.what))
                     or (rule.kind == "file" and
                         fnmatch.fnmatchcase(name.lower(), rule.what))]
            if names:
                found.append((rule.text, ", ".join(names)))
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rules", required=True, metavar="FILE")
    parser.add_argument("--report", metavar="FILE", help="appended to")
    parser.add_argument("--limit", type=int, default=20_000_000,
                        help="bytes of body that are looked at; a message"
                             " that is larger is refused"
                             " (default: %(default)s)")
    args = parser.parse_args()
    try:
        rules = WatchedFile(args.rules, parse_rules)
        report = open(args.report, "a") if args.report else None
    except (OSError, ValueError) as error:
        parser.error(str(error))
    policy = Policy("dlp/1.0", version=rules.version, body_limit=args.limit)

    def look(session: Session) -> list[tuple[str, str]]:
        message = session.message
        text = message.headers.get("Subject") + "\n" + message.text()
        found = findings(rules.value, text, attachments(message.parse()))
        if message.truncated:
            found.append((f"limit {args.limit}", "larger than is looked at"))
        return found

    @policy.end_of_message
    async def keep_in(session: Session, event: EndOfMessage
                      ) -> Decision | None:
        policy.version = rules.version
        found = await asyncio.to_thread(look, session)
        if not found:
            return None
        if report is not None:
            envelope = session.envelope
            print(json.dumps({
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "transaction": envelope.id, "sender": envelope.sender,
                "recipients": [r.recipient for r in envelope.recipients],
                "client": session.client.address,
                "subject": session.message.headers.get("Subject"),
                "findings": dict(found)}), file=report, flush=True)
        return reject("Not allowed to leave by the rules on confidential"
                      f" data, reference {session.envelope.id}").because(
            rule=found[0][0], reason="; ".join(": ".join(f) for f in found))

    policy.run(args)


if __name__ == "__main__":
    main()
