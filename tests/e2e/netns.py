"""Network namespaces for one test: made by name, removed with all in them.

Everything that a test starts in one goes through Namespace.popen(), and is
killed by pid before the namespace goes away.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import time

_count = itertools.count(1)
CLONE_NEWNET = 0x40000000
PATIENCE = 15.0  # seconds; only a failing test waits so long


def _enter(file):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def why_not():
    """Why namespaces cannot be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            return f"{tool} is missing: apt-get install iproute2 nftables"
    probe = f"weir-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe],
                          capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


def wait_until(condition, what, patience=PATIENCE):
    """The first true value of condition()."""
    until = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"waited {patience} s for {what}")
        time.sleep(0.05)


class Namespace:
    def __init__(self, label):
        self.name = f"weir{os.getpid()}-{next(_count)}-{label}"
        self.processes = []
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        # without it an IPv6 address is not usable for a second or two
        self.run("sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0",
                 "net.ipv6.conf.default.accept_dad=0")
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command):
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command, check=True, timeout=60, **options):
        """Runs it; its output is in the error when it fails."""
        options.setdefault("stdin", None if "input" in options
                           else subprocess.DEVNULL)
        if options["stdin"] is None:
            del options["stdin"]
        done = subprocess.run(self.command(*command), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, **options)
        assert not check or done.returncode == 0, (command, done.stdout)
        return done

    def popen(self, *command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.command(*command), **options)
        self.processes.append(process)
        return process

    def nft(self, rules):
        self.run("nft", "-f", "-", input=rules)

    def address(self, interface, *addresses):
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            self.run("ip", "address", "add", address, "dev", interface, *nodad)
        self.run("ip", "link", "set", interface, "up")

    @contextlib.contextmanager
    def inside(self):
        """Sockets made here by this thread belong to the namespace."""
        with open("/proc/thread-self/ns/net", encoding="ascii") as home, \
                open(f"/run/netns/{self.name}", encoding="ascii") as there:
            _enter(there)
            try:
                yield
            finally:
                _enter(home)

    def stop(self, process, patience=PATIENCE):
        """Ends it politely; its exit code."""
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        # what they left behind: all of it is in here, so all of it is ours
        left = subprocess.run(["ip", "netns", "pids", self.name],
                              capture_output=True, text=True, check=True)
        for pid in left.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


def join(one, other, interface_one, addresses_one, interface_other,
         addresses_other):
    """A cable between two namespaces."""
    subprocess.run(["ip", "link", "add", interface_one, "netns", one.name,
                    "type", "veth", "peer", "name", interface_other,
                    "netns", other.name], check=True)
    one.address(interface_one, *addresses_one)
    other.address(interface_other, *addresses_other)


class Net:
    """The namespaces of one test, and the usual two of them."""

    def __init__(self):
        self.all = []

    def namespace(self, label):
        self.all.append(Namespace(label))
        return self.all[-1]

    def pair(self):
        """A host (10.7.0.1, fd07::1) that reaches an MX (.2 and ::2)."""
        host, mx = self.namespace("host"), self.namespace("mx")
        join(host, mx, "wan", ["10.7.0.1/24", "fd07::1/64"],
             "lan", ["10.7.0.2/24", "fd07::2/64"])
        return host, mx

    def routed(self):
        """A client (10.8.0.9, fd08::9) behind the host of pair()."""
        client = self.namespace("client")
        host, mx = self.pair()
        join(client, host, "eth0", ["10.8.0.9/24", "fd08::9/64"],
             "inside", ["10.8.0.1/24", "fd08::1/64"])
        for namespace, four, six in ((client, "10.8.0.1", "fd08::1"),
                                     (mx, "10.7.0.1", "fd07::1")):
            namespace.run("ip", "route", "add", "default", "via", four)
            namespace.run("ip", "-6", "route", "add", "default", "via", six)
        host.run("sysctl", "-qw", "net.ipv4.ip_forward=1",
                 "net.ipv6.conf.all.forwarding=1")
        return client, host, mx

    def close(self):
        while self.all:
            self.all.pop().close()
