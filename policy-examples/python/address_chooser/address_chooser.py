#!/usr/bin/python3
"""Choose the source address of each message by what is known.

A new address is warmed up: each group of MXs gets so many messages a day from
it, by a schedule. A sender whose score falls is moved to another pool, and
back when it rises; what was refused for its content moves nobody. Where
nothing is known, weir.conf decides. Numbers are kept in a file.

weir.conf must grant this policy "outbound"; a new address stands in the clean
pool with weight 0.
"""

import argparse
import ipaddress
import sys
import time
from pathlib import Path

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[3]}/contrib/sdk/python")
from chooser import Chooser, Health, of_mx
from weir_policy import (Connect, Decision, Mail, Outcome, Phase, Policy,
                         Reply, Session, TransactionEnd, arguments, relay)


def health_of(event: Connect) -> Health | None:
    if event.health is None:
        return None
    return Health(event.health.group,
                  {s.source: s.state for s in event.health.sources})


def parse_arguments() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--clean", required=True, metavar="POOL",
                        help="where senders begin")
    parser.add_argument("--other", required=True, metavar="POOL",
                        help="where those with a low score go")
    parser.add_argument("--new", action="append", default=[],
                        metavar="ADDRESS",
                        help="of the clean pool: warm it up")
    parser.add_argument("--schedule", default="50,100,200,400,800,1500,3000,"
                        "6000,12000,25000", metavar="N,N,...",
                        help="messages a day and group of MXs, day by day"
                        " (default: %(default)s)")
    parser.add_argument("--state", required=True, metavar="FILE",
                        help="a SQLite database; made when it is not there")
    args = parser.parse_args()
    try:
        args.schedule = [int(n) for n in args.schedule.split(",")]
        args.new = [str(ipaddress.ip_address(a)) for a in args.new]
    except ValueError as error:
        parser.error(str(error))
    return args


def main() -> None:
    args = parse_arguments()
    chooser = Chooser(args.state, args.clean, args.other, args.new,
                      args.schedule, time.time)
    chooser.forget()
    policy = Policy("address_chooser/1.0", version=f"{args.clean}/{args.other}"
                    f" new={','.join(args.new)}")

    @policy.connect(decide=False)
    def remember(session: Session, event: Connect) -> None:
        session.state["health"] = health_of(event)

    @policy.mail
    def choose(session: Session, event: Mail) -> Decision | None:
        domain = event.sender.rpartition("@")[2].lower()
        session.state.update(domain=domain, heard=False)
        destination = session.destination
        if destination is None:
            return None
        choice = chooser.choose(
            domain, destination.address, session.state.get("health"),
            {pool.name: pool.addresses for pool in session.weir.pools})
        if choice is None:
            return None
        return relay().outbound(source_address=choice.address,
                                pool=choice.pool).because(rule=choice.rule)

    @policy.reply
    def hear(session: Session, event: Reply) -> None:
        if event.phase is Phase.END_OF_MESSAGE:
            session.state["heard"] = True

    @policy.transaction_end
    def learn(session: Session, event: TransactionEnd) -> None:
        if event.reply is None:
            return
        said = of_mx(event.decided_by, event.reply.code, event.reply.enhanced,
                     " ".join(event.reply.lines))
        if said is not None:
            chooser.judged(session.state.get("domain", ""),
                           event.outcome is Outcome.DELIVERED, *said,
                           session.state.get("heard", False))

    policy.run(args)


if __name__ == "__main__":
    main()
