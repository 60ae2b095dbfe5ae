"""What MXs answered, minute by minute: from the mail to the database, the API
and Prometheus."""

import signal
import subprocess

import blackbox
import pytest

SECOND = """pool "one" {{ addresses = {{"127.0.0.11"}} }}
pool "two" {{ addresses = {{"127.0.0.12"}} }}
listener "second" {{ address = "127.0.0.1:0" mode = "fixed"
  destination = "127.0.0.2:{port}" }}
"""


class Post:
    """A weir before two MXs, whose policy says from which pool mail goes."""

    def __init__(self, bench):
        self.pool = "one"
        named = bench.mx(script={"greeting": b"220 mx1.Example.COM ESMTP\r\n"})
        grey = bench.mx(address="127.0.0.2", script={
            "greeting": b"220 we are busy\r\n",
            "RCPT": b"451 4.7.1 Greylisted, come again\r\n"})
        bench.policy(decide=("connect",), answer=self.answer,
                     keys={"grants": '{"outbound"}'})
        self.weir = bench.weir(named, more=SECOND.format(port=grey.port))
        self.second = int(self.weir.wait_log(
            r"event=listener\.open listener=second address=127\.0\.0\.1:"
            r"(\d+)")[1])

    def answer(self, event, connection):
        made = blackbox.decision()
        made.outbound.source_pool = self.pool
        return made

    def send(self, pool, port=None):
        self.pool = pool
        with blackbox.Client(port or self.weir.port) as client:
            client.hello()
            assert client.raw(b"MAIL FROM:<a@a.example>\r\n")[:3] == "250"
            if client.raw(b"RCPT TO:<b@B.example>\r\n")[:3] == "250":
                client.raw(b"DATA\r\n")
                client.raw(b"Subject: hello\r\n\r\nhello\r\n.\r\n")
            client.raw(b"QUIT\r\n")

    def group(self, name, query=""):
        status, _, body = self.weir.get("/api/v1/mx/" + name + query)
        return status, body

    def pairs(self):
        return {(e["group"], e["source"]): e["results"]
                for e in self.weir.api("/mx")}

    def stored(self):
        return {(row["mx_group"], row["source_address"]):
                (row["delivered"], row["deferred"])
                for row in self.weir.rows(
                    "SELECT mx_group, source_address, sum(delivered) AS "
                    "delivered, sum(deferred) AS deferred FROM mx_minutes "
                    "WHERE kind = 'pair' GROUP BY 1, 2")}


@pytest.fixture
def post(bench):
    return Post(bench)


def summed(steps):
    return [sum(step[key] for step in steps) for key in
            ("delivered", "deferred", "rejected", "unreached")]


def test_two_groups_and_two_addresses(post):
    for pool in ("one", "one", "two"):
        post.send(pool)
    post.send("one", post.second)
    blackbox.wait_for(lambda: len(post.pairs()) == 3, "three pairs")
    assert {key: (got["delivered"], got["deferred"])
            for key, got in post.pairs().items()} == {
        ("example.com", "127.0.0.11"): (2, 0),
        ("example.com", "127.0.0.12"): (1, 0),
        ("127.0.0.0/24", "127.0.0.11"): (0, 1)}

    # nothing is written yet; what is known is shown all the same
    group = post.weir.api("/mx/example.com?hours=1")
    assert summed(group["history"]) == [3, 0, 0, 0]
    assert {entry["source"] for entry in group["sources"]} == {
        "127.0.0.11", "127.0.0.12"}
    assert group["phases"]["final"]["count"] == 3
    assert {"connect", "greeting", "ehlo", "mail", "rcpt", "data"} <= set(
        group["phases"])
    assert group["min_rtt_us"] > 0

    # a reload writes the minute down: each message is there once
    post.weir.process.send_signal(signal.SIGHUP)
    blackbox.wait_for(lambda: len(post.stored()) == 3, "three pairs' minutes")
    assert post.stored() == {("example.com", "127.0.0.11"): (2, 0),
                             ("example.com", "127.0.0.12"): (1, 0),
                             ("127.0.0.0/24", "127.0.0.11"): (0, 1)}
    post.send("two")
    blackbox.wait_for(lambda: summed(post.weir.api(
        "/mx/example.com?hours=1")["history"]) == [4, 0, 0, 0],
        "four deliveries in the record and in memory")

    refused, = post.weir.rows("SELECT * FROM mx_minutes WHERE "
                              "mx_group = '127.0.0.0/24'")
    assert (refused["categories"], refused["replies"]) == (
        '{"greylist":1}', '{"451 4.7.1":1}')
    assert refused["connect_p50_us"] > 0 and refused["final_p50_us"] is None

    domain = post.weir.api("/domains/b.example")
    assert summed(domain["history"]) == [4, 1, 0, 0]
    assert [entry["domain"] for entry in post.weir.api("/domains")] == [
        "b.example"]

    # and so does the end
    assert post.weir.stop() == 0
    assert post.stored()[("example.com", "127.0.0.12")] == (2, 0)


def test_paths_and_arguments(post):
    post.send("one", post.second)
    blackbox.wait_for(post.pairs, "a pair")
    for name in ("127.0.0.0%2F24", "127.0.0.0/24"):
        status, body = post.group(name)
        assert status == 200 and b'"group":"127.0.0.0/24"' in body
    for query in ("?hours=0", "?hours=8785", "?hours=x", "?minutes=5"):
        assert post.group("127.0.0.0%2F24", query)[0] == 400
    for name in ("nobody.example", "%00", "", "x" * 3000):
        assert post.group(name)[0] in (400, 404), name


def test_metrics_are_sound(post):
    post.send("one")
    post.send("one", post.second)
    blackbox.wait_for(lambda: len(post.pairs()) == 2, "two pairs")
    text = post.weir.get("/metrics")[2]
    subprocess.run(["promtool", "check", "metrics"], input=text, check=True,
                   timeout=60)
    metric = post.weir.metric
    assert metric('weir_mx_results_total{result="delivered"}') == 1
    assert metric('weir_mx_replies_total{category="greylist"}') == 1
    assert metric('weir_mx_phase_seconds_count{phase="final"}') == 1
    assert metric('weir_mx_group_messages_total{group="example.com",'
                  'outcome="delivered"}') == 1
    assert metric('weir_mx_group_state{group="example.com"}') == 0
