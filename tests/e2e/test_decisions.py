"""The Python examples decide about real mail from a real Postfix."""

import time

import pytest
from weir import FIXED, Client, usual


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


@pytest.mark.parametrize("hold", [False, True])
def test_block_senders_pipelined(net, scripted, weir, policy, place, hold):
    """What is recorded does not depend on which answer came first."""
    host, mx = net.pair()
    slow = scripted(mx, script={"MAIL": lambda *_: time.sleep(0.3)})
    (place / "list").write_text("spammer@example.org\n")
    _, text = policy("block", "block_senders.py", "--list", place / "list")
    if hold:
        text += policy("tag", "tag_header.py", "--rule", "x", "y",
                       grants=["headers"])[1]
    proxy = weir(host, usual(place, more=text, text=FIXED))
    with Client(host, "127.0.0.1", 10025) as client:
        client.hello()
        client.send(b"MAIL FROM:<spammer@example.org>\r\n"
                    b"RCPT TO:<b@example.net>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250", "550", "554"]
        assert client.ask("QUIT").startswith("221")
    transaction, = proxy.wait_rows("SELECT * FROM transactions")
    assert (transaction["outcome"], transaction["decided_by"],
            transaction["code"]) == ("rejected", "block", 550)
    assert slow.messages == []


def test_tag_header(net, postfix, weir, policy, redirect, place):
    host, mx = net.pair()
    server = postfix.mx(mx)
    _, text = policy("tag", "tag_header.py", "--rule", "offer",
                     "special offer", grants=["headers"])
    proxy = weir(host, usual(place, more=text))
    redirect(host)
    sender = postfix.client(host)
    body = ".leading dot\n" + "A special\u00a0 offer, or a special offer.\n" * 3
    sender.sendmail("a@example.org", "b@example.net", body=body,
                    headers="X-Weir-Tag: forged\nContent-Type: text/plain;"
                    " charset=utf-8\nContent-Transfer-Encoding: 8bit\n")
    message, = server.wait_mailbox()
    assert message.get_all("X-Weir-Tag") == ["offer"]
    assert message.get_content() == body
    sender.sendmail("a@example.org", "b@example.net", body="Plain.\n")
    assert [m["X-Weir-Tag"] for m in server.wait_mailbox(2)] == ["offer", None]
    transactions = proxy.wait_rows("SELECT * FROM transactions", count=2)
    assert [t["held"] for t in transactions] == [1, 1]


def test_choose_outbound_by_client_network(net, scripted, weir, policy,
                                           redirect, place):
    """A pool's address on the veth, and its EHLO name; both families."""
    client, host, mx = net.routed()
    host.address("wan", "10.7.0.77/24", "fd07::77/64")
    server, server6 = scripted(mx), scripted(mx, address="fd07::2")
    (place / "table").write_text("10.8.0.0/16 clean\nfd08::/32 fd07::77 "
                                 "six.example.org\n10.7.0.1 10.7.0.1\n")
    _, text = policy("choose", "choose_outbound.py", "--table",
                     place / "table", grants=["outbound"])
    pools = ('pool "clean" { addresses = {"10.7.0.77"}'
             ' ehlo_name = "out.example.org" }\n'
             'pool "six" { addresses = {"fd07::77", "10.7.0.1"} }\n')
    listeners = ('listener "a" { address = "0.0.0.0:10025" }\n'
                 'listener "b" { address = "[::]:10025" }\n')
    proxy = weir(host, 'user = ""\nworkers = 2\nhostname = "weir.example.org"\n'
                 + listeners + pools + text + "upstream { mark = 25 }\n"
                 'status { address = "" control = "" }\n'
                 f'record {{ sqlite = "{place}/weir.db" }}\n')
    redirect(host, "--output", "--prerouting", "inside")
    for source, where, address, name in (
            (client, server, "10.7.0.77", "out.example.org"),
            (client, server6, "fd07::77", "six.example.org"),
            (host, server, "10.7.0.1", "client.example.org")):
        with Client(source, "fd07::2" if where is server6 else "10.7.0.2") \
                as smtp:
            smtp.hello()
            assert smtp.deliver().startswith("250")
            assert smtp.ask("QUIT").startswith("221")
        session = where.sessions[-1]
        assert session.peer[0] == address
        assert session.lines[0] == f"EHLO {name}"
    rows = proxy.wait_rows("SELECT source_address FROM sessions"
                           " WHERE cause NOT NULL ORDER BY id", count=3)
    assert [row["source_address"] for row in rows] == \
        ["10.7.0.77", "fd07::77", "10.7.0.1"]


def test_a_decision_without_its_grant_is_an_error_of_the_policy(
        net, scripted, weir, policy, place):
    host, mx = net.pair()
    server = scripted(mx)
    _, text = policy("tag", "tag_header.py", "--rule", "t", "hello",
                     more='on_error = "relay"')
    proxy = weir(host, usual(place, more=text, text=FIXED))
    with Client(host, "127.0.0.1", 10025) as client:
        client.hello()
        assert client.deliver().startswith("250")
    assert b"X-Weir-Tag" not in server.messages[0].data
    decision, = proxy.wait_rows("SELECT * FROM decisions WHERE phase ="
                                " 'end_of_message'")
    assert decision["error"], decision
