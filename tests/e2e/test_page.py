"""The page in Chromium, before real weirs with real mail.

tests/browser/page.mjs drives the browser (playwright-core and axe-core from
the npm registry, as its package-lock.json pins them); here it gets its weirs.
One run of it does all cases, and each of them is a test here.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import blackbox
import pytest
import weir as under_test

BROWSER = pathlib.Path(__file__).resolve().parents[1] / "browser"
CASES = re.findall(r"^cases\.(\w+) = ", (BROWSER / "page.mjs").read_text(),
                   re.M)
AWAY = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|"
                  r"EHOSTUNREACH|ENETUNREACH|ERR_SOCKET_TIMEOUT")
MARKUP = '<img src=x onerror="window.owned=1">'
PAGE_S = 600


@pytest.fixture(scope="module")
def modules():
    """The directory of the scripts, with what they import."""
    for program in ("/usr/bin/chromium", "node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: contrib/packages installs it")
    with tempfile.TemporaryDirectory(prefix="weir-page-") as made:
        for path in BROWSER.iterdir():
            if path.is_file():
                shutil.copy(path, made)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
             "--fetch-retries=1", "--fetch-timeout=20000"], cwd=made,
            capture_output=True, text=True, timeout=200)
        if done.returncode != 0 and AWAY.search(done.stderr):
            pytest.skip("the npm registry cannot be reached")
        assert done.returncode == 0, done.stderr
        yield pathlib.Path(made)


def answer(event, _connection):
    """Who is named nobody is refused; markup is what a policy may say, too."""
    if b"nobody@" in event.SerializeToString():
        return blackbox.decision(
            blackbox.REJECT, 550, "5.1.1", ["User unknown"], rule="r1",
            reason=f"the operator blocked {MARKUP}")
    return blackbox.decision(rule="r0")


def watch(event, connection):
    """It would refuse one more."""
    if b"bob@" in event.SerializeToString():
        return blackbox.decision(blackbox.REJECT, 550, "5.7.1", ["No"])
    return answer(event, connection)


def script():
    def rcpt(_session, line):
        if "markup@" in line:
            return f"550 5.1.1 {MARKUP}\r\n".encode()
        if "later@" in line:
            return b"451 4.7.1 Greylisted, come back later\r\n"
        if "gone@" in line:
            return b"550 5.1.1 User unknown here\r\n"
        return None

    def sender(_session, line):
        return b"550 5.7.1 Go away\r\n" if "turned-away@" in line else None
    return {"RCPT": rcpt, "MAIL": sender}


def mail(proxy):
    for number in range(8):
        to = ("bob", "later", "gone", "nobody")[number % 4]
        with proxy.connect() as client:
            sender = "anna" if number % 4 < 2 else "shop"
            client.ask(f"MAIL FROM:<{sender}@example.org>")
            if client.ask(f"RCPT TO:<{to}@example.net>")[:1] == "2":
                client.ask("DATA")
                client.ask("Subject: hello\r\n\r\nHello.\r\n.")
            client.ask("QUIT")
    with proxy.connect() as client:
        for _ in range(5):
            client.ask("MAIL FROM:<list@example.com>")
            client.ask("RCPT TO:<gone@example.net>")
            client.ask("RSET")
        client.ask("QUIT")
    with proxy.connect() as client:
        client.ask("MAIL FROM:<turned-away@example.org>")
        client.ask("RCPT TO:<bob@example.net>")
        client.ask("QUIT")


def throttled(proxy):
    """The state of its only group, after as much mail as that takes."""
    with proxy.connect() as client:
        client.deliver()
    return [m for m in proxy.api("/mx") if m["state"] == "throttled"]


@pytest.fixture(scope="module")
def weirs():
    """A busy one, one without mail, one to stop, one with a token, one whose
    MX slows it down, one that keeps to its cap."""
    reason = under_test.why_not()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        def bench(name):
            place = pathlib.Path(stack.enter_context(
                tempfile.TemporaryDirectory(prefix=f"weir-page-{name}-")))
            made = blackbox.Bench(place)
            stack.callback(made.close)
            return made

        busy, empty, gone, locked, slowed, capped = map(bench, (
            "busy", "empty", "gone", "locked", "slowed", "capped"))
        busy.mx(script=script())
        busy.policy(["rcpt"], name="guard", answer=answer)
        busy.policy(["rcpt"], name="watch", answer=watch,
                    keys={"mode": "observe"})
        proxy = busy.weir(upstream='source = {"127.0.0.1"}')
        mail(proxy)
        proxy.wait_rows("SELECT id FROM sessions WHERE cause IS NOT NULL",
                        count=10)
        slowed.mx(script={"dot": b"421 4.7.0 too many, slow down\r\n"})
        slowed_proxy = slowed.weir(more="deliverability { cap = 50 }\n")
        blackbox.wait_for(lambda: throttled(slowed_proxy), "the state")
        capped.mx()
        capped_proxy = capped.weir(more="deliverability { cap = 1 }\n")
        over_cap(capped_proxy)
        token = locked.place / "token"
        token.write_text("s3cret-of-this-test\n")
        token.chmod(0o600)
        gone_proxy = fixed_port(gone)
        yield {
            "url": f"http://127.0.0.1:{proxy.status}/", "smtp": proxy.port,
            "pid": proxy.process.pid,
            "group": proxy.api("/mx")[0]["group"],
            "slowed": f"http://127.0.0.1:{slowed_proxy.status}/",
            "capped": f"http://127.0.0.1:{capped_proxy.status}/",
            "empty": f"http://127.0.0.1:{empty.weir().status}/",
            "gone": {"url": f"http://127.0.0.1:{gone_proxy.status}/",
                     "pid": gone_proxy.process.pid,
                     "program": str(under_test.PROGRAM),
                     "config": str(gone_proxy.config)},
            "locked": {"token": "s3cret-of-this-test", "url": locked_url(
                locked, token)},
        }


def over_cap(proxy):
    """One session more than weir lets in."""
    with proxy.connect() as client:     # weir learns who the MX is
        client.ask("QUIT")
    proxy.wait_rows("SELECT * FROM connections")
    with proxy.connect() as client:
        client.deliver()
        with proxy.connect(hello=False) as more:
            assert more.reply().startswith("421 4.3.2 ")
        client.ask("QUIT")
    proxy.wait_rows("SELECT id FROM sessions WHERE cause IS NOT NULL",
                    count=3)


def fixed_port(bench):
    """Where it is again after a restart."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return bench.weir(text=blackbox.CONFIG.replace(
        'address = "127.0.0.1:0" control',
        f'address = "127.0.0.1:{port}" control'))


def locked_url(bench, token):
    text = blackbox.CONFIG.replace('address = "127.0.0.1:0" control',
                                   'address = "0.0.0.0:0" control')
    proxy = bench.weir(text=text, more='pool "clean" { addresses = '
                       '{"127.0.0.1"} }\n', status=f'token_file = "{token}"')
    port = proxy.wait_log(r"event=status\.open .*?:(\d+)")[1]
    return f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def results(modules, weirs):
    environment = {**os.environ, "TZ": "Europe/Berlin"}
    only = os.environ.get("WEIR_PAGE_CASES", "").split()
    done = subprocess.run(
        ["node", "page.mjs", json.dumps(weirs), *only], cwd=modules,
        capture_output=True, text=True, timeout=PAGE_S, env=environment)
    found = {}
    for line in done.stdout.splitlines():
        result = json.loads(line)
        found[result["name"]] = result["error"]
    return found, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_page(results, case):
    found, stderr = results
    if os.environ.get("WEIR_PAGE_CASES") and case not in found:
        pytest.skip("not asked for")
    assert case in found, stderr
    assert found[case] is None, found[case]
