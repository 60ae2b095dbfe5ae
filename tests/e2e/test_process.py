"""The sending process of a local client: two tenants on one host.

Each has a user and a cgroup of its own, and is redirected into weir. weir runs
as root, which finds everything, or as a user, which finds what needs no
privilege.
"""

import contextlib
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest
from blackbox import Policy, decision
from netns import wait_until
from weir import usual

TENANTS = {"shop": 65534, "blog": 2}
PLACES = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]

# argv: its cgroup, its uid, where to send
TENANT = textwrap.dedent("""\
    import os, smtplib, sys
    cgroup, uid, host = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if cgroup:
        with open(cgroup + "/cgroup.procs", "w") as file:
            file.write("0")
    os.setuid(uid)
    try:
        with smtplib.SMTP(host, timeout=10) as client:
            client.sendmail("a@example.org", "b@example.net", "Hello.")
        print(os.getpid(), "sent")
    except smtplib.SMTPException as error:
        print(os.getpid(), error)
    """)


@pytest.fixture
def cgroups():
    """A cgroup for each tenant below one of the test's own; None without."""
    for place in PLACES:
        if os.access(place / "cgroup.procs", os.W_OK):
            break
    else:
        yield None
        return
    parent = place / f"weir-e2e-{os.getpid()}"
    made = {name: parent / name for name in TENANTS}
    for path in made.values():
        path.mkdir(parents=True)
    yield made
    for path in (*made.values(), parent):
        for _ in range(100):            # until the last process has gone
            with contextlib.suppress(OSError):
                path.rmdir()
                break
            time.sleep(0.01)


# ip-netns(8) hides /sys/fs/cgroup from what it runs
SEE_CGROUPS = ("nsenter", f"--mount=/proc/{os.getpid()}/ns/mnt", "--")


def send(host, tenant, cgroups, address):
    """(pid, what came of it)"""
    cgroup = cgroups[tenant] if cgroups else ""
    done = host.run(*SEE_CGROUPS, sys.executable, "-c", TENANT, cgroup,
                    TENANTS[tenant], address)
    pid, _, result = done.stdout.strip().partition(" ")
    return int(pid), result


def path_of(cgroups, tenant):
    """As weir says it."""
    if not cgroups:
        return None
    return f"/{cgroups[tenant].parent.name}/{tenant}"


@pytest.mark.parametrize("user", ["", "daemon"])
def test_tenants(net, scripted, weir, redirect, place, stack, cgroups, user):
    """The policy refuses one of them, by uid; everything names both."""
    host, mx = net.pair()
    servers = [scripted(mx), scripted(mx, address="fd07::2")]
    redirect(host)
    place.chmod(0o777)

    def answer(event, _):
        assert event.WhichOneof("event") == "connect"
        if event.connect.process.uid == TENANTS["blog"]:
            return decision(2, 550, lines=["not from you"])
        return decision()

    policy = Policy(place / "p.sock", decide=["connect"], answer=answer)
    stack.callback(policy.close)
    (place / "p.sock").chmod(0o666)
    proxy = weir(host, usual(place, more=policy.block()).replace(
        'user = ""', f'user = "{user}"'), options=SEE_CGROUPS)
    for number, address in enumerate(("10.7.0.2", "fd07::2"), 1):
        sent = {name: send(host, name, cgroups, address) for name in TENANTS}
        assert sent["shop"][1] == "sent"
        assert "not from you" in sent["blog"][1]
        seen = {e.connect.process.uid: e.connect.process
                for e in policy.wait("connect", 2 * number)[-2:]}
        rows = {row["process_uid"]: row for row in proxy.wait_rows(
            "SELECT * FROM sessions WHERE cause IS NOT NULL AND"
            " destination_address = ?", address, count=2)}
        for name, uid in TENANTS.items():
            # a user may not look into another one's process
            pid = sent[name][0] if user == "" else None
            command = sys.executable if user == "" else None
            cgroup = path_of(cgroups, name)
            assert (rows[uid]["process_pid"], rows[uid]["process_cgroup"],
                    rows[uid]["process_command"]) == (pid, cgroup, command)
            assert (seen[uid].pid, seen[uid].cgroup, seen[uid].command) == \
                (pid or 0, cgroup or "", command or "")
    assert [len(server.messages) for server in servers] == [1, 1]
    wait_until(lambda: {line["uid"] for line in proxy.json_lines()
                        if line["event"] == "process"}
               == set(TENANTS.values()), "the JSON lines")


def test_who_is_elsewhere_is_not_looked_for(net, scripted, weir, redirect,
                                            place):
    """A routed client is no process of this host."""
    client, host, mx = net.routed()
    scripted(mx)
    redirect(host, "--prerouting", "inside")
    proxy = weir(host, usual(place, text=(
        'user = ""\nworkers = 2\nhostname = "weir.example.org"\n'
        'listener "routed" { address = "*:10025" }\n'
        'upstream { mark = 25 %(upstream)s }\n'
        'record { sqlite = "%(place)s/weir.db" }\n'
        'status { address = "" control = "" }\n%(more)s')))
    assert send(client, "shop", None, "10.7.0.2")[1] == "sent"
    rows = proxy.wait_rows("SELECT * FROM sessions WHERE cause IS NOT NULL")
    assert [(row["client_address"], row["process_uid"]) for row in rows] == [
        ("10.8.0.9", None)]


def test_off(net, scripted, weir, redirect, place):
    host, mx = net.pair()
    scripted(mx)
    redirect(host)
    proxy = weir(host, usual(place).replace(
        '"127.0.0.1:10025"', '"127.0.0.1:10025" process = false'))
    assert send(host, "shop", None, "10.7.0.2")[1] == "sent"
    rows = proxy.wait_rows("SELECT * FROM sessions WHERE cause IS NOT NULL")
    assert [row["process_uid"] for row in rows] == [None]
