"""The Go examples by their READMEs, with real weir."""

import re
import shlex
import shutil
import subprocess

import pytest
from blackbox import wait_for
from policy_harness import ROOT
from program import Program, go_run, indented, moved

EXAMPLES = ROOT / "policy-examples" / "go"
pytestmark = pytest.mark.skipif(not shutil.which("go"),
                                reason="Go is not installed")


@pytest.fixture
def example(bench):
    """example(name, option..., swap=...) builds it, starts it by its README,
    and weir before it."""
    def start(name, *more, swap=()):
        folder = EXAMPLES / name
        readme = folder / "README.md"
        go_run(bench.place, "build", "-o", bench.place / name, cwd=folder)
        command = indented(readme, rf"\./{name} ").split("\n\n")[0]
        block = indented(readme, r"(?:pool|policy) ")
        for old, new in swap:
            block = block.replace(old, new)
        words = shlex.split(moved(command, bench.place))
        server = Program(bench.place / name, *words[1:], *more)
        bench.opened.enter_context(server)
        server.wait_for("listening on unix:")
        weir = bench.weir(more=moved(block, bench.place))
        weir.wait_log("event=policy.ready")
        return weir
    return start


@pytest.mark.parametrize("name", ["reputation", "duplicates"])
def test_go(name, place):
    """Formatted, vetted, and its own tests."""
    folder = EXAMPLES / name
    files = sorted(folder.glob("*.go"))
    assert subprocess.run(["gofmt", "-l", *files], check=True,
                          capture_output=True).stdout == b""
    go_run(place, "vet", ".", cwd=folder)
    go_run(place, "test", "-count=1", ".", cwd=folder)


# ----------------------------------------------------------------- reputation

POOLS = [("203.0.113.10", "127.0.0.10"), ("203.0.113.20", "127.0.0.20"),
         ("203.0.113.21", "127.0.0.21"), ("203.0.113.30", "127.0.0.30")]


def decisions(weir):
    return weir.rows("SELECT * FROM decisions")


def test_reputation(example, bench):
    """A sender whose recipients are unknown: slower, refused, and its client
    out of the dirty pool."""
    unknown = b"550 5.1.1 User unknown\r\n"
    server = bench.mx(script={"RCPT": lambda session, line: unknown
                              if "<nobody" in line else None})
    weir = example("reputation", "-delay", "300ms", swap=POOLS)
    with weir.connect() as client:
        assert client.deliver("a@example.org", "b@example.net").startswith(
            "250")
        replies = client.envelope("spam@bad.example", *(
            f"nobody{n}@example.net" for n in range(30)))
        assert {reply[:9] for reply in replies} == {"550 5.1.1"}
        client.ask("RSET")
        reply = client.ask("MAIL FROM:<spam@bad.example>")
        assert reply == "550 5.7.1 Too much of this mail was refused lately" \
            "\r\n"
    assert server.sessions[0].peer[0] == "127.0.0.20"
    with weir.connect() as client:      # the same client, another sender
        client.ask("MAIL FROM:<a@example.org>")
    assert server.sessions[1].peer[0] == "127.0.0.30"
    refused = wait_for(lambda: [row for row in decisions(weir)
                                if row["action"] == "reject"], "the row")[0]
    assert refused["rule"] == "sender spam@bad.example"
    assert refused["score"] > 75
    assert refused["version"] == "1 delay=300ms pools=clean,normal,dirty"


def test_reputation_of_those_who_do_well(example, bench):
    server = bench.mx()
    weir = example("reputation", "-known", "3", swap=POOLS)
    for _ in range(8):
        with weir.connect() as client:
            assert client.deliver(text="Subject: Your invoice 4711\r\n\r\n"
                                  "Hello.\r\n").startswith("250")
    sources = [session.peer[0] for session in server.sessions]
    assert sources[:3] == ["127.0.0.20"] * 3
    assert sources[-1] == "127.0.0.10"
    known = wait_for(lambda: [row for row in decisions(weir)
                              if row["phase"] == "headers"][7:], "the row")[-1]
    assert re.search(r'"reputation.subject": ?"0 of [67]\.0"', str(known))


# ----------------------------------------------------------------- duplicates

def text(subject, body="This is about the weather of tomorrow.\r\n"):
    return f"Subject: {subject}\r\n\r\n{body}"


def test_duplicates_distinct_recipients(example, bench):
    bench.mx()
    weir = example("duplicates", "-subject", "3", "-body", "100")
    with weir.connect() as client:
        for n in range(3):      # to the same: that is one recipient
            assert client.deliver(
                f"a{n}@example.org", "one@example.net",
                text=text(f"Your invoice {n}")).startswith("250")
        assert client.deliver("b@example.org", "two@example.net",
                              "three@example.net",
                              text=text("YOUR INVOICE 9")).startswith("250")
        over = "550 5.7.1 Too many recipients for this subject, blocked for "
        for sender in ("c@example.org", "d@example.org"):
            assert client.deliver(sender, "four@example.net",
                                  text=text("Your invoice")).startswith(over)
        assert client.deliver("x@newsletter.example", "five@example.net",
                              text=text("Your invoice")).startswith("250")
        assert client.deliver("c@example.org", "four@example.net",
                              text=text("Something else")).startswith("250")

    def rules():
        return [row["rule"] for row in decisions(weir)
                if row["action"] == "reject"]
    wait_for(lambda: len(rules()) == 2, "rows")
    assert rules() == ["subject", "blocked subject"]
    assert "exempt=@newsletter.example" in decisions(weir)[0]["version"]


def test_duplicates_block_expires(example, bench):
    bench.mx()
    weir = example("duplicates", "-sender", "2", "-block", "1s")
    with weir.connect() as client:
        recipients = [f"r{n}@example.net" for n in range(3)]
        assert client.deliver("spam@example.org", *recipients,
                              text=text("Hi")).startswith("550 5.7.1")
        assert client.ask("MAIL FROM:<Spam@example.org>").startswith(
            "550 5.7.1 Too many recipients for this sender")
        assert client.ask("MAIL FROM:<b@example.org>").startswith("250")
        client.ask("RSET")
        wait_for(lambda: client.ask("MAIL FROM:<spam@example.org>")[0] == "2"
                 or client.ask("RSET") is None, "end of the block")


def test_duplicates_copies(example, bench):
    bench.mx()
    weir = example("duplicates", "-copies", "2", "-tempfail")
    with weir.connect() as client:
        replies = [client.deliver(text=text(f"Alarm {n}"))[:9]
                   for n in range(3)]
        assert replies == ["250 2.0.0"] * 2 + ["451 4.7.1"]
        assert client.deliver("a@example.org", "c@example.net",
                              text=text("Alarm 4")).startswith("250")
