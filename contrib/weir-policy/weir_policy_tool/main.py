"""The command line of weir-policy."""

from __future__ import annotations

import argparse
import ssl
import sys
from types import ModuleType

from weir_policy import wire

from . import capture, check, new, replay, send
from .peer import Problem, client_tls

COMMANDS: dict[str, ModuleType] = {
    "new": new, "check": check, "send": send, "capture": capture,
    "replay": replay}
SERVER = {"check", "send", "replay"}  # the commands that connect


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="weir-policy", description="Write, try, watch and back-test"
        " policies for weir. Each command has --help.")
    commands = parser.add_subparsers(dest="command", required=True,
                                     metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name, help=module.HELP, description=module.ABOUT,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        if name in SERVER:
            _endpoint(command, before=name != "replay")
        module.arguments(command)
    options = parser.parse_args()
    try:
        if options.command in SERVER:
            _connection(options)
        return int(COMMANDS[options.command].run(options))
    except (Problem, ValueError) as error:
        print(f"weir-policy: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _endpoint(parser: argparse.ArgumentParser, before: bool) -> None:
    if before:
        parser.add_argument("endpoint", metavar="ENDPOINT",
                            help="unix:/path, tcp:host:port or tls:host:port"
                                 " of the policy server")
    tls = parser.add_argument_group("TLS to the policy server")
    tls.add_argument("--tls-ca", metavar="PEM",
                     help="who signed its certificate (default: the"
                          " system's CAs)")
    tls.add_argument("--tls-name", default="", metavar="NAME",
                     help="the name in its certificate (default: the host)")
    tls.add_argument("--tls-cert", metavar="PEM",
                     help="a certificate to show it")
    tls.add_argument("--tls-key", metavar="PEM",
                     help="its key (default: in the same file)")


def _connection(options: argparse.Namespace) -> None:
    """Check the endpoint before anything else is done."""
    wire.split(options.endpoint)
    options.tls_context = None
    if options.endpoint.startswith("tls:"):
        try:
            options.tls_context = client_tls(options.tls_ca, options.tls_cert,
                                             options.tls_key)
        except OSError as error:  # also what is in the file
            files = " or ".join(f for f in (
                options.tls_ca, options.tls_cert, options.tls_key) if f)
            reason = "not PEM, or of another kind" if isinstance(
                error, ssl.SSLError) else error.strerror
            raise Problem(f"{files}: {reason}") from None
