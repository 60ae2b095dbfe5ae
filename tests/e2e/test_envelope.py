"""What policies do to the envelope, or would do, and what the record says."""

import json

from blackbox import decision, wait_for


def rewriting(event, _):
    kind = event.WhichOneof("event")
    if kind == "mail":
        return decision(rewrite=b"bounces@out.example", rewrite_set=True)
    if event.rcpt.recipient == b"old@example.net":
        return decision(rewrite=b"new@example.com", rewrite_set=True)
    return decision()


def test_rewritten_envelope(bench):
    first = bench.policy(["mail", "rcpt"], answer=rewriting, name="first",
                         keys={"stage": 1, "grants": '{"envelope"}'})
    second = bench.policy(["mail", "rcpt"], name="second", keys={
        "stage": 2, "recipients": '{"example.com"}'})
    proxy = bench.weir()
    with proxy.connect() as client:
        client.send(b"MAIL FROM:<a@example.org> SIZE=50\r\n"
                    b"RCPT TO:<old@example.net> NOTIFY=NEVER\r\n"
                    b"RCPT TO:<same@example.net>\r\nDATA\r\n")
        assert client.codes(4) == ["250", "250", "250", "354"]
        assert client.ask("Subject: x\r\n\r\nx\r\n.").startswith("250")
    assert bench.server.lines[1:4] == [
        "MAIL FROM:<bounces@out.example> SIZE=50",
        "RCPT TO:<new@example.com> NOTIFY=NEVER",
        "RCPT TO:<same@example.net>"]
    assert [e.rcpt.recipient for e in first.seen("rcpt")] == \
        [b"old@example.net", b"same@example.net"]
    assert second.one("mail").sender == b"bounces@out.example"
    assert second.one("mail").raw == b"FROM:<bounces@out.example> SIZE=50"
    assert second.one("rcpt").recipient == b"new@example.com"

    transaction, = proxy.wait_rows("SELECT * FROM transactions")
    assert (transaction["sender"], transaction["rewritten"]) == \
        ("a@example.org", "bounces@out.example")
    recipients = proxy.rows("SELECT * FROM recipients ORDER BY number")
    assert [(r["address"], r["rewritten"]) for r in recipients] == [
        ("old@example.net", "new@example.com"), ("same@example.net", None)]
    lines = [(row["direction"], row["data"]) for row in proxy.rows(
        "SELECT * FROM communications ORDER BY occurred_at, id")]
    assert (">|", "MAIL FROM:<a@example.org> SIZE=50\\r\\n") in lines
    assert ("|>", "MAIL FROM:<bounces@out.example> SIZE=50\\r\\n") in lines
    assert ("->", "RCPT TO:<same@example.net>\\r\\n") in lines

    told = [json.loads(line) for line in
            (proxy.place / "weir.json").read_text().splitlines()]
    assert [t["rewritten"] for t in told if t["event"] == "transaction"] == \
        ["bounces@out.example"]
    assert [t.get("rewritten") for t in told
            if t["event"] == "recipient"] == ["new@example.com", None]
    shown = proxy.api("/sessions/" + transaction["session_id"])
    assert shown["transactions"][0]["rewritten"] == "bounces@out.example"
    assert [r["rewritten"] for r in shown["recipients"]] == \
        ["new@example.com", None]


def test_observed_in_every_record(bench):
    bench.policy(["rcpt"], name="watch", keys={"mode": "observe"},
                 answer=lambda *_: decision(2, 550, "5.1.1", ["no such"]))
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("MAIL FROM:<a@example.org>")
        assert client.ask("RCPT TO:<b@example.net>").startswith("250")
        wait_for(lambda: proxy.metric(
            'weir_policy_would_change_total{policy="watch",action="reject"}')
            == 1, "answer")
        assert client.ask("RSET").startswith("250")
    row, = proxy.wait_rows("SELECT * FROM decisions")
    assert (row["observed"], row["would_change"], row["applied"],
            row["error"]) == (1, 1, 0, None)
    told, = [t for t in map(json.loads, (
        proxy.place / "weir.json").read_text().splitlines())
        if t["event"] == "decision"]
    assert told["observed"] and told["would_change"] and not told["applied"]
    shown = proxy.api("/sessions/" + row["session_id"])["decisions"][0]
    assert shown["would_change"] is True and shown["observed"] is True
