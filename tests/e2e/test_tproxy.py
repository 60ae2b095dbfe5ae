"""Mode tproxy: three hosts, and a router that changes no address."""

import re
import socket
import subprocess

import mta
import pytest
from netns import join, wait_until
from weir import MARK, ROOT, Client, usual

RULES = ROOT / "contrib" / "weir-rules"
ROUTER = """\
user = "nobody"
workers = 2
hostname = "weir.example.org"
listener "router" { address = "127.0.0.1:10025" mode = "tproxy" }
listener "router6" { address = "[::1]:10025" mode = "tproxy" }
upstream { mark = 25 tls = "encrypt" %(upstream)s }
record { sqlite = "%(place)s/weir.db" json = "" }
status { address = "" control = "" }
%(more)s
"""
BOTH = (("10.7.0.2", "10.7.0.1", "10.8.0.9"),
        ("fd07::2", "fd07::1", "fd08::9"))


def config(place, **parts):
    place.chmod(0o777)
    return usual(place, text=ROUTER, **parts)


def rules(namespace, tool, action, *options):
    return namespace.run(RULES, tool, action, *options).stdout


def install(host, tool, *options):
    rules(host, tool, "install", "--tproxy", "inside", "--mark", MARK,
          "--user", "", *options)


def deliver(client, host):
    with Client(client, host) as smtp:
        smtp.hello()
        assert smtp.deliver().startswith("250")


def greeted(client, host):
    with Client(client, host, timeout=5) as smtp:
        return smtp.reply()


def is_taken(client, host):
    try:
        return greeted(client, host).startswith("220")
    except ConnectionRefusedError:
        return False


def reload(proxy, text):
    done = proxy.log.count("event=reload.done")
    proxy.reload(text)
    proxy.wait_log("event=reload.done", done + 1)


@pytest.mark.parametrize("tool", ["nft", "iptables"])
def test_tproxy_to_the_mx_and_back(net, scripted, weir, place, tool):
    """Both families, with STARTTLS, from the router's address and from the
    client's own; and by a user who has one capability left."""
    client, host, mx = net.routed()
    pem = mta.certificate(place / "mx.pem")
    servers = [scripted(mx, address=address, tls=pem)
               for address, _, _ in BOTH]
    proxy = weir(host, config(place))
    install(host, tool)
    for keeps in (False, True):
        if keeps:
            reload(proxy, config(place, upstream='source = {"client"}'))
        for server, (address, routers, clients) in zip(servers, BOTH):
            deliver(client, address)
            session = server.sessions[-1]
            assert session.peer[0] == (clients if keeps else routers)
            assert session.tls
            assert server.messages.pop().tls
    connections = proxy.wait_rows(
        "SELECT * FROM sessions WHERE duration_us NOT NULL ORDER BY id",
        count=4)
    assert [(row["destination_address"], row["source_address"],
             row["client_address"]) for row in connections] == \
        [*BOTH, *((where, own, own) for where, _, own in BOTH)]


def test_tproxy_a_policy_chooses_another_source(net, scripted, weir, policy,
                                                place):
    """A decision's source still wins over the client's own address."""
    client, host, mx = net.routed()
    host.address("wan", "10.7.0.77/24")
    server = scripted(mx, tls=mta.certificate(place / "mx.pem"))
    table = place / "table"
    table.write_text("10.8.0.0/24 all\n")
    _, block = policy("choose", "choose_outbound.py", "--table", table,
                      grants=["outbound"])
    # the policy's socket is root's
    weir(host, config(place, upstream='source = {"client"}', more=block +
                      'pool "all" { addresses = {"10.7.0.77"} }\n')
         .replace('user = "nobody"', 'user = ""'))
    install(host, "nft")
    deliver(client, "10.7.0.2")
    assert server.sessions[-1].peer[0] == "10.7.0.77"


def test_tproxy_ports_are_not_the_clients(net, scripted, weir, place):
    """A client and weir with the same ends would be one connection to the
    kernel, and a loop to weir."""
    client, host, mx = net.routed()
    server = scripted(mx, tls=mta.certificate(place / "mx.pem"))
    proxy = weir(host, config(place, upstream='source = {"client"}'))
    install(host, "nft")
    for _ in range(8):
        deliver(client, "10.7.0.2")
    assert all(1024 <= session.peer[1] < 32768 for session in server.sessions)
    assert "session.loop" not in proxy.log


def test_tproxy_a_listener_changes_its_mode(net, scripted, weir, place):
    """With the same sockets: another user could not bind them again."""
    client, host, mx = net.routed()
    scripted(mx, tls=mta.certificate(place / "mx.pem"))
    text = config(place)
    proxy = weir(host, text)
    install(host, "nft")
    deliver(client, "10.7.0.2")
    # each worker changes when it comes to it
    for mode, served in (("redirect", False), ("tproxy", True)):
        reload(proxy, text.replace('"tproxy"', f'"{mode}"'))
        wait_until(lambda wanted=[served] * 8: [
            is_taken(client, "10.7.0.2") for _ in wanted] == wanted,
            f"mode {mode}")
    deliver(client, "10.7.0.2")


def test_tproxy_only_what_is_routed(net, scripted, weir, place):
    """Other ports, other interfaces and the router itself pass."""
    client, host, mx = net.routed()
    near, other, local = (scripted(mx), scripted(mx, port=26),
                          scripted(host, address="10.8.0.1"))
    weir(host, config(place))
    install(host, "nft")
    for where, port, server in (("10.7.0.2", 26, other),
                                ("10.8.0.1", 25, local)):
        with Client(client, where, port) as smtp:
            smtp.hello()
        assert server.sessions[-1].peer[0] == "10.8.0.9"
    with Client(host) as smtp:
        smtp.hello()
    assert near.sessions[-1].peer[0] == "10.7.0.1"


@pytest.mark.parametrize("tool", ["nft", "iptables"])
def test_tproxy_without_weir_nothing_passes(net, scripted, tool):
    client, host, mx = net.routed()
    server = scripted(mx)
    install(host, tool)
    with client.inside(), socket.socket() as one:
        one.settimeout(0.3)
        with pytest.raises((ConnectionRefusedError, TimeoutError)):
            one.connect(("10.7.0.2", 25))
    assert not server.sessions


@pytest.mark.parametrize("tool", ["nft", "iptables"])
def test_tproxy_hears_that_packets_are_too_big(net, scripted, weir, place,
                                               tool):
    """A narrow link far behind weir: what its router says, it says to the
    address of the client."""
    client, host, router = net.routed()
    far = net.namespace("far")
    join(router, far, "narrow", ["10.6.0.1/24", "fd06::1/64"],
         "eth0", ["10.6.0.2/24", "fd06::2/64"])
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1",
               "net.ipv6.conf.all.forwarding=1")
    router.run("ip", "link", "set", "narrow", "mtu", "1280")
    for family, near, there, back in (
            ("-4", "10.7.0.2", "10.6.0.0/24", "10.6.0.1"),
            ("-6", "fd07::2", "fd06::/64", "fd06::1")):
        host.run("ip", family, "route", "add", there, "via", near)
        far.run("ip", family, "route", "add", "default", "via", back)
    pem = mta.certificate(place / "mx.pem")
    weir(host, config(place, upstream='source = {"client"}'
                      " data_done_timeout = 5s"))
    install(host, tool)
    for address in ("10.6.0.2", "fd06::2"):
        server = scripted(far, address=address, tls=pem)
        with Client(client, address) as smtp:
            smtp.hello()
            assert smtp.deliver(text="x" * 70 + "\r\n" +
                                ("y" * 70 + "\r\n") * 1000).startswith("250")
        assert len(server.messages) == 1


def test_tproxy_loop_to_itself(net, weir, place):
    """Whoever comes to weir's own port comes from nowhere."""
    _, host, _ = net.routed()
    proxy = weir(host, config(place))
    for address in ("127.0.0.1", "::1"):
        with Client(host, address, 10025) as smtp:
            assert smtp.reply().startswith("421 4.3.5 ")
    assert proxy.log.count(
        'reason="the destination of this connection is weir itself"') == 2


def test_tproxy_loop_through_another_router(net, weir, place):
    """What weir sends is routed back to where it came from. (The kernel drops
    such packets, unless it is told to accept its own addresses.)"""
    client, host, mx = net.routed()
    proxy = weir(host, config(place))
    install(host, "nft", "--tproxy", "wan")
    host.run("sysctl", "-qw", "net.ipv4.conf.wan.accept_local=1",
             "net.ipv4.conf.wan.rp_filter=0", "net.ipv4.conf.all.rp_filter=0")
    mx.run("sysctl", "-qw", "net.ipv4.ip_forward=1",
           "net.ipv4.conf.all.send_redirects=0",
           "net.ipv4.conf.lan.send_redirects=0")
    host.run("ip", "route", "add", "10.9.0.0/24", "via", "10.7.0.2")
    assert greeted(client, "10.9.0.2").startswith("421 4.3.5 ")
    assert proxy.log.count("event=session.refused") < 20


def test_tproxy_needs_a_capability(weir, place, net):
    """Said in words, at the start and at a reload."""
    host, _ = net.pair()
    text = config(place).replace('user = "nobody"', 'user = ""')
    proxy = weir(host, text, wait=False,
                 options=("setpriv", "--bounding-set", "-all",
                          "--inh-caps", "-all"))
    wait_until(lambda: proxy.process.poll() is not None, "weir to give up")
    words = ('listener "router": mode = tproxy needs CAP_NET_ADMIN, which '
             "weir does not have: start it as root, or by the unit file")
    assert words in proxy.log


def test_tproxy_is_not_had_by_a_reload_without_the_capability(
        net, scripted, weir, place):
    host, mx = net.pair()
    scripted(mx)
    text = config(place).replace("mark = 25", "") \
        .replace('"tproxy"', '"redirect"')
    proxy = weir(host, text)
    proxy.reload(text.replace('"redirect"', '"tproxy"'))
    proxy.wait_log("event=reload.failed")
    assert "mode = tproxy needs CAP_NET_ADMIN" in proxy.log


def test_tproxy_rules_twice_are_once(net):
    host, _ = net.pair()

    def everything():
        # all but the routes that the kernel makes in its own time, and the
        # packets that it sends
        return re.sub(r"packets \d+ bytes \d+", "counted", "".join(
            host.run(*words.split(), check=False).stdout for words in (
                "nft list ruleset", "ip rule", "ip -6 rule",
                "ip route show table 1025", "ip -6 route show table 1025")))

    for tool in ("nft", "iptables"):
        install(host, tool, "--output")
        rules(host, tool, "remove")
        before = everything()
        install(host, tool, "--output")
        once, shown = everything(), rules(host, tool, "show")
        assert once != before and "lookup 1025" in shown
        install(host, tool, "--output")
        assert everything() == once
        install(host, tool, "--tproxy-mark", 27)
        assert "fwmark 0x1a" not in everything()
        rules(host, tool, "install", "--user", "")      # without it
        assert "fwmark" not in everything()
        rules(host, tool, "remove")
        assert everything() == before


@pytest.mark.parametrize("words", [
    ("--tproxy",), ("--tproxy", "a;b"), ("--tproxy", "x", "--table", "y"),
    ("--tproxy", "x", "--tproxy-mark", "25"),
    ("--tproxy", "x", "--mark", "0x1a"),
    ("--tproxy", "x", "--prerouting", "y", "--prerouting", "x"),
])
def test_tproxy_misuse_of_the_rules(words):
    done = subprocess.run([RULES, "nft", "install", *words], text=True,
                          capture_output=True, timeout=10)
    assert done.returncode == 64 and "weir-rules: " in done.stderr
