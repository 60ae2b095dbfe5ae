"""doc/POLICY.md keeps its word: dumps, server and quotations are tried."""

import re
import time

import pytest
from policy_harness import (RELAY, REJECT, ROOT, Server, Weir, frame,
                            generated_directory, pb, rcpt)

PAPER = (ROOT / "doc" / "POLICY.md").read_text()


def blocks(*kinds):
    return re.findall(rf"^```({'|'.join(kinds)})\n(.*?)^```$", PAPER,
                      re.DOTALL | re.MULTILINE)


def test_paper_examples_are_exact():
    """Each hex dump is the frame of the message that follows it."""
    from google.protobuf import text_format
    found = blocks("hex", "ToPolicy", "FromPolicy")
    assert len(found) == 10
    for (kind, dump), (message, words) in zip(found[::2], found[1::2]):
        assert kind == "hex"
        expected = text_format.Parse(words, getattr(pb, message)())
        assert bytes.fromhex(dump) == frame(expected), words
    sizes = re.findall(r"^(?:Hello|Welcome|Ready), (\d+) bytes", PAPER, re.M)
    assert [int(n) for n in sizes] == [
        len(bytes.fromhex(dump)) for _, dump in found[:6:2]]


def test_paper_takes_an_answer_to_pieces():
    """The wire format, for those without a compiler, is the dump's."""
    [(_, pieces)] = blocks("pieces")
    data = bytes.fromhex("".join(
        re.match(r" *((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: {2}|$)", line)[1]
        for line in pieces.splitlines()))
    dumps = [bytes.fromhex(dump) for _, dump in blocks("hex")]
    assert len(data).to_bytes(4, "big") + data == dumps[-1]


@pytest.fixture
def paper_server(tmp_path):
    [(_, source)] = blocks("python")
    assert len(source.splitlines()) <= 60
    script = tmp_path / "server.py"
    script.write_text(source)
    return lambda path: Server(script, path,
                               PYTHONPATH=generated_directory())


def arrive(path):
    until = time.monotonic() + 10
    while True:
        try:
            return Weir(f"unix:{path}")
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_paper_server(paper_server, tmp_path):
    path = tmp_path / "demo.sock"
    for _ in range(2):  # the second time over the socket of the first
        with paper_server(path), arrive(path) as weir:
            assert weir.subscriptions() == {
                pb.PHASE_MAIL: False, pb.PHASE_RCPT: True,
                pb.PHASE_SESSION_END: False}
            for session, (sender, action) in enumerate([
                    (b"x@bad.example", REJECT), (b"", RELAY),
                    (b"X@BAD.EXAMPLE", REJECT), (b"a@b.example", RELAY)], 1):
                weir.mail(session, sender)
                got = weir.ask(session, 1, rcpt=rcpt(b"c@d"))
                assert got.action == action
            assert got.reply.code == 0
            weir.send(ping=pb.Ping(token=4))
            assert weir.receive().pong.token == 4
            weir.send(1, cancel=pb.Cancel(seq=1))
            weir.send(drain=pb.Drain())
            weir.send(1, session_end=pb.SessionEnd())
            weir.mail(9, b"x@bad.example")
            batch = b"".join(
                frame(pb.ToPolicy(session=9, seq=n, rcpt=rcpt(b"c@d", n)))
                for n in range(1, 1001))
            weir.send_raw(batch)
            for n in range(1, 1001):
                assert weir.decision(9, n).reply.enhanced == "5.1.1"
            for bad in (b"\xff\xff\xff\xff", b"\0\0\0\x02\xff\xff"):
                with Weir(f"unix:{path}") as other:
                    other.send_raw(bad)
                    assert other.receive() is None
            assert weir.ask(9, 1001, rcpt=rcpt(b"c@d")).action == REJECT


def test_paper_quotes_weir():
    """The words of the tables of mistakes are weir's own."""
    source = "".join(path.read_text() for path in
                     sorted((ROOT / "src").glob("*/*.c")))
    source = re.sub(r'"\s*\n\s*"', "", source)  # strings over several lines
    tables = PAPER.partition("## Common mistakes")[2]
    words = [row for row in re.findall(r"^\| (.+?) \|", tables, re.M)
             if row != "weir's words"]
    assert len(words) > 20
    assert [w for w in words if w not in source] == []


def test_paper_knows_every_phase_and_cause():
    for name, _ in pb.Phase.items():
        if name != "PHASE_UNSPECIFIED":
            assert f"\n| {name[6:]} |" in PAPER, name
    for name, _ in pb.Grant.items():
        if name != "GRANT_UNSPECIFIED":
            assert f"\n| `{name[6:].lower()}` |" in PAPER, name


MANUAL = (ROOT / "doc" / "weir-policy.7").read_text()


def test_manual_examples_are_exact():
    """Each dump of weir-policy(7) is the frame of the message behind it."""
    from google.protobuf import text_format
    found = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", MANUAL,
                       re.S | re.M)
    assert len(found) == 4
    for (dump, words), kind in zip(zip(found[::2], found[1::2]),
                                   (pb.ToPolicy, pb.FromPolicy)):
        assert bytes.fromhex(dump) == frame(text_format.Parse(words, kind()))


def test_manual_knows_every_message_phase_action_grant_and_cause():
    for kind in (pb.ToPolicy, pb.FromPolicy):
        for field in kind.DESCRIPTOR.oneofs[0].fields:
            assert field.message_type.name.lower() in \
                MANUAL.replace("_", "").lower(), field.name
    for enum, left in ((pb.Phase, "PHASE_"), (pb.Action, "ACTION_"),
                       (pb.Grant, "GRANT_"), (pb.Scope, "SCOPE_")):
        for name in enum.keys():
            if not name.endswith("_UNSPECIFIED"):
                word = name.removeprefix(left)
                assert re.search(rf"\b{word}\b", MANUAL, re.I), name
    source = (ROOT / "src" / "policy" / "types.c").read_text()
    causes = re.findall(r'\[POLICY_ERROR_\w+\] = "(\w+)"', source)
    assert len(causes) == 7
    for cause in causes:
        assert f"\n.It {cause} Ta" in MANUAL, cause
        assert f"\n| `{cause}` |" in PAPER, cause
