"""weir-policy check: any policy server against the contract."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from . import contract, contract_sessions
from .contract import Note, Server, Skip
from .dialogue import Broken
from .options import positive
from .peer import Peer, Problem

HELP = "try a policy server against the contract"
ABOUT = """\
Plays weir's part in many ways, good and bad, and says in words what a policy
server does that weir's contract (doc/POLICY.md) does not allow. The server
sees some hundred sessions from a@example.org to b@example.net; run it where
that hurts nobody.

The exit status is 0 if nothing is wrong, 1 if something is, 2 if the server
cannot be reached at all.
"""
CHECKS = contract.CHECKS + contract_sessions.CHECKS


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", type=positive, default=2.0,
                        metavar="SECONDS", help="`timeout` of its block in"
                        " weir.conf (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME",
                        choices=[_name(c) for c in CHECKS],
                        help="try only this; may be repeated. One of: "
                             + ", ".join(_name(c) for c in CHECKS))
    parser.add_argument("--restart", default="", metavar="COMMAND",
                        help="also try what happens when this shell command"
                             " restarts the server")
    parser.add_argument("--json", action="store_true",
                        help="one JSON object instead of words")


def _name(check: Callable[[Server], None]) -> str:
    return check.__name__.replace("_", "-")


def _promise(check: Callable[[Server], None]) -> str:
    return " ".join((check.__doc__ or "").split())


def judge(check: Callable[[Server], None], server: Server) -> dict[str, Any]:
    """What came of one check."""
    row: dict[str, Any] = {"check": _name(check), "result": "ok",
                           "contract": _promise(check), "words": ""}
    try:
        check(server)
    except (Broken, Problem, TimeoutError) as error:
        row.update(result="wrong", words=str(error))
    except OSError as error:
        row.update(result="wrong", words=f"the connection broke: {error}")
    except Note as note:
        row.update(result="note", words=str(note))
    except Skip as why:
        row.update(result="skipped", words=str(why))
    return row


def run(options: argparse.Namespace) -> int:
    def connect() -> Peer:
        return Peer(options.endpoint, options.tls_context, options.tls_name)

    connect().close()  # a server that is not there fails here, in words
    server = Server(connect, options.timeout, options.restart)
    rows = []
    for check in CHECKS:
        if options.only and _name(check) not in options.only:
            continue
        rows.append(judge(check, server))
        if not options.json:
            _show(rows[-1])
    wrong = sum(row["result"] == "wrong" for row in rows)
    if options.json:
        print(json.dumps({"endpoint": options.endpoint, "wrong": wrong,
                          "checks": rows}, indent=2))
    else:
        print(f"{len(rows)} checks: "
              + (f"{wrong} wrong" if wrong else "nothing is wrong"))
    return 1 if wrong else 0


def _show(row: dict[str, Any]) -> None:
    label = {"ok": "ok", "wrong": "WRONG", "note": "ok",
             "skipped": "skipped"}[row["result"]]
    print(f"{label:8}{row['check']}", flush=True)
    if row["words"]:
        print(f"          {row['words']}")
    if row["result"] == "wrong":
        print(f"          The contract: {row['contract']}")
