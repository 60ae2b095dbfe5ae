#!/usr/bin/python3
"""Send a copy of every message to an archive, over SMTP, before it leaves.

The copy is the message as an attachment, behind a text with the envelope:
sender, recipients, client, time. A message that the archive does not take is
deferred: nothing leaves that was not archived.
"""

import argparse
import asyncio
import email.utils
import hashlib
import smtplib
import sys
from collections import OrderedDict
from email.message import EmailMessage
from pathlib import Path

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[3]}/contrib/sdk/python")
from weir_policy import (Decision, EndOfMessage, Policy, Session, arguments,
                         tempfail)

REMEMBERED = 100_000    # copies, to know a second attempt by


def report(session: Session, archive: str, recipients: list[str]) -> bytes:
    """The copy: written by hand, since the message must stay as it is."""
    envelope = session.envelope
    cover = EmailMessage()
    cover["From"] = cover["To"] = archive
    cover["Date"] = email.utils.formatdate()
    cover["Message-ID"] = f"<{envelope.id}@journal.weir>"
    cover["Subject"] = "journal " + envelope.id
    boundary = f"weir-{envelope.id}"
    lines = [f"Sender: <{envelope.sender}>",
             *(f"Recipient: <{r}>" for r in recipients),
             f"Client: {session.client.address} ({session.ehlo})",
             f"Transaction: {envelope.id}"]
    text = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    return b"".join([
        bytes(cover).replace(b"\n", b"\r\n")[:-2],
        f"MIME-Version: 1.0\r\nContent-Type: multipart/mixed;"
        f' boundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n".encode(), text,
        f"\r\n--{boundary}\r\nContent-Type: message/rfc822\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n".encode(),
        session.message.raw(), f"\r\n--{boundary}--\r\n".encode()])


def send(server: str, archive: str, copy: bytes) -> None:
    host, _, port = server.rpartition(":")
    with smtplib.SMTP(host.strip("[]"), int(port), timeout=20) as smtp:
        smtp.ehlo()
        if smtp.has_extn("starttls"):
            smtp.starttls()
            smtp.ehlo()
        options = ["BODY=8BITMIME"] if smtp.has_extn("8bitmime") else []
        smtp.sendmail(archive, [archive], copy, options)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--archive", required=True, metavar="ADDRESS")
    parser.add_argument("--server", required=True, metavar="HOST:PORT",
                        help="where the archive takes mail")
    parser.add_argument("--limit", type=int, default=50_000_000,
                        help="bytes of body; a message that is larger cannot"
                             " be archived, and is deferred"
                             " (default: %(default)s)")
    args = parser.parse_args()
    policy = Policy("journal/1.0", version=args.archive,
                    body_limit=args.limit)
    archived: OrderedDict[bytes, None] = OrderedDict()

    @policy.end_of_message
    async def keep_copy(session: Session, event: EndOfMessage
                        ) -> Decision | None:
        envelope, message = session.envelope, session.message
        if message.truncated or message.gaps:
            return tempfail("Too large to be archived").because(rule="limit")
        recipients = [envelope.recipients[i].recipient
                      for i in envelope.accepted or ()]
        # the same message again, since its MX deferred it: once is enough
        known = hashlib.sha256("\0".join(
            [envelope.sender, *sorted(recipients)]).encode(
            "utf-8", "surrogateescape") + message.raw()).digest()
        if known in archived:
            return None
        session.working(25)
        try:
            await asyncio.to_thread(send, args.server, args.archive,
                                    report(session, args.archive, recipients))
        except (OSError, smtplib.SMTPException) as error:
            return tempfail("The archive is not there, try again later") \
                .because(rule="archive", reason=str(error))
        archived[known] = None
        if len(archived) > REMEMBERED:
            archived.popitem(last=False)
        return None

    policy.run(args)


if __name__ == "__main__":
    main()
