"""policy-examples/ruby/blocklist, by its README, before real weir."""

import os
import shlex

import pytest
from example import parts
from policy_harness import ROOT, Server
from ruby_harness import RUBY, needs_ruby

pytestmark = needs_ruby

FOLDER = ROOT / "policy-examples" / "ruby" / "blocklist"
LISTS = {"recipients": "Joe@Example.com\n@example.net # the domain\n"
                       "@.example.org\n",
         "senders": "spam@x.example\n<>\n", "clients": "192.0.2.0/24\n"}
UNKNOWN = "550 5.1.1 User unknown\r\n"


def command(place):
    (line,), block = parts(FOLDER / "README.md")
    for old in ("/run/weir", "/etc/weir"):
        line, block = (text.replace(old, str(place)) for text in (line, block))
    return shlex.split(line)[1:], block


def replace(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


@pytest.fixture
def served(bench, place):
    for name, text in LISTS.items():
        (place / name).write_text(text)
    options, block = command(place)
    server = Server("-w", FOLDER / "blocklist", *options, program=RUBY)
    bench.opened.enter_context(server)
    server.wait_for("listening on ")
    weir = bench.weir(more=block)
    weir.wait_log(r"event=policy\.ready ")
    return server, weir


def answers(weir, sender, *recipients):
    with weir.connect() as client:
        assert client.ask(f"MAIL FROM:<{sender}>").startswith("250")
        return [client.ask(f"RCPT TO:<{r}>") for r in recipients]


def test_each_list(served, place):
    server, weir = served
    expected = {"joe@example.com": True, "JOE@EXAMPLE.COM": True,
                "jane@example.com": False, "x@example.net": True,
                "x@sub.example.net": False, "x@example.org": True,
                "x@a.b.example.org": True, "x@notexample.org": False}
    assert answers(weir, "a@x.example", *expected) == [
        UNKNOWN if blocked else "250 2.1.5 OK\r\n"
        for blocked in expected.values()]
    for sender in ("SPAM@x.example", ""):
        assert answers(weir, sender, "jane@example.com") == [UNKNOWN]
    replace(place / "clients", "127.0.0.0/8\n::1\n")
    assert answers(weir, "a@x.example", "jane@example.com") == [UNKNOWN]
    rules = {row["rule"] for row in weir.wait_rows(
        "SELECT rule FROM decisions WHERE action = 'reject'", count=8)}
    assert rules == {
        "recipients: joe@example.com", "recipients: @example.net",
        "recipients: @.example.org", "senders: spam@x.example", "senders: <>",
        "clients: 127.0.0.0/8"}


def test_lists_that_change(served, place):
    server, weir = served
    assert answers(weir, "a@x.example", "new@example.com")[0] != UNKNOWN
    replace(place / "recipients", "new@example.com\n")
    assert answers(weir, "a@x.example", "new@example.com",
                   "joe@example.com") == [UNKNOWN, "250 2.1.5 OK\r\n"]
    replace(place / "recipients", "nonsense\n")
    assert answers(weir, "a@x.example", "new@example.com") == [UNKNOWN]
    server.wait_for("recipients: line 1: \"nonsense\" is no address")
    replace(place / "clients", "127.0.0.0/99\n")
    assert answers(weir, "a@x.example", "new@example.com") == [UNKNOWN]
    answers(weir, "a@x.example", "jane@example.com")
    server.wait_for("clients: line 1: ")
    (place / "recipients").unlink()     # the last good one stays
    assert answers(weir, "a@x.example", "new@example.com") == [UNKNOWN]
    versions = {row["version"] for row in weir.wait_rows(
        "SELECT version FROM decisions", count=4)}
    assert all(v.startswith("recipients@") for v in versions)
    assert len(versions) == 2


@pytest.mark.parametrize("options, words", [
    (["--recipients", "/nonexistent"], "No such file"),
    (["--clients", "{bad}"], "line 1"), (["--senders", "{bad}"], "line 1"),
    ([], "usage:"), (["--frob"], "invalid option")])
def test_wrong_options_are_named(place, options, words):
    (place / "bad").write_text("non sense\n")
    with Server(FOLDER / "blocklist", "--listen", f"unix:{place}/s",
                *(o.format(bad=place / "bad") for o in options),
                program=RUBY) as server:
        assert server.wait() == 1
        assert words in server.log()
