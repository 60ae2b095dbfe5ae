#!/usr/bin/python3
"""Demand of MXs the certificate that their domains' MTA-STS policies promise.

RFC 8461: a domain says by HTTPS which names its MXs have, and that they speak
TLS with a certificate that proves it. At RCPT the recipient's domain is looked
up, and mail to one in mode "enforce" needs a certificate for one of those
names; otherwise weir answers 451 4.7.5. Mode "testing" is only reported.

  mta_sts.py --listen unix:/run/weir/mta_sts.sock --cache /var/lib/mta_sts

weir.conf must grant this policy "outbound".
"""

import argparse
import asyncio
import re
import sys
from pathlib import Path

from cryptography import x509

# where the package is in the source tree; an installed one goes first
sys.path.append(f"{Path(__file__).resolve().parents[3]}/contrib/sdk/python")
from weir_policy import (Decision, Leg, Policy, Rcpt, Session, Tls, TlsLevel,
                         arguments, relay)

from cache import CHECK, Cache, Entry
from fetch import Fetcher
from sts_policy import matches

_DOMAIN = re.compile(r"(?=.{1,240}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+\Z")


def domain_of(recipient: str) -> str | None:
    """As DNS has it; None: an address literal, or no domain."""
    domain = recipient.rpartition("@")[2].lower().rstrip(".")
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return domain if _DOMAIN.match(domain) else None


def names_of(certificate: bytes) -> list[str]:
    try:
        names = x509.load_der_x509_certificate(certificate).extensions \
            .get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)
    except (ValueError, x509.ExtensionNotFound):
        return []


def would_fail(tls: Tls | None, mx: tuple[str, ...]) -> str:
    """What mode "enforce" would have refused, in RFC 8460's words; ""."""
    if tls is None:
        return "starttls-not-supported"
    if not tls.verified:
        return "certificate-not-trusted"
    for name in names_of(tls.peer_certificate):
        if matches(name, mx) or (name.startswith("*.") and name in mx):
            return ""
    return "certificate-host-mismatch"


def decide(session: Session, entry: Entry, level: TlsLevel
           ) -> Decision | None:
    facts = {"mta_sts_result": entry.result} if entry.result else {}
    if not entry.id:
        return relay().because(reason=entry.why, annotations=facts) \
            if facts else None
    facts["mta_sts"] = f"{entry.mode} {entry.id}"
    if entry.mode == "none":
        return relay().because(annotations=facts)
    if entry.mode == "testing":
        wrong = would_fail(session.tls.get(Leg.UPSTREAM), entry.mx)
        if wrong:
            facts["mta_sts_result"] = wrong
        return relay().because(rule="testing", reason=wrong, annotations=facts)
    return relay().outbound(tls=level, tls_names=entry.mx).because(
        rule="enforce", reason=entry.why, annotations=facts)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cache", required=True, metavar="FOLDER",
                        help="where policies are kept; must be there")
    parser.add_argument("--budget", type=float, default=5.0,
                        metavar="SECONDS", help="longest wait of a recipient "
                        "for a first policy (default: %(default)s)")
    parser.add_argument("--check", type=float, default=CHECK,
                        metavar="SECONDS", help="how long a domain's TXT "
                        "record is not looked up again (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=60.0,
                        metavar="SECONDS",
                        help="of one fetch (default: %(default)s)")
    parser.add_argument("--resolver", metavar="ADDRESS[:PORT]",
                        help="default: those of /etc/resolv.conf")
    parser.add_argument("--ca", metavar="PEM",
                        help="authorities for HTTPS; default: the system's")
    parser.add_argument("--port", type=int, default=443, help="of HTTPS")
    parser.add_argument("--dane", action="store_true", help="the TLSA records "
                        "of a domain that has some count instead")
    args = parser.parse_args()
    if not Path(args.cache).is_dir():
        parser.error(f"--cache {args.cache}: there is no such folder")

    policy = Policy("mta_sts/1.0", body_limit=0)
    cache = Cache(Path(args.cache), Fetcher(args.resolver, args.ca, args.port,
                                            args.timeout), args.check)
    cache.load()
    level = TlsLevel.DANE if args.dane else TlsLevel.VERIFY
    fresh: list[asyncio.Task[None]] = []

    @policy.rcpt
    async def demand(session: Session, event: Rcpt) -> Decision | None:
        if not fresh:
            fresh.append(asyncio.create_task(cache.keep_fresh()))
        domain = domain_of(event.recipient)
        if domain is None:
            return None
        session.working(args.budget + 1)
        return decide(session, await cache.find(domain, args.budget), level)

    policy.run(args)


if __name__ == "__main__":
    main()
