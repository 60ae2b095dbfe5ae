"""weirctl against a real weir that has had real mail."""

import json
import os
import re
import shutil
import select
import signal
import subprocess
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import blackbox
import pytest
import weir
import weirctl
from blackbox import REJECT, decision, wait_for

CONTROL = blackbox.CONFIG.replace('control = ""',
                                  'control = "{place}/control.sock"')
HOSTILE = "\x1b]0;owned\x07\x1b[31m \u202e<script> \u200b"
ID = r"[0-9A-Z]{26}"

pytestmark = pytest.mark.skipif(
    bool(weir.why_not() or weirctl.why_not()),
    reason=weir.why_not() or weirctl.why_not() or "")


def judge(event, _):
    if event.WhichOneof("event") == "rcpt" and \
            event.rcpt.recipient.startswith(b"nobody@"):
        said = decision(REJECT, 550, "5.1.1", ["no such user"])
        said.reason, said.rule = f"reason {HOSTILE}", "rule-7"
        return said
    return decision()


def controlled(bench, text=CONTROL, **options):
    """A weir, and weirctl for its control socket."""
    proxy = bench.weir(text=text, **options)
    proxy.wait_log(r"event=status\.control")
    return proxy, weirctl.Ctl(("-s", bench.place / "control.sock"))


@pytest.fixture(scope="module")
def desk():
    """A weir with a policy, with mail in its record; nothing that a test
    does to it is seen by the next one."""
    place = Path(tempfile.mkdtemp(prefix="weirctl-"))
    bench = blackbox.Bench(place)
    try:
        bench.mx(script={"RCPT": lambda _, line: (
            b"452 4.2.2 mailbox full \x1b[2J\r\n" if "full" in line
            else None)})
        bench.policy(["mail", "rcpt"], name="gate", answer=judge)
        bench.proxy, bench.ctl = controlled(
            bench, more='pool "warm" { addresses = {"127.0.0.2"} }\n')
        send_mail(bench.proxy)
        wait_for(lambda: len(bench.ctl.json("sessions")) >= 4, "sessions")
        yield bench
    finally:
        bench.close()
        shutil.rmtree(place)


def send_mail(proxy):
    for sender, recipient in (("alice@example.org", "bob@example.net"),
                              ("shop@example.org", "nobody@example.net"),
                              ("shop@example.org", "full@example.net")):
        with proxy.connect() as client:
            if client.envelope(sender, recipient)[0].startswith("250"):
                client.content()
            client.ask("QUIT")
    with proxy.connect() as client:
        client.send(f"NOOP {HOSTILE}\x9b\0\r\n".encode("utf-8", "replace"))
        client.reply()


def first(desk, *conditions):
    return desk.ctl.json("sessions", *conditions)[0]


# --------------------------------------------------------------------- looking


def test_status_says_that_all_is_well(desk):
    out = desk.ctl.ok("status").out
    assert re.search(r"^weir +\S+ on weir\.example\.org, ready$", out, re.M)
    assert re.search(r"^Messages +1 delivered, ", out, re.M)
    assert re.search(r"^Record +sqlite ok, json ok, ", out, re.M)
    assert re.search(r"^gate +ready +closed", out, re.M)
    status = desk.ctl.json("status")
    assert status["ready"] is True and \
        status["counters"]["delivered"] == 1


def test_status_watch_shows_rates_until_interrupted(desk):
    ran = desk.ctl.terminal("status", "--watch", until=r"A second")
    assert ran.code == -signal.SIGKILL
    assert re.search(r"0\.0 delivered", ran.out), ran.out
    assert ran.out.count("\x1b[H\x1b[2J") >= 2      # the screen, twice


def test_sessions_are_searched(desk):
    lines = desk.ctl.ok("sessions").lines
    assert lines[0].split()[:2] == ["TIME", "OUTCOME"]
    assert len(lines) == 5
    assert re.search(rf"delivered +250 +alice@example\.org +bob@example\.net"
                     rf".* {ID}$", desk.ctl.ok("sessions", "alice").lines[1])
    assert len(desk.ctl.json("sessions", "--limit", "2")) == 2
    for found, words in (
            (2, ("--sender", "shop@example.org")),
            (3, ("--sender", "@example.org")),
            (1, ("--sender", "@example.org", "--outcome", "delivered")),
            (1, ("--recipient", "nobody@example.net")),
            (1, ("--code", "5xx")), (1, ("--code", "4.2.2")),
            (4, ("--client", "127.0.0.1")), (4, ("--mx", "127.0.0.1")),
            (3, ("--policy", "gate")), (0, ("--policy", "none")),
            (4, ("--since", "1h")), (0, ("--until", "1h"))):
        assert len(desk.ctl.json("sessions", *words)) == found, words
    assert len(desk.ctl.json("sessions", "shop@")) == 2
    ran = desk.ctl.ok("sessions", "nobody-has-this")
    assert "none that fits" in ran.out


def test_show_has_both_legs_and_the_decisions(desk):
    found = first(desk, "nobody@")
    out = desk.ctl.ok("show", found["id"]).out
    assert re.search(r"^Outcome +rejected 550; ended: ", out, re.M)
    assert re.search(r"^shop@example\.org +rejected +gate", out, re.M)
    assert re.search(r"^gate +rcpt +reject +applied +550.*rule-7 +reason ",
                     out, re.M)
    assert re.search(r"^ +\+0\.\d{6}  >\|  RCPT TO:<nobody@example\.net>$",
                     out, re.M)
    assert re.search(r"<\|  550 5\.1\.1 no such user$", out, re.M)
    assert re.search(r"^Times +connect [\d.]+ \ws, ", out, re.M)
    assert re.search(r"^TLS result +starttls-not-supported: ", out, re.M)
    assert desk.ctl.json("show", found["id"])["id"] == found["id"]


def test_policies_say_what_they_decided(desk):
    out = desk.ctl.ok("policies").out
    assert re.search(r"^gate +ready +closed +enforce +10 +\d+", out, re.M)
    assert "gate: decided 5 relay, 1 reject\n" in out
    assert desk.ctl.json("policies")[0]["name"] == "gate"


def test_sources_and_mx(desk):
    out = desk.ctl.ok("sources").out
    assert re.search(r"^127\.0\.0\.2 +warm +up ", out, re.M)
    assert desk.ctl.json("sources")["pools"][0]["name"] == "warm"
    assert re.search(r"^example\.net +127\.0\.0\.1 +\w+", desk.ctl.ok("mx").out,
                     re.M)
    assert desk.ctl.json("mx")[0]["group"] == "example.net"
    out = desk.ctl.ok("mx", "example.net").out
    assert re.search(r"^MX group +example\.net, \w+$", out, re.M)
    assert re.search(r"^Results +delivered 1, ", out, re.M)
    assert re.search(r"^connect +\d+ +[\d.]+ \ws ", out, re.M)
    assert re.search(r"^\d{4}-\d\d-\d\d .* +1 +1 ", out, re.M)     # history
    assert desk.ctl.json("mx", "example.net", "--hours", "1")["history"]
    assert desk.ctl("mx", "nowhere.example").code == 4


def test_a_group_in_trouble_shows_its_evidence(bench):
    bench.mx(script={"dot": b"421 4.7.0 too many\x1b[2J, slow down\r\n"})
    proxy, ctl = controlled(bench)

    def is_throttled():
        with proxy.connect() as client:
            client.deliver()
        return [one for one in ctl.json("mx") if one["state"] == "throttled"]
    wait_for(is_throttled, "state")
    assert re.search(r"^example\.net +127\.0\.0\.1 +throttled +\d\d-\d\d .* \d+"
                     r" of \d+ replies ", ctl.ok("mx").out, re.M)
    assert re.search(r"^MX groups +1 not normal", ctl.ok("status").out, re.M)
    wait_for(lambda: ctl.json("mx", "example.net")["transitions"], "change")
    out = ctl.ok("mx", "example.net").out
    assert re.search(r"^Refused for +throttle \d+$", out, re.M)
    assert re.search(r"normal -> throttled .*; it said: 421 too many\\x1b\[2J, "
                     r"slow down$", out, re.M)
    assert weirctl.is_safe(out)


def test_domains(desk):
    assert re.search(r"^example\.net +\d+ +\d", desk.ctl.ok("domains").out,
                     re.M)
    assert "\nTimes\n" in desk.ctl.ok("domains", "example.net").out


def test_a_group_has_a_name_with_a_slash(bench):
    """One that is known by its network alone."""
    bench.mx(script={"greeting": b"220 localhost ESMTP\r\n"})
    proxy, ctl = controlled(bench)
    with proxy.connect() as client:
        client.deliver()
        client.ask("QUIT")
    wait_for(lambda: ctl.json("mx"), "groups")
    assert ctl.json("mx", "127.0.0.0/24")["group"] == "127.0.0.0/24"


def test_top_counts_what_there_is_most_of(desk):
    out = desk.ctl.ok("top", "senders").out
    assert re.search(r"^shop@example\.org +2 +0 +1 +1 +", out, re.M), out
    assert re.search(r"^alice@example\.org +1 +1 +0 +0 +", out, re.M)
    assert desk.ctl.json("top", "sender-domains")["entries"][0]["key"] == \
        "example.org"
    out = desk.ctl.ok("top", "codes", "--since", "all", "--limit", "1").out
    assert len(out.splitlines()) == 2
    for what in ("recipients", "recipient-domains", "clients", "reasons"):
        assert len(desk.ctl.ok("top", what).lines) > 1
    desk.ctl.ok("top", "processes")     # some end before they are looked up


def test_report_says_whose_mail_was_refused_and_why(desk):
    out = desk.ctl.ok("report", "--since", "1h").out
    assert re.search(r"^Since +\d{4}-.*: 3 messages, 1 delivered, ", out, re.M)
    assert re.search(r"^shop@example\.org +example\.net +452 4\.2\.2 .*"
                     r"mailbox full \\x1b\[2J", out, re.M), out
    assert re.search(r"^shop@example\.org .*550 5\.1\.1 .*no such user", out,
                     re.M)
    assert len(desk.ctl.json("report", "--limit", "1")["rows"]) == 1


def test_config_tells_defaults_from_what_is_set(desk):
    out = desk.ctl.ok("config").out
    assert re.search(rf"^File +{desk.place}/weir\.conf$", out, re.M)
    assert re.search(r"^workers +1 +0 +1$", out, re.M), out
    assert re.search(r"^limits\.pipeline +\d+$", out, re.M), out
    assert desk.ctl.json("config")["keys"]


def test_tail_tells_of_a_session_when_it_ends(desk):
    with desk.ctl.running("tail", "--sender", "@tail.example.org") as process:
        # nothing says when it listens, so mail goes on until it has
        until = time.monotonic() + weirctl.SECONDS
        while not select.select([process.stdout], [], [], 0.1)[0]:
            assert time.monotonic() < until
            for sender in ("x@example.org", "x@tail.example.org"):
                with desk.proxy.connect() as client:
                    client.envelope(sender, "bob@example.net")
                    client.ask("QUIT")
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d \w+( \d+)? x@tail\.example\.org -> bob@example"
            rf"\.net at 127\.0\.0\.1 in .* {ID}\n",
            process.stdout.readline().decode())


def mail_from(proxy, sender):
    with proxy.connect() as client:
        client.envelope(sender, "bob@example.net")
        client.ask("QUIT")


def test_tail_goes_on_over_a_restart(bench):
    """Each session once; and that some may be missing."""
    proxy, ctl = controlled(bench)
    with ctl.running("tail", "--sender", "@tail.example.org") as process:
        n, until = 0, time.monotonic() + weirctl.SECONDS
        while not select.select([process.stdout], [], [], 0.1)[0]:
            assert time.monotonic() < until
            n += 1
            mail_from(proxy, f"x{n}@tail.example.org")
        senders = []

        def read_until(wanted):
            while wanted not in senders:
                line = process.stdout.readline().decode()
                assert line
                senders.append(line if line[0] == "(" else re.search(
                    r"\S+@tail\.example\.org", line)[0])

        read_until(f"x{n}@tail.example.org")
        assert proxy.stop() == 0
        assert b"weir has ended the stream" in process.stderr.readline()
        again, _ = controlled(bench)
        mail_from(again, "new@tail.example.org")
        read_until("new@tail.example.org")
        assert process.stderr.readline() == b"weirctl: weir is there again\n"
    assert senders[-2:] == [
        "(some may be missing here; weirctl sessions has them)\n",
        "new@tail.example.org"]
    assert len(set(senders)) == len(senders)


def test_times_are_local_unless_utc_is_wanted(desk):
    began = datetime.fromisoformat(
        first(desk, "alice")["occurred_at"].replace("Z", "+00:00"))
    utc = began.astimezone(timezone.utc)
    for words, zone, expected in (
            (("--utc",), "XXX-05:00", f"{utc:%m-%d %H:%M:%S}"),
            ((), "UTC", f"{utc:%m-%d %H:%M:%S}"),
            ((), "XXX-05:00", None)):
        line = desk.ctl.ok("sessions", "alice", *words, TZ=zone).lines[1]
        if expected:
            assert line.startswith(expected), line
        else:
            hour = f"{(utc.hour + 5) % 24:02}"
            assert line[6:8] == hour, line


# ------------------------------------------------------------------- terminals


def looks(desk):
    show = [("show", session["id"]) for session in desk.ctl.json("sessions")]
    return [("status",), ("sessions",), ("policies",), ("sources",), ("mx",),
            ("config",), ("top", "senders"), ("top", "reasons"),
            ("operations",), ("mx", "example.net"), ("domains",),
            ("report",), *show]


def test_hostile_bytes_never_reach_a_terminal(desk):
    shown = ""
    for words in looks(desk):
        piped = desk.ctl.ok(*words).out
        assert weirctl.is_safe(piped), (words, piped)
        drawn = desk.ctl.terminal(*words).out
        assert weirctl.is_safe(drawn, coloured=True), (words, drawn)
        shown += piped
    assert r"\x1b]0;owned\x07\x1b[31m \xe2\x80\xae<script>" in shown
    assert r"reason \x1b]0;owned" in shown
    assert r"mailbox full \x1b[2J" in shown


def test_another_character_set_gets_ascii(desk):
    for words in looks(desk)[-4:]:      # what the sessions were
        out = desk.ctl.ok(*words, LC_ALL="C").out
        assert out.isascii() and words[0] == "show"


def test_colours_only_where_they_are_wanted(desk):
    assert "\x1b[" in desk.ctl.terminal("status").out
    assert "\x1b[" not in desk.ctl.ok("status").out
    assert "\x1b[" not in desk.ctl.terminal("status", "--no-color").out
    assert "\x1b[" not in desk.ctl.terminal("status", NO_COLOR="1").out
    assert "\x1b[" not in desk.ctl.terminal("status", TERM="dumb").out


def test_tables_fit_the_terminal(desk):
    for columns in (200, 100, 80, 60):
        for words in (("sessions",), ("policies",), ("mx",), ("status",)):
            if words == ("status",) and columns < 100:
                continue        # its sentences are as long as they are
            for line in desk.ctl.terminal(*words, columns=columns).lines:
                assert len(weirctl.STYLE.sub("", line)) <= columns, line
    line = desk.ctl.ok("sessions", "alice", COLUMNS=80).lines[1]
    assert re.fullmatch(rf".*al.*\.\.\..* {ID}", line) and len(line) <= 80
    assert "..." not in desk.ctl.ok("sessions").out


# --------------------------------------------------------------------- trouble


def test_not_running(desk, tmp_path):
    gone = weirctl.Ctl(("-s", tmp_path / "none.sock"))("status")
    assert gone.code == 3 and gone.out == ""
    assert "weir is not running: there is no socket at" in gone.err
    assert "--socket" in gone.err
    assert gone.err.count("\n") == 1
    dead = tmp_path / "dead.sock"
    with blackbox.socket.socket(blackbox.socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    ran = weirctl.Ctl(("-s", dead))("status")
    assert ran.code == 3 and "nobody listens at" in ran.err


def test_no_permission(desk):
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    os.chmod(desk.place, 0o711)
    ran = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups",
         *desk.ctl.command(["status"])], env=weirctl.environment(),
        capture_output=True, text=True, timeout=60, check=False)
    if "failed to execute" in ran.stderr:
        pytest.skip("nobody cannot reach the program")
    assert ran.returncode == 3, ran
    assert "permission denied for" in ran.stderr and "sudo" in ran.stderr


@pytest.mark.parametrize("words, said", (
    ((), "which command?"),
    (("statuses",), "there is no command statuses"),
    (("status", "--look"), "unknown option --look; weirctl status --help"),
    (("-x",), "unknown option -x"),
    (("status", "-s"), "option -s needs a value"),
    (("show",), "show needs more: weirctl show ID"),
    (("status", "now"), "unexpected argument now"),
    (("top", "sender"), "write one of senders|"),
    (("mx", "--hours", "3"), "weirctl mx NAME --hours 3"),
    (("--url", "weir:25", "status"), "write http://HOST:PORT"),
))
def test_wrong_command_lines(words, said):
    ran = weirctl.Ctl()(*words)
    assert ran.code == 2 and ran.out == "" and said in ran.err, ran


def test_what_is_not_there_is_told_apart(desk):
    assert desk.ctl("show", "0" * 26).code == 4
    ran = desk.ctl("show", "x")
    assert ran.code == 1 and "26 characters" in ran.err
    ran = desk.ctl("sessions", "--limit", "0")
    assert ran.code == 1 and "limit" in ran.err


def test_a_full_disk_is_no_success(desk):
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(desk.ctl.command(["status"]), stdout=full,
                             stderr=subprocess.PIPE, timeout=60, check=False)
    assert ran.returncode == 1
    assert b"cannot be written" in ran.stderr


def test_help_and_version():
    ctl = weirctl.Ctl()
    assert "Commands:" in ctl.ok("--help").out
    assert ctl.ok("help", "top").out == ctl.ok("top", "-h").out
    assert ctl.ok("-V").out.startswith("weirctl ")


# ------------------------------------------------------------ other ways there


def test_the_socket_of_a_configuration(desk):
    ctl = weirctl.Ctl(("-c", desk.proxy.config))
    assert ctl.json("status")["ready"]
    bad = desk.place / "bad.conf"
    bad.write_text("workers = many\n")
    ran = weirctl.Ctl(("-c", bad))("status")
    assert ran.code == 1 and f"{bad}:1: " in ran.err and "--socket" in ran.err


def test_over_tcp_with_a_token(bench, place):
    token = place / "token"
    token.write_text("sesame-open\n")
    token.chmod(0o600)
    proxy = bench.weir(status=f'token_file = "{token}"')
    url = ("--url", f"http://127.0.0.1:{proxy.status}/")
    assert weirctl.Ctl(url).json("status")["ready"]
    ran = weirctl.Ctl(url)("reload")
    assert ran.code == 1 and "--token-file" in ran.err
    ctl = weirctl.Ctl((*url, "--token-file", token))
    assert "reloaded" in ctl.ok("reload").out
    for text in ("", "two words", "new\nline", "x" * 2000):
        token.write_text(text)
        ran = ctl("reload")
        assert ran.code == 1 and "a token is one word" in ran.err
    ran = weirctl.Ctl((*url, "--token-file", place / "none"))("status")
    assert ran.code == 1 and "No such file" in ran.err
    # a proxy of the environment is none of weirctl's business
    assert weirctl.Ctl(url)("status", http_proxy="http://127.0.0.1:1").code == 0
    ran = weirctl.Ctl(("--url", "http://127.0.0.1:1"))("status")
    assert ran.code == 3 and "no weir at http://127.0.0.1:1" in ran.err


# ---------------------------------------------------------------- the database


def test_db_is_found_and_checked(desk):
    database = desk.place / "weir.db"
    for ctl, words in ((desk.ctl, ()), (weirctl.Ctl(), (database,)),
                       (weirctl.Ctl(("-c", desk.proxy.config)), ())):
        out = ctl.ok("db", "check", *words).out
        assert out.splitlines()[-1] == "it is in order"
    checked = weirctl.Ctl().json("db", "check", database)
    assert checked["ok"] is True and checked["lines"]
    damaged = desk.place / "damaged.db"
    damaged.write_bytes(b"x" * 65536)
    ran = weirctl.Ctl()("db", "check", damaged)
    assert ran.code == 1 and "not a database" in ran.out
    assert weirctl.Ctl()("db", "check", damaged, "-j").json["ok"] is False


def test_db_export_is_json_line_by_line(desk):
    database = desk.place / "weir.db"
    ran = weirctl.Ctl().ok("db", "export", database)
    told = [json.loads(line) for line in ran.lines]
    assert {one["event"] for one in told} > {"open", "close"}
    assert len({one["session"] for one in told}) >= 4
    assert "\x1b" not in ran.out
    assert weirctl.Ctl().ok("db", "export", database, "--until", "2020-01-01"
                            "T00:00:00Z").out == ""
    assert weirctl.Ctl().ok("db", "export", database, "--since", "1h").out
    ran = weirctl.Ctl()("db", "export", database, "--since", "soon")
    assert ran.code == 2 and "--since soon is no time" in ran.err


def test_db_vacuum_refuses_while_weir_runs(bench):
    proxy, ctl = controlled(bench)
    with proxy.connect() as client:
        client.deliver()
    proxy.wait_rows("SELECT * FROM sessions")
    ran = ctl("db", "vacuum")
    assert ran.code == 1 and ran.out != "", ran
    ctl.ok("drain", "--wait")
    assert proxy.process.wait(blackbox.PATIENCE) == 0
    weirctl.Ctl(("-c", proxy.config)).ok("db", "vacuum")


def test_db_without_a_file(tmp_path):
    ran = weirctl.Ctl(("-s", tmp_path / "none"))("db", "check")
    assert ran.code == 3 and "so which database?" in ran.err
    ran = weirctl.Ctl()("db", "check", tmp_path / "none.db")
    assert ran.code == 1 and "No such file" in ran.err
    ran = weirctl.Ctl()("db", "check", tmp_path / "x", "--since", "1h")
    assert ran.code == 2


# -------------------------------------------------------------------- changing


def test_an_address_is_suspended_and_resumed(desk):
    assert "out of its pools" in desk.ctl.ok("suspend", "127.0.0.2", "--for",
                                             "1h").out
    assert re.search(r"^127\.0\.0\.2 +warm +suspended until 20\d\d-",
                     desk.ctl.ok("sources").out, re.M)
    assert re.search(r"^Addresses +0 of 1 can be sent from",
                     desk.ctl.ok("status").out, re.M)
    assert "in its pools again" in desk.ctl.ok("resume", "127.0.0.2").out
    ran = desk.ctl("resume", "127.0.0.2")
    assert ran.code == 1 and "not suspended" in ran.err
    ran = desk.ctl("suspend", "192.0.2.99")
    assert ran.code == 4 and "in no pool" in ran.err
    ran = desk.ctl("suspend", "127.0.0.2", "--for", "ever")
    assert ran.code == 1 and "30m, 2h or 7d" in ran.err
    wait_for(lambda: len(desk.ctl.json("operations")["operations"]) >= 5,
             "operations")
    lines = desk.ctl.ok("operations").lines
    assert re.search(r" suspend-address +address=127\.0\.0\.2 for=1h +control"
                     r".* ok$", lines[-1]), lines
    assert len(desk.ctl.ok("operations", "--limit", "2").lines) == 3


def test_reload_prints_errors_as_a_compiler_does(bench):
    proxy, ctl = controlled(bench)
    assert ctl.json("reload") == {"ok": True}
    good = proxy.config.read_text()
    proxy.config.write_text(good + "\nnonsense = 1\nworker = 2\n")
    number = good.count("\n") + 2
    ran = ctl("reload")
    assert ran.code == 1 and ran.out == ""
    lines = ran.err.splitlines()
    assert lines[0].startswith(f"{proxy.config}:{number}: "), ran.err
    assert lines[1].startswith(f"{proxy.config}:{number + 1}: "), ran.err
    assert lines[-1] == "weirctl: nothing has changed: weir goes on with the" \
        " configuration that it had"
    proxy.config.write_text(good)
    assert ctl.ok("reload").out.startswith("reloaded")


def test_drain_waits_until_weir_is_gone(bench):
    proxy, ctl = controlled(bench)
    assert ctl.ok("drain", "--wait").out == "weir has ended\n"
    assert proxy.process.wait(blackbox.PATIENCE) == 0
    assert ctl("drain").code == 3


def test_drain_comes_back_at_once(bench):
    proxy, ctl = controlled(bench, CONTROL.replace("300ms", "60s"))
    with proxy.connect() as client:
        assert json.loads(ctl.ok("drain", "-j").out) == {"ok": True}
        assert proxy.process.poll() is None
        client.ask("QUIT")
    assert proxy.process.wait(blackbox.PATIENCE) == 0
