"""The example policies: real processes, over unix and tcp sockets, with
tests/e2e/policy_harness.py in weir's place.

Run from the source tree: python3 -m pytest tests/e2e/test_policy_examples.py
"""

import base64
import os
import shutil
import subprocess

import pytest
from policy_harness import (EXAMPLES, RAW, RELAY, REJECT, TEMPFAIL, ROOT, SDK,
                            Server, Weir, connect, headers, pb, rcpt)


@pytest.fixture(params=["unix", "tcp", "tcp6"])
def endpoint(request, tmp_path):
    return {"unix": f"unix:{tmp_path}/policy.sock", "tcp": "tcp:127.0.0.1:0",
            "tcp6": "tcp:[::1]:0"}[request.param]


@pytest.fixture
def blocklist(tmp_path):
    path = tmp_path / "blocked"
    path.write_text("# senders\nSpam@Example.com  # shouts\n@bad.example\n")
    return path


def block_senders(endpoint, blocklist, *options):
    return Server(EXAMPLES / "block_senders.py", "--listen", endpoint,
                  "--list", blocklist, *options)


def replace(path, text):
    """As editors do it: a new file in place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


# --------------------------------------------------------------- block_senders

def test_block_senders(endpoint, blocklist):
    with block_senders(endpoint, blocklist) as server, \
            Weir(server.endpoint) as weir:
        assert weir.subscriptions()[pb.PHASE_RCPT] is True
        assert weir.subscriptions()[pb.PHASE_MAIL] is False
        assert pb.PHASE_HEADERS not in weir.subscriptions()
        verdicts = {b"spam@example.com": REJECT, b"SPAM@EXAMPLE.COM": REJECT,
                    b"anyone@bad.example": REJECT, b"": RELAY,
                    b"ham@example.com": RELAY, b"x@sub.bad.example": RELAY,
                    b"caf\xe9@bad.example": REJECT}
        for session, (sender, action) in enumerate(verdicts.items(), 1):
            weir.mail(session, sender)
            decision = weir.ask(session, 1, rcpt=rcpt(b"r@example.net"))
            assert decision.action == action, sender
            if action == REJECT:
                assert decision.reply.code == 550
                assert decision.reply.enhanced == "5.1.1"
                assert list(decision.reply.lines) == [b"User unknown"]
                assert decision.rule in ("spam@example.com", "@bad.example")
        assert server.stop() == 0


def test_block_senders_options(tmp_path, blocklist):
    blocklist.write_text("<>\n")
    with block_senders(f"unix:{tmp_path}/s", blocklist, "--at", "mail",
                       "--reply", "451 4.7.1 Later, please") as server, \
            Weir(server.endpoint) as weir:
        assert pb.PHASE_RCPT not in weir.subscriptions()
        decision = weir.mail(1, b"", seq=1)
        assert decision.action == TEMPFAIL
        assert (decision.reply.code, decision.reply.enhanced) == (451, "4.7.1")
        assert weir.mail(2, b"a@b.example", seq=1).action == RELAY


def test_block_senders_reloads(tmp_path, blocklist):
    with block_senders(f"unix:{tmp_path}/s", blocklist) as server, \
            Weir(server.endpoint) as weir:
        def verdict(session):
            weir.mail(session, b"new@example.com")
            weir.send(session, 1, 5000, rcpt=rcpt(b"r@example.net"))
            answer = weir.receive()
            updated = answer.WhichOneof("answer") == "update"
            if updated:
                assert answer.update.version != weir.welcome.version
                assert answer.update.subscriptions == \
                    weir.welcome.subscriptions
                answer = weir.receive()
            return answer.decision.action, updated

        assert verdict(1) == (RELAY, False)
        replace(blocklist, "new@example.com\n")
        assert verdict(2) == (REJECT, True)
        replace(blocklist, "no sender at all\n")
        assert verdict(3)[0] == REJECT  # the last good list
        server.wait_for("line 1: 'no sender at all' is neither")
        blocklist.unlink()
        assert verdict(4)[0] == REJECT
        replace(blocklist, "\n")
        assert verdict(5)[0] == RELAY


@pytest.mark.parametrize("script, options, words", [
    ("block_senders.py", ["--list", "/nonexistent"], "No such file"),
    ("block_senders.py", ["--list", "{bad}"], "line 1"),
    ("block_senders.py", ["--list", os.devnull, "--reply", "250 2.0.0 Ok"],
     "CODE ENHANCED TEXT"),
    ("block_senders.py", ["--list", os.devnull, "--reply", "550 4.0.0 No"],
     "does not fit 550"),
    ("tag_header.py", ["--rule", "a", "("], "rule a"),
    ("tag_header.py", ["--rule", "a", "b", "--header", "X Y"], "rule a"),
    ("choose_outbound.py", ["--table", "{bad}"], "line 1"),
    ("choose_outbound.py", [], "--table"),
])
def test_wrong_options_are_named(tmp_path, script, options, words):
    bad = tmp_path / "bad"
    bad.write_text("nonsense\n")
    options = [o.format(bad=bad) for o in options]
    with Server(EXAMPLES / script, "--listen", f"unix:{tmp_path}/s",
                *options) as server:
        assert server.wait() == 2
        assert words in server.log()


# ------------------------------------------------------------------ tag_header

def tag_header(endpoint, *options):
    return Server(EXAMPLES / "tag_header.py", "--listen", endpoint, *options,
                  "--rule", "offer", r"buy\s+(now|today)", "--rule", "greek",
                  "αβγ")


def edits(decision):
    return [(e.op, e.name, e.value, e.index) for e in decision.headers]


def tag(value):
    return (pb.HeaderEdit.OP_ADD, b"X-Weir-Tag", value, 0)


def untag(index):
    return (pb.HeaderEdit.OP_DELETE, b"X-Weir-Tag", b"", index)


MIME = b"Content-Type: text/plain; charset=%s\r\n" \
    b"Content-Transfer-Encoding: %s\r\n\r\n"
MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
CASES = [
    (RAW, b"Please BUY\r\n NOW!\r\n", [tag(b"offer")]),
    (RAW, b"Please do not.\r\n", []),
    (RAW, b"", []),
    (MIME % (b"utf-8", b"base64"),
     base64.encodebytes("αβγ, buy today".encode()),
     [tag(b"offer"), tag(b"greek")]),
    (MIME % (b"iso-8859-7", b"8bit"), "αβγ\r\n".encode("iso-8859-7"),
     [tag(b"greek")]),
    (MIME % (b"utf-8", b"quoted-printable"), b"bu=\r\ny now\r\n",
     [tag(b"offer")]),
    (MIME % (b"no-such-charset", b"8bit"), b"buy now \xff\r\n",
     [tag(b"offer")]),
    (MULTIPART, b"--b\r\n\r\nnothing\r\n--b\r\nContent-Type: text/html\r\n"
     b"\r\n<p>buy now</p>\r\n--b--\r\n", [tag(b"offer")]),
    (MULTIPART, b"--b\r\nContent-Type: image/png\r\n\r\nbuy now\r\n--b--\r\n",
     []),
    (b"X-Weir-Tag: forged\r\nx-weir-tag : again\r\n\r\n", b"buy now\r\n",
     [untag(0), untag(1), tag(b"offer")]),
]


@pytest.mark.parametrize("pieces", [1, 7, 100000])
def test_tag_header(endpoint, pieces):
    with tag_header(endpoint) as server, Weir(server.endpoint) as weir:
        assert weir.subscriptions()[pb.PHASE_END_OF_MESSAGE] is True
        assert weir.subscriptions()[pb.PHASE_HEADERS] is False
        assert weir.subscriptions()[pb.PHASE_BODY] is False
        for number, (raw, body, expected) in enumerate(CASES, 1):
            weir.mail(1, b"a@b.example")  # all in one session
            weir.send(1, headers=headers(raw, number))
            for at in range(0, len(body), pieces):
                weir.send(1, body=pb.Body(offset=at, message=number,
                                          data=body[at:at + pieces]))
            decision = weir.ask(1, number, end_of_message=pb.EndOfMessage(
                size=len(raw) + len(body)))
            assert decision.action == RELAY
            assert edits(decision) == expected, body
            weir.send(1, transaction_end=pb.TransactionEnd(
                outcome=pb.OUTCOME_DELIVERED))


def test_tag_header_looks_no_further_than_its_limit(tmp_path):
    with tag_header(f"unix:{tmp_path}/s", "--limit", "20") as server, \
            Weir(server.endpoint) as weir:
        prefix = [s.body_prefix for s in weir.welcome.subscriptions
                  if s.phase == pb.PHASE_BODY]
        assert prefix == [20]
        weir.mail(1, b"a@b.example")
        end = weir.content(1, RAW, b"-" * 20 + b"buy now")
        assert edits(weir.ask(1, 1, end_of_message=end)) == []


# ------------------------------------------------------------- choose_outbound

def test_choose_outbound(endpoint, tmp_path):
    table = tmp_path / "table"
    table.write_text("10.0.0.0/8 clean\n10.1.0.0/16 203.0.113.10 out1.example"
                     "\n2001:db8::/32 2001:db8:ffff::25 # v6\n")
    with Server(EXAMPLES / "choose_outbound.py", "--listen", endpoint,
                "--table", table) as server, Weir(server.endpoint) as weir:
        def choice(session, client):
            decision = weir.ask(session, 1, connect=connect(client))
            assert decision.action == RELAY
            out = decision.outbound
            if not decision.HasField("outbound"):
                return None
            return out.source_pool or out.source_address, out.ehlo_name

        assert weir.subscriptions()[pb.PHASE_CONNECT] is True
        for session, (client, expected) in enumerate([
                ("10.2.3.4", ("clean", "")),
                ("10.1.3.4", ("203.0.113.10", "out1.example")),
                ("::ffff:10.1.3.4", ("203.0.113.10", "out1.example")),
                ("2001:db8::1", ("2001:db8:ffff::25", "")),
                ("192.0.2.1", None), ("2001:db9::1", None)], 1):
            assert choice(session, client) == expected, client
        replace(table, "192.0.2.0/24 dirty\n")
        weir.send(99, 1, 5000, connect=connect("192.0.2.1"))
        update = weir.receive().update
        assert update.version.startswith("table@") \
            and update.version != weir.welcome.version
        assert weir.decision(99, 1).outbound.source_pool == "dirty"


# --------------------------------------------------------- installation, types

@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")),
                         ids=lambda path: path.stem)
def test_runs_from_the_source_tree(script):
    """Nothing installed, nothing in PYTHONPATH, in whatever directory."""
    done = subprocess.run(["/usr/bin/python3", "-B", script, "--help"], cwd="/",
                          env={**os.environ, "PYTHONPATH": ""}, timeout=20,
                          capture_output=True, text=True, check=True)
    assert "--listen" in done.stdout


def test_install_with_pip(tmp_path):
    """From a copy of the source tree, without network, into its own place."""
    for folder in ("proto", "contrib/sdk/python"):
        shutil.copytree(ROOT / folder, tmp_path / "weir" / folder,
                        ignore=shutil.ignore_patterns("build", "*.egg-info"))
    target = tmp_path / "site"
    subprocess.run(
        ["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--no-index",
         "--no-build-isolation", "--no-deps", "--target", target,
         tmp_path / "weir/contrib/sdk/python"], check=True, timeout=120)
    assert (target / "weir_policy/policy.desc").is_file()
    assert (target / "weir_policy/py.typed").is_file()
    script = tmp_path / "block_senders.py"
    shutil.copy(EXAMPLES / "block_senders.py", script)
    shutil.rmtree(tmp_path / "weir")
    blocked = tmp_path / "blocked"
    blocked.write_text("@bad.example\n")
    # no protoc in this PATH: the installed package needs none
    with Server(script, "--listen", f"unix:{tmp_path}/s", "--list", blocked,
                PYTHONPATH=str(target), PATH="") as server, \
            Weir(server.endpoint) as weir:
        weir.mail(1, b"a@bad.example")
        assert weir.ask(1, 1, rcpt=rcpt(b"c@d")).reply.code == 550


@pytest.mark.skipif(not shutil.which("mypy"), reason="mypy is not installed")
def test_types(tmp_path):
    subprocess.run(["mypy", "--strict", "--cache-dir", tmp_path,
                    "weir_policy", *EXAMPLES.glob("*.py")],
                   cwd=SDK, check=True)


def test_examples_are_short():
    for name in ("block_senders.py", "tag_header.py", "choose_outbound.py"):
        assert len((EXAMPLES / name).read_text().splitlines()) <= 80, name
