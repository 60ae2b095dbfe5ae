"""Level dane with mail: signed zones, certificates, redirected connections.

One world for all tests: a host with weir, a resolver and some MXs behind a
cable. Each case is a recipient's domain with records of its own.
"""

import contextlib
import itertools
import subprocess
import tempfile
from pathlib import Path

import netns
import pytest
import signed_zones
import weir as under_test
from mx import Gone, ScriptedMX
from signed_zones import tlsa

DNS, MX, EXPIRED, PLAIN, BROKEN, NOWHERE, NAMED = (
    f"10.7.0.{n}" for n in (53, 2, 3, 4, 5, 6, 7))
ZEROS = "00" * 32
WEIR = """\
user = ""
workers = 1
hostname = "weir.example.org"
listener "outbound" { address = "127.0.0.1:10025" }
upstream { mark = 25 tls = "dane" tls_ca = "%(place)s/ca.crt" }
tls "verify" { networks = {"10.7.0.7"} level = "verify" }
record { sqlite = "%(place)s/weir.db" }
status { address = "" control = "" }
dns { resolver = {"10.7.0.53"} trust_anchor = "%(anchor)s" timeout = 3s }
"""


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True,
                          capture_output=True).stdout


class Certificates:
    """An authority, and what it issued, below one folder."""

    def __init__(self, place):
        self.place = place
        self.make("ca", "/CN=the authority")
        self.make("mx", "/CN=mx", "*.mx.good", "mx.plain")
        self.make("expired", "/CN=mx", "*.mx.good", days=-1)

    def make(self, name, subject, *names, days=2):
        path = self.place / name
        issuer = [] if not names else [
            "-CA", self.place / "ca.crt", "-CAkey", self.place / "ca.key",
            "-addext", "subjectAltName="
            + ",".join(f"DNS:{n}" for n in names)]
        if days < 0:
            self._request_expired(path, subject, names)
        else:
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", days,
                    "-subj", subject, "-keyout", f"{path}.key", "-out",
                    f"{path}.crt", *issuer)
        pem = self.place / f"{name}.pem"
        pem.write_bytes(b"".join(
            (self.place / part).read_bytes()
            for part in (f"{name}.key", f"{name}.crt", "ca.crt")))
        return pem

    def _request_expired(self, path, subject, names):
        extensions = self.place / "extensions"
        extensions.write_text("subjectAltName="
                              + ",".join(f"DNS:{n}" for n in names))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
                "-keyout", f"{path}.key", "-out", f"{path}.csr")
        openssl("x509", "-req", "-in", f"{path}.csr", "-CA",
                self.place / "ca.crt", "-CAkey", self.place / "ca.key",
                "-extfile", extensions, "-days", -1, "-out", f"{path}.crt")

    def part(self, name, selector):
        """The certificate, or its key: what a record is made of."""
        path = self.place / f"{name}.crt"
        if selector == 0:
            return openssl("x509", "-in", path, "-outform", "DER")
        key = self.place / "public"
        key.write_bytes(openssl("x509", "-in", path, "-noout", "-pubkey"))
        return openssl("pkey", "-pubin", "-in", key, "-outform", "DER")

    def tlsa(self, usage, selector, matching, name=None):
        name = name or ("mx" if usage == 3 else "ca")
        return tlsa(usage, selector, matching, self.part(name, selector))


def kinds():
    """All that a usable record can be: usage, selector, matching type."""
    return itertools.product((2, 3), (0, 1), (0, 1, 2))


class Zone:
    """Records of one zone; each case is a domain with one MX."""

    def __init__(self, name):
        self.name, self.text = name, ""

    def record(self, name, kind, data):
        self.text += f"{name}.{self.name} 60 IN {kind} {data}\n"

    def host(self, host, address, *records):
        self.record(host, "A", address)
        for record in records:
            self.record(f"_25._tcp.{host}", "TLSA", record)

    def case(self, domain, address, *records):
        self.record(domain, "MX", f"10 {domain}.mx.{self.name}")
        self.host(f"{domain}.mx", address, *records)


def good_zone(certificates):
    zone, right = Zone("good."), certificates.tlsa(3, 1, 1)
    for usage, selector, matching in kinds():
        zone.case(f"u{usage}{selector}{matching}", MX,
                  certificates.tlsa(usage, selector, matching))
    zone.case("none", MX)
    zone.case("wrong", MX, f"3 1 1 {ZEROS}")
    zone.case("wrong-authority", MX, f"2 0 1 {ZEROS}")
    zone.case("wrong-and-right", MX, f"3 1 1 {ZEROS}", right)
    zone.case("unusable", MX, f"1 1 1 {ZEROS}", f"3 9 1 {ZEROS}")
    zone.case("unusable-plain", PLAIN, f"1 1 1 {ZEROS}")
    zone.case("expired3", EXPIRED, certificates.tlsa(3, 1, 1, "expired"))
    zone.case("expired2", EXPIRED, certificates.tlsa(2, 0, 1))
    zone.case("clear", PLAIN, right)
    zone.case("clear-none", PLAIN)
    zone.case("cut", BROKEN, right)
    zone.case("cut-none", BROKEN)
    zone.case("tampered", MX, right)
    zone.case("tampered-mx", MX, right)
    zone.case("away", NOWHERE, right)
    zone.case("away-none", NOWHERE)
    zone.case("named", NAMED)
    zone.case("misnamed", NAMED)
    # a certificate for *.mx.good is none for this
    zone.record("foreign", "MX", "10 foreign.good.")
    zone.host("foreign", MX, certificates.tlsa(2, 0, 1))
    zone.record("alias", "MX", "10 alias.mx.good.")
    zone.record("alias.mx", "CNAME", "u311.mx.good.")
    zone.record("into-plain", "MX", "10 into-plain.mx.good.")
    zone.record("into-plain.mx", "CNAME", "mx.plain.")
    zone.record("_25._tcp.into-plain.mx", "TLSA", right)
    zone.record("two", "MX", "10 expired3.mx.good.")
    zone.record("two", "MX", "20 u311.mx.good.")
    return zone


def named_zone():
    """What level verify looks up needs no signature."""
    zone = Zone("plain.")
    zone.record("wrong", "MX", "10 mx.plain.")
    zone.host("mx", MX, f"3 1 1 {ZEROS}")
    return zone


def broken_tls(session, _):
    if not session.mx.broken:
        return None
    session.send(b"220 go\r\n")
    session.more()
    session.send(b"this is no TLS\r\n")
    raise Gone


class World:
    def __init__(self, opened):
        self.opened = opened
        self.place = Path(opened.enter_context(
            tempfile.TemporaryDirectory(prefix="weir-dane-")))
        self.place.chmod(0o755)
        net = netns.Net()
        opened.callback(net.close)
        self.host, self.behind = net.pair()
        for address in (DNS, EXPIRED, PLAIN, BROKEN, NOWHERE, NAMED):
            self.behind.run("ip", "address", "add", f"{address}/24", "dev",
                            "lan")
        self.certificates = Certificates(self.place)
        self.anchor = self.make_zones()
        self.servers = {
            address: self.serve(address, name, **options)
            for address, name, options in (
                (MX, "mx", {}), (EXPIRED, "expired", {}), (PLAIN, None, {}),
                (BROKEN, "mx", {"script": {"STARTTLS": broken_tls}}),
                (NAMED, "mx", {"script": {
                    "greeting": b"220 named.mx.good ESMTP\r\n"}}))}
        self.servers[BROKEN].broken = True
        self.weir = under_test.Weir(self.host, self.place, WEIR % {
            "place": self.place, "anchor": self.anchor})
        self.weir.start()
        opened.callback(self.stop_weir)
        self.host.run(under_test.ROOT / "contrib" / "weir-rules", "nft",
                      "install", "--mark", under_test.MARK, "--user", "")

    def make_zones(self):
        zones = signed_zones.Zones(self.place / "zones", DNS)
        zones.add("good.", good_zone(self.certificates).text, tamper=[
            (r"(_25\._tcp\.tampered\.mx\.good\.\s.*TLSA\s+3 1 1) \w{8}",
             r"\1 00000000"),
            (r"(tampered-mx\.good\.\s.*MX\s+)10", r"\g<1>11")])
        zones.add("plain.", named_zone().text, signed=False)
        anchor = zones.root()
        zones.serve(self.behind)
        return anchor

    def serve(self, address, certificate, **options):
        made = ScriptedMX(
            self.behind, address, tls=certificate and
            self.place / f"{certificate}.pem", **options)
        self.opened.callback(made.close)
        made.asked = []         # by SNI
        if made.tls:
            made.tls.sni_callback = lambda _, name, __: made.asked.append(name)
        return made

    def stop_weir(self):
        code = self.weir.stop()
        assert code == 0, (code, self.weir.log)

    def ask(self, domain, address=MX):
        """What that recipient is answered at that address, and whether its
        MX was told."""
        server = self.servers[address]
        with under_test.Client(self.host, address) as client:
            client.hello()
            assert client.ask("MAIL FROM:<a@example.org>").startswith("250")
            said = client.ask(f"RCPT TO:<b@{domain}>")
            client.ask("QUIT")
        told = any(f"<b@{domain}>" in line
                   for session in server.sessions for line in session.lines)
        assert told == said.startswith("250"), (said, told)
        return said


@pytest.fixture(scope="module")
def world():
    reason = netns.why_not() or signed_zones.why_not() or \
        under_test.why_not()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as opened:
        yield World(opened)


def accepted(said):
    return said.startswith("250 ")


def refused(said, *words):
    return said.startswith("451 4.7.5 ") and all(w in said for w in words)


@pytest.mark.parametrize("usage, selector, matching", kinds())
def test_records_that_match(world, usage, selector, matching):
    assert accepted(world.ask(f"u{usage}{selector}{matching}.good"))


@pytest.mark.parametrize("domain", ["wrong", "wrong-authority", "foreign"])
def test_a_certificate_that_matches_no_record(world, domain):
    assert refused(world.ask(f"{domain}.good"))


@pytest.mark.parametrize("domain", [
    "wrong-and-right.good",     # one of several is enough
    "alias.good",               # the records of the alias' target
    "into-plain.good",          # of the alias, whose target is not signed
    "two.good",                 # of the one of two MXs that this is
    "none.good",                # no records: as level may
    "wrong.plain",              # not signed: likewise
    "unusable.good",            # no usable record: any certificate
    "nowhere.nothing",          # no such domain: the MX's to refuse
    "[10.7.0.2]",               # no domain at all
])
def test_accepted(world, domain):
    assert accepted(world.ask(domain))


def test_dates_are_nothing_to_usage_3(world):
    assert accepted(world.ask("expired3.good", EXPIRED))
    assert refused(world.ask("expired2.good", EXPIRED))


@pytest.mark.parametrize("domain", ["tampered.good", "tampered-mx.good"])
def test_answers_that_are_bogus(world, domain):
    assert refused(world.ask(domain), "of tampered", "validation failure")


def test_no_tls_where_there_are_records(world):
    """The same MX takes mail in clear for a domain without."""
    assert accepted(world.ask("clear-none.good", PLAIN))
    assert refused(world.ask("clear.good", PLAIN), "TLS")
    assert refused(world.ask("unusable-plain.good", PLAIN), "TLS")


def test_tls_that_failed_is_tried_again_for_dane(world):
    server = world.servers[BROKEN]
    assert accepted(world.ask("cut-none.good", BROKEN))    # falls back
    assert refused(world.ask("cut.good", BROKEN), "TLS")
    server.broken = False       # and nobody waits for the memory to fade
    assert accepted(world.ask("cut.good", BROKEN))
    assert server.sessions[-1].tls


def test_mail_that_is_led_away(world):
    """A forged MX record led the client to another host."""
    assert refused(world.ask("away.good"), "10.7.0.2", "away.good")
    assert accepted(world.ask("away-none.good"))


def test_recipients_of_one_message(world):
    with under_test.Client(world.host, MX) as client:
        client.hello()
        said = client.envelope("a@example.org", "b@u311.good",
                               "b@wrong.good", "b@none.good", "c@u311.good",
                               "c@wrong.good")
        assert [s[:3] for s in said] == ["250", "451", "250", "250", "451"]
        assert client.content().startswith("250")
    message = world.servers[MX].messages[-1]
    assert message.tls and message.recipients == [
        "b@u311.good", "b@none.good", "c@u311.good"]


def test_names_of_level_verify(world):
    """The name of the MX is in the certificate, the domain's own is not."""
    assert accepted(world.ask("named.good", NAMED))
    assert refused(world.ask("wrong.plain", NAMED), "10.7.0.7")


def test_names_that_lead_back_are_asked_for(world):
    """At the first connection, too; not what anybody calls himself."""
    assert accepted(world.ask("none.good"))
    assert accepted(world.ask("named.good", NAMED))
    assert world.servers[MX].asked[0] is None       # mx.example.net
    assert world.servers[NAMED].asked[0] == "named.mx.good"
