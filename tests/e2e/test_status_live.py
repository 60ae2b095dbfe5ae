"""What the status server tells of a weir with mail in it, while it happens;
and what can be asked of it."""

import contextlib
import re
import socket
import time

import pytest
from blackbox import decision, pb, wait_for
from status_client import Status

POOLS = ('pool "out" { addresses = {"127.0.0.1"} }\n'
         'pool "two" { addresses = {"127.0.0.2", "127.0.0.3"} }\n')


@pytest.fixture
def told(bench):
    """A weir, and its status server; POST needs the token s3cret."""
    token = bench.place / "token"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    bench.mx()
    proxy = bench.weir(more=POOLS, status=f'token_file = "{token}"')
    return proxy, Status(proxy.status)


def deliver(proxy, sender="a@b.example", recipient="c@d.example"):
    with contextlib.closing(proxy.connect()) as client:
        client.envelope(sender, recipient)
        client.content()
        client.ask("QUIT")


def first(stream, kind, fits=lambda data: True):
    for number, what, data in stream:
        if what == kind and fits(data):
            return number, data
    raise AssertionError(f"the stream ended without {kind}")


def test_a_session_is_told_when_it_ends(told):
    proxy, status = told
    with status.events() as stream:
        first(stream, "tick")
        deliver(proxy)
        number, session = first(stream, "session")
    listed = status.get("/api/v1/sessions")
    assert listed == [session]
    assert session["sender"] == "a@b.example"
    # who comes back gets what was between, and nothing twice
    deliver(proxy, sender="second@b.example")
    with status.events("?types=session", Last_Event_ID=number) as stream:
        _, session = first(stream, "session")
    assert session["sender"] == "second@b.example"


def test_ticks_count(told):
    proxy, status = told
    with status.events("?types=tick") as stream:
        first(stream, "tick")
        deliver(proxy)
        _, tick = first(stream, "tick", lambda t: t["delivered"])
    assert tick["delivered"] == 1 and tick["alarms"] == 0
    assert abs(tick["at_us"] / 1e6 - time.time()) < 60


def test_reload_is_told_and_recorded(told):
    proxy, status = told
    token = {"Authorization": "Bearer s3cret"}
    with status.events("?types=reload,operation") as stream:
        status.post("/api/v1/reload", 403, Host="evil.example")
        _, refused = first(stream, "operation")
        status.post("/api/v1/reload", **token)
        _, reload = first(stream, "reload")
        _, operation = first(stream, "operation")
        proxy.config.write_text(proxy.config.read_text() + "nonsense = 1\n")
        error = status.post("/api/v1/reload", 422, **token)["error"]
        _, failed = first(stream, "reload")
    assert reload["ok"] and reload["error"] == ""
    assert not failed["ok"] and failed["error"] == error
    assert (operation["operation"], operation["by"], operation["result"]) == (
        "reload", "127.0.0.1", "ok")
    rows = wait_for(lambda: (lambda got: got if len(got) == 3 else None)(
        status.get("/api/v1/operations")["operations"]), "operations")
    assert rows[0]["result"] == error.strip()[:255]
    assert {**operation, "id": 2} == rows[1]
    assert {**refused, "id": 1} == rows[2]
    assert refused["operation"] == "reload" and refused["result"] == (
        "refused 403: the Host header must be localhost or an address, "
        "unless a token is sent")
    page = status.get("/api/v1/operations?limit=1")
    assert page["next"] and status.get(
        f"/api/v1/operations?limit=2&after={page['next']}") == {
            "operations": rows[1:], "next": None}
    assert re.search(r"event=status\.operation operation=\"reload\" .*"
                     r"by=\"127\.0\.0\.1\" result=\"ok\"", proxy.log)


def test_a_flood_of_orders_in_vain(told):
    """A few rows and a count, and what was done among them."""
    proxy, status = told
    for i in range(60):
        status.post(f"/api/v1/drain?n={i}", 401)
    status.post("/api/v1/explode", 404, Authorization="Bearer s3cret")
    status.post("/api/v1/reload", Authorization="Bearer s3cret")
    proxy.stop()
    rows = proxy.rows("SELECT * FROM operations ORDER BY id")
    assert {row["asked_by"] for row in rows} == {"127.0.0.1"}
    assert (rows[0]["operation"], rows[0]["argument"]) == ("drain", "n=***")
    assert rows[0]["result"].startswith("refused 401: this needs the header")
    assert [row["operation"] for row in rows
            if row["result"] == "ok"] == ["reload"]
    assert rows[-1]["operation"] == "explode"
    assert re.fullmatch(r"refused 404: no such path; the page is at /"
                        r"( \(\d+ times\))?", rows[-1]["result"])
    refused = [row["result"] for row in rows if row["result"] != "ok"]
    assert len(refused) <= 4        # 2, and more where this took long
    assert sum(int((re.findall(r"\((\d+) times\)$", text) or [1])[0])
               for text in refused) == 61


def test_etag(told):
    proxy, status = told
    deliver(proxy)
    proxy.wait_rows("SELECT * FROM sessions WHERE outcome IS NOT NULL")
    for path in ("/api/v1/sessions", "/api/v1/config", "/api/v1/sources",
                 "/api/v1/operations"):
        code, headers, body = status.ask("GET", path)
        assert code == 200 and body
        assert status.ask("GET", path, If_None_Match=headers["ETag"])[::2] \
            == (304, b"")
        assert status.ask("HEAD", path)[1]["ETag"] == headers["ETag"]


def test_config_in_force_is_not_the_file_of_now(told):
    proxy, status = told
    text = proxy.config.read_text()
    proxy.config.write_text("nonsense")
    config = status.get("/api/v1/config")
    assert config["text"] == text and config["file"] == str(proxy.config)
    keys = {key["key"]: key for key in config["keys"]}
    line = text.splitlines().index('workers = 1') + 1
    assert keys["workers"] == {"key": "workers", "value": 1, "default": "0",
                               "is_default": False, "line": line}
    assert keys['pool "two".addresses']["value"] == ["127.0.0.2", "127.0.0.3"]


def suspend(status, address, more=""):
    return status.post(f"/api/v1/suspend-address?address={address}{more}",
                       Authorization="Bearer s3cret")


def test_suspended_addresses_send_nothing(bench):
    """One by one out of the pool; with none left it is as when all are down;
    over a reload; and back."""
    token = bench.place / "token"
    token.write_text("s3cret")
    token.chmod(0o600)
    mx = bench.mx()
    bench.policy(decide=["connect"], keys={"grants": '{"outbound"}'},
                 answer=lambda *_: decision(outbound=pb.Outbound(
                     source_pool="two")))
    proxy = bench.weir(more=POOLS, status=f'token_file = "{token}"')
    status = Status(proxy.status)
    token = {"Authorization": "Bearer s3cret"}

    def sources():
        deliver(proxy)
        return mx.sessions[-1].peer[0]

    answer = suspend(status, "127.0.0.2", "&for=1h")
    assert answer["suspended_until"]
    assert {sources() for _ in range(4)} == {"127.0.0.3"}
    status.post("/api/v1/reload", **token)
    suspend(status, "127.0.0.3")
    before = len(mx.sessions)
    with contextlib.closing(proxy.connect(hello=False)) as client:
        assert client.reply().startswith("4")
    assert len(mx.sessions) == before
    shown = {a["address"]: a for p in status.get("/api/v1/sources")["pools"]
             for a in p["addresses"]}
    assert shown["127.0.0.2"]["up"] and shown["127.0.0.2"]["suspended"]
    assert shown["127.0.0.2"]["suspended_until"] == answer["suspended_until"]
    assert shown["127.0.0.3"]["suspended_until"] is None
    assert not shown["127.0.0.1"]["suspended"]
    assert proxy.metric(
        'weir_source_suspended{address="127.0.0.3",pool="two"}') == 1
    status.post("/api/v1/resume-address?address=127.0.0.2", **token)
    assert sources() == "127.0.0.2"


def test_dripping_clients_do_not_hold_the_page(told):
    """64 and more that send a byte now and then: a browser has its page."""
    proxy, status = told
    with contextlib.ExitStack() as opened:
        drips = []
        for _ in range(70):
            drip = socket.create_connection(("127.0.0.1", proxy.status))
            drip.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
            drips.append(opened.enter_context(drip))
        for _ in range(3):
            begin = time.monotonic()
            assert status.ask("GET", "/")[0] == 200
            assert time.monotonic() - begin < 8     # before any time is up
            for drip in drips:
                with contextlib.suppress(OSError):
                    drip.sendall(b"x")
