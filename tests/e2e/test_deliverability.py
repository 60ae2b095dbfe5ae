"""How an MX treats weir's address, and the cap that follows it: a real MX that
takes so many connections at a time and turns the rest away."""

import json
import threading

import pytest
import weir as under_test
from netns import wait_until
from status_client import Status

TAKES = 4       # the MX
ASKED = 8       # the clients


class Desk:
    def __init__(self, net, place, weir, scripted, cap):
        self.host, mx_host = net.pair()
        self.open, self.turned_away, self.lock = set(), 0, threading.Lock()
        self.mx = scripted(mx_host, script={"greeting": self.greeting,
                                            "QUIT": self.quit})
        self.weir = weir(self.host, under_test.usual(
            place, text=under_test.FIXED, more=cap).replace(
                'control = ""', f'control = "{place}/control.sock"'))
        self.control = place / "control.sock"
        # from now on it is known whose MX this is, and from where one goes
        with under_test.Client(self.host, "127.0.0.1", 10025) as client:
            client.hello()
            client.ask("QUIT")
        wait_until(lambda: self.pair()["group"] == "example.net"
                   and not self.open, "the first session to end")

    def greeting(self, session, _line):
        with self.lock:
            if len(self.open) < TAKES:
                self.open.add(session)
                return None
            self.turned_away += 1
        return b"421 4.7.28 mx.example.net too many connections\r\n"

    def quit(self, session, _line):
        with self.lock:
            self.open.discard(session)

    def round(self):
        """So many clients at a time; what each was greeted with."""
        clients = [under_test.Client(self.host, "127.0.0.1", 10025)
                   for _ in range(ASKED)]
        greetings = [c.reply() for c in clients]
        for client, greeting in zip(clients, greetings, strict=True):
            if greeting.startswith("220"):
                client.ask("QUIT")
            client.close()
        # weir has let go of all of them
        wait_until(lambda: self.pair()["open"] == 0 and not self.open
                   and not (self.pair()["cap"] or {}).get("open"),
                   "all sessions to end")
        return greetings

    def api(self, path):
        return Status(self.control).get(path)

    def pair(self):
        for pair in self.api("/api/v1/mx"):
            if pair["source"] == "10.7.0.1":
                return pair
        return {"group": None, "open": 0, "cap": None, "state": None}


@pytest.fixture
def desk(net, place, weir, scripted):
    return lambda cap: Desk(net, place, weir, scripted, cap)


def test_adaptive_cap_ends_the_421s(desk):
    d = desk("deliverability { cap = 8  adaptive = true }")
    first = d.round()
    assert [g[:3] for g in first].count("220") == TAKES
    # three are enough to know, and the last one may not be let in any more
    met = d.turned_away
    assert ASKED - TAKES - 1 <= met <= ASKED - TAKES
    wait_until(lambda: d.pair()["state"] == "throttled"
               and d.pair()["cap"]["limit"] == 4, "the cap to be halved")
    for _ in range(3):
        greetings = d.round()
        # as many as the MX takes; the others hear so from weir
        assert [g[:3] for g in greetings].count("220") == TAKES
        refused = [g for g in greetings if not g.startswith("220")]
        assert all(g.startswith("421 4.3.2 weir.example.org 10.7.0.2:25: ")
                   and g.endswith(" has 4 sessions from 10.7.0.1, and may "
                                  "have no more\r\n") for g in refused)
    assert d.turned_away == met
    refused = 4 * (ASKED - TAKES) - met
    assert d.pair()["cap"] == {"limit": 4, "most": 8, "open": 0,
                               "refused": refused}
    d.weir.wait_rows("SELECT id FROM sessions WHERE cause IS NOT NULL",
                     count=4 * ASKED)
    listed = d.api("/api/v1/sessions")
    assert len([s for s in listed if s["capped"]]) == refused
    assert all(s["connect_error"].endswith(" may have no more")
               and d.api(f"/api/v1/sessions/{s['id']}")["capped"]
               for s in listed if s["capped"])
    assert f"weir_upstream_capped_total {refused}\n".encode() in Status(
        d.control).ask("GET", "/metrics")[2]
    # the reason, in the record and in the log
    (row,) = d.weir.wait_rows("SELECT * FROM mx_states")
    assert (row["from_state"], row["to_state"], row["detector"],
            row["source_address"]) == ("normal", "throttled", "replies",
                                       "10.7.0.1")
    evidence = json.loads(row["evidence"])
    assert evidence["code"] == 421 and "too many" in evidence["text"]
    assert d.weir.rows("SELECT id FROM sessions WHERE id = ?",
                       row["session_id"])
    group = d.api(f"/api/v1/mx/{row['mx_group']}")
    assert group["transitions"][0]["evidence"] == evidence
    assert "event=mx.state" in d.weir.log


def test_fixed_cap(desk):
    d = desk("deliverability { cap = 3 }")
    for _ in range(2):
        assert [g[:3] for g in d.round()].count("220") == 3


def test_no_cap(desk):
    d = desk("")
    for _ in range(2):
        greetings = d.round()
        assert sum("too many" in g for g in greetings) == ASKED - TAKES
    assert d.pair()["cap"] is None
