"""The Python examples decide about real mail from a real Postfix."""

from weir import FIXED, Client, block, usual


def test_block_senders_550_5_1_1_user_unknown_at_rcpt(
        net, postfix, weir, policy, redirect, place):
    host, mx = net.pair()
    server = postfix.mx(mx)
    (place / "list").write_text("spammer@example.org\n")
    _, text = policy("block", "block_senders.py", "--list", place / "list")
    proxy = weir(host, usual(place, more=text))
    redirect(host)
    sender = postfix.client(host)
    sender.sendmail("spammer@example.org", "b@example.net")
    bounced = sender.wait_log("status=bounced")[0]
    assert "550 5.1.1 User unknown (in reply to RCPT TO" in bounced
    sender.sendmail("alice@example.org", "b@example.net", subject="kept")
    message, = server.wait_mailbox()
    assert message["Subject"] == "kept"

    refused, delivered = proxy.wait_rows(
        "SELECT * FROM transactions ORDER BY id", count=2)
    assert (refused["sender"], refused["outcome"], refused["decided_by"]) == \
        ("spammer@example.org", "rejected", "block")
    assert (delivered["outcome"], delivered["decided_by"]) == \
        ("delivered", "mx")
    recipient, = proxy.rows("SELECT * FROM recipients WHERE code = 550")
    assert (recipient["decided_by"], recipient["enhanced"],
            recipient["reply"]) == ("block", "5.1.1", "User unknown")
    decision, = proxy.rows("SELECT * FROM decisions WHERE code = 550")
    assert (decision["policy"], decision["phase"], decision["rule"]) == \
        ("block", "rcpt", "spammer@example.org")
