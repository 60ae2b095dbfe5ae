#!/usr/bin/python3
"""Choose the outbound address by the client's network.

The table has one network a line, with an address or the name of a pool of
weir.conf, and an EHLO name if you like; the longest network wins:

  10.1.0.0/16    203.0.113.10   out1.example.com
  2001:db8::/32  clean

It is read again when it changes. Clients of no network go out as weir.conf
says. weir.conf must grant this policy "outbound".
"""

import argparse
import ipaddress
import sys
from pathlib import Path

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[2]}/contrib/sdk/python")
from weir_policy import (Connect, Decision, Policy, Session, WatchedFile,
                         arguments, relay)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def choice(where: str, ehlo_name: str) -> Decision:
    try:
        address = str(ipaddress.ip_address(where))
    except ValueError:
        return relay().outbound(pool=where, ehlo_name=ehlo_name)
    return relay().outbound(source_address=address, ehlo_name=ehlo_name)


def parse_table(lines: list[tuple[int, str]]
                ) -> list[tuple[Network, Decision]]:
    table = []
    for number, line in lines:
        words = line.split()
        if len(words) not in (2, 3):
            raise ValueError(f"line {number}: write NETWORK ADDRESS-OR-POOL"
                             " [EHLO-NAME]")
        try:
            network = ipaddress.ip_network(words[0])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        decision = choice(words[1], words[2] if len(words) == 3 else "")
        table.append((network, decision.because(rule=str(network))))
    return sorted(table, key=lambda row: row[0].prefixlen, reverse=True)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--table", required=True, metavar="FILE")
    args = parser.parse_args()
    try:
        table = WatchedFile(args.table, parse_table)
    except (OSError, ValueError) as error:
        parser.error(f"{args.table}: {error}")

    policy = Policy("choose_outbound/1.0", version=table.version)

    @policy.connect
    def choose(session: Session, event: Connect) -> Decision | None:
        rows = table.value
        policy.version = table.version
        client = ipaddress.ip_address(session.client.address)
        if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped:
            client = client.ipv4_mapped
        for network, decision in rows:
            if client in network:
                return decision
        return None

    policy.run(args)


if __name__ == "__main__":
    main()
