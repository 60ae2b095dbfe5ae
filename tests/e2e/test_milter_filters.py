"""Real filters through weir: as through a real Postfix with that filter."""

import re

import filters
import milter as M
import pytest
import weir as under_test

CLIENT = "client.example.org"


def message(body, *more, to="b@example.net"):
    head = ["Received: from inside (inside [192.0.2.9]) by here; "
            "Sun, 22 Nov 2026 03:00:00 +0000", "From: A <a@example.org>",
            f"To: {to}", "Subject:  two  spaces", "X-Fold: a\r\n\tb\r\n  c  ",
            "Date: Sun, 22 Nov 2026 03:00:00 +0000",
            "Message-ID: <1@example.org>", "MIME-Version: 1.0", *more]
    return "".join(f"{line}\r\n" for line in head) + "\r\n" + body


PLAIN = message("Hello.\r\n..a dot\r\n\r\n trailing \r\n\r\n\r\n")
MESSAGES = {
    "plain": PLAIN,
    "empty": message(""),
    "long": message(("y" * 60 + " 1234567890\r\n") * 4000),
    "parts": message(
        "--b\r\nContent-Type: text/plain\r\n\r\nHello.\r\n--b\r\n"
        "Content-Type: application/octet-stream\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--b--\r\n",
        'Content-Type: multipart/mixed;\r\n boundary="b"'),
}


class Both:
    """A Postfix and a weir with the same milters."""

    def __init__(self, desk, net, postfix, milters, options=(), **more):
        self.host = net.namespace("host")
        addresses = [m.address for m in milters]
        self.postfix = postfix.mx(self.host, main=(
            f"smtpd_milters = {', '.join(addresses)}\n"
            "milter_connect_timeout = 10s\n"))
        self.weir = desk.weir(*addresses, options=options, **more)
        self.mx = desk.bench.server

    def deliver(self, text, ends=True):
        """What each said to it: the last reply."""
        said = []
        for client in (under_test.Client(self.host, "127.0.0.1", 25),
                       self.weir.connect(hello=False)):
            with client:
                client.reply()
                client.ask(f"EHLO {CLIENT}")
                said.append(client.deliver("a@example.org", "b@example.net",
                                           text=text))
                if ends:
                    client.ask("QUIT")
        return said

    def messages(self, count=1):
        """[through Postfix, through weir]: the last one, with CRLF."""
        self.postfix.wait_mailbox(count)
        new = self.postfix.place / "mail" / "box" / "new"
        last = max(new.iterdir(), key=lambda p: p.stat().st_mtime_ns)
        # a mailbox has LF, and one empty line behind each message
        one = last.read_bytes().replace(b"\n", b"\r\n")
        two = self.mx.messages[-1].data.replace(b"\r\n..", b"\r\n.")
        return [one, two]


def fields(text):
    head = text.partition(b"\r\n\r\n")[0]
    return [f.decode() for f in re.split(rb"\r\n(?![ \t])", head)]


def comparable(text):
    """Without what only Postfix writes, and without times and signatures."""
    found = []
    for field in fields(text):
        name = field.partition(":")[0]
        if name in ("Return-Path", "X-Original-To", "Delivered-To") or \
                "by mx.example.net (Postfix)" in field:
            continue
        if name == "DKIM-Signature":
            field = re.sub(r"\s+", "", field)
            field = re.sub(r"\bt=\d+", "t=", field)
            field = re.sub(r"\bb=[^;]*", "b=", field)
        if name in ("DKIM-Filter", "Authentication-Results"):
            # the queue id, and the beginning of the signature
            field = re.sub(r"(mx\.example\.net|filter) [0-9A-Z]{8,26}\b",
                           r"\1 ID", field)
            field = re.sub(r'header\.b="?[^;"\s]*"?', "header.b=", field)
        found.append(field)
    return found


def body(text):
    return text.partition(b"\r\n\r\n")[2].rstrip(b"\r\n")


@pytest.fixture
def both(desk, net, postfix, stack):
    def start(*milters, **options):
        for milter in milters:
            if hasattr(milter, "stop"):
                stack.enter_context(filters.running(milter))
        return Both(desk, net, postfix, milters, **options)
    return start


def need(*programs):
    reason = filters.missing(*programs)
    if reason:
        pytest.skip(reason)


# ------------------------------------------------------- what a milter hears

def conversation(session):
    """All that it was told, but for the client's port."""
    log = []
    for kind, payload in session.log:
        if kind == "C":
            name, _, rest = payload.partition(b"\0")
            payload = name + b"\0" + rest[:1] + rest[3:]
        if kind not in "AOQ":
            log.append((kind, payload))
    return log


@pytest.mark.parametrize("protocol", [0, M.LEADSPC])
def test_a_milter_is_told_the_same(both, desk, protocol):
    recorder = desk.milter("recorder", protocol=protocol)
    pair = both(recorder)
    for text in MESSAGES.values():
        recorder.sessions.clear()
        assert [said[:3] for said in pair.deliver(text)] == 2 * ["250"]
        one, two = recorder.sessions
        assert conversation(one) == conversation(two)
        for command, macros in one.macros.items():
            for macro in set(macros) & set(two.macros[command]) - {
                    b"i", b"v", b"{daemon_name}", b"{daemon_addr}",
                    b"{mail_host}", b"{mail_mailer}", b"{rcpt_mailer}"}:
                assert macros[macro] == two.macros[command][macro], macro


def test_changes_come_out_the_same(both, desk):
    from test_milter_bridge import CHANGES, MESSAGE
    changer = desk.milter("changer", {"E": CHANGES})
    pair = both(changer)
    text = MESSAGE.replace(
        "Received: here\r\n", "From: a@example.org\r\nTo: b@example.net\r\n"
        "Date: Sun, 22 Nov 2026 03:00:00 +0000\r\nMessage-ID: <1@a>\r\n")
    assert [said[:3] for said in pair.deliver(text)] == 2 * ["250"]
    one, two = pair.messages()
    assert comparable(one) == comparable(two)
    assert body(one) == body(two)


# ------------------------------------------------------------------ OpenDKIM

def verified(text, key):
    """The opinion of an implementation that is not OpenDKIM's."""
    dkim = pytest.importorskip("dkim", reason="python3-dkim is missing")
    record = key.with_suffix(".txt").read_text()
    record = "".join(part for n, part in enumerate(record.split('"')) if n % 2)
    return dkim.verify(text, dnsfunc=lambda *_, **__: record.encode())


@pytest.mark.parametrize("canonicalization", ["simple/simple",
                                              "relaxed/relaxed"])
def test_opendkim_signs(both, place, canonicalization):
    need("opendkim", "opendkim-genkey")
    key = filters.dkim_key(place)
    pair = both(filters.OpenDKIM(place, "s", key, canonicalization))
    for count, (name, text) in enumerate(MESSAGES.items(), 1):
        assert [said[:3] for said in pair.deliver(text)] == 2 * ["250"]
        one, two = pair.messages(count)
        assert comparable(one) == comparable(two), name
        assert body(one) == body(two), name
        assert fields(two)[0].startswith("DKIM-Signature: v=1;"), name
        assert verified(two, key), name
        # the mailbox has an empty line that was not signed
        assert verified(one, key) or canonicalization == "simple/simple"


def test_opendkim_verifies(both, place):
    need("opendkim", "opendkim-genkey")
    key = filters.dkim_key(place)
    signer = filters.OpenDKIM(place, "s", key)
    verifier = filters.OpenDKIM(place, "v", key)
    pair = both(signer, verifier)
    # a later milter sees the signature of the former
    assert [said[:3] for said in pair.deliver(PLAIN)] == 2 * ["250"]
    one, two = pair.messages()
    assert comparable(one) == comparable(two)
    result, = (f for f in fields(two) if f.startswith("Authentication-Res"))
    assert "dkim=pass" in result and "header.d=example.org" in result, result


def test_opendkim_sees_a_broken_signature(both, place):
    need("opendkim", "opendkim-genkey")
    key = filters.dkim_key(place)
    dkim = pytest.importorskip("dkim", reason="python3-dkim is missing")
    raw = PLAIN.replace("\r\n..", "\r\n.").encode()
    signature = dkim.sign(raw, b"weir", b"example.org", key.read_bytes(),
                          include_headers=[b"from", b"subject", b"x-fold"],
                          canonicalize=(b"simple", b"simple"))
    pair = both(filters.OpenDKIM(place, "v", key))
    for count, (text, expected) in enumerate([
            (PLAIN, "dkim=pass"), (PLAIN + "more\r\n", "dkim=fail"),
            (PLAIN.replace("  two", " two"), "dkim=fail")], 1):
        pair.deliver(signature.decode() + text)
        one, two = pair.messages(count)
        assert comparable(one) == comparable(two)
        assert any(expected in f for f in fields(two)
                   if f.startswith("Authentication-Results")), fields(two)


# -------------------------------------------------------------------- rspamd

def test_rspamd(both, place):
    need("rspamd")
    pair = both(filters.Rspamd(place))
    assert [said[:3] for said in pair.deliver(
        message("Hello.\r\n", "X-Gone: x"))] == 2 * ["250"]
    one, two = pair.messages()
    assert comparable(one) == comparable(two)
    assert body(one) == body(two)
    seen, = (f for f in fields(two) if f.startswith("X-Weir-Seen"))
    assert seen.startswith("X-Weir-Seen: from a@example.org by 127.0.0.1 "
                           "helo client.example.org size "), seen
    assert not any(f.startswith("X-Gone") for f in fields(two))
    # likely spam passes with its marks
    pair.deliver(message("weir-test-likely\r\n"))
    one, two = pair.messages(2)
    assert comparable(one) == comparable(two)
    assert "X-Spam: Yes" in fields(two), fields(two)
    # spam does not
    said = pair.deliver(message("weir-test-spam\r\n"))
    assert said[0] == said[1]
    assert said[1].startswith("554 5.7.1 "), said
    assert len(pair.mx.messages) == 2


# -------------------------------------------------------------- clamav-milter

def test_clamav(both, place):
    need("clamd", "clamav-milter")
    pair = both(filters.ClamAV(place))
    assert [said[:3] for said in pair.deliver(PLAIN)] == 2 * ["250"]
    one, two = pair.messages()
    assert comparable(one) == comparable(two)
    assert "X-Virus-Status: Clean" in fields(two)
    virus = filters.VIRUS.decode()
    said = pair.deliver(message(f"{virus}\r\n"))
    assert said[0] == said[1]
    assert said[1].startswith("550 5.7.1 found Weir.Test.Signature"), said
    # base64 does not hide it
    import base64
    said = pair.deliver(message(
        base64.b64encode(filters.VIRUS).decode() + "\r\n",
        "Content-Type: application/octet-stream",
        "Content-Transfer-Encoding: base64"))
    assert said[0] == said[1] and said[1].startswith("550"), said
    assert len(pair.mx.messages) == 1


def test_clamav_would_quarantine(desk, place, stack):
    """Postfix would hold it in its queue; weir has none: the client keeps
    the message, and the log says why."""
    need("clamd", "clamav-milter")
    clamav = filters.ClamAV(place, infected="Quarantine")
    stack.enter_context(filters.running(clamav))
    with desk.weir(clamav.address).connect() as client:
        virus = filters.VIRUS.decode()
        assert client.deliver(text=message(f"{virus}\r\n")).startswith("451")
        assert client.deliver(text=PLAIN).startswith("250")
    assert "change=quarantine outcome=tempfail" in desk.bridge.log


# ---------------------------------------------------------------- all of them

def test_all_in_a_row(both, place):
    need("clamd", "clamav-milter", "rspamd", "opendkim", "opendkim-genkey")
    key = filters.dkim_key(place)
    pair = both(filters.ClamAV(place), filters.Rspamd(place),
                filters.OpenDKIM(place, "s", key, "relaxed/relaxed"))
    for count, (name, text) in enumerate(MESSAGES.items(), 1):
        assert [said[:3] for said in pair.deliver(text)] == 2 * ["250"]
        one, two = pair.messages(count)
        assert comparable(one) == comparable(two), name
        assert verified(one, key) and verified(two, key), name
    said = pair.deliver(message(filters.VIRUS.decode() + "\r\n"))
    assert said[0] == said[1] and said[0].startswith("550"), said
    said = pair.deliver(message("weir-test-spam\r\n"))
    assert said[0] == said[1] and said[0].startswith("554"), said
