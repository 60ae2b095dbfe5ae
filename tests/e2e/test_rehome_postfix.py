"""Re-homing between real MTAs: a policy with the Python SDK picks the address
by the sender's domain, and the MX's firewall does not like one of them."""

import re

from weir import usual

SCRIPT = """\
from weir_policy import Policy, arguments, relay

policy = Policy("by-domain/1.0")


@policy.mail
async def by_domain(session, event):
    name = event.sender.rpartition("@")[2].removesuffix(".example")
    if name in ("one", "two"):
        return relay().outbound(pool=name).because(rule=name)


policy.run(arguments("One pool per sender domain.").parse_args())
"""
POOLS = """\
pool "one" {
  addresses = {"10.7.0.11", "fd07::11"}
  ehlo_name = "one.out.example"
}
pool "two" {
  addresses = {"10.7.0.12", "fd07::12"}
  ehlo_name = "two.out.example"
}
"""
BY_SIX = ("sender_dependent_relayhost_maps = inline:{{" + ", ".join(
    f"six@{name}.example=[fd07::2]" for name in ("one", "two", "three")) +
    "}}\n")
REJECT = """\
table inet weirtest {
  chain in {
    type filter hook input priority 0;
    ip saddr 10.7.0.12 tcp dport 25 reject with tcp reset
    ip6 saddr fd07::12 tcp dport 25 reject with tcp reset
  }
}
"""


def came_from(message):
    """(EHLO name, address) as the MX saw them, and whether by TLS."""
    first = message.get_all("Received")[0]
    name, address = re.match(
        r"from (\S+) \(unknown \[(?:IPv6:)?([0-9a-f.:]+)\]\)", first).groups()
    return name, address, "TLSv1.3" in first


def test_by_sender_domain(net, postfix, weir, policy, redirect, place):
    host, mx = net.pair()
    host.address("wan", "10.7.0.11/24", "10.7.0.12/24", "fd07::11/64",
                 "fd07::12/64")
    (place / "by_domain.py").write_text(SCRIPT)
    _, block = policy("p", place / "by_domain.py", grants=["outbound"])
    server = postfix.mx(mx)
    # of several IPv6 addresses the kernel takes the newest
    proxy = weir(host, usual(place, 'source = {"10.7.0.1", "fd07::1"}',
                             POOLS + block))
    redirect(host)
    mx.nft(REJECT)
    sender = postfix.client(host, main=BY_SIX)
    for name in ("one", "two", "three"):
        for user in ("a", "six"):
            sender.sendmail(f"{user}@{name}.example", "r@example.net",
                            subject=name)
    assert len(server.wait_mailbox(4)) == 4
    for refused in sender.wait_log("status=deferred (host ", 2)[:2]:
        assert "451 4.4.1" in refused
    mx.run("nft", "delete", "table", "inet", "weirtest")
    host.run("postqueue", "-c", sender.place / "etc", "-f")
    messages = server.wait_mailbox(6)
    assert sorted((m["Subject"], *came_from(m)) for m in messages) == [
        ("one", "one.out.example", "10.7.0.11", True),
        ("one", "one.out.example", "fd07::11", True),
        ("three", "client.example.org", "10.7.0.1", True),
        ("three", "client.example.org", "fd07::1", True),
        ("two", "two.out.example", "10.7.0.12", True),
        ("two", "two.out.example", "fd07::12", True)]
    rows = proxy.wait_rows("SELECT * FROM rehomings", count=6)
    assert sorted((row["rule"], row["to_source_address"], row["result"])
                  for row in rows) == [
        ("one", "10.7.0.11", "done"), ("one", "fd07::11", "done"),
        ("two", "10.7.0.12", "done"), ("two", "10.7.0.12", "failed"),
        ("two", "fd07::12", "done"), ("two", "fd07::12", "failed")]
    assert all("connection refused" in row["reason"] for row in rows
               if row["result"] == "failed")
