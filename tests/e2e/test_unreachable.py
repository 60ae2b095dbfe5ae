"""Promise 10, and section 3: who is refused, and an MX that cannot be had."""

import time

import pytest
from weir import FIXED, USUAL, Client, usual

ROUTER = """\
user = ""
listener "outbound" { address = "0.0.0.0:10025" }
listener "outbound6" { address = "[::]:10025" }
upstream { mark = 25 %(upstream)s }
record { sqlite = "" }
status { address = "" control = "" }
%(more)s
"""


def greeted(host, address="10.7.0.2", port=25, **options):
    """The greeting and the seconds to it; nothing may follow."""
    with Client(host, address, port, **options) as client:
        greeting = client.reply()
        took = time.monotonic() - client.begun
        assert client.reply() == "", "no close after the 421"
    return greeting, took


@pytest.mark.parametrize("address", ["10.7.0.2", "fd07::2"])
def test_refused(net, weir, redirect, place, address):
    host, _ = net.pair()
    weir(host, usual(place))
    redirect(host)
    greeting, took = greeted(host, address)
    assert greeting.startswith("421 4.4.1 weir.example.org ")
    assert address in greeting and "refused" in greeting.lower()
    assert took < 3


@pytest.mark.parametrize("address", ["10.7.0.2", "fd07::2"])
def test_no_route(net, weir, redirect, place, address):
    host, mx = net.pair()
    proxy = weir(host, usual(place))
    redirect(host)
    # only weir's own connections meet it: the client's are redirected before
    for family in ("-4", "-6"):
        host.run("ip", family, "rule", "add", "fwmark", 25, "unreachable")
    greeting, took = greeted(host, address)
    assert greeting.startswith("421 4.4.1 weir.example.org ")
    assert "unreachable" in greeting.lower() or "route" in greeting.lower()
    assert took < 3
    session, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert session["connect_error"] and session["elapse_ms"] == -1


def test_timed_out_within_connect_timeout(net, weir, redirect, place):
    host, mx = net.pair()
    mx.nft("table inet t { chain c { type filter hook input priority 0;"
           " tcp dport 25 drop; }; }\n")
    weir(host, usual(place, upstream="connect_timeout = 1s"))
    redirect(host)
    greeting, took = greeted(host)
    assert greeting.startswith("421 4.4.1 weir.example.org ")
    assert "timed out" in greeting.lower() or "timeout" in greeting.lower()
    assert 0.8 < took < 3


def test_source_that_cannot_be_bound(net, scripted, weir, redirect, place):
    host, mx = net.pair()
    server = scripted(mx)
    weir(host, usual(place, upstream='source = {"192.0.2.1"}'))
    redirect(host)
    greeting, took = greeted(host)
    assert greeting.startswith("421 4.4.1 weir.example.org ")
    assert "192.0.2.1" in greeting
    assert took < 3 and server.sessions == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loop_direct_connection_refused_421_4_3_5(net, weir, place, address):
    host, _ = net.pair()
    proxy = weir(host, usual(place))
    greeting, took = greeted(host, address, 10025)
    assert greeting.startswith("421 4.3.5 weir.example.org ")
    assert took < 3
    session, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert session["cause"] == "refused"


@pytest.mark.parametrize("address", ["10.7.0.1", "fd07::1"])
def test_loop_direct_connection_from_outside(net, weir, place, address):
    host, mx = net.pair()
    weir(host, usual(place, text=ROUTER))
    greeting, _ = greeted(mx, address, 10025)
    assert greeting.startswith("421 4.3.5 ")


def test_loop_redirected_to_itself(net, weir, place):
    """A destination that is weir itself, from careless rules."""
    host, _ = net.pair()
    weir(host, usual(place, text=ROUTER))
    host.nft("table inet t { chain c { type nat hook output priority -100;"
             " tcp dport 10025 redirect to :10025; }; }\n")
    greeting, took = greeted(host, "10.7.0.1", 10025)
    assert greeting.startswith("421 4.3.5 ")
    assert took < 3


def test_fixed_mode_allow(net, scripted, weir, place):
    host, mx = net.pair()
    scripted(mx)
    config = usual(place, text=FIXED.replace(
        '"127.0.0.1:10025"', '"0.0.0.0:10025"').replace(
        "  destination", '  allow = {"127.0.0.0/8", "10.7.0.1/32"}\n'
        "  destination"))
    weir(host, config)
    with Client(host, "10.7.0.1", 10025) as client:
        client.hello()
        assert client.deliver().startswith("250")
    greeting, _ = greeted(mx, "10.7.0.1", 10025)
    assert greeting.startswith("421 "), greeting


def test_several_listeners(net, scripted, weir, redirect, place):
    host, mx = net.pair()
    one, two = scripted(mx), scripted(mx, port=26)
    text = USUAL + ('listener "smart" { address = "127.0.0.1:10026"'
                    ' mode = "fixed" destination = "10.7.0.2:26" }\n')
    proxy = weir(host, usual(place, text=text))
    redirect(host)
    for where in (("10.7.0.2", 25), ("127.0.0.1", 10026)):
        with Client(host, *where) as client:
            client.hello()
            assert client.deliver().startswith("250")
            assert client.ask("QUIT").startswith("221")
    assert len(one.messages) == len(two.messages) == 1
    rows = proxy.wait_rows("SELECT listener, destination_port FROM sessions"
                           " WHERE cause NOT NULL ORDER BY id", count=2)
    assert rows == [{"listener": "outbound", "destination_port": 25},
                    {"listener": "smart", "destination_port": 26}]
