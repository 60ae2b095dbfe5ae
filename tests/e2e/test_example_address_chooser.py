"""policy-examples/python/address_chooser: what it decides, on a clock of the
test's own; and with real weir before two MXs of one organization."""

import shlex
import sys

import pytest
import weir as under_test
from example import parts
from policy_harness import ROOT, Server

FOLDER = ROOT / "policy-examples" / "python" / "address_chooser"
sys.path.append(str(FOLDER))
sys.dont_write_bytecode = True
from chooser import DAY, Chooser, Health, about, of_mx

POOLS = {"clean": ("10.7.0.11", "10.7.0.13", "fd07::11"),
         "bulk": ("10.7.0.12",)}
NEW = "10.7.0.13"
MX = "198.51.100.25"


class Clock:
    now = 20000 * DAY + 3600.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def chooser(clock):
    return Chooser(":memory:", "clean", "bulk", [NEW], [2, 4, 8], clock)


def health(group="example.net", **states):
    return Health(group, {f"10.7.0.{a[1:]}": s for a, s in states.items()})


def choose(chooser, domain="a.example", known=health(), mx=MX, pools=POOLS):
    choice = chooser.choose(domain, mx, known, pools)
    return choice and (choice.address or choice.pool)


def throttled(chooser, domain, times):
    for _ in range(times):
        chooser.judged(domain, False, 421, "4.7.28", "unusual rate", False)


# ---------------------------------------------------------------- the logic

def test_nothing_known(chooser):
    assert choose(chooser, known=None) is None
    assert choose(chooser, domain="") is None
    assert choose(chooser, mx="2001:db8::25",
                  pools={"clean": ("10.7.0.11",)}) is None


def test_warm_up_by_days(chooser, clock):
    for quota in (2, 4, 8, 8, 8):
        got = [choose(chooser) for _ in range(quota + 2)]
        assert got == [NEW] * quota + ["clean"] * 2
        clock.now += DAY


def test_warm_up_of_each_group_alone(chooser):
    assert [choose(chooser) for _ in range(3)] == [NEW, NEW, "clean"]
    assert choose(chooser, known=health("example.org")) == NEW


def test_a_day_hardly_used_is_no_step(chooser, clock):
    assert choose(chooser) == NEW
    clock.now += DAY                    # half of 2 is enough
    assert [choose(chooser) for _ in range(5)] == [NEW] * 4 + ["clean"]
    clock.now += DAY
    assert choose(chooser) == NEW       # 1 of 8 is not
    clock.now += DAY
    assert [choose(chooser) for _ in range(9)] == [NEW] * 8 + ["clean"]


def test_trouble_pauses_the_warm_up(chooser, clock):
    assert choose(chooser) == NEW
    assert choose(chooser, known=health(o13="throttled")) == "clean"
    assert choose(chooser) == "clean"   # for the rest of the day
    clock.now += DAY                    # and that day was no step
    assert [choose(chooser) for _ in range(3)] == [NEW, NEW, "clean"]


def test_only_good_senders_warm_up(chooser):
    throttled(chooser, "bad.example", 5)
    assert choose(chooser, "bad.example") == "bulk"
    assert choose(chooser, "good.example") == NEW


def test_other_family(chooser):
    assert choose(chooser, mx="2001:db8::25") == "clean"
    throttled(chooser, "bad.example", 5)
    assert choose(chooser, "bad.example", mx="2001:db8::25") is None


def test_falls_and_rises(chooser, clock):
    clock.now += 0
    for _ in range(10):
        chooser.judged("a.example", True)
    throttled(chooser, "a.example", 4)
    assert not chooser.is_moved("a.example")
    throttled(chooser, "a.example", 1)  # 10 of 15
    assert chooser.is_moved("a.example")
    for _ in range(10):
        chooser.judged("a.example", True)
    assert chooser.is_moved("a.example")    # 20 of 25 is not enough to rise
    for _ in range(26):
        chooser.judged("a.example", True)
    assert not chooser.is_moved("a.example")


def test_silence_forgives(chooser, clock):
    throttled(chooser, "a.example", 5)
    assert chooser.is_moved("a.example")
    clock.now += 3 * DAY
    assert not chooser.is_moved("a.example")
    chooser.judged("a.example", True)
    assert not chooser.is_moved("a.example")


def test_few_refusals_move_nobody(chooser):
    throttled(chooser, "a.example", 4)
    assert not chooser.is_moved("a.example")


@pytest.mark.parametrize("code, enhanced, text, heard, subject", [
    (550, "5.7.1", "message content rejected", True, "content"),
    (554, "5.7.1", "no", True, "content"),
    (550, "5.6.0", "bad", True, "content"),
    (550, "5.7.26", "not aligned", True, "authentication"),
    (550, "5.7.1", "fails the DMARC policy", True, "authentication"),
    (550, "5.1.1", "who?", False, "mailbox"),
    (452, "4.5.3", "Too many recipients", False, ""),
    (450, "4.7.1", "Greylisted", False, "greylist"),
    (550, "5.7.1", "URL in dbl.spamhaus.org", True, "content"),
    (421, "4.7.28", "slow down", False, ""),
    (554, "5.7.1", "blocked using zen.spamhaus.org", False, ""),
    (554, "5.7.1", "your address is listed", True, ""),
    (451, "4.7.1", "later", True, ""),
])
def test_what_refusals_are_about(code, enhanced, text, heard, subject):
    assert about(code, enhanced, text, heard) == subject


def test_the_reply_of_the_mx():
    assert of_mx("mx", 550, "5.1.1", "no") == (550, "5.1.1", "no")
    assert of_mx("p", 550, "5.7.1", "no") is None
    assert of_mx("weir", 451, "4.4.2", "10.7.0.2:25 refused MAIL: 421 4.7.28"
                 " Unusual rate") == (421, "4.7.28", "Unusual rate")
    assert of_mx("weir", 451, "4.4.2", "[::1]:25 refused the connection: 554"
                 " mx blocked") == (554, "", "mx blocked")
    assert of_mx("weir", 451, "4.4.1", "connection refused") is None


def test_content_never_moves(chooser):
    for _ in range(50):
        chooser.judged("a.example", False, 554, "5.7.1", "rejected", True)
        chooser.judged("a.example", False, 550, "5.7.1", "virus", True)
        chooser.judged("a.example", False, 550, "5.1.1", "unknown", False)
    assert not chooser.is_moved("a.example")
    assert choose(chooser) != "bulk"


def test_a_blocked_pool_gives_its_mail_away(chooser):
    chooser.new = []
    assert choose(chooser, known=health(o11="blocked")) == "clean"
    known = health(o11="blocked", o13="blocked")
    pools = {**POOLS, "clean": ("10.7.0.11", "10.7.0.13")}
    assert choose(chooser, known=known, pools=pools) == "bulk"
    # never the other way
    throttled(chooser, "bad.example", 5)
    assert choose(chooser, "bad.example", health(o12="blocked")) == "bulk"


def test_numbers_survive_a_restart(tmp_path, clock):
    def started():
        return Chooser(str(tmp_path / "state.db"), "clean", "bulk", [NEW],
                       [2], clock)
    first = started()
    assert [choose(first) for _ in range(2)] == [NEW, NEW]
    throttled(first, "bad.example", 5)
    second = started()
    assert choose(second) == "clean"
    assert choose(second, "bad.example") == "bulk"
    clock.now += 500 * DAY
    second.forget()
    assert second.db.execute("SELECT count(*) FROM warm").fetchone() == (0,)


# ---------------------------------------------------------------- with weir

CONF_POOLS = """
pool "clean" { addresses = {"10.7.0.11", "10.7.0.13"} weights = {1, 0} }
pool "bulk" { addresses = {"10.7.0.12"} }
"""


def refuses(session, line):
    if "@bad.example" in line:
        return b"421 4.7.28 Unusual rate of mail\r\n"
    return None


def judges(session, line):
    if session.sender.endswith("@spam.example"):
        return b"554 5.7.1 This is spam content\r\n"
    return None


@pytest.fixture
def desk(net, place, stack, weir, scripted, redirect):
    """send(sender, mx) says from where the MX heard that message."""
    host, mxs = net.pair()
    host.address("wan", "10.7.0.11/24", "10.7.0.12/24", "10.7.0.13/24")
    mxs.address("lan", "10.7.0.3/24")
    servers = {
        address: scripted(mxs, address=address, script={
            "greeting": f"220 mx{n}.example.net ESMTP\r\n".encode(),
            "MAIL": refuses, "dot": judges})
        for n, address in enumerate(("10.7.0.2", "10.7.0.3"), 1)}
    (command, *_), block = parts(FOLDER / "README.md")
    command = command.replace("203.0.113.12", NEW)
    command = command.replace("/var/lib/weir-policy", str(place))
    command = command.replace("/run/weir", str(place))
    script, *options = shlex.split(command)
    policy = stack.enter_context(Server(FOLDER / script, *options,
                                        "--schedule", "2"))
    policy.wait_for("listening on ")
    made = weir(host, under_test.usual(
        place, more=CONF_POOLS + block.replace("/run/weir", str(place))))
    redirect(host)

    def send(sender, mx="10.7.0.2"):
        with under_test.Client(host, mx) as client:
            client.hello()
            if client.ask(f"MAIL FROM:<{sender}>").startswith("250"):
                client.ask("RCPT TO:<b@example.net>")
                client.content()
            client.ask("QUIT")
        heard = [s for s in servers[mx].sessions
                 if any(sender in line for line in s.lines)]
        return heard[-1].peer[0]
    send.weir = made
    return send


def test_with_weir(desk):
    # nothing is known of the MX: as weir.conf says
    assert desk("a@good.example") == "10.7.0.1"
    # now it is: the new address has its two messages, then it is the pool's
    assert [desk("a@good.example") for _ in range(3)] == [
        NEW, NEW, "10.7.0.11"]
    # the other MX is of the same organization, as soon as it has greeted
    assert desk("a@good.example", "10.7.0.3") == "10.7.0.1"
    assert desk("a@good.example", "10.7.0.3") == "10.7.0.11"
    # a sender that is refused for its rate goes elsewhere, at both
    assert [desk("x@bad.example") for _ in range(6)] == \
        ["10.7.0.11"] * 5 + ["10.7.0.12"]
    assert desk("x@bad.example", "10.7.0.3") == "10.7.0.12"
    # one that is refused for its content does not
    assert [desk("x@spam.example") for _ in range(7)] == ["10.7.0.11"] * 7
    assert desk("a@good.example") == "10.7.0.11"
    rules = {row["rule"] for row in desk.weir.wait_rows(
        "SELECT DISTINCT rule FROM decisions WHERE rule > ''", count=3)}
    assert rules == {"warm-up example.net", "score", "low score"}
