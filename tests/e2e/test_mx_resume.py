"""How an MX treats weir is known after kill -9, and is over as usual."""

from blackbox import Client, Weir, wait_for

LISTED = b"554 5.7.1 192.0.2.1 is listed at a blocklist\r\n"


def start(bench, mx):
    proxy = Weir(bench.place, f"127.0.0.1:{mx.port}")
    bench.opened.callback(proxy.process.kill)
    return proxy


def send(proxy):
    with Client(proxy.port) as client:
        client.hello()
        client.raw(b"MAIL FROM:<a@a.example>\r\n")
        if client.raw(b"RCPT TO:<b@b.example>\r\n").startswith("250"):
            client.raw(b"DATA\r\n")
            client.raw(b"Subject: hello\r\n\r\nhello\r\n.\r\n")
        client.raw(b"QUIT\r\n")


def pair(proxy):
    (one,) = proxy.api("/mx") or ({"state": None},)
    return one


def send_until(proxy, state):
    for _ in range(40):
        send(proxy)
        if pair(proxy)["state"] == state:
            return pair(proxy)
    raise AssertionError(pair(proxy))


def test_state_survives_kill(bench):
    refuses = [True]
    mx = bench.mx(script={
        "RCPT": lambda *_: LISTED if refuses[0] else None})
    proxy = start(bench, mx)
    before = send_until(proxy, "blocked")
    proxy.wait_rows("SELECT * FROM mx_states WHERE to_state = 'blocked'")
    proxy.process.kill()
    proxy.process.wait()
    proxy = start(bench, mx)
    after = wait_for(lambda: pair(proxy)["state"] and pair(proxy),
                     "the state before")
    for key in ("group", "source", "state", "state_since", "attribution",
                "evidence"):
        assert after[key] == before[key]
    send(proxy)
    assert pair(proxy)["state"] == "blocked"
    refuses[0] = False
    send_until(proxy, "recovering")
    (row,) = proxy.wait_rows("SELECT * FROM mx_states WHERE "
                             "from_state = 'blocked' AND to_state <> 'blocked'")
    assert (row["mx_group"], row["to_state"]) == (before["group"],
                                                  "recovering")
    assert proxy.stop() == 0
