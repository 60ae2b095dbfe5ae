"""What is measured: the sink alone, and each proxy before it.

Everything runs on loopback, without TLS, in front of the same sink, and is
ended by its process id.
"""
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import json

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def raise_file_limit():
    """Each idle session takes two sockets of the proxy."""
    want = 40000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(want, hard)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def stat_fields(pid):
    """The fields of /proc/PID/stat from the state (number 3) on."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return text.rpartition(")")[2].split()


def status_kb(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


class Process:
    """A program of ours, its output in a file, ended by pid."""

    def __init__(self, folder, name, command, **options):
        self.log = folder / f"{name}.log"
        self.popen = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", open(self.log, "wb")),
            stderr=open(folder / f"{name}.err", "wb"), **options)
        self.error_log = folder / f"{name}.err"
        self.name = name
        self.pid = self.popen.pid

    def check(self):
        if self.popen.poll() is not None:
            text = self.error_log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.name} ended with "
                               f"{self.popen.returncode}: {text}")

    def wait_for_greeting(self, port, timeout=15):
        end = time.monotonic() + timeout
        while True:
            self.check()
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as s:
                    s.settimeout(2)
                    if s.recv(100).startswith(b"220"):
                        s.sendall(b"QUIT\r\n")
                        s.recv(100)
                        return
            except OSError:
                pass
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not greet")
            time.sleep(0.05)

    def stop(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


class Sink(Process):
    def __init__(self, folder, programs):
        super().__init__(folder, "sink", [programs / "sink", "127.0.0.1:0"],
                         stdout=subprocess.PIPE, text=True)
        self.port = int(self.popen.stdout.readline().split()[1])

    def count(self):
        """Messages so far."""
        self.popen.send_signal(signal.SIGUSR1)
        return json.loads(self.popen.stdout.readline())["messages"]


class Contender:
    """A way to the sink. `helper` is the policy server or milter, if any,
    `second` one more policy server."""
    queues = False      # answers before the sink has the message

    def __init__(self):
        self.process = self.helper = self.second = None

    def cpu(self):
        """CPU seconds of the proxy so far."""
        if not self.process:
            return 0.0
        fields = stat_fields(self.process.pid)
        return (int(fields[11]) + int(fields[12])) / TICK

    def helper_cpu(self):
        ticks = 0
        for helper in (self.helper, self.second):
            if helper:
                ticks += sum(int(f) for f in stat_fields(helper.pid)[11:13])
        return ticks / TICK

    def reset_peak(self):
        if self.process:
            pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text(
                "5")

    def peak_kb(self):
        return status_kb(self.process.pid, "VmHWM") if self.process else 0

    def rss_kb(self):
        return status_kb(self.process.pid, "VmRSS") if self.process else 0

    def check(self):
        for process in (self.process, self.helper, self.second):
            if process:
                process.check()

    def settle(self):
        """Waits until nothing is left to be done after a load, so that who
        comes next does not pay for it."""

    def stop(self):
        for process in (self.process, self.helper, self.second):
            if process:
                process.stop()


class Direct(Contender):
    def __init__(self, folder, programs, weir, sink):
        super().__init__()
        self.port = sink.port


HAPROXY = """
global
    nbthread 2
    maxconn 9900
defaults
    mode tcp
    maxconn 9900
    timeout connect 10s
    timeout client 5m
    timeout server 5m
listen smtp
    bind 127.0.0.1:{port} backlog 4096
    server sink 127.0.0.1:{sink} maxconn 9900
"""


class Haproxy(Contender):
    def __init__(self, folder, programs, weir, sink):
        super().__init__()
        program = shutil.which("haproxy", path=os.environ["PATH"] +
                               ":/usr/sbin")
        if not program:
            raise FileNotFoundError("haproxy is missing")
        self.port = free_port()
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=self.port, sink=sink.port))
        self.process = Process(folder, "haproxy",
                               [program, "-db", "-f", config])
        self.process.wait_for_greeting(self.port)


WEIR = """
workers = 2
user = "nobody"
log_level = "warning"
listener "bench" {{
  address = "127.0.0.1:{port}"
  mode = "fixed"
  destination = "127.0.0.1:{sink}"
  process = {process}
}}
upstream {{ tls = "none" }}
record {{ sqlite = "{sqlite}" json = "" }}
status {{ address = "{status}" control = "" }}
limits {{ message_size = 0 spool_directory = "{folder}" }}
{policy}
"""
POLICY = """
policy "{mode}" {{
  endpoint = "unix:{socket}"
  mode = "{mode}"
  required = true
}}
"""


class Weir(Contender):
    """Bare: no record, no status page, no policy."""
    label, record, policy, observer = "weir-bare", False, "", False
    process_of_client, watched = "true", False

    def __init__(self, folder, programs, weir, sink):
        super().__init__()
        if not os.access(weir, os.X_OK):
            raise FileNotFoundError(f"{weir} is missing")
        self.port = free_port()
        policy = ""
        # one folder per instance: memory is measured on fresh ones
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.label}-",
                                               dir=folder))
        shutil.chown(folder, "nobody")  # what it runs as
        status = f"127.0.0.1:{free_port()}" if self.watched else ""
        if self.policy:
            self.helper, policy = self.start_policy(folder, programs,
                                                    "enforce")
        if self.observer:
            self.second, more = self.start_policy(folder, programs, "observe")
            policy += more
        self.database = folder / "weir.db" if self.record else ""
        config = folder / "weir.conf"
        config.write_text(WEIR.format(
            port=self.port, sink=sink.port, folder=folder, policy=policy,
            sqlite=self.database, process=self.process_of_client,
            status=status))
        self.process = Process(folder, self.label, [weir, "-c", config])
        try:
            self.process.wait_for_greeting(self.port)
            if self.watched:
                self.helper = Process(folder, "watcher", [
                    pathlib.Path(__file__).parent / "watcher.py", status])
        except RuntimeError:
            self.stop()
            raise

    def settle(self):
        """The record is written when its file grows no more."""
        size, end = -1, time.monotonic() + 10
        while self.database and time.monotonic() < end:
            before, size = size, sum(
                path.stat().st_size + path.stat().st_mtime_ns
                for path in self.database.parent.glob("weir.db*"))
            if size == before:
                break
            time.sleep(0.3)         # longer than the writer waits for more

    def start_policy(self, folder, programs, mode):
        """The process, and its block for the configuration."""
        path = folder / f"{mode}.sock"
        process = Process(folder, mode, [
            programs / "policy", *self.policy.split(), path])
        while not path.exists():
            process.check()
            time.sleep(0.01)
        path.chmod(0o666)
        return process, POLICY.format(socket=path, mode=mode)


class WeirNobody(Weir):
    """Bare, and it does not look up whose process the client is."""
    label, process_of_client = "weir-nobody", "false"


class WeirRecord(Weir):
    label, record = "weir-record", True


class WeirWatched(WeirRecord):
    """All that shows what it does: the record, statistics, the page open and
    metrics scraped every second."""
    label, watched = "weir-watched", True


class WeirPolicy(Weir):
    """A policy decides at every phase, the whole content held and shown."""
    label, record = "weir-policy", True
    policy = "-d connect,ehlo,mail,rcpt,data,headers,body,end_of_message"


class WeirDecider(Weir):
    """The same policy alone: what deciding costs a weir without a record."""
    label, policy = "weir-decider", WeirPolicy.policy


class WeirObserver(WeirDecider):
    """And once more, as one that only observes."""
    label, observer = "weir-observer", True


MAIN_CF = """
compatibility_level = 3.7
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.bench.example
mydestination =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
smtpd_milters = inet:127.0.0.1:{milter}
milter_default_action = tempfail
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
message_size_limit = 0
mailbox_size_limit = 0
smtpd_tls_security_level = none
smtp_tls_security_level = none
alias_maps =
local_recipient_maps =
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
pickup  unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr    unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce  unix - - n - 0 bounce
defer   unix - - n - 0 bounce
trace   unix - - n - 0 bounce
verify  unix - - n - 1 verify
flush   unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp    unix - - n - - smtp
relay   unix - - n - - smtp
showq   unix n - n - - showq
error   unix - - n - - error
retry   unix - - n - - error
discard unix - - n - - discard
anvil   unix - - n - 1 anvil
scache  unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Contender):
    """A relay with a queue and a milter that accepts everything."""
    queues = True

    def __init__(self, folder, programs, weir, sink):
        super().__init__()
        master = pathlib.Path("/usr/lib/postfix/sbin/master")
        if not master.exists() or not (programs / "milter").exists():
            raise FileNotFoundError("postfix or the milter is missing")
        folder = folder / "postfix"
        for name in ("etc", "queue", "data"):
            (folder / name).mkdir(parents=True)
        shutil.chown(folder / "data", "postfix")
        self.port, milter = free_port(), free_port()
        (folder / "etc/main.cf").write_text(MAIN_CF.format(
            folder=folder, sink=sink.port, milter=milter))
        (folder / "etc/master.cf").write_text(MASTER_CF.format(port=self.port))
        self.helper = Process(folder, "milter",
                              [programs / "milter", f"inet:{milter}@127.0.0.1"])
        subprocess.run(["/usr/sbin/postfix", "-c", folder / "etc", "check"],
                       check=True, stdin=subprocess.DEVNULL,
                       stderr=open(folder / "check.err", "wb"))
        self.process = Process(folder, "postfix",
                               [master, "-c", folder / "etc", "-d"],
                               start_new_session=True)
        self.process.wait_for_greeting(self.port)

    def children(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and \
                        int(stat_fields(entry.name)[1]) == self.process.pid:
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def cpu(self):
        """master's, its ended children's and its living children's."""
        ticks = sum(int(f) for f in stat_fields(self.process.pid)[11:15])
        for pid in self.children():
            try:
                ticks += sum(int(f) for f in stat_fields(pid)[11:13])
            except OSError:
                pass
        return ticks / TICK

    def reset_peak(self):
        pass

    def peak_kb(self):
        """Shared pages counted once, when the load has just ended."""
        total = 0
        for pid in self.children() + [self.process.pid]:
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += next(int(line.split()[1]) for line in text.splitlines()
                          if line.startswith("Pss:"))
        return total


CONTENDERS = {
    "direct": Direct,
    "haproxy": Haproxy,
    "postfix": Postfix,
    "weir-bare": Weir,
    "weir-nobody": WeirNobody,
    "weir-record": WeirRecord,
    "weir-watched": WeirWatched,
    "weir-policy": WeirPolicy,
    "weir-decider": WeirDecider,
    "weir-observer": WeirObserver,
}
