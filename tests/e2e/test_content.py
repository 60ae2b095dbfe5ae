"""Content over stages, splices and credit, on the real daemon."""

import random
import threading

import pytest
from blackbox import decision, pb, wait_for
from policy_harness import run  # noqa: F401

HEAD = b"Subject: hello\r\n\r\n"


def stuffed(content):
    return content.replace(b"\r\n.", b"\r\n..")


def submit(client, content, sender="a@b.example"):
    """Content that begins with a header section; returns the final reply."""
    client.envelope(sender, "c@d.example")
    assert client.ask("DATA").startswith("354")
    return client.raw(stuffed(content) + b".\r\n")


def splice(offset, remove, insert):
    return pb.Splice(offset=offset, remove=remove, insert=insert)


def model(body, splices):
    """What a body becomes, by the words of doc/POLICY.md."""
    out, at = bytearray(), 0

    def join(piece, seam):
        if not piece:
            return seam
        if seam and out.endswith(b"\r") and not piece.startswith(b"\n"):
            out.extend(b"\n")
        if seam and not out.endswith(b"\r") and piece.startswith(b"\n"):
            out.extend(b"\r")
        out.extend(piece)
        return False

    seam = False
    for one in splices:
        seam = join(body[at:one.offset], seam) or True
        join(one.insert, True)
        at = one.offset + one.remove
    join(body[at:], seam)
    if splices and out and not out.endswith(b"\r\n"):
        out.extend(b"\n" if out.endswith(b"\r") else b"\r\n")
    return bytes(out)


class Editor:
    """Splices at the end of each message as `choose` says of its body."""

    def __init__(self, choose):
        self.choose, self.policy = choose, None
        self.body = self.splices = None

    def __call__(self, event, connection):
        if event.WhichOneof("event") != "end_of_message":
            return decision()
        self.body = b"".join(e.body.data for e in self.policy.seen("body"))
        self.splices = self.choose(self.body)
        return decision(body=self.splices)


def editor(bench, choose, **keys):
    made = Editor(choose)
    made.policy = bench.policy(decide=["end_of_message"], notify=["body"],
                               answer=made,
                               keys={"grants": '{"body"}', **keys})
    return made


FOOTER = """
policy = Policy()

@policy.end_of_message
def footer(session, event):
    return relay().splice(len(session.message.body),
                          insert=b"-- \\r\\n.a footer\\r\\n")
"""


def test_a_footer_by_the_python_package(bench, run):
    mx = bench.mx()
    bench.weir(more=f'policy "footer" {{ endpoint = "{run(FOOTER).endpoint}"'
                    ' grants = {"body"} }\n')
    bench.proxy.wait_log("event=policy.ready")
    with bench.proxy.connect() as client:
        assert submit(client, HEAD + b"one\r\n.two\r\n").startswith("250")
    assert mx.messages[0].data == \
        HEAD + b"one\r\n..two\r\n-- \r\n..a footer\r\n"


def lines(size):
    """About so many octets in lines, some of which begin with dots."""
    rng, made, left = random.Random(size), [], size
    while left > 0:
        line = (rng.choice([b"", b".", b"..", b"x"]) +
                rng.randbytes(rng.randrange(60)).hex().encode() + b"\r\n")
        made.append(line)
        left -= len(line)
    return b"".join(made)


def some(seed, count):
    """Chooses splices anywhere, in the middle of line ends, too."""
    def choose(body):
        rng = random.Random(seed)
        made, at = [], 0
        for offset in sorted(rng.sample(range(len(body)), count)):
            if offset < at:
                continue
            remove = min(rng.choice([0, 0, 1, 2, 3, 100]), len(body) - offset)
            made.append(splice(offset, remove, rng.choice(
                [b"", b"new", b".", b"\r\n", b"\r\n.\r\n", b"a\r\n" * 100])))
            at = offset + remove
        return made + [splice(len(body), 0, b"end")]
    return choose


def test_5_mb_spliced_in_two_stages(bench):
    mx = bench.mx()
    first = editor(bench, some(1, 3000), stage=1)
    second = editor(bench, some(2, 3000), stage=2)
    bench.weir()
    body = lines(5_000_000)
    with bench.proxy.connect() as client:
        assert submit(client, HEAD + body).startswith("250")
    assert first.body == body
    assert second.body == model(body, first.splices)
    assert mx.messages[0].data == \
        stuffed(HEAD + model(second.body, second.splices))
    size = first.policy.one("end_of_message").size
    assert size == len(HEAD + body)
    assert second.policy.one("end_of_message").size == \
        len(HEAD) + len(second.body)


def octets(policy, session):
    """How much of the body the policy was shown."""
    return sum(len(e.body.data) for e in policy.seen("body")
               if e.session == session)


def credit_of(event, offset):
    return pb.FromPolicy(session=event.session, credit=pb.Credit(
        max_offset=offset, message=event.body.message))


@pytest.fixture
def stingy(bench):
    """A decider that gives no credit of its own, and its MX."""
    bench.mx()
    return bench.policy(decide=["end_of_message"], notify=["body"],
                        credit=1000, keys={"timeout": "3s",
                                           "on_error": '"tempfail"'})


def test_who_waits_for_credit_waits_alone(bench, stingy):
    """Two sessions on one policy connection: one gets credit, one does not."""
    bench.weir()
    body = lines(300_000)
    replies = {}

    def deliver(name):
        with bench.proxy.connect() as client:
            replies[name] = submit(client, HEAD + body, f"{name}@b.example")

    slow = threading.Thread(target=deliver, args=["slow"])
    slow.start()
    first = stingy.wait("body")[0]
    wait_for(lambda: octets(stingy, first.session) == 1000, "1000 octets")
    quick = threading.Thread(target=deliver, args=["quick"])
    quick.start()
    second = wait_for(lambda: [e for e in stingy.seen("body")
                               if e.session != first.session], "another")[0]
    assert len(stingy.connections) == 1
    stingy.send(credit_of(second, 1 << 30))
    quick.join(8)
    assert replies == {"quick": replies["quick"]}
    assert replies["quick"].startswith("250")
    assert octets(stingy, first.session) == 1000
    stingy.send(credit_of(first, 1 << 30))
    slow.join(8)
    assert replies["slow"].startswith("250")
    assert [m.data for m in bench.server.messages] == \
        [stuffed(HEAD + body)] * 2


def test_no_credit_until_timeout_is_on_error(bench, stingy):
    bench.weir()
    with bench.proxy.connect() as client:
        reply = submit(client, HEAD + lines(5000))
        assert reply.startswith("451 4.7.1"), reply
        end = wait_for(lambda: stingy.seen("end_of_message"), "the end")[0]
        assert end.seq == 0 and end.end_of_message.gaps[0].offset == 1000
    row, = bench.proxy.wait_rows("SELECT * FROM decisions WHERE error NOT NULL")
    assert row["phase"] == "body" and "timeout" in row["error"], row


def test_credit_for_another_message_is_dropped_and_counted(bench, stingy):
    bench.weir()
    with bench.proxy.connect() as client:
        client.envelope("a@b.example", "c@d.example")
        assert client.ask("DATA").startswith("354")
        client.send(stuffed(HEAD + lines(5000)) + b".\r\n")
        event, = stingy.wait("body")
        late = credit_of(event, 1 << 30)
        late.credit.message += 1
        stingy.send(late)
        name = ('weir_policy_answers_dropped_total'
                '{policy="p0",why="late"}')
        wait_for(lambda: bench.proxy.metric(name) == 1, name)
        assert octets(stingy, event.session) == 1000
        stingy.send(credit_of(event, 1 << 30))
        assert client.reply().startswith("250")


def test_observers_are_told_their_gaps(bench):
    mx = bench.mx()
    p = bench.policy(notify=["body", "end_of_message"], credit=1000)
    bench.weir()
    body = lines(50_000)
    with bench.proxy.connect() as client:
        assert submit(client, HEAD + body).startswith("250")
    end = p.one("end_of_message")
    assert [(g.offset, g.length) for g in end.gaps] == \
        [(1000, len(body) - 1000)]
    assert b"".join(e.body.data for e in p.seen("body")) == body[:1000]
    assert mx.messages[0].data == stuffed(HEAD + body)


def test_a_slow_reader_of_the_second_stage_is_no_overload(bench):
    """The spool is read as fast as the policy takes it, and no faster."""
    mx = bench.mx()
    bench.policy(decide=["end_of_message"], keys={"stage": 1})

    class Slow(type(bench.policies[0])):
        def _read(self, connection, size):
            if size > 30000 and len(self.events) < 300:
                threading.Event().wait(0.005)
            return super()._read(connection, size)

    slow = Slow(bench.place / "slow.sock", decide=["end_of_message"],
                notify=["body"], name="slow")
    slow.keys = {"stage": 2, "message_timeout": "20s"}
    bench.opened.callback(slow.close)
    bench.policies.append(slow)
    bench.weir()
    body = lines(8_000_000)
    with bench.proxy.connect() as client:
        assert submit(client, HEAD + body).startswith("250")
    assert b"".join(e.body.data for e in slow.seen("body")) == body
    assert mx.messages[0].data == stuffed(HEAD + body)
