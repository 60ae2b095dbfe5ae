"""weir-tlsrpt makes the reports of RFC 8460 from the record."""

import contextlib
import datetime
import email
import email.policy
import gzip
import hashlib
import ipaddress
import json
import re
import sqlite3
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
import tls_peer
import weir as under_test
from blackbox import certificate, decision, pb
from tls_front import Front, Peers, deliver

TOOL = under_test.ROOT / "contrib" / "weir-tlsrpt"
GOLDEN = Path(__file__).parent / "tlsrpt.json"
DAY = datetime.date(2026, 11, 21)
RESULTS = {
    "starttls-not-supported", "certificate-host-mismatch",
    "certificate-expired", "certificate-not-trusted", "validation-failure",
    "tlsa-invalid", "dnssec-invalid", "dane-required",
    "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}


def run(*arguments, code=0):
    done = subprocess.run(
        [TOOL, "--submitter", "mail.example.org", *arguments], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == code, done.stderr
    return done


def reports(place, database, day=DAY, *arguments):
    """domain -> report"""
    done = run("--database", database, "--day", str(day), "--output", place,
               *arguments)
    made = {}
    for line in done.stdout.splitlines():
        path = Path(line.split("\t")[0])
        one = json.loads(gzip.decompress(path.read_bytes()))
        check(one)
        check_name(path.name, one)
        made[one["policies"][0]["policy"]["policy-domain"]] = one
    return made


# ------------------------------------------------- the structure, RFC 8460 4.4

def check(one):
    assert set(one) == {"organization-name", "date-range", "contact-info",
                        "report-id", "policies"}
    times = one["date-range"]
    assert set(times) == {"start-datetime", "end-datetime"}
    begin, end = (datetime.datetime.strptime(times[key], "%Y-%m-%dT%H:%M:%SZ")
                  for key in ("start-datetime", "end-datetime"))
    assert end - begin == datetime.timedelta(seconds=86399)
    for key in ("organization-name", "contact-info", "report-id"):
        assert isinstance(one[key], str) and one[key]
    assert one["policies"]
    for policy in one["policies"]:
        check_policy(policy)
    assert len({p["policy"]["policy-domain"] for p in one["policies"]}) == 1


def check_policy(one):
    assert {"policy", "summary"} <= set(one) <= {"policy", "summary",
                                                 "failure-details"}
    policy = one["policy"]
    assert {"policy-type", "policy-domain"} <= set(policy) <= {
        "policy-type", "policy-domain", "policy-string", "mx-host"}
    assert policy["policy-type"] in ("tlsa", "sts", "no-policy-found")
    assert re.fullmatch(r"[a-z0-9._-]+", policy["policy-domain"])
    assert all(isinstance(host, str) for host in policy.get("mx-host", []))
    summary = one["summary"]
    assert set(summary) == {"total-successful-session-count",
                            "total-failure-session-count"}
    details = one.get("failure-details", [])
    for detail in details:
        assert {"result-type", "failed-session-count"} <= set(detail) <= {
            "result-type", "sending-mta-ip", "receiving-mx-hostname",
            "receiving-mx-helo", "receiving-ip", "failed-session-count",
            "additional-information", "failure-reason-code"}
        assert detail["result-type"] in RESULTS
        assert detail["failed-session-count"] > 0
        for key in ("sending-mta-ip", "receiving-ip"):
            ipaddress.ip_address(detail[key])
    assert summary["total-failure-session-count"] == sum(
        detail["failed-session-count"] for detail in details)


def check_name(name, one):
    """5.1"""
    found = re.fullmatch(r"([^!]+)!([^!]+)!(\d+)!(\d+)\.json\.gz", name)
    assert found[1] == "mail.example.org"
    assert found[2] == one["policies"][0]["policy"]["policy-domain"]
    begin = datetime.datetime.fromtimestamp(int(found[3]),
                                            datetime.timezone.utc)
    assert begin.strftime("%Y-%m-%dT%H:%M:%SZ") == (
        one["date-range"]["start-datetime"])
    assert int(found[4]) - int(found[3]) == 86399


# --------------------------------------------------------------- a made record

SCHEMA = """
CREATE TABLE tls_results(session_id, number, occurred_at, result, policy,
  domain, mx, source_address, source_port, upstream_address, upstream_port,
  reason);
CREATE TABLE recipients(session_id, transaction_id, number, address,
  rewritten);
CREATE TABLE transactions(session_id, id, source_address, upstream_address,
  upstream_port);"""
# session, time, result, policy, domain, mx, reason
ROWS = [
    # as often as it went well, for two domains at once
    (1, "21T00:00:00", "success", "no-policy-found", None, "mx.one.example",
     None),
    (2, "21T23:59:59", "success", "no-policy-found", None, "mx.one.example",
     None),
    (3, "21T10:00:00", "starttls-not-supported", "no-policy-found", None,
     "mx.two.example", "STARTTLS is not offered"),
    # the handshake was good, and then the name was not; three recipients
    (4, "21T11:00:00", "success", "sts", None, "mx.one.example", None),
    (4, "21T11:00:01", "certificate-host-mismatch", "sts", "One.example",
     "mx.one.example", "issued to mx.three.example"),
    (4, "21T11:00:02", "certificate-host-mismatch", "sts", "one.example",
     "mx.one.example", "issued to mx.three.example"),
    (5, "21T12:00:00", "tlsa-invalid", "tlsa", "one.example",
     "mx.one.example", "no record matches"),
    (6, "21T13:00:00", "validation-failure", "no-policy-found", None,
     "mx.two.example", "TLS handshake timed out"),
    (7, "21T13:30:00", "validation-failure", "no-policy-found", None,
     "mx.two.example", "TLS handshake timed out"),
    # the handshake was good, and what followed was not
    (11, "21T15:00:00", "success", "no-policy-found", None, "mx.five.example",
     None),
    (11, "21T15:00:01", "certificate-expired", "no-policy-found", None,
     "mx.five.example", "expired yesterday"),
    # the second transaction was re-homed: each domain has its own connection
    (12, "21T16:00:00", "success", "no-policy-found", None, "mx.six.example",
     None),
    (12, "21T16:00:01", "validation-failure", "no-policy-found", None,
     "mx.seven.example", "alert", "192.0.2.10"),
    # nobody named a recipient
    (8, "21T14:00:00", "validation-failure", "no-policy-found", None,
     "mx.four.example", "alert"),
    # other days
    (9, "20T23:59:59", "success", "no-policy-found", None, "mx.one.example",
     None),
    (10, "22T00:00:00", "success", "no-policy-found", None, "mx.one.example",
     None),
]
RECIPIENTS = [
    (1, "a@one.example", None), (1, "b@two.example", None),
    (1, "c@TWO.example", None), (2, "a@one.example", None),
    (3, "b@two.example", None), (4, "a@one.example", None),
    (4, "d@three.example", None), (5, "a@one.example", None),
    (6, "x@elsewhere.example", "b@two.example"), (7, "b@two.example", None),
    (7, "e@[192.0.2.1]", None), (7, "../../etc/passwd@a/../b", None),
    (7, "f@b\u00fccher.example", None), (9, "a@one.example", None),
    (10, "a@one.example", None), (11, "a@five.example", None),
    (12, "a@six.example", None, "192.0.2.9"),
    (12, "a@seven.example", None, "192.0.2.10")]


def session_id(number, day):
    """A ULID of that day, at noon."""
    value, text = int(datetime.datetime(
        2026, 11, int(day), 0, 0, number,
        tzinfo=datetime.timezone.utc).timestamp() * 1000), ""
    for _ in range(10):
        text = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[value % 32] + text
        value //= 32
    return text + f"{number:016d}"


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "made here & there?.db"
    days = {row[0]: row[1][:2] for row in ROWS}
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = wal")
        database.executescript(SCHEMA)
        for number, (session, time, result, policy, domain, mx, reason,
                     *source) in enumerate(ROWS):
            database.execute(
                "INSERT INTO tls_results VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
                (session_id(session, days[session]), number,
                 f"2026-11-{time}.000000Z", result, policy, domain, mx,
                 *(source or ["192.0.2.9"]), 50000, "2001:db8::25", 25,
                 reason))
        for number, (session, address, rewritten,
                     *source) in enumerate(RECIPIENTS):
            session = session_id(session, days[session])
            database.execute("INSERT INTO recipients VALUES(?,?,0,?,?)",
                             (session, number, address, rewritten))
            database.execute(
                "INSERT INTO transactions VALUES(?,?,?,'2001:db8::25',25)",
                (session, number, *(source or [None])))
    return path


def test_the_golden_report(made, tmp_path):
    place = tmp_path / "out"
    got = reports(place, made)
    assert got == json.loads(GOLDEN.read_text(encoding="utf-8"))
    before = {path: path.read_bytes() for path in place.iterdir()}
    reports(place, made)
    assert before == {path: path.read_bytes() for path in place.iterdir()}


def test_what_is_said(made, tmp_path):
    done = run("--database", made, "--day", str(DAY), "--output", tmp_path,
               "--plain", "--domain", "ONE.example.")
    path, then = done.stdout.rstrip("\n").split("\t")
    check(json.loads(Path(path).read_text(encoding="utf-8")))
    assert path.endswith("!one.example!1795219200!1795305599.json")
    assert then == "rua: TXT of _smtp._tls.one.example"
    assert "mx.four.example: 1 failed before a recipient" in done.stderr


def test_ready_to_be_mailed_or_posted(made, tmp_path):
    arguments = ["--database", made, "--day", str(DAY), "--output", tmp_path,
                 "--domain", "two.example"]
    done = run(*arguments, "--rua", "mailto:tls@two.example")
    path, then = done.stdout.rstrip("\n").split("\t")
    message = email.message_from_bytes(
        Path(path.replace(".json.gz", ".eml")).read_bytes(),
        policy=email.policy.default)
    assert re.fullmatch(r"sendmail -t <'.*\.eml'", then)
    assert message["To"] == "tls@two.example"
    assert message["TLS-Report-Domain"] == "two.example"
    assert message["TLS-Report-Submitter"] == "mail.example.org"
    assert re.fullmatch(r"Report Domain: two\.example Submitter: "
                        r"mail\.example\.org Report-ID: <[^<> ]+>",
                        message["Subject"])
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "tlsrpt"
    words, report = message.iter_parts()
    assert words.get_content_type() == "text/plain"
    assert report.get_content_type() == "application/tlsrpt+gzip"
    assert report.get_filename() == Path(path).name
    assert report.get_content() == Path(path).read_bytes()
    done = run(*arguments, "--rua", "https://two.example/tls?a=1")
    assert "tlsrpt+gzip" in done.stdout
    assert "'https://two.example/tls?a=1'" in done.stdout


@pytest.mark.parametrize("arguments, says", [
    (["--database", "/nowhere.db"], "no such database"),
    (["--database", "/etc/passwd"], "not a database"),
    (["--day", "yesterday"], "is no day"),
    (["--domain", "a/b"], "is no domain"),
    (["--rua", "mailto:a@b"], "one --domain"),
    (["--domain", "a.b", "--rua", "ftp://a.b/"], "neither mailto:"),
])
def test_mistakes_are_told(arguments, says):
    done = run(*arguments, code=1 if "database" in arguments[0] else 2)
    assert says in done.stderr and "Traceback" not in done.stderr


def test_the_manual_has_every_option():
    manual = (under_test.ROOT / "doc" / "weir-tlsrpt.8").read_text("utf-8")
    said = set(re.findall(r"--([a-z]+)", run("--help").stdout)) - {"help"}
    assert said == set(re.findall(r"^\.It Fl -([a-z]+)", manual, re.M))


# ---------------------------------------------------------------- real sessions

@pytest.fixture
def front(tmp_path):
    reason = under_test.why_not()
    if reason:
        pytest.skip(reason)
    peers = Peers(certificate(tmp_path))
    with contextlib.closing(peers):
        started = Front(tmp_path / "may", peers, "may", patience="1s",
                        memory="0s")
        with contextlib.ExitStack() as stopped:
            stopped.callback(started.stop)
            yield started


def counts(one):
    """What a report says, without the words."""
    return {policy["policy"]["policy-type"]: (
        policy["summary"]["total-successful-session-count"],
        {detail["result-type"]: detail["failed-session-count"]
         for detail in policy.get("failure-details", [])})
        for policy in one["policies"]}


def test_the_counts_are_what_was_sent(front, tmp_path):
    sent = [("no tickets", "a@good.example")] * 3 + [
        ("no tickets", "a@good.example", "b@other.example"),
        (tls_peer.PLAIN, "a@plain.example"),
        ("STARTTLS answered: 454", "a@refused.example"),
        ("stall before ServerHello", "a@stalls.example", "c@stalls.example"),
        ("client certificate required, TLS 1.3", "a@strict.example"),
        ("client certificate required, TLS 1.3", "a@good.example")]
    threads = [threading.Thread(target=deliver, args=(front, *one))
               for one in sent]
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for thread in threads:
        thread.start()
    # while weir writes
    front.wait_rows("SELECT 1 FROM sessions", count=1)
    run("--database", front.place / "weir.db", "--day", str(today),
        "--output", tmp_path / "early")
    for thread in threads:
        thread.join()
    front.wait_rows("SELECT 1 FROM sessions WHERE cause NOT NULL",
                    count=len(sent))
    got = reports(tmp_path / "out", front.place / "weir.db", today)
    none = "no-policy-found"
    assert {domain: counts(one) for domain, one in got.items()} == {
        "good.example": {none: (4, {"validation-failure": 1})},
        "other.example": {none: (1, {})},
        "plain.example": {none: (0, {"starttls-not-supported": 1})},
        "refused.example": {none: (0, {"starttls-not-supported": 1})},
        "stalls.example": {none: (0, {"validation-failure": 1})},
        "strict.example": {none: (0, {"validation-failure": 1})}}
    detail, = got["stalls.example"]["policies"][0]["failure-details"]
    assert detail == {
        "result-type": "validation-failure", "sending-mta-ip": "127.0.0.1",
        "receiving-mx-hostname": "mx.example.net",
        "receiving-mx-helo": "mx.example.net", "receiving-ip": "127.0.0.1",
        "failed-session-count": 1,
        "failure-reason-code": "TLS handshake timed out"}


def test_verification_is_reported_for_each_domain(bench, place):
    """Policies ask for names and records, each recipient for its own."""
    bench.mx(tls=certificate(place))
    der = ssl.PEM_cert_to_DER_cert((place / "crt").read_text())
    asked = {
        "strict.example": {"tls": pb.TLS_LEVEL_VERIFY,
                           "tls_names": ["mx.example.net"]},
        "wrong.example": {"tls": pb.TLS_LEVEL_DANE, "tlsa": [
            pb.Tlsa(usage=3, matching=1, data=bytes(32))]},
        "right.example": {"tls": pb.TLS_LEVEL_DANE, "tlsa": [
            pb.Tlsa(usage=3, matching=1, data=hashlib.sha256(der).digest())]}}

    def answer(event, _connection):
        domain = event.rcpt.recipient.decode().rpartition("@")[2]
        return decision(outbound=pb.Outbound(**asked[domain])
                        if domain in asked else None)
    bench.policy(["rcpt"], answer=answer, keys={"grants": '{"outbound"}'})
    proxy = bench.weir()
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@example.org>")[:3] == "250"
        for domain, code in (("plain", "250"), ("strict", "451"),
                             ("strict", "451"), ("wrong", "451"),
                             ("right", "250"), ("wrong", "451")):
            assert client.ask(f"RCPT TO:<b@{domain}.example>")[:3] == code
        client.ask("QUIT")
    proxy.wait_rows("SELECT 1 FROM sessions WHERE cause NOT NULL")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    got = reports(place / "out", place / "weir.db", today)
    assert {domain: counts(one) for domain, one in got.items()} == {
        "plain.example": {"no-policy-found": (1, {})},
        "strict.example": {"sts": (0, {"certificate-not-trusted": 1})},
        "wrong.example": {"tlsa": (0, {"tlsa-invalid": 1})},
        "right.example": {"tlsa": (1, {})}}
    detail, = got["strict.example"]["policies"][0]["failure-details"]
    assert "is not trusted" in detail["failure-reason-code"]


def test_verification_at_mail_is_reported(bench, place):
    bench.mx(tls=certificate(place))
    proxy = bench.weir(more='tls "it" { networks = {"127.0.0.0/8"} '
                       'level = "verify" names = {"mx.example.net"} }\n')
    with proxy.connect() as client:
        client.send(b"MAIL FROM:<a@example.org>\r\n"
                    b"RCPT TO:<b@one.example>\r\n")
        assert client.codes(2) == ["451", "503"]
        client.ask("QUIT")
    proxy.wait_rows("SELECT 1 FROM sessions WHERE cause NOT NULL")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    got = reports(place / "out", place / "weir.db", today)
    assert {domain: counts(one) for domain, one in got.items()} == {
        "one.example": {"no-policy-found": (
            0, {"certificate-not-trusted": 1})}}
