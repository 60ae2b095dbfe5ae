"""Milters behind weir: each answer, each change, each failure of a filter."""

import re
import threading
import time

import milter as M
import pytest
from blackbox import wait_for

MESSAGE = ("Received: here\r\nSubject:  two\r\nX-Dup: 1\r\nX-Dup:\t2\r\n"
           "X-Dup: 3\r\nX-Gone: x\r\nFold: a\r\n b\r\n\tc  \r\n"
           "Fold:\r\n x\r\nEmpty:\r\nLast: 1 \r\n\r\n"
           "body\r\n..dot\r\nlast\r\n")


def sent(desk):
    """The messages that the MX got, as (header lines, body)."""
    found = []
    for message in desk.bench.server.messages:
        head, _, body = message.data.partition(b"\r\n\r\n")
        found.append((re.split(rb"\r\n(?![ \t])", head), body))
    return found


def headers(*lines):
    return [line.encode() if isinstance(line, str) else line
            for line in lines]


# ------------------------------------------------------------------ answers

REPLIES = [
    (M.REJECT, "550 5.7.1 Command rejected\r\n"),
    (M.TEMPFAIL, "451 4.7.1 Service unavailable - try again later\r\n"),
    (M.reply_code(b"550-5.7.0 100%% no\r\n550 5.7.0 two %\0"[:-1]),
     "550-5.7.0 100% no\r\n550 5.7.0 two \r\n"),
    (M.reply_code(b"450 4.2.0 later"), "450 4.2.0 later\r\n"),
]


@pytest.mark.parametrize("letter", "MRTLNBE")
def test_a_refusal_at_each_command(desk, letter):
    milter = desk.milter("m")
    with desk.weir(milter).connect() as client:
        for answer, said in REPLIES:
            milter.script[letter] = answer
            replies = [client.ask("MAIL FROM:<a@example.org>"),
                       client.ask("RCPT TO:<b@example.net>")]
            if letter not in "MR":
                replies.append(client.content(MESSAGE))
            assert replies["MR".find(letter)
                           if letter in "MR" else -1] == said
            client.ask("RSET")
        # the session goes on with another message
        milter.script.clear()
        assert client.deliver().startswith("250")
    assert len(sent(desk)) == 1


@pytest.mark.parametrize("letter", "CH")
def test_a_refused_session(desk, letter):
    milter = desk.milter("m", {letter: M.reply_code(b"554 5.7.1 go away")})
    with desk.weir(milter).connect(hello=False) as client:
        said = [client.reply(), client.ask("EHLO client.example.org"),
                client.ask("MAIL FROM:<a@example.org>")]
        assert "554" in said["CH".index(letter)][:3], said
        assert said[2].startswith("5"), said
    assert not sent(desk)


@pytest.mark.parametrize("answer", [M.SHUTDOWN, M.CONN_FAIL,
                                    M.reply_code(b"421 4.3.0 bye")])
def test_disconnecting(desk, answer):
    milter = desk.milter("m", {"R": answer})
    with desk.weir(milter).connect() as client:
        client.ask("MAIL FROM:<a@example.org>")
        assert client.ask("RCPT TO:<b@example.net>").startswith("421")
        assert client.reply() == ""


@pytest.mark.parametrize("letter", "CHMRTLNBE")
def test_accept_is_not_asked_again(desk, letter):
    milter = desk.milter("m", {letter: M.ACCEPT})
    with desk.weir(milter).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("250")
        assert client.deliver(text=MESSAGE).startswith("250")
    session, = milter.sessions
    told = "".join(kind for kind, _ in session.log if kind not in "OAQ")
    order = "CHMRTLNBE"
    first = order[:order.index(letter) + 1]
    # the session is accepted for good, a message for itself
    assert re.sub("L+", "L", told) == \
        (first if letter in "CH" else first + first[2:])
    assert len(sent(desk)) == 2


def test_discard(desk):
    milter = desk.milter("m")
    with desk.weir(milter).connect() as client:
        for count, letter in enumerate("MRTLNBE", 1):
            milter.script[letter] = M.DISCARD
            assert client.deliver("a@example.org", "b@example.net",
                                  "c@example.net",
                                  text=MESSAGE).startswith("250"), letter
            milter.script.clear()
            assert client.deliver(text=MESSAGE).startswith("250")
            assert len(sent(desk)) == count, letter


def test_discard_must_be_granted(desk):
    milter = desk.milter("m", {"E": M.DISCARD})
    with desk.weir(milter, grants=("headers",)).connect() as client:
        assert client.deliver().startswith("451")
    desk.bridge.wait_log("weir.conf does not grant discard")
    assert not sent(desk)


def test_skip_ends_the_body(desk):
    milter = desk.milter("m", {"B": M.SKIP})
    with desk.weir(milter).connect() as client:
        body = "x" * 70 + "\r\n"
        assert client.deliver(
            text="A: 1\r\n\r\n" + 10000 * body).startswith("250")
    session, = milter.sessions
    assert len(session.told("B")) == 1
    assert len(session.told("E")) == 1


def test_what_is_not_wanted_is_not_sent(desk):
    quiet = desk.milter("quiet", protocol=(
        M.NOCONNECT | M.NOHELO | M.NOMAIL | M.NORCPT | M.NODATA | M.NOHDRS |
        M.NOEOH | M.NOBODY | M.NOUNKNOWN))
    mute = desk.milter("mute", silent="CHMRTLNBU", protocol=(
        M.NR_CONN | M.NR_HELO | M.NR_MAIL | M.NR_RCPT | M.NR_DATA |
        M.NR_HDR | M.NR_EOH | M.NR_BODY | M.NR_UNKN))
    with desk.weir(quiet, mute).connect() as client:
        client.ask("FOO bar")
        assert client.deliver(text=MESSAGE).startswith("250")
    assert [kind for kind, _ in quiet.sessions[0].log if kind != "Q"] == \
        ["O", "E"]
    wait_for(lambda: mute.sessions[0].told("Q"), "QUIT")
    assert re.sub("L+", "L", "".join(k for k, _ in mute.sessions[0].log)) \
        == "OCHUMRTLNBEQ"


def test_a_body_without_answers_is_paced(desk):
    """NR_BODY and a filter that reads slowly: memory stays where it is."""
    def slowly(session, payload):
        time.sleep(0.005)
        return b""
    milter = desk.milter("m", {"B": slowly}, protocol=M.NR_BODY)
    with desk.weir(milter).connect() as client:
        body = ("x" * 76 + "\r\n") * 120000     # 9.4 MB
        assert client.deliver(text=f"A: 1\r\n\r\n{body}").startswith("250")
    assert len(milter.sessions[0].body) == len(body)
    assert desk.bridge.resident() < 400     # of a sanitizer's, too


@pytest.mark.parametrize("version,told", [
    (2, "OCHMRLNBE"), (3, "OCHUMRLNBE"), (4, "OCHUMRTLNBE"),
    (6, "OCHUMRTLNBE")])
def test_older_versions(desk, version, told):
    milter = desk.milter("m", version=version)
    with desk.weir(milter).connect() as client:
        client.ask("FOO bar")
        assert client.deliver(text=MESSAGE).startswith("250")
    wait_for(lambda: milter.sessions[0].told("Q"), "QUIT")
    assert re.sub("L+", "L", "".join(
        k for k, _ in milter.sessions[0].log)) == told + "Q"


def test_macros_and_those_a_filter_chooses(desk):
    milter = desk.milter("m", symbols={
        2: b"{mail_addr} i {client_addr}", 5: b""})
    proxy = desk.weir(milter)
    with proxy.connect() as client:
        assert client.deliver("a@example.org", "b@example.net",
                              text=MESSAGE).startswith("250")
    macros = milter.sessions[0].macros
    connect = macros["C"]
    assert connect[b"j"] == b"mx.example.net"
    assert connect[b"v"].startswith(b"weir/")
    assert connect[b"{daemon_name}"] == b"fixed"
    assert connect[b"{client_addr}"] == connect[b"{if_addr}"] == b"127.0.0.1"
    assert connect[b"{client_port}"].isdigit()
    row, = proxy.wait_rows("SELECT * FROM transactions")
    assert macros["M"] == {
        b"{mail_addr}": b"a@example.org", b"{client_addr}": b"127.0.0.1",
        b"i": str(row["id"]).encode()}
    assert macros["R"] == {
        b"i": macros["M"][b"i"], b"{rcpt_addr}": b"b@example.net",
        b"{rcpt_host}": b"example.net", b"{rcpt_mailer}": b"smtp"}
    assert macros["E"] == {}


def test_the_null_sender(desk):
    milter = desk.milter("m")
    with desk.weir(milter).connect() as client:
        client.ask("MAIL FROM:<> SIZE=100")
    assert milter.sessions[0].told("M") == [b"<>\0SIZE=100\0"]
    assert milter.sessions[0].macros["M"][b"{mail_addr}"] == b""


def test_everything_pipelined(desk):
    milter = desk.milter("m", {"R": lambda s, p: M.reply_code(
        b"550 5.1.1 " + p.split(b"\0")[0]) if b"7" in p else M.CONTINUE})
    with desk.weir(milter).connect() as client:
        client.send(b"MAIL FROM:<a@example.org>\r\n" + b"".join(
            b"RCPT TO:<u%d@example.net>\r\n" % n for n in range(20))
            + b"DATA\r\n")
        replies = client.replies(22)
        assert [r[:3] for r in replies] == ["250"] + [
            "550" if "7" in str(n) else "250" for n in range(20)] + ["354"]
        assert replies[8] == "550 5.1.1 <u7@example.net>\r\n"
        assert client.raw(b"A: 1\r\n\r\nx\r\n.\r\n").startswith("250")
    message, = desk.bench.server.messages
    assert len(message.recipients) == 18


# ------------------------------------------------------------------ changes

CHANGES = [
    M.add_header(b"X-Add", b"added"), M.insert_header(0, b"X-Top", b"top"),
    M.insert_header(1, b"X-One", b"one"), M.insert_header(999, b"X-Far", b"f"),
    M.add_header(b"X-Fold", b"a\n\tb\nc"),
    M.change_header(2, b"x-dup", b"new"),
    M.change_header(9, b"X-Dup", b"nine"), M.change_header(1, b"X-Gone", b""),
    M.change_header(1, b"X-Top", b"top2"), M.CONTINUE,
]
CHANGED = [
    b"X-Top: top2", b"X-One: one", b"Received: here", b"Subject:  two",
    b"X-Dup: 1", b"x-dup: new", b"X-Dup: 3", b"Fold: a\r\n b\r\n\tc  ",
    b"Fold:\r\n x", b"Empty:", b"Last: 1 ", b"X-Add: added", b"X-Far: f",
    b"X-Fold: a\r\n\tb\r\n\tc", b"X-Dup: nine"]


@pytest.mark.parametrize("last", [M.CONTINUE, M.ACCEPT])
def test_header_changes(desk, last):
    milter = desk.milter("m", {"E": [*CHANGES[:-1], last]})
    with desk.weir(milter).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("250")
    (lines, body), = sent(desk)
    assert lines == CHANGED
    assert body == b"body\r\n..dot\r\nlast\r\n"


def test_a_refused_message_is_not_changed(desk):
    milter = desk.milter("m", {"E": [*CHANGES[:-1], M.REJECT]})
    with desk.weir(milter).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("550")
    assert not sent(desk)


def test_header_changes_must_be_granted(desk):
    milter = desk.milter("m", {"E": CHANGES})
    with desk.weir(milter, grants=()).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("451")
    desk.bridge.wait_log("weir.conf does not grant headers")


def test_a_later_milter_sees_what_the_former_changed(desk):
    first = desk.milter("first", {"E": CHANGES})
    second = desk.milter("second", protocol=M.LEADSPC, script={"E": [
        M.change_header(1, b"X-Top", b""), M.add_header(b"X-2", b" 2"),
        M.CONTINUE]})
    with desk.weir(first, second).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("250")
    shown = [payload[:-1].replace(b"\0", b":", 1).replace(b"\n", b"\r\n")
             for payload in second.sessions[0].told("L")]
    assert shown == CHANGED
    assert second.sessions[0].body == b"body\r\n.dot\r\nlast\r\n"
    (lines, _), = sent(desk)
    assert lines == CHANGED[1:] + [b"X-2: 2"]


def test_the_first_refusal_ends_the_row(desk):
    first = desk.milter("first", {"R": M.REJECT})
    second = desk.milter("second")
    third = desk.milter("third", protocol=M.RCPT_REJ)
    with desk.weir(first, second, third).connect() as client:
        client.ask("MAIL FROM:<a@example.org>")
        assert client.ask("RCPT TO:<b@example.net>").startswith("550 5.7.1")
    assert second.sessions[0].told("M") and not second.sessions[0].told("R")
    # who asked for refused recipients is told, with the reason
    assert third.sessions[0].told("R") == [b"<b@example.net>\0"]
    assert third.sessions[0].macros["R"][b"{rcpt_mailer}"] == b"error"
    assert third.sessions[0].macros["R"][b"{rcpt_host}"] == b"5.7.1"


NEW_BODIES = [
    ([b"new\r\n"], b"new\r\n"),
    ([b"ne", b"w\r", b"\nbody\r\n"], b"new\r\nbody\r\n"),
    ([b"unix\nlines\n"], b"unix\r\nlines\r\n"),
    ([b".dot\r\n..two\r\n"], b"..dot\r\n...two\r\n"),
    ([b"no end"], b"no end\r\n"),
    ([b"mac\rline"], b"mac\r\nline\r\n"),
    ([b""], b""),
    ([b"x" * 60000 + b"\r\n"] * 10, (b"x" * 60000 + b"\r\n") * 10),
]


@pytest.mark.parametrize("pieces,body", NEW_BODIES, ids=range(len(NEW_BODIES)))
def test_a_new_body(desk, pieces, body):
    milter = desk.milter("m", {"E": [
        M.replace_body(pieces[0]), M.add_header(b"X-A", b"b"),
        *map(M.replace_body, pieces[1:]), M.CONTINUE]})
    with desk.weir(milter).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("250")
    (lines, delivered), = sent(desk)
    assert delivered == body
    assert lines[-1] == b"X-A: b"


def test_a_new_body_is_what_the_next_milter_sees(desk):
    def append(session, payload):
        return [M.replace_body(session.body + b"seen\r\n"), M.CONTINUE]
    milters = [desk.milter(name, {"E": append}) for name in "abc"]
    with desk.weir(*milters).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("250")
        assert client.deliver(text="A: 1\r\n\r\n").startswith("250")
    assert [body for _, body in sent(desk)] == \
        [b"body\r\n..dot\r\nlast\r\n" + 3 * b"seen\r\n", 3 * b"seen\r\n"]


def test_a_new_body_must_be_granted(desk):
    milter = desk.milter("m", {"E": [M.replace_body(b"new"), M.CONTINUE]})
    with desk.weir(milter, grants=("headers",)).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("451")
    desk.bridge.wait_log("weir.conf does not grant body")


@pytest.mark.parametrize("pieces", [20, 2000])
def test_a_new_body_must_fit(desk, pieces):
    milter = desk.milter("m", {"E": [
        *[M.replace_body(b"y" * 65000)] * pieces, M.CONTINUE]})
    with desk.weir(milter).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("451")
    desk.bridge.wait_log("fit a frame to weir")
    assert desk.bridge.resident() < 400


UNSUPPORTED = [
    ("chgfrom", M.texts(b"e", b"<x@example.org>")),
    ("addrcpt", M.texts(b"+", b"<x@example.org>")),
    ("addrcpt_par", M.texts(b"2", b"<x@example.org>", b"NOTIFY=NEVER")),
    ("delrcpt", M.texts(b"-", b"<b@example.net>")),
    ("quarantine", M.texts(b"q", b"suspicious")),
]


@pytest.mark.parametrize("word,code", [
    ("tempfail", "451"), ("reject", "550"), ("ignore", "250"), (None, "451")])
def test_what_weir_cannot_do(desk, word, code):
    milter = desk.milter("m")
    options = ("--on-quarantine", word, "--on-envelope", word) if word else ()
    with desk.weir(milter, options=options).connect() as client:
        for name, change in UNSUPPORTED:
            milter.script["E"] = [change, M.add_header(b"A", b"b"), M.CONTINUE]
            assert client.deliver().startswith(code), name
            desk.bridge.wait_log(f"change={name} outcome={word or 'tempfail'}")
    desk.bridge.wait_log("unsupported=0xec")
    assert [lines[-1] for lines, _ in sent(desk)] == \
        (5 * [b"A: b"] if code == "250" else [])


# ----------------------------------------------------------------- failures

def hang(session, payload):
    time.sleep(10)


def die(session, payload):
    session.socket.close()
    raise OSError


FAILURES = [
    ("silent", hang), ("crash", die), ("letter", b"z"),
    ("cut", lambda s, p: s.socket.sendall(b"\0\0\0\0")),
    ("http", lambda s, p: s.socket.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")),
    ("code", M.reply_code(b"250 fine")),
    ("twice", lambda s, p: s.socket.sendall(2 * M.packet(M.CONTINUE)) or b""),
]


@pytest.mark.parametrize("name,failure", FAILURES, ids=[
    name for name, _ in FAILURES])
def test_a_filter_that_fails(desk, name, failure):
    """The message is put off, the next one finds the filter anew."""
    milter = desk.milter("m")
    times = ("--command-timeout", "700ms", "--content-timeout", "700ms",
             "--connect-timeout", "700ms")
    with desk.weir((*times, milter.address)).connect() as client:
        # behind an answer to OPTNEG and BODYEOB nothing is asked at once
        for letter in "MRLB" if name == "twice" else "MRLBEO":
            if letter == "O":       # it is asked only where there is none
                die_at_mail(milter, client)
            milter.script[letter] = failure
            said = [client.ask("MAIL FROM:<a@example.org>"),
                    client.ask("RCPT TO:<b@example.net>")]
            if said[1].startswith("250"):
                said.append(client.content(MESSAGE))
            assert any(r == "451 4.7.1 Service unavailable - try again "
                       "later\r\n" for r in said), (letter, said)
            assert not sent(desk)
            milter.script.clear()
            client.ask("RSET")
            assert client.deliver(text=MESSAGE).startswith("250"), letter
            desk.bench.server.messages.clear()
            # it was told who is there, as if it had been there all the time
            last = milter.sessions[-1]
            assert [k for k, _ in last.log][:4] == ["O", "C", "H", "M"]
            assert last.told("H") == [b"client.example.org\0"]
    assert "event=milter.failed" in desk.bridge.log


def die_at_mail(milter, client):
    milter.script["M"] = die
    assert client.ask("MAIL FROM:<a@example.org>").startswith("451")
    milter.script.clear()


@pytest.mark.parametrize("letter", "OME")
@pytest.mark.parametrize("word,code", [("accept", "250"), ("reject", "550"),
                                       ("tempfail", "451")])
def test_the_default_action(desk, letter, word, code):
    milter = desk.milter("m", {letter: die})
    with desk.weir(("--default-action", word, milter.address)
                   ).connect() as client:
        said = client.ask("MAIL FROM:<a@example.org>")
        if said.startswith("250"):
            client.ask("RCPT TO:<b@example.net>")
            said = client.content(MESSAGE)
        assert said.startswith(code)
    assert len(sent(desk)) == (word == "accept")


def test_changes_of_a_filter_that_dies_are_not_made(desk):
    def half(session, payload):
        for change in CHANGES[:-1]:
            session.send(change)
        die(session, payload)
    first = desk.milter("first", {"E": half})
    second = desk.milter("second")
    with desk.weir(("--default-action", "accept", first.address),
                   ("--default-action", "tempfail", second.address)
                   ).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("250")
    (lines, _), = sent(desk)
    assert lines[0] == b"Received: here"
    assert second.sessions[0].body == b"body\r\n.dot\r\nlast\r\n"


def test_nobody_there_and_then_somebody(desk):
    milter = desk.milter("m")
    milter.close()
    with desk.weir(milter).connect() as client:
        assert client.ask("MAIL FROM:<a@example.org>").startswith("451")
        desk.bridge.wait_log("nobody listens there")
        milter.listen()
        assert client.deliver().startswith("250")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_over_tcp(desk, address):
    milter = M.Milter(address)
    desk.opened.callback(milter.close)
    with desk.weir(milter).connect() as client:
        assert client.deliver().startswith("250")
        # it restarts: the next message finds the new one
        milter.close()
        assert client.ask("MAIL FROM:<a@example.org>").startswith("451")
        milter.listen()
        assert client.deliver().startswith("250")


def test_a_change_that_was_not_negotiated(desk):
    milter = desk.milter("m", {"E": CHANGES}, actions=M.CHGBODY)
    with desk.weir(milter).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("451")
    desk.bridge.wait_log("it changes what it did not ask to change")


def test_a_change_before_the_end(desk):
    milter = desk.milter("m", {"N": [M.add_header(b"A", b"b"), M.CONTINUE]})
    with desk.weir(milter).connect() as client:
        assert client.deliver(text=MESSAGE).startswith("451")
    desk.bridge.wait_log("it changes the message before its end")


def test_progress_and_patience(desk):
    """Longer than weir would wait by itself, and than the filter may be
    silent."""
    slow = [part for _ in range(4) for part in (0.5, M.PROGRESS)]
    milter = desk.milter("m", {"E": [*slow, M.CONTINUE], "M": [
        1.2, M.CONTINUE]})
    with desk.weir(("--content-timeout", "1500ms", milter.address),
                   keys="timeout = 1s message_timeout = 1s"
                   ).connect() as client:
        begun = time.monotonic()
        assert client.deliver(text=MESSAGE).startswith("250")
        assert time.monotonic() - begun > 2


def test_a_client_that_leaves_in_the_middle(desk):
    """RSET and a lost connection: ABORT, QUIT, and nothing delivered."""
    milter = desk.milter("m", {"E": hang})
    proxy = desk.weir(milter)
    with proxy.connect() as client:
        client.envelope()
        assert client.ask("RSET").startswith("250")
        session, = milter.sessions
        wait_for(lambda: session.told("A"), "ABORT")
        client.envelope()
        client.ask("DATA")
        client.send(MESSAGE.encode() + b".\r\n")
        wait_for(lambda: session.told("E"), "end of the message")
    # it was cut off while it thought
    proxy.wait_rows("SELECT * FROM transactions WHERE outcome = 'aborted'")
    assert not sent(desk)
    milter.script.clear()
    with proxy.connect() as client:
        assert client.deliver().startswith("250")


def test_large_bodies_for_two(desk):
    """The second filter reads from the disk; the bridge keeps small."""
    first, second = desk.milter("first"), desk.milter("second")
    body = ("x" * 76 + "\r\n") * 120000     # 9.4 MB
    with desk.weir(first, second).connect() as client:
        assert client.deliver(text=f"A: 1\r\n\r\n{body}").startswith("250")
    assert first.sessions[0].body == second.sessions[0].body == body.encode()
    assert max(len(p) for p in first.sessions[0].told("B")) <= 65535
    (_, delivered), = sent(desk)
    assert delivered == body.encode()
    assert desk.bridge.resident() < 400


def test_one_slow_session_delays_no_other(desk):
    go = threading.Event()
    milter = desk.milter("m", {
        "M": lambda s, p: go.wait(20) and None if b"slow@" in p else None})
    proxy = desk.weir(milter)
    with proxy.connect() as waiting:
        waiting.send(b"MAIL FROM:<slow@example.org>\r\n")
        wait_for(lambda: milter.sessions and milter.sessions[0].told("M"),
                 "the slow one")
        for _ in range(10):
            with proxy.connect() as client:
                assert client.deliver().startswith("250")
        assert not go.is_set()
        go.set()
        assert waiting.reply().startswith("250")


def test_weir_dies_while_a_filter_thinks(desk):
    milter = desk.milter("m", {"E": hang})
    proxy = desk.weir(milter)
    with proxy.connect() as client:
        client.envelope()
        client.ask("DATA")
        client.send(MESSAGE.encode() + b".\r\n")
        session, = milter.sessions
        wait_for(lambda: session.told("E"), "end of the message")
        proxy.process.kill()
        proxy.process.wait()
    proxy.stop = lambda: 0      # it is dead, and shall be
    begun = time.monotonic()
    assert desk.bridge.stop() == 0
    assert time.monotonic() - begun < 8


def test_a_message_survives_the_bridge(desk):
    """weir tells the new bridge all of it, and the filter decides anew."""
    milter = desk.milter("m", {"E": hang})
    proxy = desk.weir(milter)
    with proxy.connect() as client:
        client.envelope()
        client.ask("DATA")
        client.send(MESSAGE.encode() + b".\r\n")
        wait_for(lambda: milter.sessions[0].told("E"), "end of the message")
        milter.script["E"] = CHANGES
        desk.bridge.kill()
        desk.bridge.start()
        assert client.reply().startswith("250")
    (lines, body), = sent(desk)
    assert lines == CHANGED
    assert body == b"body\r\n..dot\r\nlast\r\n"
    again = [s for s in milter.sessions[1:] if s.told("E")]
    assert len(again) == 1
    assert again[0].told("H") == milter.sessions[0].told("H")
    assert again[0].told("L") == milter.sessions[0].told("L")
    assert again[0].macros["M"] == milter.sessions[0].macros["M"]


def test_killed_again_and_again(desk):
    """What got a 250 is there, once and signed; what got a 4xx is not."""
    milter = desk.milter("m", {"E": [M.add_header(b"X-Signed", b"yes"),
                                     M.CONTINUE]})
    proxy = desk.weir(milter)
    accepted, deferred, number = [], [], 0
    until = time.monotonic() + 4
    killer = threading.Thread(target=kill_until, args=(desk.bridge, until))
    killer.start()
    while time.monotonic() < until or not accepted:
        with proxy.connect(hello=False) as client:
            if not client.reply().startswith("220") or \
                    not client.ask("EHLO me").startswith("250"):
                continue
            for _ in range(20):
                number += 1
                text = f"X-Number: {number}\r\n\r\nHello.\r\n"
                said = client.ask("MAIL FROM:<a@example.org>")
                if said.startswith("250"):
                    said = client.ask("RCPT TO:<b@example.net>")
                if said.startswith("250"):
                    said = client.content(text)
                (accepted if said.startswith("250") else deferred
                 ).append(number)
                assert said.startswith(("250", "4")), said
                if said.startswith("421"):
                    break
                client.ask("RSET")
    killer.join()
    got = [int(lines[0].split()[1]) for lines, _ in sent(desk)]
    assert got == accepted
    assert all(lines[1] == b"X-Signed: yes" for lines, _ in sent(desk))
    assert len(accepted) + len(deferred) == number


def kill_until(bridge, until):
    while time.monotonic() < until:
        time.sleep(0.4)
        bridge.kill()
        time.sleep(0.1)
        bridge.start()


def test_the_negotiation_is_the_one_of_postfix(desk):
    milter = desk.milter("m")
    with desk.weir(milter).connect():
        pass
    assert milter.sessions[0].offer == (6, 0x1ff, 0x1fffff)
