#!/usr/bin/python3
"""Refuse mail from the senders on a list.

The list has one sender a line: user@example.com, @example.com for a whole
domain, <> for the empty sender; "#" begins a comment. It is read again when it
changes; while it cannot be read, the last good version stays.
"""

import argparse
import re
import sys
from pathlib import Path

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[2]}/contrib/sdk/python")
from weir_policy import (Decision, Mail, Policy, Rcpt, Session, WatchedFile,
                         arguments, reject, tempfail)


def parse_list(lines: list[tuple[int, str]]) -> set[str]:
    for number, line in lines:
        if "@" not in line and line != "<>":
            raise ValueError(f"line {number}: {line!r} is neither an address"
                             " nor @domain nor <>")
    return {line.lower() for _, line in lines}


def parse_reply(words: str) -> Decision:
    """ "550 5.1.1 User unknown" as a decision."""
    match = re.fullmatch(r"([45]\d\d) ([45]\.\d{1,3}\.\d{1,3}) (.+)", words)
    if not match:
        raise argparse.ArgumentTypeError("write CODE ENHANCED TEXT")
    code, enhanced, text = match.groups()
    refuse = reject if code[0] == "5" else tempfail
    try:
        return refuse(text, int(code), enhanced)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--list", required=True, metavar="FILE")
    parser.add_argument("--at", choices=("mail", "rcpt"), default="rcpt",
                        help="refuse the sender, or each of its recipients"
                             " (default: rcpt)")
    parser.add_argument("--reply", type=parse_reply,
                        default="550 5.1.1 User unknown",
                        help='default: "%(default)s"')
    args = parser.parse_args()
    try:
        senders = WatchedFile(args.list, parse_list)
    except (OSError, ValueError) as error:
        parser.error(f"{args.list}: {error}")

    policy = Policy("block_senders/1.0", version=senders.version)

    def verdict(session: Session, event: Mail | Rcpt) -> Decision | None:
        blocked = senders.value
        policy.version = senders.version
        sender = session.envelope.sender.lower() or "<>"
        for entry in (sender, "@" + sender.rpartition("@")[2]):
            if entry in blocked:
                refusal: Decision = args.reply
                return refusal.because(rule=entry)
        return None

    if args.at == "mail":
        policy.mail(verdict)
    else:
        policy.rcpt(verdict)
    policy.run(args)


if __name__ == "__main__":
    main()
