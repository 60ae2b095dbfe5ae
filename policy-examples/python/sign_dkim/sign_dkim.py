#!/usr/bin/python3
"""Sign messages with DKIM (RFC 6376), each with its author's domain's key.

The keys are in a table, "DOMAIN SELECTOR KEYFILE" a line; it is read again
when it changes. A domain without a line is not signed. weir.conf must grant
this policy "headers".
"""

import argparse
import asyncio
import email.utils
import sys
from pathlib import Path

import dkim

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[3]}/contrib/sdk/python")
from weir_policy import (Decision, EndOfMessage, Policy, Session, WatchedFile,
                         arguments, relay, tempfail)

# signed once more than they are there: nobody can add another one (RFC 6376
# 8.15)
OVERSIGNED = [b"from", b"to", b"subject", b"date", b"cc", b"reply-to"]

Keys = dict[str, tuple[bytes, bytes]]


def parse_keys(lines: list[tuple[int, str]]) -> Keys:
    keys = {}
    for number, line in lines:
        words = line.split()
        if len(words) != 3:
            raise ValueError(f"line {number}: write DOMAIN SELECTOR KEYFILE")
        try:
            key = Path(words[2]).read_bytes()
            dkim.sign(b"From: a@b\r\n\r\n\r\n", b"s", b"d", key)
        except (OSError, dkim.DKIMException) as error:
            raise ValueError(f"line {number}: {words[2]}: {error}") from None
        keys[words[0].lower()] = (words[1].encode(), key)
    return keys


def author_domain(header: str) -> str:
    address = email.utils.parseaddr(header)[1]
    return address.rpartition("@")[2].lower()


def sign(raw: bytes, domain: str, selector: bytes, key: bytes) -> bytes:
    """The value of the DKIM-Signature field, folded."""
    signer = dkim.DKIM(raw, linesep=b"\r\n")
    present = signer.default_sign_headers()
    field = signer.sign(selector, domain.encode(), key,
                        canonicalize=(b"relaxed", b"relaxed"),
                        include_headers=present + OVERSIGNED)
    return field.partition(b":")[2].strip()


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--keys", required=True, metavar="FILE")
    parser.add_argument("--limit", type=int, default=50_000_000,
                        help="bytes of body; a message that is larger, and"
                             " should be signed, is deferred"
                             " (default: %(default)s)")
    args = parser.parse_args()
    try:
        keys = WatchedFile(args.keys, parse_keys)
    except (OSError, ValueError) as error:
        parser.error(f"{args.keys}: {error}")
    policy = Policy("sign_dkim/1.0", version=keys.version,
                    body_limit=args.limit)

    @policy.end_of_message
    async def add_signature(session: Session, event: EndOfMessage
                            ) -> Decision | None:
        policy.version = keys.version
        message = session.message
        domain = author_domain(message.headers.get("From"))
        if domain not in keys.value:
            return None
        if message.truncated:
            return tempfail("Too large to be signed")
        selector, key = keys.value[domain]
        value = await asyncio.to_thread(sign, message.raw(), domain,
                                        selector, key)
        return relay().insert_header(0, "DKIM-Signature", value).because(
            rule=f"{selector.decode()}._domainkey.{domain}")

    policy.run(args)


if __name__ == "__main__":
    main()
