#!/usr/bin/python3
"""Catch all mail of a development host: into files, and to nobody.

Each message goes into --folder as an .eml file, with the envelope on top, and
is answered 250. Recipients that match an --allow get it all the same.
weir.conf must grant this policy "discard".
"""

import argparse
import fnmatch
import os
import sys
from pathlib import Path

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[3]}/contrib/sdk/python")
from weir_policy import (Decision, EndOfMessage, Policy, Rcpt, Session,
                         arguments, discard)


def store(folder: Path, session: Session) -> Path:
    envelope = session.envelope
    head = [f"X-Envelope-From: <{envelope.sender}>",
            *(f"X-Envelope-To: <{r.recipient}>" for r in envelope.recipients),
            f"X-Client: {session.client.address}"]
    text = "\r\n".join(head) + "\r\n"
    path = folder / f"{envelope.id}.eml"
    new = path.with_suffix(".new")
    new.write_bytes(text.encode("utf-8", "surrogateescape")
                    + session.message.raw())
    os.replace(new, path)
    return path


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--allow", action="append", default=[],
                        metavar="PATTERN", help="for example *@example.com")
    args = parser.parse_args()
    if not args.folder.is_dir():
        parser.error(f"{args.folder} is no folder")
    policy = Policy("catch_all/1.0")

    def is_allowed(recipient: str) -> bool:
        return any(fnmatch.fnmatchcase(recipient.lower(), pattern.lower())
                   for pattern in args.allow)

    @policy.rcpt
    def catch(session: Session, event: Rcpt) -> Decision | None:
        return None if is_allowed(event.recipient) else discard("Caught")

    @policy.end_of_message
    def keep(session: Session, event: EndOfMessage) -> Decision | None:
        # relay: the caught recipients are gone from it since RCPT
        session.annotate(caught=str(store(args.folder, session)))
        return None

    policy.run(args)


if __name__ == "__main__":
    main()
