"""Reload, drain, socket activation, privileges, options."""

import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from netns import wait_until
from weir import FIXED, MARK, PROGRAM, USUAL, Client, listening, usual

EXTRA = ('listener "extra" { address = "127.0.0.1:10027" mode = "fixed"'
         ' destination = "10.7.0.2:25" }\n')


def accepts(host, port=10025):
    try:
        with Client(host, "127.0.0.1", port, timeout=5) as client:
            return client.reply().startswith("220")
    except OSError:
        return False


def test_reload_cuts_no_session(net, scripted, weir, place):
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, usual(place, text=FIXED))
    with Client(host, "127.0.0.1", 10025) as client:
        client.hello()
        client.envelope()
        assert client.ask("DATA").startswith("354")
        client.send(b"Subject: half\r\n")
        proxy.reload(usual(place, text=FIXED, more=EXTRA))
        proxy.wait_log("event=reload.done")
        assert accepts(host, 10025) and accepts(host, 10027)
        assert client.ask("\r\nother half\r\n.").startswith("250")
        proxy.reload(usual(place, text=FIXED))
        proxy.wait_log("event=reload.done", 2)
        wait_until(lambda: 10027 not in listening(proxy.process.pid),
                   "the listener to go")
        assert accepts(host, 10025)
        assert client.deliver().startswith("250")
    assert len(server.messages) == 2


@pytest.mark.parametrize("bad", [
    'listener "x" { adress = "127.0.0.1:10027" }',          # a typo
    EXTRA + 'listener "y" { address = "192.0.2.9:10028" }',  # not bindable
    EXTRA + 'policy "p" { endpoint = "nonsense" }'])
def test_reload_is_all_or_nothing(net, scripted, weir, place, bad):
    host, mx = net.pair()
    scripted(mx)
    proxy = weir(host, usual(place, text=FIXED))
    with Client(host, "127.0.0.1", 10025) as client:
        client.hello()
        proxy.reload(usual(place, text=FIXED, more=bad))
        proxy.wait_log("event=reload.failed")
        assert set(listening(proxy.process.pid)) == {10025}
        assert accepts(host)
        assert client.deliver().startswith("250")
    proxy.reload(usual(place, text=FIXED, more=EXTRA))
    proxy.wait_log("event=reload.done")
    assert accepts(host, 10027)


def test_reload_under_load_refuses_no_connection(net, scripted, weir, place):
    host, mx = net.pair()
    scripted(mx)
    proxy = weir(host, usual(place, text=FIXED))
    stopping, failed, done = threading.Event(), [], []

    def connect():
        while not stopping.is_set():
            (done if accepts(host) else failed).append(1)

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for count in range(1, 6):
        time.sleep(0.3)
        proxy.reload(usual(place, text=FIXED, more=EXTRA * (count % 2)))
        proxy.wait_log("event=reload.done", count)
    stopping.set()
    for thread in threads:
        thread.join(20)
    assert not failed and len(done) > 50


def test_reload_resets_no_connection_that_waits(net, scripted, weir, place):
    """Connections that the kernel made and weir has not accepted yet."""
    host, mx = net.pair()
    scripted(mx)
    proxy = weir(host, usual(place, text=FIXED))
    for count in range(1, 4):
        proxy.process.send_signal(signal.SIGSTOP)
        clients = [Client(host, "127.0.0.1", 10025, timeout=20)
                   for _ in range(150)]
        proxy.reload(usual(place, text=FIXED, more=EXTRA * (count % 2)))
        proxy.process.send_signal(signal.SIGCONT)
        greetings = [client.reply()[:4] for client in clients]
        for client in clients:
            client.socket.close()
        assert greetings == ["220 "] * 150
        proxy.wait_log("event=reload.done", count)


def reload_until_gone(control):
    try:
        while True:
            with socket.socket(socket.AF_UNIX) as call:
                call.settimeout(20)
                call.connect(control)
                call.sendall(b"POST /api/v1/reload HTTP/1.0\r\n\r\n")
                call.recv(65536)
    except OSError:
        pass


def test_reload_by_api_while_stopping_ends(net, scripted, weir, place):
    """The HTTP thread waits for the main one, which waits for it to end."""
    host, mx = net.pair()
    scripted(mx)
    control = place / "control.sock"
    for _ in range(5):
        proxy = weir(host, usual(place, text=FIXED.replace(
            'control = ""', f'control = "{control}"')))
        wait_until(control.exists, "the control socket")
        threads = [threading.Thread(target=reload_until_gone,
                                    args=(str(control),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(10) == 0
        for thread in threads:
            thread.join(10)


def test_sigterm_drains(net, scripted, weir, place):
    """No new connections; what is open finishes; then 421 at the next
    command boundary, and a message under way gets its reply."""
    host, mx = net.pair()
    server = scripted(mx)
    proxy = weir(host, usual(place, text=FIXED, more="drain_timeout = 2s"))
    idle, busy, quick = (Client(host, "127.0.0.1", 10025) for _ in range(3))
    with idle, busy, quick:
        for client in (idle, busy, quick):
            client.hello()
        busy.envelope()
        assert busy.ask("DATA").startswith("354")
        busy.send(b"Subject: half\r\n")
        begun = time.monotonic()
        proxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(host), "new connections to be refused")
        assert quick.deliver().startswith("250")     # within drain_timeout
        assert quick.ask("QUIT").startswith("221")
        time.sleep(max(0, begun + 2.5 - time.monotonic()))
        assert proxy.process.poll() is None
        assert idle.ask("NOOP").startswith("421 4.3.2 weir.example.org ")
        assert idle.reply() == ""
        assert busy.ask("\r\nother half\r\n.").startswith("250")
        assert busy.reply()[:3] in ("421", "")
        assert proxy.process.wait(10) == 0
    assert len(server.messages) == 2


def test_sigterm_ends_at_once_when_idle(net, weir, place):
    host, _ = net.pair()
    proxy = weir(host, usual(place))
    begun = time.monotonic()
    assert proxy.stop() == 0
    assert time.monotonic() - begun < 5


ACTIVATE = r"""
import os, socket, sys
fds = []
for number, where in enumerate(sys.argv[3:], 3):
    host, port = where.rsplit(":", 1)
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, int(port)))
    s.listen(100)
    fds.append(os.dup(s.fileno()) if s.fileno() < 20 else s.fileno())
    os.dup2(s.fileno(), 40 + number)
for number in range(3, 3 + len(fds)):
    os.dup2(40 + number, number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)),
                  LISTEN_FDNAMES=sys.argv[2])
program, config = sys.argv[1].split("\n")
os.execv(program, [program, "-c", config])
"""


@pytest.mark.parametrize("names", ["", "outbound:outbound6", "x:weir.socket"])
def test_socket_activation(net, scripted, weir, redirect, place, stack, names):
    """As systemd does it, with the addresses of contrib/weir.socket; here
    they are held where weir itself could not listen."""
    host, mx = net.pair()
    server = scripted(mx)
    four, six = "127.0.0.1:10025", "::1:10025"
    config = place / "weir.conf"
    config.write_text(usual(place))
    log = open(place / "weir.log", "ab")
    process = host.popen(sys.executable, "-c", ACTIVATE,
                         f"{PROGRAM}\n{config}", names, four, six, stderr=log)
    stack.callback(lambda: host.stop(process))
    wait_until(lambda: "event=weir.serving" in
               (place / "weir.log").read_text(), "weir to serve")
    # exactly the two that were passed: it opened none of its own
    assert sorted(listening(process.pid)) == [10025, 10025]
    redirect(host)
    for _ in range(4):      # both workers
        with Client(host) as client:
            client.hello()
            assert client.deliver().startswith("250")
    assert len(server.messages) == 4
    # the sockets are kept over a reload
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload.done" in
               (place / "weir.log").read_text(), "the reload")
    assert sorted(listening(process.pid)) == [10025, 10025]
    assert accepts_redirected(host)


def accepts_redirected(host):
    with Client(host) as client:
        return client.reply().startswith("220")


def test_unprivileged_user_with_mark(net, scripted, weir, redirect, place):
    """Started by root: everything but CAP_NET_ADMIN is given up, and the
    mark still exempts weir from the redirect."""
    host, mx = net.pair()
    server = scripted(mx)
    place.chmod(0o777)
    proxy = weir(host, usual(place).replace('user = ""', 'user = "nobody"'))
    redirect(host)
    with Client(host) as client:
        client.hello()
        assert client.deliver().startswith("250")
    assert len(server.messages) == 1
    status = dict(line.split(":\t", 1) for line in
                  open(f"/proc/{proxy.process.pid}/status", encoding="ascii")
                  if ":\t" in line)
    assert set(status["Uid"].split()) == {"65534"}
    assert int(status["CapEff"], 16) == 1 << 12      # CAP_NET_ADMIN
    assert int(status["CapPrm"], 16) == 1 << 12


def test_mark_needs_a_capability(net, weir, place):
    """Said at the start: it began, and each client had a 421."""
    host, _ = net.pair()
    proxy = weir(host, usual(place), wait=False,
                 options=("setpriv", "--bounding-set", "-all",
                          "--inh-caps", "-all"))
    wait_until(lambda: proxy.process.poll() is not None, "weir to give up")
    assert proxy.process.returncode == 1
    assert "upstream.mark needs CAP_NET_ADMIN, which weir" in proxy.log


def test_unprivileged_reload_renames_a_listener(net, scripted, weir, place):
    """The socket was root's: nobody else may bind to that address again."""
    host, mx = net.pair()
    scripted(mx)
    place.chmod(0o777)
    config = usual(place, text=FIXED).replace('user = ""', 'user = "nobody"')
    proxy = weir(host, config.replace(":10025", ":25"), port=25)
    for count, name in enumerate(("smarthost", "fixed"), 1):
        proxy.reload(config.replace(":10025", ":25")
                     .replace('"fixed" {', f'"{name}" {{'))
        wait_until(lambda: len(re.findall(r"event=reload\.[df]", proxy.log))
                   == count, "the reload")
        assert "event=reload.failed" not in proxy.log
        assert accepts(host, 25)


def test_user_exempted_by_uid_needs_no_capability(net, scripted, weir, place):
    host, mx = net.pair()
    server = scripted(mx)
    place.chmod(0o777)
    config = usual(place).replace('user = ""', 'user = "nobody"')
    proxy = weir(host, config.replace(f"mark = {MARK}", ""))
    host.run(PROJECT_RULES, "iptables", "install", "--user", "nobody")
    with Client(host) as client:
        client.hello()
        assert client.deliver().startswith("250")
    assert len(server.messages) == 1
    with open(f"/proc/{proxy.process.pid}/status", encoding="ascii") as file:
        assert "CapEff:\t0000000000000000\n" in file.read()


PROJECT_RULES = __file__.rpartition("/tests/")[0] + "/contrib/weir-rules"


def test_required_policy_is_waited_for(net, scripted, weir, policy, place):
    host, mx = net.pair()
    scripted(mx)
    text = (f'policy "tag" {{ endpoint = "unix:{place}/tag.sock"'
            ' required = true }\n')
    proxy = weir(host, usual(place, text=FIXED, more=text), wait=False)
    proxy.wait_log("event=weir.waiting")
    time.sleep(0.5)
    assert listening(proxy.process.pid) == []
    policy("tag", "tag_header.py", "--rule", "x", "y")
    wait_until(lambda: accepts(host), "weir to serve")


def test_check_option(weir, place):
    good, bad = place / "good.conf", place / "bad.conf"
    good.write_text(usual(place, text=USUAL))
    bad.write_text('listener "x" { }\nnonsense = 3\n')
    for path, code in ((good, 0), (bad, 1)):
        done = subprocess.run([PROGRAM, "-t", "-c", path], timeout=10,
                              capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert f"{bad}:2: " in done.stderr


@pytest.mark.parametrize("more,words", [
    ('upstream { tls_ca = "/nowhere/ca.pem" }', "/nowhere/ca.pem"),
    ('upstream { tls_priority = "FOO" }', 'priority "FOO" is wrong'),
    ('dns { trust_anchor = "/nowhere/root.key" }', "/nowhere/root.key cannot"),
])
def test_check_finds_what_the_start_would_refuse(place, more, words):
    bad = place / "bad.conf"
    bad.write_text('listener "x" { }\n' + more)
    done = subprocess.run([PROGRAM, "-t", "-c", bad], timeout=10,
                          capture_output=True, text=True)
    assert done.returncode == 1
    if "libunbound, and this weir was built without" not in done.stderr:
        assert words in done.stderr
