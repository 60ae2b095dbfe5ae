"""What weir promises to client and MX, one by one, on the real daemon."""

import json
import re
import socket
import subprocess
import time

import pytest
import weir
from blackbox import (REJECT, Gone, decision, pb, wait_for)

MESSAGE = b"Subject: hello\r\n\r\n..dot\r\nbody\r\n"
MODES = ["stream", "hold"]


def weir_in(bench, mode, **options):
    if mode == "hold":
        bench.policy(decide=["end_of_message"])
    return bench.weir(**options)


def data(client, message=MESSAGE):
    assert client.envelope()[0].startswith("250")
    assert client.ask("DATA").startswith("354")
    return client.raw(message + b".\r\n")


# ------------------------------------------------ 1. never answer for the MX

@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reply", [b"250 2.6.0 mine <1@x>\r\n",
                                   b"451-4.3.0 a\r\n451 4.3.0 b\r\n",
                                   b"554 no enhanced\r\n", b"250\r\n"])
def test_the_final_reply_is_the_mxs(bench, mode, reply):
    bench.mx(script={"dot": reply})
    with weir_in(bench, mode).connect() as client:
        assert data(client).encode() == reply
        assert client.ask("NOOP")[:3] == "250"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("at", ["greeting", "EHLO", "MAIL", "RCPT", "DATA",
                                "dot", "RSET"])
def test_the_mx_disappears(bench, mode, at):
    def gone(session, line):
        raise Gone
    server = bench.mx(script={at: gone})
    with weir_in(bench, mode).connect(hello=False) as client:
        client.send(b"")
        said = [client.reply()]
        for line in (b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n",
                     b"RCPT TO:<c@d.e>\r\n", b"DATA\r\n", MESSAGE + b".\r\n",
                     b"RSET\r\n"):
            if not said[-1] or said[-1][0] in "45":
                break
            said.append(client.raw(line))
        assert said[-1].startswith("421 4."), said
        assert client.rest() == b""
        place = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot",
                 "RSET"].index(at)
        if at == "DATA" and mode == "hold":
            place += 1
        assert len(said) == place + 1, said
    assert len(server.messages) == (at == "RSET")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tail", [b"", b"Sub", b"Subject: x\r\n\r\nbody",
                                  b"x\r", b"x\r\n", b"x\r\n.", b"x\r\n.\r"])
def test_the_client_disappears_in_data(bench, mode, tail):
    ends = []

    def read(session, line):
        session.send(b"354 go\r\n")
        try:
            while True:
                session.more()
        except Gone:
            ends.append(session.buffer)
            raise
    server = bench.mx(script={"DATA": read})
    client = weir_in(bench, mode).connect()
    client.envelope()
    assert client.ask("DATA")[:3] == "354"
    client.send(tail)
    time.sleep(0.02)
    client.close()
    session, = server.sessions
    if mode == "stream":
        wait_for(lambda: ends, "the end upstream")
        assert tail.startswith(ends[0]) and b"\n." not in ends[0], ends
    else:
        wait_for(lambda: session.socket.fileno() == -1, "the end upstream")
        assert "DATA" not in session.lines
    assert not [x for x in session.lines if x in ("QUIT", "RSET")] or \
        mode == "hold"
    assert not server.messages


# ------------------------------------- 2. never alter what no policy altered

def test_commands_pass_byte_for_byte(bench):
    server = bench.mx(script={"XYZZY": b"252-odd\r\n252 \tthing\r\n"})
    sent = ["eHLo  client.example.org", "NOOP  trailing ",
            "mail from:<A@b.Example>  SIZE=12", "rCpt To:<c@D.e> ",
            "VRFY \tx", "EXPN list", "HELP me", "XYZZY  a b", "rset"]
    client = bench.weir().connect(hello=False)
    client.reply()
    replies = [client.ask(line) for line in sent]
    assert replies[-2] == "252-odd\r\n252 \tthing\r\n"
    client.ask("QUIT")
    assert server.lines == [*sent, "QUIT"]


def test_replies_pass_byte_for_byte(bench):
    odd = b"250-first\r\n250-\r\n250-  spaces  \r\n250 2.1.0 end\ttab \r\n"
    bench.mx(script={"greeting": b"220-hi\r\n220-\r\n220 there\r\n",
                     "MAIL": odd, "NOOP": b"250\r\n", "RSET": b"250 lf\n"})
    client = bench.weir().connect(hello=False)
    assert client.reply() == "220-hi\r\n220-\r\n220 there\r\n"
    client.ask("EHLO x")
    assert client.ask("MAIL FROM:<a@b.c>").encode() == odd
    assert client.ask("NOOP") == "250\r\n"
    assert client.ask("RSET") in ("250 lf\n", "250 lf\r\n")


def test_content_passes_byte_for_byte(bench):
    every = bytes(c for c in range(256) if c not in (10, 13))
    message = (every + b"\r\n") * 50 + b"..\r\n..a\r\n" + b"y" * 5000 + b"\r\n"
    for mode in ("hold",):
        server = bench.mx()
        with weir_in(bench, mode).connect() as client:
            assert data(client, message)[:3] == "250"
        assert server.messages[0].data == message


def test_content_passes_byte_for_byte_in_stream_at_every_split(bench):
    server = bench.mx()
    message = b"A: b\r\n\r\n..x\r\n...\r\n.y\r\n"
    with bench.weir().connect() as client:
        whole = message + b".\r\n"
        for cut in range(1, len(whole)):
            client.envelope()
            client.ask("DATA")
            client.send(whole[:cut])
            time.sleep(0.004)
            assert client.raw(whole[cut:])[:3] == "250"
    assert {m.data for m in server.messages} == {message}


@pytest.mark.parametrize("decider", [False, True])
def test_ehlo_reply_loses_what_weir_cannot_honour(bench, decider, place):
    from blackbox import certificate
    bench.mx(extensions=("PIPELINING", "8BITMIME", "SIZE 500", "CHUNKING",
                         "BINARYMIME", "REQUIRETLS", "XCLIENT NAME ADDR",
                         "XFORWARD NAME", "DSN", "SMTPUTF8",
                         "AUTH PLAIN LOGIN", "X-OWN  thing",
                         "ENHANCEDSTATUSCODES"), tls=certificate(place))
    if decider:
        bench.policy(decide=["headers"])
    proxy = bench.weir(upstream='tls = "none"')
    client = proxy.connect(hello=False)
    client.reply()
    reply = client.ask("EHLO x")
    words = [line[4:] for line in reply.splitlines()]
    want = ["mx.example.net", "PIPELINING", "8BITMIME", "SIZE 500",
            "CHUNKING", "BINARYMIME", "DSN", "SMTPUTF8", "AUTH PLAIN LOGIN",
            "X-OWN  thing", "ENHANCEDSTATUSCODES"]
    if decider:
        want = [w for w in want if w not in ("CHUNKING", "BINARYMIME")]
    assert words == want
    assert reply.count("250 ") == 1 and reply.splitlines()[-1][3] == " "


@pytest.mark.parametrize("offered, limit, shown", [
    ("SIZE 500", "1000", "SIZE 500"), ("SIZE 5000", "1000", "SIZE 1000"),
    ("SIZE 0", "1000", "SIZE 1000"), ("SIZE", "1000", "SIZE 1000"),
    ("DSN", "1000", None), ("SIZE 5000", "0", "SIZE 5000")])
def test_size_becomes_the_smaller(bench, offered, limit, shown):
    bench.mx(extensions=(offered,))
    with bench.weir(limits=f"message_size = {limit}").connect(False) as c:
        c.reply()
        words = [x[4:] for x in c.ask("EHLO x").splitlines()]
    assert [w for w in words if w.startswith("SIZE")] == \
        ([shown] if shown else [])


# ------------------------------------------------------ 3. message boundary

LOOKALIKES = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n.\n",
              b"\r.\r\n", b"\n.\r", b"\r.\n", b"\n\n.\r\n", b"\r\r.\r\n"]


def attack(client, lookalike, cut):
    client.envelope()
    assert client.ask("DATA")[:3] == "354"
    text = b"Subject: x\r\n\r\nbody" + lookalike + b"MAIL FROM:<evil@x>\r\n"
    where = text.index(lookalike) + cut
    client.send(text[:where])
    time.sleep(0.01)
    with_end = text[where:] + b"\r\n.\r\n"
    try:
        client.send(with_end)
    except OSError:
        pass
    return client.reply()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_lookalikes_are_refused_and_never_reach_the_mx(bench, mode,
                                                       lookalike):
    seen = []

    def read(session, line):
        session.send(b"354 go\r\n")
        try:
            while b"\r\n.\r\n" not in session.buffer:
                session.more()
        finally:
            seen.append(session.buffer)
        return b"250 what\r\n"
    server = bench.mx(script={"DATA": read})
    proxy = weir_in(bench, mode)
    for cut in range(len(lookalike) + 1):
        with proxy.connect() as client:
            reply = attack(client, lookalike, cut)
            assert reply.startswith("550 5.5.2"), (cut, reply)
    time.sleep(0.05)
    for part in seen:
        assert b"evil" not in part and lookalike not in part
        assert not re.search(rb"[\r\n]\.[\r\n]", part)
    assert not server.messages
    if mode == "hold":
        assert not seen


@pytest.mark.parametrize("value, text, good", [
    ("smuggling", b"a\nb\rc\r\n", True), ("smuggling", b"a\n.b\r\n", True),
    ("reject", b"a\nb\r\n", False), ("reject", b"a\rb\r\n", False),
    ("pass", b"a\nb\r\n", True), ("pass", b"a\n.\nb\r\n", True)])
def test_bare_newline(bench, value, text, good):
    server = bench.mx()
    with bench.weir(limits=f'bare_newline = "{value}"').connect() as client:
        reply = data(client, b"A: b\r\n\r\n" + text)
    assert reply.startswith("250" if good else "550 5.5.2"), reply
    if good:
        assert server.messages[0].data.endswith(text)
    else:
        assert not server.messages


def test_a_lookalike_in_hold_keeps_the_session(bench):
    server = bench.mx()
    with weir_in(bench, "hold").connect() as client:
        assert data(client, b"a\n.\r\nb\r\n").startswith("550 5.5.2")
        assert data(client)[:3] == "250"
    assert len(server.messages) == 1


# --------------------------------------------------------------- 10. relay

def test_unlisted_client_is_refused(bench):
    server = bench.mx()
    proxy = bench.weir(listener='allow = {"192.0.2.0/24"}')
    with proxy.connect(hello=False) as client:
        assert re.match(r"421 4\.|55\d 5\.|$", client.reply())
        assert client.rest() == b""
    assert not server.sessions


# ------------------------------------------------------------ 3. unreachable

def test_unreachable_is_421_4_4_1_with_the_reason(bench):
    server = bench.mx()
    server.close()
    server.close = lambda: None
    proxy = bench.weir()
    with proxy.connect(hello=False) as client:
        assert re.fullmatch(
            rf"421 4\.4\.1 weir\.example\.org 127\.0\.0\.1:{server.port}: "
            r".*refused.*\r\n", client.reply())
        assert client.rest() == b""
    row, = proxy.wait_rows("SELECT * FROM connections")
    assert row["elapse"] == -1
    assert (row["mail_from"], row["mail_to"]) == ("unknown", "unknown")


def test_unbindable_default_source(bench):
    bench.mx()
    with bench.weir(upstream='source = {"192.0.2.77"}').connect(False) as c:
        assert c.reply().startswith("421 4.4.1 weir.example.org 127.0.0.1:")


def test_the_mxs_own_refusing_greeting_passes(bench):
    bench.mx(script={"greeting": b"554 5.3.2 not you\r\n"})
    with bench.weir().connect(hello=False) as client:
        assert client.reply() == "554 5.3.2 not you\r\n"
        assert client.ask("QUIT")[:3] in ("221", "250", "503")


# ------------------------------------------------------------- 4. mediation

def test_552_5_3_4_over_message_size(bench):
    server = bench.mx()
    proxy = weir_in(bench, "hold", limits="message_size = 1000")
    with proxy.connect() as client:
        assert data(client, b"x" * 998 + b"\r\n")[:3] == "250"
        assert data(client, b"x" * 998 + b"\r\ny\r\n").startswith("552 5.3.4")
        assert data(client)[:3] == "250"
        assert client.ask("MAIL FROM:<a@b.c> SIZE=2000").startswith(
            "552 5.3.4")
    assert len(server.messages) == 2


def test_552_5_3_4_in_stream(bench):
    server = bench.mx()
    with bench.weir(limits="message_size = 1000").connect() as client:
        assert data(client, b"x" * 500 + b"\r\n" + b"y" * 600 + b"\r\n"
                    ).startswith("552 5.3.4")
    assert not server.messages


def test_pipelining_is_kept(bench):
    server = bench.mx(script={"RCPT": lambda s, line: b"550 5.1.1 no\r\n"
                              if "bad" in line else None})
    with bench.weir().connect() as client:
        client.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<1@x>\r\n"
                    b"RCPT TO:<bad@x>\r\nRCPT TO:<2@x>\r\nDATA\r\n")
        assert client.codes(5) == ["250", "250", "550", "250", "354"]
        client.send(MESSAGE + b".\r\nMAIL FROM:<b@b.c>\r\nRCPT TO:<3@x>\r\n"
                    b"QUIT\r\n")
        assert client.codes(4) == ["250", "250", "250", "221"]
        assert client.rest() == b""
    assert server.messages[0].recipients == ["1@x", "2@x"]


@pytest.mark.parametrize("mode", MODES)
def test_everything_a_byte_at_a_time(bench, mode):
    server = bench.mx()
    text = (b"EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<1@x>\r\nDATA\r\n"
            + MESSAGE + b".\r\nQUIT\r\n")
    with weir_in(bench, mode).connect(hello=False) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(text)):
            client.send(text[i:i + 1])
            time.sleep(0.0005)
        got = client.codes(7)
    assert got == ["220", "250", "250", "250", "354", "250", "221"]
    assert server.messages[0].data == MESSAGE


def test_mx_replies_a_byte_at_a_time(bench):
    def slowly(reply):
        def said(session, line):
            session.socket.setsockopt(socket.IPPROTO_TCP,
                                      socket.TCP_NODELAY, 1)
            for i in range(len(reply) - 1):
                session.send(reply[i:i + 1])
                time.sleep(0.001)
            return reply[-1:]
        return said
    bench.mx(script={"MAIL": slowly(b"250-2.1.0 a\r\n250 2.1.0 b\r\n"),
                     "greeting": slowly(b"220 hi\r\n"),
                     "NOOP": slowly(b"250-x\r\n250-y\r\n250 z\r\n")})
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.c>") == \
            "250-2.1.0 a\r\n250 2.1.0 b\r\n"
        assert client.ask("NOOP") == "250-x\r\n250-y\r\n250 z\r\n"


@pytest.mark.parametrize("bad", [
    b"25x what\r\n", b"250-a\r\n251 b\r\n", b"hello\r\n", b"99 x\r\n",
    b"250_x\r\n", b"000 x\r\n", b"\r\n", b"250 ok\r\n250 surplus\r\n",
    b"650 x\r\n"])
def test_a_malformed_reply_ends_both(bench, bad):
    server = bench.mx(script={"MAIL": bad})
    with bench.weir().connect() as client:
        first = client.ask("MAIL FROM:<a@b.c>")
        if b"surplus" in bad and first.startswith("250"):
            first = client.ask("NOOP")
        assert first.startswith("421 4."), first
        assert client.rest() == b""
    wait_for(lambda: server.sessions[0].socket.fileno() == -1 or
             ends(server), "the end upstream")


def ends(server):
    try:
        return server.sessions[0].socket.recv(1, socket.MSG_DONTWAIT |
                                              socket.MSG_PEEK) == b""
    except OSError:
        return False


def test_a_2xx_before_its_end_of_data(bench):
    def early(session, line):
        session.send(b"354 go\r\n")
        time.sleep(0.05)
        session.send(b"250 2.0.0 already\r\n")
        try:
            while True:
                session.more()
        finally:
            assert b"\r\n.\r\n" not in session.buffer
    bench.mx(script={"DATA": early})
    with bench.weir().connect() as client:
        client.envelope()
        assert client.ask("DATA")[:3] == "354"
        client.send(b"Subject: x\r\n")
        reply = client.reply()
        assert reply.startswith("421 4."), reply
        assert client.rest() == b""


def test_a_5xx_in_mid_data_is_not_shifted(bench):
    def early(session, line):
        session.send(b"354 go\r\n")
        time.sleep(0.05)
        session.send(b"552 5.3.4 too big\r\n")
        data = session.read_until(b"\r\n.\r\n")
        assert data
        return b""
    bench.mx(script={"DATA": early})
    with bench.weir().connect() as client:
        client.envelope()
        client.ask("DATA")
        client.send(b"Subject: x\r\n")
        time.sleep(0.1)
        client.send(b"more\r\n.\r\n")
        assert client.reply()[:3] in ("552", "421")


def test_an_unknown_verb_with_3yz_is_a_blind_tunnel(bench):
    def tunnel(session, line):
        session.send(b"334 go on\r\n")
        assert session.read_until(b"\n") == b"DATA any\x00thing\n"
        session.send(b"odd\r\n")
        raise Gone
    bench.mx(script={"XTUNNEL": tunnel})
    with bench.weir().connect() as client:
        assert client.ask("XTUNNEL x")[:3] == "334"
        client.send(b"DATA any\x00thing\n")
        assert client.rest() == b"odd\r\n"


def test_bdat_passes_with_exact_counts(bench):
    got = []

    def bdat(session, line):
        count = int(line.split()[1])
        while len(session.buffer) < count:
            session.more()
        got.append((line, session.buffer[:count]))
        session.buffer = session.buffer[count:]
        return b"250 2.0.0 %d\r\n" % count
    bench.mx(extensions=("CHUNKING", "BINARYMIME", "PIPELINING"),
             script={"BDAT": bdat})
    with bench.weir().connect() as client:
        client.envelope()
        client.send(b"BDAT 5\r\na\n.\n\rbdat 7 last\r\n\r\n.\r\nxyNOOP\r\n")
        assert client.replies(3) == ["250 2.0.0 5\r\n", "250 2.0.0 7\r\n",
                                     "250 2.0.0 OK\r\n"]
    assert got[0] == ("BDAT 5", b"a\n.\n\r") and got[1][1] == b"\r\n.\r\nxy"


def test_bdat_is_not_for_a_weir_that_did_not_offer_it(bench):
    server = bench.mx(extensions=("CHUNKING",))
    with weir_in(bench, "hold").connect() as client:
        client.envelope()
        client.send(b"BDAT 6 LAST\r\nNOOP\r\n")
        assert client.reply()[0] == "5"
    assert not any(x.startswith("BDAT") for x in server.lines)


def test_no_recipients_left_is_554_and_rset(bench):
    server = bench.mx()
    bench.policy(decide=["rcpt"], answer=lambda *_: decision(REJECT))
    with bench.weir().connect() as client:
        client.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<1@x>\r\nDATA\r\n")
        assert client.codes(2) == ["250", "550"]
        assert client.reply().startswith("554 5.5.1")
        wait_for(lambda: "RSET" in server.lines, "RSET upstream")
        assert client.ask("NOOP")[:3] == "250"
    assert not any(x.startswith(("RCPT", "DATA")) for x in server.lines)


# ------------------------------------------------------- 6. secrets and AUTH

def auth_login(session, line):
    if len(line.split()) < 3:
        session.send(b"334 VXNlcm5hbWU6\r\n")
        assert session.read_until(b"\r\n") == b"am9l\r\n"
    session.send(b"334 UGFzc3dvcmQ6\r\n")
    assert session.read_until(b"\r\n") == b"REFUQQ==\r\n"
    return b"235 2.7.0 welcome\r\n"


def everything(proxy):
    """All that weir keeps: log, record, both of them."""
    time.sleep(0.3)
    text = proxy.log.encode()
    for path in proxy.place.glob("weir.*"):
        if path.name != "weir.conf":
            text += path.read_bytes()
    text += json.dumps(proxy.rows("SELECT * FROM communications")).encode()
    text += json.dumps(proxy.rows("SELECT * FROM sessions")).encode()
    return text


@pytest.mark.parametrize("mechanism", ["PLAIN", "PLAIN 334", "LOGIN",
                                       "LOGIN initial", "XOAUTH2",
                                       "OAUTHBEARER"])
def test_auth_is_redacted_and_the_identity_shown(bench, mechanism):
    import base64
    secret = {
        "PLAIN": b"\0joe\0REFUQQ-secret",
        "XOAUTH2": b"user=joe\1auth=Bearer REFUQQ-secret\1\1",
        "OAUTHBEARER": b"n,a=joe,\1host=x\1auth=Bearer REFUQQ-secret\1\1",
    }.get(mechanism.split()[0], b"")
    text = base64.b64encode(secret).decode()

    def plain(session, line):
        if len(line.split()) < 3:
            session.send(b"334 \r\n")
            assert session.read_until(b"\r\n").decode() == text + "\r\n"
        else:
            assert line.split()[2] == text
        return b"235 2.7.0 welcome\r\n"
    bench.mx(extensions=("AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER",),
             script={"AUTH": auth_login if "LOGIN" in mechanism else plain})
    p = bench.policy(notify=["auth", "command", "session_end"])
    proxy = bench.weir()
    with proxy.connect() as client:
        if mechanism == "LOGIN":
            assert client.ask("AUTH LOGIN")[:3] == "334"
            assert client.ask("am9l")[:3] == "334"
            assert client.ask("REFUQQ==") == "235 2.7.0 welcome\r\n"
        elif mechanism == "LOGIN initial":
            assert client.ask("AUTH LOGIN am9l")[:3] == "334"
            assert client.ask("REFUQQ==") == "235 2.7.0 welcome\r\n"
        elif mechanism == "PLAIN 334":
            assert client.ask("AUTH PLAIN")[:3] == "334"
            assert client.ask(text) == "235 2.7.0 welcome\r\n"
        else:
            assert client.ask(f"AUTH {mechanism} {text}") == \
                "235 2.7.0 welcome\r\n"
        assert client.ask("QUIT")[:3] == "221"
    p.wait("session_end")
    auth = p.one("auth")
    assert (auth.mechanism, auth.identity) == (mechanism.split()[0], b"joe")
    assert not p.seen("command")
    proxy.wait_rows("SELECT * FROM connections")
    text_kept = everything(proxy)
    assert b"REFUQQ" not in text_kept
    if text:
        assert text.encode() not in text_kept
    assert b"***" in text_kept


def test_after_334_the_next_line_is_opaque(bench):
    def auth(session, line):
        session.send(b"334 \r\n")
        assert session.read_until(b"\r\n") == b"QUIT\r\n"
        return b"535 5.7.8 no\r\n"
    bench.mx(extensions=("AUTH PLAIN",), script={"AUTH": auth})
    p = bench.policy(decide=["mail", "command"], notify=["session_end"])
    with bench.weir().connect() as client:
        assert client.ask("AUTH PLAIN")[:3] == "334"
        assert client.ask("QUIT") == "535 5.7.8 no\r\n"
        assert client.ask("MAIL FROM:<a@b.c>")[:3] == "250"
    assert len(p.wait("mail")) == 1


# ----------------------------------------------------------------- timeouts

@pytest.mark.parametrize("verb, key", [
    ("greeting", "greeting_timeout"), ("EHLO", "ehlo_timeout"),
    ("MAIL", "mail_timeout"), ("RCPT", "rcpt_timeout"),
    ("DATA", "data_timeout"), ("dot", "data_done_timeout"),
    ("VRFY", "command_timeout")])
def test_mx_timeouts(bench, verb, key):
    def hang(session, line):
        time.sleep(1.5)
        raise Gone
    server = bench.mx(script={verb: hang})
    proxy = bench.weir(upstream=f"{key} = 100ms")
    with proxy.connect(hello=False) as client:
        start = time.monotonic()
        said = [client.reply()]
        for line in (b"EHLO x\r\n", b"VRFY x\r\n", b"MAIL FROM:<a@b.c>\r\n",
                     b"RCPT TO:<c@d.e>\r\n", b"DATA\r\n", MESSAGE + b".\r\n"):
            if said[-1][:1] in ("4", "5", ""):
                break
            said.append(client.raw(line))
        assert said[-1].startswith("421 4.4."), said
        assert time.monotonic() - start < 1
    assert not server.messages


def test_client_timeouts(bench):
    bench.mx()
    proxy = bench.weir(limits="client_timeout = 100ms "
                       "client_data_timeout = 200ms")
    with proxy.connect() as client:
        assert client.reply().startswith("421 4.4.2"), "idle"
        assert client.rest() == b""
    with proxy.connect() as client:
        client.envelope()
        assert client.ask("DATA")[:3] == "354"
        assert client.reply().startswith("421 4.4.2"), "idle in DATA"


# ------------------------------------------------- sundry sentences

def test_rfc_5321_violations_pass_and_are_recorded(bench):
    server = bench.mx()
    proxy = bench.weir()
    with proxy.connect() as client:
        assert client.ask("MAIL FROM: <a@b.c>")[:3] == "250"
        assert client.ask("RCPT TO:<c@d.e>")[:3] == "250"
        client.ask("QUIT")
    assert "MAIL FROM: <a@b.c>" in server.lines
    rows = proxy.wait_rows("SELECT * FROM communications WHERE direction ="
                           " '--' AND data LIKE '%RFC 5321 violation%'")
    assert rows


def test_eight_bit_addresses_without_smtputf8_pass(bench):
    server = bench.mx()
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<b\u00fccher@b.c>")[:3] == "250"
    assert "MAIL FROM:<b\u00fccher@b.c>" in server.lines


def test_commands_before_greeting_and_pipelined_hello(bench):
    server = bench.mx(script={"greeting": lambda *_: time.sleep(0.1)})
    with bench.weir().connect(hello=False) as client:
        client.send(b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n")
        assert client.codes(3) == ["220", "250", "250"]
    assert server.lines[:2] == ["EHLO x", "MAIL FROM:<a@b.c>"]


def test_long_lines_and_long_replies(bench):
    long = b"".join(b"250-%s\r\n" % (b"x" * 400) for _ in range(60)) + \
        b"250 end\r\n"
    bench.mx(script={"NOOP": long})
    with bench.weir().connect() as client:
        assert client.ask("NOOP").encode() == long
        assert client.ask("MAIL FROM:<" + "a" * 64 + "@" + "b" * 200 +
                          "> X=" + "y" * 600)[:3] == "250"
        reply = client.raw(b"NOOP " + b"z" * 200000 + b"\r\n")
        assert reply.startswith(("500 5.", "421 4.")), reply[:60]


def test_spool_holds_more_than_its_memory(bench):
    server = bench.mx()
    message = b"A: b\r\n\r\n" + b"line of text\r\n" * 60000
    (bench.place / "spool").mkdir()
    proxy = weir_in(bench, "hold", limits="spool_memory = 8KB "
                    f'spool_directory = "{bench.place}/spool"')
    with proxy.connect() as client:
        assert data(client, message)[:3] == "250"
    assert server.messages[0].data == message
    assert not list((bench.place / "spool").iterdir())


def test_helo_and_several_messages(bench):
    server = bench.mx()
    p = bench.policy(notify=["ehlo", "session_end"])
    with bench.weir(upstream='tls = "none"').connect(False) as client:
        client.reply()
        assert client.ask("HELO me")[:3] == "250"
        for _ in range(3):
            assert data(client)[:3] == "250"
        client.ask("QUIT")
    assert (p.one("ehlo").verb, p.one("ehlo").name) == (b"HELO", b"me")
    assert p.one("session_end").transactions == 3
    assert len(server.messages) == 3 and len(server.sessions) == 1


def test_rset_within_a_transaction_is_aborted(bench):
    bench.mx()
    p = bench.policy(notify=["transaction_end"])
    with bench.weir().connect() as client:
        client.envelope()
        assert client.ask("RSET")[:3] == "250"
    assert p.one("transaction_end").outcome == pb.OUTCOME_ABORTED


def test_a_header_policy_that_is_done_makes_stream_of_hold(bench):
    """RELAY with scope TRANSACTION after the headers: no full spool."""
    seen = []

    def read(session, line):
        session.send(b"354 go\r\n")
        session.read_until(b"\r\n\r\n")
        seen.append(1)
        session.read_until(b"\r\n.\r\n")
        return b"250 2.0.0 ok\r\n"
    bench.mx(script={"DATA": read})
    bench.policy(decide=["headers", "end_of_message"],
                 answer=lambda *_: decision(scope=1))
    with bench.weir().connect() as client:
        client.envelope()
        assert client.ask("DATA")[:3] == "354"
        client.send(b"A: b\r\n\r\nfirst\r\n")
        wait_for(lambda: seen, "DATA upstream before the end")
        assert client.raw(b"second\r\n.\r\n") == "250 2.0.0 ok\r\n"


# ------------------------------------------------------- 3. fixed: host:port

def test_a_destination_by_name_is_looked_up(bench):
    where = socket.getaddrinfo("localhost", 25, type=socket.SOCK_STREAM)
    mx = bench.mx(address=where[0][4][0])
    proxy = bench.weir(mx, destination=f"localhost:{mx.port}")
    client = proxy.connect()
    assert data(client).startswith("250")
    assert len(mx.messages) == 1


def test_a_destination_that_cannot_be_looked_up_is_named(bench, place):
    config = place / "nowhere.conf"
    config.write_text('user = ""\nlistener "out" { address = "127.0.0.1:0"'
                      ' mode = "fixed" destination = "no.such.invalid:25" }\n'
                      'record { sqlite = "" }\nstatus { address = "" control'
                      ' = "" }\n')
    ended = subprocess.run([weir.PROGRAM, "-c", config], timeout=30,
                           capture_output=True, text=True)
    assert ended.returncode == 1
    assert 'listener "out": destination "no.such.invalid"' in ended.stderr
