"""Filters as people run them: OpenDKIM, rspamd, clamav-milter with clamd.

Each is a process (or two) of its own in a directory of the test, on unix
sockets, and asks nobody: no DNS, no updates, no accounts.
"""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import time

PATIENCE = 60.0      # seconds; only a failing test waits so long

DOMAIN, SELECTOR = "example.org", "weir"
# what the tiny database of ours calls a virus, and nobody else does
VIRUS = b"WEIR-TEST-SIGNATURE-d41f2c9a-NOT-A-VIRUS"


def missing(*programs):
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def answers(path):
    if not (os.path.exists(path) and
            stat.S_ISSOCK(os.stat(path).st_mode)):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Filter:
    """Runs until stop(); `address` is for --milter and smtpd_milters."""

    def __init__(self, place, name):
        self.place, self.name = place / name, name
        self.place.mkdir()
        self.place.chmod(0o755)
        self.socket = self.place / "milter.sock"
        self.processes = []
        self.log_path = self.place / f"{name}.log"

    @staticmethod
    def end(process):
        process.kill()

    @property
    def address(self):
        return f"unix:{self.socket}"

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") \
            if self.log_path.exists() else ""

    def run(self, *command, ready, **options):
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL,
            stdout=open(self.log_path, "ab"), stderr=subprocess.STDOUT,
            **options)
        self.processes.append(process)
        until = time.monotonic() + PATIENCE
        while not answers(ready):
            assert process.poll() is None and time.monotonic() < until, \
                f"{command} does not listen at {ready}\n{self.log}"
            time.sleep(0.05)
        os.chmod(ready, 0o666)

    def stop(self):
        # libmilter takes five seconds to end, and there is nothing to save
        for process in reversed(self.processes):
            if process.poll() is None:
                self.end(process)
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class OpenDKIM(Filter):
    """mode s signs for example.org, mode v verifies by our own record."""

    def __init__(self, place, mode, key, canonicalization="relaxed/simple"):
        super().__init__(place, f"opendkim-{mode}")
        (self.place / "hosts").write_text("0.0.0.0/0\n::/0\n")
        record = key.with_suffix(".txt").read_text()
        text = "".join(part for n, part in enumerate(record.split('"'))
                       if n % 2)
        (self.place / "dns").write_text(
            f"{SELECTOR}._domainkey.{DOMAIN} {text}\n")
        config = (f"Socket local:{self.socket}\nMode {mode}\nSyslog no\n"
                  f"UMask 000\nAuthservID client.example.org\n"
                  f"TestDNSData file:{self.place}/dns\n")
        if mode == "s":
            config += (f"Domain {DOMAIN}\nSelector {SELECTOR}\n"
                       f"KeyFile {key}\nRequireSafeKeys no\n"
                       f"Canonicalization {canonicalization}\n"
                       f"InternalHosts {self.place}/hosts\n")
        else:
            config += "AlwaysAddARHeader yes\n"
        (self.place / "conf").write_text(config)
        self.run("opendkim", "-f", "-x", self.place / "conf",
                 ready=self.socket)


def dkim_key(place):
    """A key pair; place/weir.private and place/weir.txt."""
    subprocess.run(["opendkim-genkey", "-b", "2048", "-d", DOMAIN, "-s",
                    SELECTOR, "-D", place], check=True, capture_output=True)
    return place / f"{SELECTOR}.private"


RSPAMD = """\
options {{
  pidfile = "{place}/pid"; tempdir = "{place}"; filters = "";
  hs_cache_dir = "{place}"; disable_hyperscan = true;
  url_tld = "{place}/suffixes";
  control_socket = "{place}/control.sock mode=0600";
  dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; greylist = null; }}
worker "rspamd_proxy" {{
  bind_socket = "{socket} mode=0666";
  milter = yes; timeout = 20s; count = 1;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
milter_headers {{
  use = ["x-spamd-bar", "x-spam-level", "my"];
  routines {{ }}
  custom {{ my = <<EOD
return function(task, common_meta)
  return nil, {{["X-Weir-Seen"] = "from " .. (task:get_from("smtp") or
    {{{{addr = "nobody"}}}})[1].addr .. " by " .. tostring(task:get_ip())
    .. " helo " .. tostring(task:get_helo())
    .. " size " .. tostring(#task:get_rawbody())}}, {{["X-Gone"] = 0}}, {{}}
end
EOD;
  }}
}}
lua = "{place}/rules.lua";
modules {{ path = "{plugins}/milter_headers.lua"; }}
"""

RULES = """\
rspamd_config.WEIR_SPAM = {
  callback = function(task)
    return tostring(task:get_rawbody()):find("weir%-test%-spam") ~= nil
  end,
  score = 20, description = "the body says that it is spam",
}
rspamd_config.WEIR_LIKELY = {
  callback = function(task)
    return tostring(task:get_rawbody()):find("weir%-test%-likely") ~= nil
  end,
  score = 7, description = "the body says that it may be",
}
"""


class Rspamd(Filter):
    """The proxy in milter mode scans by itself, with two rules of ours."""

    def __init__(self, place):
        super().__init__(place, "rspamd")
        (self.place / "rules.lua").write_text(RULES)
        (self.place / "suffixes").write_text("com\nnet\norg\nexample\n")
        (self.place / "conf").write_text(RSPAMD.format(
            place=self.place, socket=self.socket,
            plugins="/usr/share/rspamd/plugins"))
        self.run("rspamd", "-f", "--insecure", "-c", self.place / "conf",
                 f"--var=DBDIR={self.place}", "-u", "root", "-g", "root",
                 ready=self.socket)

    @staticmethod
    def end(process):
        process.terminate()     # it ends its children


class ClamAV(Filter):
    """clamav-milter, and a clamd that knows one signature of ours."""

    def __init__(self, place, infected="Reject"):
        super().__init__(place, "clamav")
        database = self.place / "database"
        database.mkdir()
        (database / "weir.ndb").write_text(
            f"Weir.Test.Signature:0:*:{VIRUS.hex()}\n")
        (self.place / "clamd.conf").write_text(
            f"LocalSocket {self.place}/clamd.sock\nForeground yes\n"
            f"DatabaseDirectory {database}\nUser root\n"
            f"TemporaryDirectory {self.place}\nMaxThreads 2\n")
        (self.place / "milter.conf").write_text(
            f"MilterSocket {self.socket}\nForeground yes\nUser root\n"
            f"ClamdSocket unix:{self.place}/clamd.sock\n"
            f"TemporaryDirectory {self.place}\nOnInfected {infected}\n"
            "AddHeader Replace\nRejectMsg found %v\n"
            "MilterSocketMode 666\n")
        self.run("clamd", "-c", self.place / "clamd.conf",
                 ready=self.place / "clamd.sock")
        self.run("clamav-milter", "-c", self.place / "milter.conf",
                 ready=self.socket)


@contextlib.contextmanager
def running(made):
    try:
        yield made
    finally:
        made.stop()
