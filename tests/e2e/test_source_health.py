"""Source addresses that come and go while mail flows, in namespaces."""

import contextlib
import http.client
import json
import socket

import blackbox
import pytest
import weir as under_test
from netns import wait_until

POOL = """pool "out" {
  addresses = {"10.7.0.11", "10.7.0.12", "10.7.0.13", "fd07::11"}
  weights = {1, 1, 0, 1}
}
"""


class Control(http.client.HTTPConnection):
    """weir's control socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Desk:
    """A weir whose one policy says where each session goes out."""

    def __init__(self, net, place, stack, weir, scripted):
        self.host, self.mx = net.pair()
        self.place = place
        self.host.address("wan", "10.7.0.11/24", "10.7.0.12/24",
                          "10.7.0.13/24", "fd07::11/64")
        self.server = scripted(self.mx)
        self.outbound = {"source_pool": "out"}
        self.policy = stack.enter_context(contextlib.closing(blackbox.Policy(
            place / "p.sock", decide=("connect",), answer=self.answer)))
        config = under_test.usual(place, text=under_test.FIXED,
                                  upstream='source = {"10.7.0.13"}',
                                  more=POOL + self.policy.block(
                                      grants='{"outbound"}'))
        self.weir = weir(self.host, config.replace(
            'control = ""', f'control = "{place}/control.sock"'))

    def answer(self, event, connection):
        made = blackbox.decision()
        for key, value in self.outbound.items():
            setattr(made.outbound, key, value)
        return made

    def status(self, path="/api/v1/sources"):
        control = Control(self.place / "control.sock")
        control.request("GET", path)
        text = control.getresponse().read().decode()
        control.close()
        return text

    def address(self, address):
        sources = json.loads(self.status())
        return next(a for pool in sources["pools"]
                    for a in pool["addresses"] if a["address"] == address)

    def wait(self, address, up):
        wait_until(lambda: self.address(address)["up"] == up,
                   f"{address} to be {'up' if up else 'out'}")

    def send(self):
        """Where a message came from; or what the client was told."""
        seen = len(self.server.sessions)
        with under_test.Client(self.host, "127.0.0.1", 10025) as client:
            greeting = client.reply()
            if not greeting.startswith("220"):
                assert len(self.server.sessions) == seen
                return greeting
            assert client.ask("EHLO c.example").startswith("250")
            assert client.deliver().startswith("250")
            client.ask("QUIT")
        return self.server.sessions[seen].peer[0]

    def ip(self, *words):
        self.host.run("ip", *words)


@pytest.fixture
def desk(net, place, stack, weir, scripted):
    return Desk(net, place, stack, weir, scripted)


def test_addresses_come_and_go_while_mail_flows(desk):
    # the client 127.0.0.1 keeps to one address, as long as that is there
    first = desk.send()
    assert first in ("10.7.0.11", "10.7.0.12")
    assert desk.send() == first
    second = "10.7.0.12" if first == "10.7.0.11" else "10.7.0.11"
    assert desk.address(first)["connections"] == 2

    desk.ip("address", "del", f"{first}/24", "dev", "wan")
    # no 421: the first session that meets it may be one
    desk.wait(first, up=False)
    assert "cannot be bound" in desk.address(first)["why"]
    assert desk.send() == second
    desk.weir.wait_log(f"event=source.down address={first}")
    assert f'weir_source_up{{address="{first}",pool="out"}} 0' in \
        desk.status("/metrics")

    # a decision that names it is told so, and nothing goes out
    desk.outbound = {"source_address": first}
    assert desk.send().startswith("421 4.4.1 ")
    # weight 0 takes no share, but may be named
    desk.outbound = {"source_address": "10.7.0.13"}
    assert desk.send() == "10.7.0.13"

    desk.outbound = {"source_pool": "out"}
    desk.ip("address", "del", f"{second}/24", "dev", "wan")
    desk.wait(second, up=False)
    reply = desk.send()
    assert reply.startswith("421 4.4.1 ") and "IPv4" in reply, reply

    desk.ip("address", "add", f"{first}/24", "dev", "wan")
    desk.wait(first, up=True)
    desk.weir.wait_log(f"event=source.up address={first}")
    assert desk.send() == first


def test_interface_down_deleted_and_back(desk):
    four, six = "10.7.0.11", "fd07::11"
    desk.ip("link", "set", "wan", "down")
    desk.wait(four, up=False)
    desk.wait(six, up=False)
    assert desk.send().startswith("421 4.4.1 ")
    desk.ip("link", "set", "wan", "up")
    desk.wait(four, up=True)
    # IPv6 addresses went with the link, and are not back by themselves
    desk.host.address("wan", f"{six}/64")
    desk.wait(six, up=True)
    assert desk.send() in ("10.7.0.11", "10.7.0.12")
    # the other end of the cable is pulled
    desk.mx.run("ip", "link", "set", "lan", "down")
    desk.wait(four, up=False)
    assert "carrier" in desk.address(four)["why"]
    desk.ip("link", "del", "wan")
    desk.wait(four, up=False)
    wait_until(lambda: "cannot be bound" in desk.address(four)["why"],
               "the interface to be gone")


def test_a_failed_bind_is_known_at_once(desk):
    """Before the next look, too: the session that finds it out gets a 421,
    and the one behind it another address."""
    first = desk.send()
    desk.ip("address", "del", f"{first}/24", "dev", "wan")
    replies = [desk.send() for _ in range(2)]
    assert replies[0].startswith("421 4.4.1 ") or replies[0] != first
    assert replies[1].startswith("10.7.0.") and replies[1] != first


def test_default_source_is_shown_and_never_replaced(desk):
    desk.outbound = {}
    assert desk.send() == "10.7.0.13"
    assert json.loads(desk.status())["default"][0]["connections"] == 1
    desk.ip("address", "del", "10.7.0.13/24", "dev", "wan")
    wait_until(lambda: not json.loads(desk.status())["default"][0]["up"],
               "the default source to be out")
    reply = desk.send()
    assert reply.startswith("421 4.4.1 ") and "cannot be bound" in reply


def test_reload_watches_the_new_addresses(desk):
    text = desk.weir.config.read_text()
    desk.weir.reload(text.replace('"10.7.0.12"', '"10.7.0.99"'))
    desk.weir.wait_log("event=source.down address=10.7.0.99")
    assert not desk.address("10.7.0.99")["up"]
    # workers take the new configuration over one by one
    wait_until(lambda: desk.send() == "10.7.0.11", "the new pool")
