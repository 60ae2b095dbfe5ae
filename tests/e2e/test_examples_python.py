"""The Python examples that have a folder, by their READMEs, with real weir."""

import base64
import email
import email.policy
import io
import json
import shutil
import socket
import subprocess
import zipfile

import pytest
from example import parts, python_example, quiet_port, run
from policy_harness import ROOT

MESSAGE = "From: A <a@example.org>\r\nTo: b@example.net\r\n" \
    "Subject: hello\r\n\r\nHello.\r\n"


@pytest.fixture
def example(bench, place):
    """example(name, option..., swap=...) starts one, and weir before it."""
    def start(name, *more, swap=(), **options):
        server, block = python_example(name, place, *more, swap=swap)
        bench.opened.enter_context(server)
        bench.policies.append(None)     # one more that has to be ready
        weir = bench.weir(more=block, **options)
        return weir, server
    bench_weir, policies = bench.weir, bench.policies

    def weir(more, **options):
        count = len(policies)
        policies.clear()
        made = bench_weir(more=more, ready=False, **options)
        made.wait_log(r"event=policy\.ready (.|\n)*" * count)
        return made
    bench.weir = weir
    return start


# ----------------------------------------------------------------- rate_limit

@pytest.fixture
def redis(place):
    pytest.importorskip("redis")
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    port = quiet_port()
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1",
         "--save", "", "--dir", place, "--loglevel", "warning"],
        stdout=subprocess.DEVNULL)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except ConnectionRefusedError:
            run("sleep", "0.02")
    yield server, f"redis://127.0.0.1:{port}/0"
    server.kill()
    server.wait()


def rate(place, url, *limits):
    return [("--limit sender 500/h --limit sender 10000/d",
             " ".join(f"--limit {l}" for l in limits) + f" --redis {url}")]


def mail(weir, sender):
    with weir.connect() as client:
        return client.ask(f"MAIL FROM:<{sender}>")


def test_rate_limit_of_each_kind(example, bench, place, redis):
    weir, _ = example("rate_limit", swap=rate(
        place, redis[1], "sender 2/h", "domain 4/d", "client 6/d"))
    answers = [mail(weir, s)[:3] for s in (
        "a@x.example", "A@X.example", "a@x.example", "b@x.example",
        "c@x.example", "d@x.example", "", "e@y.example", "f@z.example")]
    # a is over its two; d over the four of its domain; f over the client's
    # six; what was refused counted for nothing
    assert answers == ["250", "250", "421", "250", "250", "421", "250", "250",
                       "421"]
    rules = [r["rule"] for r in weir.wait_rows(
        "SELECT rule FROM decisions WHERE action = 'disconnect'"
        " ORDER BY session_id", count=3)]
    assert rules == ["sender 2/h", "domain 4/d", "client 6/d"]


def test_rate_limit_answers_421_and_says_which(example, place, redis):
    weir, _ = example("rate_limit", swap=rate(place, redis[1], "sender 1/h"))
    assert mail(weir, "a@x.example").startswith("250")
    assert mail(weir, "a@x.example") == \
        "421 4.7.1 Limit of 1 messages per hour and sender reached," \
        " try again later\r\n"


def test_rate_limit_defers_when_asked(example, place, redis):
    weir, _ = example("rate_limit", "--defer",
                      swap=rate(place, redis[1], "sender 1/h"))
    with weir.connect() as client:
        assert client.ask("MAIL FROM:<a@x.example>").startswith("250")
        client.ask("RSET")
        assert client.ask("MAIL FROM:<a@x.example>").startswith("450 4.7.1")
        assert client.ask("MAIL FROM:<b@x.example>").startswith("250")


def test_rate_limit_is_shared_by_two_weirs(example, bench, place, redis):
    first, _ = example("rate_limit", swap=rate(place, redis[1], "sender 3/h"))
    (place / "two").mkdir()
    server, block = python_example("rate_limit", place / "two",
                                   swap=rate(place, redis[1], "sender 3/h"))
    bench.opened.enter_context(server)
    import blackbox
    second = blackbox.Weir(place / "two", first.values["destination"], 1,
                           more=block)
    bench.opened.callback(second.stop)
    answers = [mail(w, "a@x.example")[:3]
               for w in (first, second, first, second, first)]
    assert answers == ["250", "250", "250", "421", "421"]


def test_rate_limit_window_slides(place, redis):
    """Redis' clock cannot be turned, but the script takes any period: what
    came in the period before counts by the part that is still inside."""
    import redis as library
    store = library.Redis.from_url(redis[1])
    script = (ROOT / "policy-examples/python/rate_limit/count.lua").read_text()
    count = store.register_script(script)
    seconds, micros = store.time()
    period = 1_000_000
    part = (seconds + micros / 1e6) / period % 1
    store.hset("k", mapping={"period": seconds // period - 1, "now": 1000})
    inside = 1000 * (1 - part)
    limit = int(inside) + 2
    assert count(keys=["k"], args=[limit, period]) == 0
    assert count(keys=["k"], args=[limit, period]) == 1
    assert store.hgetall("k")[b"before"] == b"1000"
    assert 0 < store.ttl("k") <= 2 * period


def test_rate_limit_without_redis_is_on_error(example, place, redis):
    weir, server = example("rate_limit", swap=rate(
        place, redis[1], "sender 1/h"))
    assert mail(weir, "a@x.example").startswith("250")
    redis[0].kill()
    redis[0].wait()
    assert mail(weir, "a@x.example").startswith("250")
    server.wait_for("Connect")
    row, = weir.wait_rows("SELECT * FROM decisions WHERE error IS NOT NULL")
    assert (row["error"], row["result"]) == ("invalid_decision", "relay")


def test_rate_limit_refuses_a_limit_that_is_none(place):
    done = subprocess.run(
        [ROOT / "policy-examples/python/rate_limit/rate_limit.py", "--listen",
         f"unix:{place}/s", "--limit", "sender", "500/y"],
        capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "--limit sender 500/y" in done.stderr


# ------------------------------------------------------------------------ dlp

RULES = """
card 2
keyword project\\s+heron
file *.pst
magic 4d5a
"""


def attach(name, data, text="See there."):
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    made["From"], made["To"], made["Subject"] = "a@b.example", "c@d.e", "x"
    made.set_content(text)
    made.add_attachment(data, "application", "octet-stream", filename=name)
    return made.as_string()


def zipped(name):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, b"x")
    return made.getvalue()


def encoded(text):
    return ("From: a@b.example\r\nContent-Type: text/plain; charset=utf-16\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(text.encode("utf-16")).decode()
            .replace("\n", "\r\n"))


@pytest.fixture
def dlp(example, place):
    (place / "rules").write_text(RULES)

    def start(*more):
        return example("dlp", *more, swap=[
            ("/etc/weir/dlp.rules", place / "rules"),
            ("/var/log/weir-dlp.jsonl", place / "report")])
    return start


def send(weir, text):
    with weir.connect() as client:
        return client.deliver(text=text)


TWO = "5500 0000 0000 0004 and 4111-1111-1111-1111\r\n"


def test_dlp(dlp, bench, place):
    weir, _ = dlp()
    caught = {
        "card 2": MESSAGE + TWO,
        "keyword project\\s+heron": encoded("About Project  Heron"),
        "file *.pst": attach("Mail.PST", b"x"),
        "magic 4d5a": attach("harmless.txt", b"MZ\x90\0"),
    }
    for rule, text in caught.items():
        assert send(weir, text).startswith(
            "550 5.7.1 Not allowed to leave"), rule
    assert send(weir, attach("a.zip", zipped("in/old.pst"))).startswith("550")
    passes = [MESSAGE, MESSAGE + "4111-1111-1111-1111\r\n",      # only one
              MESSAGE + TWO.replace("4111-", "4112-"),      # no Luhn
              MESSAGE + "0000000000000000 and 2.4111111111111111\r\n",
              attach("notes.txt", b"PK\x03\x04 no zip at all")]
    for text in passes:
        assert send(weir, text).startswith("250"), text
    assert len(bench.server.messages) == len(passes)
    lines = [json.loads(l) for l in (place / "report").open()]
    assert [list(l["findings"])[0] for l in lines] == [*caught, "file *.pst"]
    assert lines[0]["findings"]["card 2"] == \
        "************0004, ************1111"
    assert lines[0]["sender"] == "a@example.org"
    assert "4111" not in (place / "report").read_text()


def test_dlp_reads_its_rules_again(dlp, place):
    weir, server = dlp()
    assert send(weir, MESSAGE).startswith("250")
    (place / "rules").write_text("keyword hello\n")
    assert send(weir, MESSAGE).startswith("550")
    (place / "rules").write_text("keyword (\n")
    assert send(weir, MESSAGE).startswith("550")
    server.wait_for("line 1: 'keyword ('")


def test_dlp_refuses_what_it_does_not_see(dlp):
    weir, _ = dlp("--limit", "1000")
    assert send(weir, MESSAGE + "x" * 70 + "\r\n").startswith("250")
    assert send(weir, MESSAGE + ("x" * 70 + "\r\n") * 20).startswith("550")


# ------------------------------------------------------------------ sign_dkim

def test_sign_dkim_signs_what_verifies(example, bench, place):
    dkim = pytest.importorskip("dkim")
    run("openssl", "genrsa", "-out", place / "key", "2048")
    public = base64.b64encode(run(
        "openssl", "rsa", "-in", place / "key", "-pubout", "-outform",
        "der").stdout).decode()
    (place / "keys").write_text(f"example.org out2026 {place}/key\n")
    weir, _ = example("sign_dkim",
                      swap=[("/etc/weir/dkim.keys", place / "keys")])
    body = "A line.\r\n..dot, and trailing   \r\n\r\n\r\n"
    texts = [MESSAGE + body, MESSAGE.replace(
        "To: b", "To:\r\n folded@example.com,\r\n\tb") + body]
    for text in texts:
        assert send(weir, text).startswith("250")
    assert send(weir, MESSAGE.replace("example.org", "example.com")) \
        .startswith("250")
    *signed, plain = bench.server.messages
    asked = []

    def dns(name, timeout=5):
        asked.append(name)
        return f"v=DKIM1; k=rsa; p={public}".encode()
    for message in signed:
        data = message.data.replace(b"\r\n..", b"\r\n.")     # off the wire
        assert data.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
        assert dkim.verify(data, dnsfunc=dns)
        assert not dkim.verify(data.replace(b"A line", b"B line"),
                               dnsfunc=dns)
        assert not dkim.verify(b"From: x@y.z\r\n" + data, dnsfunc=dns)
    assert set(asked) == {b"out2026._domainkey.example.org."}
    assert b"DKIM-Signature" not in plain.data


def test_sign_dkim_names_the_line_of_a_bad_key(place):
    (place / "keys").write_text("\nexample.org s /no/such/key\n")
    done = subprocess.run(
        [ROOT / "policy-examples/python/sign_dkim/sign_dkim.py", "--listen",
         f"unix:{place}/s", "--keys", place / "keys"], capture_output=True,
        text=True, timeout=20)
    assert done.returncode == 2
    assert "line 2: /no/such/key: [Errno 2]" in done.stderr


# -------------------------------------------------------------------- journal

def test_journal_keeps_the_message_and_its_envelope(example, bench, place):
    from blackbox import MX
    archive = MX(extensions=["8BITMIME"])
    bench.opened.callback(archive.close)
    mx = bench.mx(script={"RCPT": lambda session, line:
                          b"550 5.1.1 No\r\n" if b"gone" in line.encode()
                          else b"250 2.1.5 OK\r\n"})
    weir, _ = example("journal", swap=[
        ("archive.example.com:25", f"127.0.0.1:{archive.port}")])
    text = MESSAGE + "..dots\r\n.. and more\r\n"
    with weir.connect() as client:
        client.envelope("a@example.org", "b@example.net", "gone@example.net",
                        "c@example.net")
        assert client.content(text).startswith("250")
    copy, = archive.messages
    kept, = mx.messages
    assert copy.recipients == ["journal@archive.example.com"]
    cover, inner = email.message_from_bytes(
        copy.data, policy=email.policy.SMTP).iter_parts()
    assert cover.get_content().splitlines()[:3] == [
        "Sender: <a@example.org>", "Recipient: <b@example.net>",
        "Recipient: <c@example.net>"]
    boundary = b"\r\n--weir-"
    inside = copy.data.split(b"message/rfc822\r\n", 1)[1] \
        .split(b"\r\n\r\n", 1)[1].rsplit(boundary, 1)[0]
    assert inside == kept.data


def test_journal_defers_while_the_archive_is_away(example, bench):
    weir, _ = example("journal", swap=[
        ("archive.example.com:25", f"127.0.0.1:{quiet_port()}")])
    assert send(weir, MESSAGE).startswith("451 4.7.1 The archive is not there")
    assert bench.server.messages == []


def test_journal_archives_a_second_attempt_once(example, bench):
    from blackbox import MX
    archive = MX()
    bench.opened.callback(archive.close)
    answers = iter([b"451 4.3.0 Later\r\n", b"250 2.0.0 OK\r\n"])
    bench.mx(script={"dot": lambda *_: next(answers)})
    weir, _ = example("journal", swap=[
        ("archive.example.com:25", f"127.0.0.1:{archive.port}")])
    assert send(weir, MESSAGE).startswith("451 4.3.0")
    assert send(weir, MESSAGE).startswith("250")
    assert len(archive.messages) == 1


# ------------------------------------------------------------------ catch_all

def test_catch_all_keeps_mail_and_delivers_only_the_allowed(
        example, bench, place):
    (place / "caught").mkdir()
    weir, _ = example("catch_all",
                      swap=[("/var/mail/caught", place / "caught")])
    with weir.connect() as client:
        assert client.envelope("a@example.org", "b@example.net",
                               "c@Example.com") == [
            "250 Caught\r\n", "250 2.1.5 OK\r\n"]
        assert client.content(MESSAGE).startswith("250")
        assert client.deliver("a@example.org", "b@example.net",
                              text=MESSAGE).startswith("250")
    only, = bench.server.messages
    assert only.recipients == ["c@Example.com"]
    files = sorted((place / "caught").iterdir())
    assert len(files) == 2
    assert files[0].read_bytes().endswith(MESSAGE.encode())
    assert b"X-Envelope-To: <b@example.net>\r\n" in files[1].read_bytes()
    outcomes = [r["outcome"] for r in weir.wait_rows(
        "SELECT outcome FROM transactions ORDER BY id", count=2)]
    assert outcomes == ["delivered", "discarded"]


# ----------------------------------------------------------------- all of them

@pytest.mark.parametrize("name", ["rate_limit", "dlp", "sign_dkim", "journal",
                                  "catch_all"])
def test_readme_names_what_the_program_has(name):
    folder = ROOT / "policy-examples" / "python" / name
    commands, block = parts(folder / "README.md")
    known = run(folder / f"{name}.py", "--help").stdout.decode()
    for word in " ".join(commands).split():
        if word.startswith("--"):
            assert word in known
    assert "/run/weir/" in block


