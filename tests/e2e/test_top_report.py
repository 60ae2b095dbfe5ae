"""Who sends most, and which behaviour of which sender led to refusals: a real
weir before an MX that refuses for reasons of its own."""

import pytest
from blackbox import Bench, wait_for

SPAM = b"554 5.7.1 Message content rejected\r\n"
FULL = b"452 4.2.2 Mailbox of %s is full, id 77123\r\n"


def rcpt(_session, line):
    if "nobody" in line:
        return b"550 5.1.1 No such user\r\n"
    if "full" in line:
        return FULL % str(hash(line)).encode()
    return None


def dot(session, _line):
    return SPAM if session.sender.lower().startswith("spam") else None


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("top"))
    try:
        bench.mx(script={"RCPT": rcpt, "dot": dot})
        made = bench.weir()
        with made.connect() as client:
            for _ in range(3):
                client.deliver("Spammer@Shop.example", "a@mx.example")
                client.deliver("spammer@shop.example", "b@mx.example")
            for n in range(4):
                client.deliver("good@clean.example", f"good{n}@mx.example",
                               f"nobody{n}@mx.example")
            for n in range(2):
                client.envelope("good@clean.example", f"full{n}@mx.example")
                client.ask("RSET")
            client.ask("QUIT")
        made.wait_rows("SELECT * FROM connections")
        yield made
    finally:
        bench.close()


def top(proxy, by, **more):
    arguments = "".join(f"&{key}={value}" for key, value in more.items())
    return proxy.api(f"/top?by={by}{arguments}")


def counts(answer):
    return {entry["key"]: entry["count"] for entry in answer["entries"]}


def test_top(proxy):
    assert counts(top(proxy, "senders")) == {
        "spammer@shop.example": 6, "good@clean.example": 6}
    answer = top(proxy, "sender_domains", outcome="refused")
    assert counts(answer)["shop.example"] == 6
    entry = next(e for e in answer["entries"] if e["key"] == "shop.example")
    assert (entry["rejected"], entry["delivered"], entry["error"]) == (6, 0, 0)
    assert entry["bytes"] > 0
    assert counts(top(proxy, "recipient_domains")) == {"mx.example": 16}
    assert counts(top(proxy, "clients", since="24h")) == {"127.0.0.1": 12}
    assert counts(top(proxy, "codes", since="all")) == {
        "554 5.7.1": 6, "550 5.1.1": 4, "452 4.2.2": 2}
    # what differs from one to the next does not part them
    assert counts(top(proxy, "reasons"))[
        "452 4.2.2 Mailbox of # is full, id #"] == 2
    assert len(top(proxy, "recipients", limit=3)["entries"]) == 3


def test_top_names_processes(bench):
    """A sender who is gone before it was looked up is not known."""
    proxy = bench.weir()

    def known():
        with proxy.connect() as client:
            client.deliver("a@b.example", "c@d.example")
            client.ask("QUIT")
        return top(proxy, "processes")["entries"]

    assert wait_for(known, "a process")[0]["key"].startswith("uid 0")


@pytest.mark.parametrize("query", [
    "", "?by=sender", "?by=senders&since=2h", "?by=senders&limit=0",
    "?by=senders&outcome=delivered", "?by=senders&x=1"])
def test_top_says_what_is_wrong(proxy, query):
    code, _, body = proxy.get("/api/v1/top" + query)
    assert code == 400 and b'"error":' in body


def test_report(proxy):
    report = wait_for(lambda: proxy.api("/report?since=1h"), "a report")
    assert report["transactions"] == 12 and report["unreached"] == 0
    assert report["rejected"] == 6
    rows = {(row["sender"], row["code"]): row for row in report["rows"]}
    # however it is spelled in the mail, each spelling is a sender
    spam = [row for (sender, code), row in rows.items() if code == 554]
    assert sum(row["count"] for row in spam) == 6
    assert spam[0]["category"] == "content"
    assert spam[0]["behaviour"] == "sends what is taken for spam or harm"
    assert spam[0]["mx_group"] == "example.net"
    unknown = rows["good@clean.example", 550]
    assert unknown["enhanced"] == "5.1.1"
    assert unknown["category"] == "mailbox"
    assert (unknown["count"], unknown["recipients"]) == (4, 4)
    assert unknown["messages"] == 6
    assert unknown["example_text"] == "No such user"
    assert unknown["first_at"] <= unknown["last_at"]
    assert proxy.api(f"/sessions/{unknown['example_session']}")["sender"]
    counted = [row["count"] for row in report["rows"]]
    assert counted == sorted(counted, reverse=True)
    assert len(proxy.api("/report?limit=1")["rows"]) == 1


def test_report_of_nothing(proxy):
    assert proxy.api("/report?since=1ms")["rows"] == []


@pytest.mark.parametrize("since", ["", "yesterday", "0s", "32d", "-1h"])
def test_report_says_what_is_wrong(proxy, since):
    code, _, body = proxy.get(f"/api/v1/report?since={since}")
    assert code == 400 and b"31d" in body


def test_mail_refused_in_a_pipeline_is_reported(bench):
    """As Postfix sends it; nobody was told of its recipients."""
    bench.mx(script={"MAIL": b"421 4.7.28 Too many messages, slow down\r\n",
                     "RCPT": b"503 5.5.1 Need MAIL\r\n",
                     "DATA": b"503 5.5.1 Need MAIL\r\n"})
    proxy = bench.weir()
    with proxy.connect() as client:
        client.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
                    b"RCPT TO:<e@d.example>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(4)] == [
            "421", "503", "503", "503"]
        client.ask("QUIT")
    proxy.wait_rows("SELECT * FROM connections")
    row, = proxy.api("/report")["rows"]
    assert (row["sender"], row["code"]) == ("a@b.example", 421)
    assert row["category"] == "throttle" and row["count"] == 1
    assert row["behaviour"] == "sends more, or faster, than this MX takes"
    assert counts(top(proxy, "codes")) == {"421 4.7.28": 1}


def test_report_does_not_blame_an_mx_for_the_cap(bench):
    proxy = bench.weir(more="deliverability { cap = 1 }\n")
    with proxy.connect() as client:     # weir learns who the MX is
        client.ask("QUIT")
    proxy.wait_rows("SELECT * FROM connections")
    with proxy.connect() as client:
        client.deliver("a@b.example", "c@d.example")
        with proxy.connect(hello=False) as other:
            assert other.reply().startswith("421 4.3.2 ")
        client.ask("QUIT")
    proxy.wait_rows("SELECT * FROM connections ", count=3)
    row, = proxy.api("/report")["rows"]
    assert row["category"] == "capped"
    assert row["behaviour"] == "weir keeps to deliverability.cap"


def test_report_names_unreached_mxs(bench):
    proxy = bench.weir(destination="127.0.0.1:1")
    with proxy.connect(hello=False) as client:
        assert client.reply().startswith("421 ")
    proxy.wait_rows("SELECT * FROM connections")
    report = proxy.api("/report")
    assert report["unreached"] == 1
    row, = report["rows"]
    assert row["sender"] is None and row["mx_group"] == "127.0.0.1"
    assert row["category"] == "unreachable"
    assert row["behaviour"] == "the MX could not be reached"
