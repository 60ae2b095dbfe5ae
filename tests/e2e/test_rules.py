"""contrib/weir-rules: what it redirects, what it lets pass, what it leaves."""

import re
import shutil
import subprocess
import sys

import pytest
from netns import wait_until
from policy_harness import ROOT

RULES = ROOT / "contrib" / "weir-rules"

# Says where each connection was meant to go: "original" or "direct".
LISTENER = r"""
import os, socket, sys, threading
def serve(family, host, port):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((host, port))
    s.listen()
    os.write(1, b"listening\n")
    while True:
        c, peer = s.accept()
        try:
            if family == socket.AF_INET:
                raw = c.getsockopt(socket.IPPROTO_IP, 80, 16)
                ip = socket.inet_ntop(family, raw[4:8])
            else:
                raw = c.getsockopt(socket.IPPROTO_IPV6, 80, 28)
                ip = socket.inet_ntop(family, raw[8:24])
            where = f"{ip} {int.from_bytes(raw[2:4], 'big')}"
        except OSError:
            where = "none"
        c.sendall(f"{sys.argv[1]} {where}\n".encode())
        c.close()
for family, host, port in zip(*[iter(sys.argv[2:])] * 3):
    family = socket.AF_INET6 if family == "6" else socket.AF_INET
    threading.Thread(target=serve, args=(family, host, int(port))).start()
"""
DIAL = r"""
import os, socket, sys
host, port, mark, uid = sys.argv[1], *map(int, sys.argv[2:])
if not mark:
    os.setuid(uid)  # a socket belongs to who made it
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
if mark:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
s.settimeout(5)
s.connect((host, port))
print(s.recv(100).decode(), end="")
"""
NOBODY, DAEMON = 65534, 1


def listen(namespace, name, *where):
    process = namespace.popen(sys.executable, "-c", LISTENER, name, *where,
                              stdout=subprocess.PIPE, text=True)
    for _ in where[::3]:
        assert process.stdout.readline() == "listening\n"


def dial(namespace, host, port=25, mark=0, uid=NOBODY):
    return namespace.run(sys.executable, "-c", DIAL, host, port, mark,
                         uid).stdout.strip()


def rules(namespace, tool, action, *options):
    return namespace.run(RULES, tool, action, *options).stdout


def ruleset(namespace):
    """All that nft and iptables know of, without the counters."""
    text = namespace.run("nft", "list", "ruleset").stdout
    return re.sub(r"counter packets \d+ bytes \d+", "", text)


@pytest.fixture(params=["nft", "iptables"])
def tool(request):
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is missing")
    return request.param


def weir_and_mx(host, mx):
    listen(host, "weir", "4", "0.0.0.0", 10025, "6", "::", 10025)
    listen(mx, "mx", "4", "0.0.0.0", 25, "6", "::", 25)


@pytest.mark.parametrize("address", ["10.7.0.2", "fd07::2"])
def test_output(net, tool, address):
    host, mx = net.pair()
    weir_and_mx(host, mx)
    assert dial(host, address) == "mx none"
    rules(host, tool, "install", "--mark", 7, "--user", "daemon")
    assert dial(host, address) == f"weir {address} 25"
    assert dial(host, address, mark=7) == "mx none"
    assert dial(host, address, mark=8) == f"weir {address} 25"
    assert dial(host, address, uid=DAEMON) == "mx none"
    rules(host, tool, "remove")
    assert dial(host, address) == "mx none"


@pytest.mark.parametrize("address", ["10.7.0.2", "fd07::2"])
def test_prerouting(net, tool, address):
    client, host, mx = net.routed()
    weir_and_mx(host, mx)
    assert dial(client, address) == "mx none"
    rules(host, tool, "install", "--prerouting", "inside", "--user", "")
    assert dial(client, address) == f"weir {address} 25"
    assert dial(host, address) == "mx none"      # OUTPUT was not asked for
    rules(host, tool, "remove")
    assert dial(client, address) == "mx none"


def test_other_interfaces_and_ports_pass(net, tool):
    client, host, mx = net.routed()
    weir_and_mx(host, mx)
    listen(mx, "mx", "4", "10.7.0.2", 26)
    rules(host, tool, "install", "--output", "--prerouting", "wan",
          "--user", "")
    assert dial(client, "10.7.0.2") == "mx none"
    assert dial(host, "10.7.0.2") == "weir 10.7.0.2 25"
    assert dial(host, "10.7.0.2", port=26) == "mx none"
    rules(host, tool, "install", "--dport", 26, "--user", "")
    assert dial(host, "10.7.0.2") == "mx none"
    assert dial(host, "10.7.0.2", port=26) == "weir 10.7.0.2 26"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.7.0.1",
                                     "fd07::1"])
def test_mail_to_this_machine_passes(net, tool, address):
    client, host, mx = net.routed()
    weir_and_mx(host, mx)
    listen(host, "local", "4", "0.0.0.0", 25, "6", "::", 25)
    rules(host, tool, "install", "--output", "--prerouting", "inside",
          "--user", "")
    assert dial(host, address).startswith("local ")
    if address in ("10.7.0.1", "fd07::1"):
        assert dial(client, address).startswith("local ")


def test_install_twice_is_once_and_remove_leaves_nothing(net, tool):
    host, _ = net.pair()
    rules(host, tool, "remove")                     # of nothing
    both = ("--output", "--prerouting", "wan", "--prerouting", "lo",
            "--user", "daemon")
    rules(host, "iptables", "install", *both)
    rules(host, "iptables", "remove")               # iptables' base chains stay
    before = ruleset(host)
    assert rules(host, tool, "show") == ""
    rules(host, tool, "install", *both)
    once, shown = ruleset(host), rules(host, tool, "show")
    assert once != before and "10025" in shown
    rules(host, tool, "install", *both)
    assert ruleset(host) == once
    rules(host, tool, "install", "--user", "daemon")    # less than before
    assert "lo" not in rules(host, tool, "show").replace("local", "")
    rules(host, tool, "install", *both)
    rules(host, tool, "remove")
    assert ruleset(host) == before
    rules(host, tool, "remove")
    assert ruleset(host) == before


def test_the_rules_of_others_stay(net, tool):
    host, mx = net.pair()
    weir_and_mx(host, mx)
    host.nft("table ip mine { chain c { type nat hook output priority 0;"
             " tcp dport 2525 redirect to :25; }; }\n")
    host.run("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp",
             "--dport", 99, "-j", "RETURN")
    before = ruleset(host)
    rules(host, tool, "install", "--user", "")
    rules(host, tool, "remove")
    assert "2525" in before and "99" in before
    after = ruleset(host)
    assert "2525" in after and "dport 99" in after


@pytest.mark.parametrize("words, code", [
    ((), 64), (("pf", "install"), 64), (("nft",), 64), (("nft", "flush"), 64),
    (("nft", "install", "--port"), 64), (("nft", "install", "--port", "x"), 64),
    (("nft", "install", "--mark", "0x"), 64),
    (("nft", "install", "--mark", "1; drop"), 64),
    (("nft", "install", "--prerouting", 'a" drop'), 64),
    (("iptables", "install", "--prerouting", ""), 64),
    (("nft", "install", "--what", "1"), 64),
    (("nft", "install", "--user", "no-such-user"), 1),
])
def test_misuse_is_refused_before_anything_is_done(words, code):
    done = subprocess.run([RULES, *words], capture_output=True, text=True,
                          timeout=10)
    assert done.returncode == code
    assert "weir-rules: " in done.stderr and done.stdout == ""
