"""policy-examples/python/mta_sts: with real DNS, HTTPS, weir and MX."""

import asyncio
import contextlib
import http.server
import importlib
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

import pytest
import signed_zones
from blackbox import PATIENCE
from example import python_example
from policy_harness import ROOT

pytest.importorskip("dns.asyncresolver")
pytest.importorskip("cryptography")

FOLDER = ROOT / "policy-examples" / "python" / "mta_sts"
POLICY = "version: STSv1\nmode: {mode}\nmx: mx.example.net\n" \
    "mx: *.mail.example.net\nmax_age: {age}\n"
DOMAINS = ("enforce", "testing", "none", "moved", "html", "large", "slow",
           "broken", "changed", "short", "proven", "foreign")


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True,
                   capture_output=True)


def issue(place, name, *names):
    """A certificate of the test's authority, with its key, in one file."""
    path = place / f"{name}.pem"
    signer = [] if name == "ca" else ["-CA", place / "ca.pem", "-CAkey",
                                      place / "ca.pem", "-addext",
                                      "subjectAltName="
                                      + ",".join(f"DNS:{n}" for n in names)]
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            f"/CN={name}", "-keyout", path, "-out", place / "crt", *signer)
    path.write_bytes(path.read_bytes() + (place / "crt").read_bytes())
    return path


class Web(http.server.BaseHTTPRequestHandler):
    """The web server of all domains: server.pages[domain](handler)."""

    def do_GET(self):
        host = self.headers["Host"].removeprefix("mta-sts.")
        domain = host.removesuffix(".sts.example")
        with self.server.lock:
            self.server.asked.append(domain)
        assert self.path == "/.well-known/mta-sts.txt"
        self.server.pages[domain](self)

    def answer(self, body, kind="text/plain", status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def page(mode="enforce", age=86400, **options):
    return lambda web: web.answer(POLICY.format(mode=mode, age=age), **options)


def slow(web):
    web.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    web.server.closing.wait(PATIENCE)


PAGES = {
    "enforce": page(), "testing": page("testing"), "none": page("none"),
    "moved": page(status=301, Location="https://mta-sts.enforce.sts.example/"
                  ".well-known/mta-sts.txt"),
    "html": page(kind="text/html"), "slow": slow, "short": page(age=1),
    "large": lambda web: web.answer(POLICY.format(mode="enforce", age=1)
                                    + "x: y\n" * 20000),
    "broken": lambda web: web.answer("version: STSv2\n"),
    "changed": page("testing"), "foreign": page(), "proven": page(),
}


class World:
    """DNS, the web and an authority, for all tests of this file."""

    def __init__(self, place, opened):
        self.place, self.opened = place, opened
        issue(place, "ca")
        self.mx = issue(place, "mx", "mx.example.net")
        self.other = issue(place, "other", "mx.example.org")
        names = [f"mta-sts.{d}.sts.example" for d in DOMAINS
                 if d != "foreign"]
        self.web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issue(place, "web", *names))
        self.web.socket = context.wrap_socket(
            self.web.socket, server_side=True, do_handshake_on_connect=False)
        self.web.lock, self.web.asked = threading.Lock(), []
        self.web.pages, self.web.closing = dict(PAGES), threading.Event()
        self.web.daemon_threads = True
        threading.Thread(target=self.web.serve_forever, args=(0.05,),
                         daemon=True).start()
        opened.callback(self.web.server_close)
        opened.callback(self.web.shutdown)
        opened.callback(self.web.closing.set)
        self.dns_port = signed_zones.free_port()
        self.ids = {domain: ["v=STSv1; id=1;"] for domain in DOMAINS}
        self.ids["twice"] = ["v=STSv1; id=1;", "v=STSv1; id=2;"]
        self.ids["other"] = ["v=spf1 -all"]
        self.dns, self.records = None, ""
        self.publish()

    def publish(self):
        """The zone, as self.ids has it."""
        if self.dns:
            self.unpublish()
        place = Path(tempfile.mkdtemp(dir=self.place)) / "zones"
        zones = signed_zones.Zones(place, port=self.dns_port)
        zones.add("sts.example.", "".join(
            f'_mta-sts.{domain} 1 IN TXT "{text}"\n'
            for domain, texts in self.ids.items() for text in texts)
            + "".join(f"mta-sts.{d} 1 IN A 127.0.0.1\n" for d in DOMAINS)
            + self.records)
        self.anchor = zones.root()
        self.dns = zones.serve(self)

    def unpublish(self):
        self.dns.terminate()
        self.dns.wait(PATIENCE)
        self.dns = None

    @staticmethod
    def popen(*command):
        return subprocess.Popen(command)


@pytest.fixture(scope="module")
def world():
    reason = signed_zones.why_not()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as opened:
        place = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="weir-sts-"))
        made = World(Path(place), opened)
        yield made
        if made.dns:
            made.unpublish()


class Desk:
    """weir with the policy, before an MX with some certificate."""

    def __init__(self, bench, world, place):
        self.bench, self.world, self.place = bench, world, place
        (place / "cache").mkdir()
        self.server = self.proxy = None

    def start_policy(self, *options):
        self.server, block = python_example(
            "mta_sts", self.place, "--resolver",
            f"127.0.0.1:{self.world.dns_port}", "--ca",
            self.world.place / "ca.pem", "--port",
            self.world.web.server_port, *options,
            swap=[("/var/lib/mta_sts", self.place / "cache")])
        self.bench.opened.enter_context(self.server)
        return block

    def start(self, certificate, *options, more="", **server):
        self.mx = self.bench.mx(tls=certificate, **server)
        block = self.start_policy(*options)
        self.proxy = self.bench.weir(
            upstream=f'tls_ca = "{self.world.place}/ca.pem"',
            more=more + block, ready=False)
        self.proxy.wait_log(r"event=policy\.ready ")
        return self

    def send(self, *domains):
        """What the recipients of these domains are answered, in one mail."""
        with self.proxy.connect() as client:
            assert client.ask("MAIL FROM:<a@example.org>")[:3] == "250"
            said = [client.ask(f"RCPT TO:<b@{d}.sts.example>")
                    for d in domains]
            client.ask("QUIT")
        return said


@pytest.fixture
def desk(bench, fresh, place):
    return Desk(bench, fresh, place)


@pytest.fixture
def fresh(world):
    world.web.pages.update(PAGES)
    world.web.asked.clear()
    return world


@pytest.fixture(scope="module")
def parts():
    """The modules of the policy."""
    names = ("sts_policy", "fetch", "cache")
    sys.path.insert(0, str(FOLDER))
    try:
        yield types.SimpleNamespace(
            **{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(FOLDER))
        for name in names:
            sys.modules.pop(name, None)


class Known:
    """A cache on a loop of its own, for tests that are no coroutines."""

    def __init__(self, parts, world, place, opened, **options):
        self.parts, self.world, self.place = parts, world, place
        self.opened = opened
        self.loop = asyncio.new_event_loop()
        opened.callback(self.close)
        self.cache = self.wait(self.make(**options))

    async def make(self, **options):
        made = self.parts.cache.Cache(self.place, self.parts.fetch.Fetcher(
            f"127.0.0.1:{self.world.dns_port}",
            str(self.world.place / "ca.pem"), self.world.web.server_port,
            0.5), **options)
        made.load()
        return made

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def find(self, domain, budget=PATIENCE):
        return self.wait(self.cache.find(f"{domain}.sts.example", budget))

    def settle(self):
        """Until nothing is being fetched."""
        async def all_of_it():
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if tasks:
                await asyncio.wait(tasks)
        self.wait(all_of_it())

    def again(self, **options):
        """As after a restart."""
        return Known(self.parts, self.world, self.place, self.opened,
                     **options)

    def close(self):
        self.settle()
        self.loop.close()


@pytest.fixture
def cache(parts, fresh, place):
    folder = place / "cache"
    folder.mkdir()
    with contextlib.ExitStack() as opened:
        yield Known(parts, fresh, folder, opened)


# ---------------------------------------------------------- the parts alone

def test_records(parts):
    parse = parts.sts_policy.parse_record
    assert parse(["v=STSv1; id=20160831085700Z;"]) == "20160831085700Z"
    assert parse(["v=STSv1;id=1", "v=spf1 -all"]) == "1"
    assert parse(["v=STSv1; x=y; id=1;"]) == "1"
    for bad in ([], ["v=spf1 -all"], ["v=STSv1; id=1;", "v=STSv1; id=1;"],
                ["v=STSv1;"], ["v=STSv1; id=;"], ["v=STSv1; id=a-b;"],
                ["v=STSv1; id=" + "1" * 33], ["v=STSv2; id=1;"],
                [" v=STSv1; id=1;"], ["v=STSv1; id"]):
        assert parse(bad) is None, bad


def test_policies(parts):
    parse, known = parts.sts_policy.parse_policy, parts.sts_policy.StsPolicy
    text = POLICY.format(mode="enforce", age=86400)
    made = known("enforce", 86400, ("mx.example.net", "*.mail.example.net"))
    assert parse(text.encode()) == made
    assert parse(text.replace("\n", "\r\n").encode()) == made
    assert parse((text + "mode: none\nnew_key: 1\nmx: MX.example.net"
                  ).encode()) == made
    assert parse(b"version: STSv1\nmode: none\nmax_age: 1") == \
        known("none", 1, ())


@pytest.mark.parametrize("old, new", [
    ("STSv1", "STSv2"), ("version: STSv1\n", ""), ("enforce", "strict"),
    ("mode: enforce\n", ""), ("86400", "31557601"), ("86400", "-1"),
    ("86400", "1.5"), ("86400", "\u0661"), ("max_age: 86400\n", ""),
    ("mx: mx.example.net\nmx: *.mail.example.net\n", ""),
    ("mx.example.net", "*"), ("mx.example.net", "mx.*.example.net"),
    ("mx.example.net", "192.0.2.1:25"), ("mx.example.net", "a..b"),
    ("mx.example.net", "*example.net"), ("mx: ", "mx "),
    ("max_age", "\xff"),
    ("mx: mx", "".join(f"mx: n{i}.example.net\n" for i in range(32))
     + "mx: mx"),
])
def test_what_is_no_policy(parts, old, new):
    text = POLICY.format(mode="enforce", age=86400)
    assert old in text
    with pytest.raises(parts.sts_policy.Invalid):
        parts.sts_policy.parse_policy(
            text.replace(old, new).encode("latin-1" if new == "\xff"
                                          else "utf-8"))


def test_names(parts):
    patterns = ("mx.example.net", "*.mail.example.net")
    for name in ("mx.example.net", "MX.Example.NET.", "a.mail.example.net"):
        assert parts.sts_policy.matches(name, patterns)
    for name in ("example.net", "mail.example.net", "a.b.mail.example.net",
                 "xmail.example.net", "mx.example.net.evil.example"):
        assert not parts.sts_policy.matches(name, patterns)


@pytest.mark.parametrize("data, why", [
    (b"", "no HTTP response"), (b"garbage\r\n\r\n", "no HTTP response"),
    (b"HTTP/1.1 200 OK\r\n\r\nx", "text/plain"),
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9"
     b"\r\n\r\nx", "IncompleteRead"),
    (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "IncompleteRead"),
    (b"HTTP/1.1 204 No\r\nContent-Type: text/plain\r\n\r\n", "204"),
])
def test_what_is_no_response(parts, data, why):
    with pytest.raises(parts.fetch.Unavailable, match=why):
        parts.fetch.read_response(data)


def test_responses(parts):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\n"
    for rest in (b"\r\nab", b"Content-Length: 2\r\n\r\nab",
                 b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"):
        assert parts.fetch.read_response(head + rest) == b"ab"


# ----------------------------------------------------- fetching and keeping

@pytest.mark.parametrize("domain, result, why", [
    ("moved", "sts-policy-fetch-error", "status 301"),
    ("html", "sts-policy-fetch-error", "text/plain"),
    ("large", "sts-policy-fetch-error", "too large"),
    ("slow", "sts-policy-fetch-error", "took too long"),
    ("broken", "sts-policy-invalid", "version"),
    ("foreign", "sts-webpki-invalid", "foreign"),
])
def test_what_cannot_be_fetched_counts_as_none(cache, domain, result, why):
    entry = cache.find(domain)
    assert (entry.id, entry.result) == ("", result)
    assert why in entry.why
    assert not list(cache.place.iterdir())


def test_no_record_no_policy(cache, world):
    for domain in ("nothing", "twice", "other"):
        entry = cache.find(domain)
        assert (entry.id, entry.result) == ("", "")
    assert world.web.asked == []


def test_asked_once(cache, world):
    for _ in range(3):
        assert cache.find("enforce").mode == "enforce"
    assert world.web.asked == ["enforce"]


def test_the_first_recipient_waits_no_longer_than_the_budget(cache, world):
    begun = time.monotonic()
    entry = cache.find("slow", budget=0.1)
    assert time.monotonic() - begun < 0.4
    assert (entry.id, entry.result) == ("", "sts-policy-fetch-error")
    assert "still being fetched" in entry.why


def test_a_policy_seen_once_counts_whatever_comes(cache, world):
    """Over a restart, without DNS, with a web server that fails."""
    assert cache.find("enforce").mode == "enforce"
    world.web.pages["enforce"] = page(status=500)
    again = cache.again(check=0)
    world.unpublish()
    try:
        for _ in range(2):
            entry = again.find("enforce")
            assert (entry.mode, entry.mx) == ("enforce", (
                "mx.example.net", "*.mail.example.net"))
            again.settle()
    finally:
        world.publish()
    assert again.find("enforce").result == "sts-policy-fetch-error"


def test_a_policy_expires(cache):
    assert cache.find("short").mode == "enforce"
    time.sleep(1.05)
    cache.world.web.pages["short"] = page(status=500)
    assert cache.find("short").id == ""


def test_a_new_id_brings_a_new_policy(cache, world):
    cache = cache.again(check=0)
    assert cache.find("changed").mode == "testing"
    cache.settle()
    world.web.pages["changed"] = page("enforce")
    assert cache.find("changed").mode == "testing"
    cache.settle()
    assert world.web.asked == ["changed"]       # the id is the same
    world.ids["changed"] = ["v=STSv1; id=2;"]
    world.publish()
    assert cache.find("changed").mode == "testing"      # until it is there
    cache.settle()
    assert cache.find("changed").mode == "enforce"
    saved = json.loads((cache.place / "changed.sts.example.json").read_text())
    assert (saved["id"], saved["mode"]) == ("2", "enforce")


def test_files_that_are_no_policies_are_left_alone(cache):
    for name, text in (("a.json", "{"), ("b.json", '{"x": 1}'),
                       ("c.json", '{"id": "1", "expires": 1e18}'),
                       ("d.json", "[]"), ("e.txt", "")):
        (cache.place / name).write_text(text)
    assert cache.again().find("enforce").mode == "enforce"
    assert len(list(cache.place.iterdir())) == 6


# ---------------------------------------------------------- with a real weir

def test_enforce_takes_the_right_certificate(desk, world):
    desk.start(world.mx)
    assert desk.send("enforce")[0].startswith("250")


def test_enforce_refuses_another_certificate(desk, world):
    desk.start(world.other)
    said = desk.send("enforce", "testing", "none", "nothing", "twice",
                     "other")
    assert said[0].startswith("451 4.7.5"), said
    assert [s[:3] for s in said[1:]] == ["250"] * 5, said
    assert "RCPT TO:<b@enforce.sts.example>" not in desk.mx.lines
    assert set(world.web.asked) == {"enforce", "testing", "none"}


def test_tlsa_records_come_before_names(desk, world):
    """RFC 8461 2. The certificate has none of the policy's names."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pem = world.other.read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERT"):])
    world.records = "proven 60 IN MX 10 mx.sts.example.\n" \
        "mx 60 IN A 127.0.0.1\n" \
        f"_{port}._tcp.mx 60 IN TLSA {signed_zones.tlsa(3, 0, 1, der)}\n"
    world.publish()
    desk.start(world.other, "--dane", port=port, more=f"""
        dns {{ resolver = {{"127.0.0.1:{world.dns_port}"}}
              trust_anchor = "{world.anchor}" }}""")
    proven, enforced = desk.send("proven", "enforce")
    assert proven.startswith("250"), proven
    assert enforced.startswith("451 4.7.5"), enforced
