"""The Python SDK: what weir says of itself, sessions that come again, content
with gaps, subscriptions that change, TLS."""

import re
import ssl
import subprocess

import pytest
from policy_harness import (RAW, RELAY, REJECT, SDK, Server, Weir, connect,
                            headers, pb, rcpt, run)


def certificate(place, name):
    """A self-signed one, with its key in the same file."""
    path = place / f"{name}.pem"
    key = place / "key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
         f"/CN={name}", "-keyout", key, "-out", path],
        check=True, capture_output=True)
    with path.open("a") as both:
        both.write(key.read_text())
    return path


def test_hello_world_of_the_readme(tmp_path):
    """It is short, runs, and does what it says."""
    readme = (SDK / "README.md").read_text()
    program = re.search(r"```python\n(.*?)```", readme, re.DOTALL).group(1)
    assert len(program.splitlines()) <= 15
    script = tmp_path / "hello.py"
    script.write_text(program)
    with Server(script, "--listen", f"unix:{tmp_path}/s") as server, \
            Weir(server.endpoint) as weir:
        refused = weir.ask(1, 1, rcpt=rcpt(b"Nobody@example.com"))
        assert refused.action == REJECT and refused.reply.code == 550
        assert weir.ask(1, 2, rcpt=rcpt(b"a@example.com")).action == RELAY


def test_what_weir_says_of_itself(run):
    server = run("policy = Policy()\n@policy.mail\n"
                 "def mail(session, event):\n"
                 "    print(session.weir, file=sys.stderr, flush=True)\n"
                 "import sys\n")
    with Weir(server.endpoint, mode=pb.MODE_OBSERVE,
              grants=[pb.GRANT_BODY, 99], features=["x"],
              pools=[pb.Pool(name="clean", addresses=["192.0.2.1"],
                             ehlo_name="a.example")]) as weir:
        weir.mail(1, b"a@b")
        line = server.wait_for("Hello(software='weir/test'")
        for words in ("instance='test', policy='test'", "Mode.OBSERVE",
                      "<Grant.BODY: 2>, <Grant.UNSPECIFIED: 0>",
                      "Pool(name='clean', addresses=('192.0.2.1',),"
                      " ehlo_name='a.example')", "features=('x',)",
                      "max_frame=1048576"):
            assert words in line
        server.wait_for("connected: weir/test, policy 'test', observe")


def test_a_session_that_comes_again(run):
    """After a lost connection weir tells it all anew, then asks again."""
    server = run("policy = Policy()\n@policy.connect\n"
                 "def connect(session, event):\n"
                 "    print('resumed', session.resumed, event.resumed,"
                 " file=sys.stderr, flush=True)\n@policy.end_of_message\n"
                 "async def end(session, event):\n"
                 "    return relay().because(rule=session.envelope.sender"
                 " + ' ' + session.message.body.decode())\nimport sys\n")
    with Weir(server.endpoint) as weir:
        weir.ask(1, 1, connect=connect("192.0.2.1"))
        server.wait_for("resumed False False")
        weir.mail(1, b"a@b")
        weir.send(1, headers=headers(RAW))
        weir.send(1, body=pb.Body(data=b"half", message=1))
    with Weir(server.endpoint) as weir:
        again = connect("192.0.2.1")
        again.resumed = True
        weir.send(7, connect=again)
        server.wait_for("resumed True True")
        weir.mail(7, b"a@b")
        end = weir.content(7, RAW, b"all")
        assert weir.ask(7, 1, end_of_message=end).rule == "a@b all"


def test_gaps_are_told(run):
    server = run("policy = Policy(body_limit=4)\n@policy.end_of_message\n"
                 "def end(session, event):\n    m = session.message\n"
                 "    return relay().because(rule=f'{m.complete}"
                 " {m.truncated} {[g.offset for g in m.gaps]}')\n")
    with Weir(server.endpoint) as weir:
        for seq, body, gaps, rule in [(1, b"1234", [], "True False []"),
                                      (2, b"12", [2], "False False [2]"),
                                      (3, b"12345", [], "False True []")]:
            weir.mail(1, b"a@b")
            end = weir.content(1, RAW, body)
            end.gaps.extend(pb.Gap(offset=o, length=1) for o in gaps)
            assert weir.ask(1, seq, end_of_message=end).rule == rule


def test_handlers_may_come_and_go(run):
    """What changes while weir is connected, Update tells it."""
    server = run("policy = Policy(version='1', context=False)\n"
                 "@policy.mail\ndef mail(session, event):\n"
                 "    policy.mail.remove()\n"
                 "    policy.rcpt(lambda session, event: reject())\n"
                 "    policy.version = '2'\n")
    with Weir(server.endpoint) as weir, Weir(server.endpoint,
                                             handshake=False) as between:
        assert weir.subscriptions() == {7: True, 14: False, 15: False}
        between.greet()
        weir.send(1, 1, 5000, mail=pb.Mail(sender=b"a@b"))
        update = weir.receive().update
        between.ready()
        assert between.receive().update == update
        assert update.version == "2"
        assert {s.phase: s.decide for s in update.subscriptions} == {
            8: True, 14: False, 15: False}
        assert weir.decision(1, 1).action == RELAY
        assert weir.ask(2, 1, rcpt=rcpt(b"c@d")).action == REJECT
        # a session that weir began before it knew
        assert weir.mail(3, b"a@b", seq=1).action == RELAY
        assert weir.ask(3, 2, data=pb.Data()).action == 0  # was never there


def test_reading_stops_when_questions_come_faster_than_answers(run):
    server = run("policy = Policy()\n@policy.rcpt\n"
                 "async def slow(session, event):\n"
                 "    await asyncio.sleep(60)\n")
    with Weir(server.endpoint) as weir:
        assert weir.flood(400000, rcpt=pb.Rcpt()) < 400000


SLOW = """
policy = Policy("slow/1", body_window=20000)
@policy.body(decide=True)
async def body(session, event):
    await asyncio.sleep(0.002)
@policy.end_of_message
async def end(session, event):
    body = bytes(session.message.body)
    session.annotate(complete=str(session.message.complete))
    return relay().splice(len(body), 0, "A footer.\\r\\n").because(
        rule=str(len(body)))
"""


def test_a_slow_handler_holds_back_real_weir(run, bench):
    """300,000 bytes of body through a window of 20,000, and all are there."""
    server = run(SLOW)
    mx = bench.mx()
    weir = bench.weir(more=f"""policy "slow" {{
        endpoint = "{server.endpoint}" grants = {{"body"}} }}\n""",
        ready=False)
    weir.wait_log("event=policy.ready policy=slow")
    body = b"0123456789abcde\r\n" * 17647
    with weir.connect() as client:
        client.envelope("a@example.org", "b@example.net")
        assert client.ask("DATA").startswith("354")
        assert client.raw(b"Subject: x\r\n\r\n" + body
                          + b".\r\n").startswith("250")
    [message] = mx.messages
    assert message.data == b"Subject: x\r\n\r\n" + body + b"A footer.\r\n"
    row, = weir.wait_rows("SELECT * FROM decisions WHERE phase ="
                          " 'end_of_message'")
    assert row["rule"] == str(len(body))


# ------------------------------------------------------------------------- TLS

HELLO = """
policy = Policy()
@policy.rcpt
def rcpt(session, event):
    return reject()
"""


def serve(tmp_path, *options):
    script = tmp_path / "tls.py"
    script.write_text("from weir_policy import *\n" + HELLO
                      + "policy.run(arguments().parse_args())\n")
    return Server(script, "--listen", "tls:127.0.0.1:0", *options)


def client(ca, own=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca)
    if own:
        context.load_cert_chain(own)
    return context


def welcomed(endpoint, tls):
    try:
        with Weir(endpoint, handshake=False, tls=tls) as weir:
            weir.hello()
            return weir.receive() is not None
    except OSError:
        return False


def test_tls(tmp_path):
    """TLS 1.3, and no weir without a certificate of the CA."""
    mine, weirs = (certificate(tmp_path, n) for n in ("policy", "weir"))
    with serve(tmp_path, "--tls-cert", mine, "--tls-client-ca",
               weirs) as server:
        endpoint = server.endpoint
        assert endpoint.startswith("tls:127.0.0.1:")
        with Weir(endpoint, tls=client(mine, weirs)) as weir:
            assert weir.socket.version() == "TLSv1.3"
            assert weir.ask(1, 1, rcpt=rcpt(b"c@d")).action == REJECT
            large = b"x" * 400_000  # many TLS records
            assert weir.ask(1, 2, rcpt=rcpt(large)).action == REJECT
        old = client(mine, weirs)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        for where, tls in [(endpoint, client(mine)), (endpoint, old),
                           (endpoint.replace("tls:", "tcp:"), None)]:
            assert not welcomed(where, tls)
        with Weir(endpoint, tls=client(mine, weirs)) as weir:
            assert weir.ask(1, 1, rcpt=rcpt(b"c@d")).action == REJECT


@pytest.mark.parametrize(("options", "words"), [
    ([], "TLS needs a certificate"),
    (["--tls-cert", "/nowhere.pem"], "/nowhere.pem: "),
    (["--listen", "tcp:127.0.0.1:0", "--tls-cert", "{pem}"],
     "a certificate is for tls:host:port"),
])
def test_wrong_tls_options_are_named(tmp_path, options, words):
    pem = certificate(tmp_path, "policy")
    with serve(tmp_path, *(o.format(pem=pem) for o in options)) as server:
        assert server.wait() == 1
        assert words in server.log()
