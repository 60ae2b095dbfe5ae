#!/usr/bin/python3
"""Limit how much each sender, client and domain sends, over all weirs.

The counters are in Redis, so several weirs that ask policies at one Redis
share them. A message counts once for each limit, when it is let in at MAIL;
one that is refused counts for none.

  rate_limit.py --listen unix:/run/weir/rate.sock --redis redis://localhost \\
      --limit sender 500/h --limit sender 10000/d --limit client 20000/d

KIND is sender (the address), domain (the sender's), or client (the IPv4
address, or the /64 network of an IPv6 one). PERIOD is s, m, h or d.
"""

import argparse
import ipaddress
import re
import sys
from pathlib import Path
from typing import NamedTuple

import redis.asyncio

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[3]}/contrib/sdk/python")
from weir_policy import (Decision, Mail, Policy, Session, arguments,
                         disconnect, tempfail)

KINDS = ("sender", "domain", "client")
PERIODS = {"s": (1, "second"), "m": (60, "minute"), "h": (3600, "hour"),
           "d": (86400, "day")}
USUAL = [(kind, limit) for kind in KINDS for limit in ("500/h", "10000/d")]
COUNT = Path(__file__).with_name("count.lua").read_text()


class Limit(NamedTuple):
    kind: str
    count: int
    period: str

    @property
    def seconds(self) -> int:
        return PERIODS[self.period][0]

    def __str__(self) -> str:
        return (f"{self.count} messages per {PERIODS[self.period][1]}"
                f" and {self.kind}")


def parse_limit(kind: str, words: str) -> Limit:
    match = re.fullmatch(r"(\d{1,9})/([smhd])", words)
    if kind not in KINDS or not match:
        raise ValueError(f"--limit {kind} {words}: write one of"
                         f" {', '.join(KINDS)}, and for example 500/h")
    return Limit(kind, int(match[1]), match[2])


def client_of(address: str) -> str:
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return str(ip)
    return str(ipaddress.ip_network((ip, 64), strict=False))


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0",
                        metavar="URL", help="default: %(default)s")
    parser.add_argument("--limit", nargs=2, action="append",
                        metavar=("KIND", "N/PERIOD"),
                        help="default: 500/h and 10000/d for each kind")
    parser.add_argument("--prefix", default="weir:rate", metavar="WORD",
                        help="of the keys in Redis (default: %(default)s)")
    parser.add_argument("--defer", action="store_true",
                        help="answer 450, and keep the connection open")
    args = parser.parse_args()
    try:
        limits = [parse_limit(*words) for words in args.limit or USUAL]
    except ValueError as error:
        parser.error(str(error))

    # Redis away or slow: the handler raises, and on_error in weir.conf speaks
    store = redis.asyncio.from_url(args.redis, socket_timeout=1,
                                   socket_connect_timeout=1)
    count = store.register_script(COUNT)
    policy = Policy("rate_limit/1.0", version=" ".join(
        f"{l.kind}={l.count}/{l.period}" for l in limits))

    @policy.mail
    async def limit_messages(session: Session, event: Mail
                             ) -> Decision | None:
        sender = event.sender.lower()
        names = {"sender": sender or "<>",
                 "domain": sender.rpartition("@")[2] or "<>",
                 "client": client_of(session.client.address)}
        # the braces keep all of one message on one node of a cluster
        keys = [f"{{{args.prefix}}}:{l.kind}:{l.seconds}:{names[l.kind]}"
                .encode("utf-8", "surrogateescape") for l in limits]
        over = await count(keys=keys, args=[
            n for l in limits for n in (l.count, l.seconds)])
        if not over:
            return None
        limit = limits[over - 1]
        text = f"Limit of {limit} reached, try again later"
        if args.defer:
            refusal = tempfail(text, 450)
        else:
            refusal = disconnect(text, "4.7.1")
        return refusal.because(
            rule=f"{limit.kind} {limit.count}/{limit.period}",
            reason=names[limit.kind])

    policy.run(args)


if __name__ == "__main__":
    main()
