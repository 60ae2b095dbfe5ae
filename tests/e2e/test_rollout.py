"""Stages, and a policy on its way from observing to deciding."""

import signal
import threading
import time

import pytest
from blackbox import REJECT, decision, wait_for

PIPELINE = 101      # MAIL and 100 RCPT


def bucket(domain):
    """As doc/POLICY.md says."""
    value = 14695981039346656037
    for octet in domain.lower().encode():
        value = (value ^ octet) * 1099511628211 % 2 ** 64
    return value % 10000 if domain else 0


def send(client, sender):
    """The reply that decided it."""
    reply = client.ask(f"MAIL FROM:<{sender}>")
    if reply.startswith("250"):
        assert client.ask("RCPT TO:<b@example.net>").startswith("250")
        assert client.ask("DATA").startswith("354")
        reply = client.ask("Subject: x\r\n\r\nx\r\n.")
    return reply[:3]


def test_from_observe_to_enforce_by_reload(bench):
    policy = bench.policy(
        ["connect", "mail"], ["transaction_end"], name="canary",
        answer=lambda *_: decision(REJECT, 550, "5.7.1", ["no"]),
        keys={"mode": "observe"})
    # so that the observer is not too late for its transaction
    bench.mx(script={"RCPT": lambda *_: time.sleep(0.02)})
    proxy = bench.weir()
    reloads = 0

    def reload(**keys):
        nonlocal reloads
        reloads += 1
        policy.keys = keys
        text = proxy.config.read_text()
        before = next(line for line in text.splitlines()
                      if line.startswith('policy "canary"'))
        proxy.config.write_text(text.replace(before + "\n",
                                             policy.block(**keys)))
        proxy.process.send_signal(signal.SIGHUP)
        wait_for(lambda: proxy.log.count("event=reload.done") >= reloads,
                 f"reload in {proxy.log}")
        wait_for(lambda: proxy.metric(
            'weir_policy_ready_workers{policy="canary"}') == 1, "policy")

    domains = [f"mail{n}.example" for n in range(40)] + [""]
    assert bucket("mail1.example") < 100

    with proxy.connect() as long:
        assert long.ask("MAIL FROM:<a@mail1.example>").startswith("250")
        assert long.ask("RCPT TO:<b@example.net>").startswith("250")
        assert long.ask("DATA").startswith("354")
        long.send(b"Subject: half\r\n")
        asked = 1
        for keys, percent in (({"mode": "observe"}, 0), ({"enforce": 1}, 1),
                              ({"enforce": 10}, 10), ({}, 100)):
            if keys.get("mode") != "observe":
                reload(**keys)
            sender = {d: f"a@{d}" if d else "" for d in domains}
            if percent == 100:      # CONNECT, too, is obeyed now
                with proxy.connect(hello=False) as client:
                    assert client.reply().startswith("550")
                continue
            with proxy.connect() as client:
                got = {d: send(client, sender[d]) for d in domains}
            asked += len(domains)
            refused = {d for d in domains
                       if d and bucket(d) < percent * 100}
            assert {d for d in domains if got[d] == "550"} == refused
            assert {d for d in domains if got[d] == "250"} == \
                set(domains) - refused
            assert percent == 0 or refused
            ends = policy.wait("transaction_end", asked - 1)
            assert [e.transaction_end.if_enforced
                    for e in ends[-len(domains):]] == \
                [0 if d in refused else 3 for d in domains]
        assert long.ask("\r\nother half\r\n.").startswith("250")
    rows = proxy.wait_rows("SELECT * FROM decisions WHERE phase = 'mail'",
                           count=asked)
    assert len(rows) == asked
    assert {row["error"] for row in rows} <= {None, "timeout"}  # cancelled
    answered = [row for row in rows if row["error"] is None]
    assert all(row["would_change"] == row["observed"] != row["applied"]
               for row in answered) and len(answered) > asked / 2
    assert proxy.metric('weir_policy_would_change_total{policy="canary",'
                        'action="reject"}') >= sum(
                            row["would_change"] for row in rows)


def test_one_round_trip_for_each_stage(bench):
    """Each policy answers only when all questions of the read are there."""
    def together():
        waiting = []

        def answer(event, _):
            waiting.append(event)
            if len(waiting) < PIPELINE:
                return None
            for other in waiting:
                policy = policies[answer]
                policy.reply(other, decision())
            return None
        return answer

    policies = {}
    for stage in (1, 2):
        answer = together()
        policies[answer] = bench.policy(
            ["mail", "rcpt"], answer=answer,
            keys={"stage": stage, "timeout": "10s"})
    proxy = bench.weir()
    with proxy.connect() as client:
        client.send(b"MAIL FROM:<a@example.org>\r\n" + b"".join(
            b"RCPT TO:<b%d@example.net>\r\n" % n for n in range(PIPELINE - 1))
            + b"DATA\r\n")
        assert client.codes(PIPELINE) == ["250"] * PIPELINE
        assert client.reply().startswith("354")
        assert client.ask("Subject: x\r\n\r\nx\r\n.").startswith("250")


@pytest.mark.parametrize("keys", [{"mode": "observe"}, {"enforce": 0}])
def test_who_only_observes_slows_nobody_down(bench, keys):
    """However little it reads of what it is shown."""
    awake = threading.Event()
    policy = bench.policy(["body"], keys=keys, answer=lambda *_: awake.wait(60)
                          and decision())
    server = bench.mx()
    with bench.weir().connect() as client:
        client.envelope("a@b.example", "c@d.example")
        assert client.ask("DATA")[:3] == "354"
        before = time.monotonic()
        body = b"x" * 998 + b"\r\n"
        assert client.raw(b"A: b\r\n\r\n" + body * 8000 + b".\r\n"
                          )[:3] == "250"
        assert time.monotonic() - before < 5
        assert policy.wait("body")
        awake.set()
    assert len(server.messages) == 1
