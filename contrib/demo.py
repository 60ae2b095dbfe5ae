"""contrib/demo's second half: two machines, real mail, and what became of it.

    client machine (10.7.0.1)                      MX machine (10.7.0.2)

    sendmail -> Postfix --25--> nft REDIRECT
                                   |
                                   v
                    weir on 127.0.0.1:10025 ----STARTTLS----> Postfix
                      |           |                              |
              block_senders   tag_header                      mailbox
               (Python)        (Python)

Each machine is a network namespace. Everything runs from one directory, and
is gone at the end.
"""

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))

import mta  # noqa: E402
from netns import Net, wait_until  # noqa: E402

MX = "10.7.0.2"
USER = "nobody"     # who weir and the policies run as
MARK = 25

CONFIG = """\
user = "{user}"
hostname = "weir.example.org"

listener "outbound" {{ address = "127.0.0.1:10025" }}

upstream {{ mark = {mark} }}

policy "block_senders" {{ endpoint = "unix:{place}/block.sock" }}
policy "tag_header" {{
  endpoint = "unix:{place}/tag.sock"
  grants = {{"headers"}}
}}

record {{ sqlite = "{place}/weir.db" json = "{place}/weir.json" }}
status {{ address = "127.0.0.1:{port}" 
  control = "{place}/control.sock" }}
"""


def say(text=""):
    print(text, flush=True)


def station(title):
    say(f"\n== {title}")


def indent(text):
    for line in text.strip().splitlines():
        say(f"   {line}")


class Demo:
    def __init__(self, temp, stack):
        self.temp, self.stack = temp, stack
        self.place = temp / "weir"
        self.place.mkdir()
        user = pwd.getpwnam(USER)
        os.chown(self.place, user.pw_uid, user.pw_gid)
        self.net = Net()
        stack.callback(self.net.close)
        self.host, self.mx_host = self.net.pair()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        with contextlib.suppress(OSError), \
                socket.create_server(("127.0.0.1", 8025)):
            self.port = 8025

    def postfix(self):
        self.mx = mta.mx(self.mx_host, self.temp / "mx")
        self.stack.callback(self.mx.stop)
        self.client = mta.client(self.host, self.temp / "client", f"[{MX}]")
        self.stack.callback(self.client.stop)

    def policy(self, script, endpoint, *options):
        path = self.place / endpoint
        process = self.host.popen(
            "setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups",
            "/usr/bin/python3", "-B",
            SOURCE / "policy-examples" / "python" / script,
            "--listen", f"unix:{path}", *options,
            stderr=open(self.place / f"{script}.log", "ab"))
        wait_until(path.exists, f"{script} to listen")
        return process

    def policies(self):
        (self.place / "blocked").write_text("spammer@example.org\n")
        self.policy("block_senders.py", "block.sock",
                    "--list", self.place / "blocked")
        self.policy("tag_header.py", "tag.sock",
                    "--rule", "offer", "special offer")

    def weir(self):
        config = self.place / "weir.conf"
        config.write_text(CONFIG.format(user=USER, mark=MARK, port=self.port,
                                        place=self.place))
        self.log = self.place / "weir.log"
        process = self.host.popen(
            self.temp / "build" / "weir", "-c", config,
            stdout=subprocess.DEVNULL, stderr=open(self.log, "ab"))
        self.stack.callback(self.host.stop, process)
        self.host.run(SOURCE / "contrib" / "weir-rules", "nft", "install",
                      "--mark", MARK, "--user", USER)
        # the browser is not in the namespace: socat carries it there
        forwarder = subprocess.Popen(
            ["socat", f"TCP-LISTEN:{self.port},bind=127.0.0.1,fork,reuseaddr",
             f"EXEC:ip netns exec {self.host.name}"
             f" socat STDIO TCP\\:127.0.0.1\\:{self.port}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(self.end, forwarder)
        wait_until(lambda: process.poll() is not None or self.ready(),
                   "weir to be ready")
        if process.poll() is not None:
            raise RuntimeError("weir ended")

    @staticmethod
    def end(process):
        process.terminate()
        process.wait()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}",
                                    timeout=5) as answer:
            return answer.read().decode()

    def ready(self):
        try:
            return bool(self.get("/readyz"))
        except OSError:
            return False

    def sql(self, title, query):
        say(f"   {title}:")
        done = self.host.run("sqlite3", "-readonly", "-column", "-header",
                             "-cmd", ".timeout 5000", self.place / "weir.db",
                             query)
        indent(done.stdout)
        say()

    def rows(self):
        done = self.host.run(
            "sqlite3", "-readonly", "-cmd", ".timeout 5000",
            self.place / "weir.db", "SELECT count(*) FROM connections",
            check=False)
        return done.stdout.strip()

    def send(self):
        station("The client's Postfix sends three messages to"
                " someone@example.net")
        for sender, subject, body in (
                ("alice@example.org", "Lunch", "At noon?\n"),
                ("shop@example.org", "News", "A special offer for you.\n"),
                ("spammer@example.org", "Hi", "Click here.\n")):
            self.client.sendmail(sender, "someone@example.net",
                                 subject=subject, body=body)
            say(f"   from {sender}: \"{subject}\"")
        self.mx.wait_mailbox(2)
        self.client.wait_log("status=sent", 2)
        self.client.wait_log("status=bounced")

    def show(self):
        station("The MX's mailbox: two messages, one of them tagged")
        for message in sorted(self.mx.mailbox(),
                              key=lambda m: m["Subject"]):
            say(f"   Return-Path: {message['Return-Path']}")
            say(f"   Subject: {message['Subject']}")
            say(f"   X-Weir-Tag: {message['X-Weir-Tag'] or '(none)'}")
            used = re.search(r"using (TLS\S+) with cipher (\S+)",
                             str(message.get_all("Received")))
            say("   Received: " + (f"over {used[1]}, {used[2]}" if used
                                   else "in clear"))
            say()
        station("The client's Postfix log: what the MX said, and what the"
                " policy said")
        for line in self.client.log_lines("relay=10.7"):
            indent(re.sub(r" relay=.*dsn", " dsn", line[line.index("to=<"):]))
        station("weir's record (SQLite)")
        wait_until(lambda: self.rows() == "3", "three connections on record")
        self.sql("transactions", "SELECT sender, outcome, decided_by,"
                         " code, enhanced FROM transactions ORDER BY sender")
        self.sql("connections", "SELECT mail_from, mail_to, elapse"
                 " FROM connections")

        station("weirctl, in a terminal: status, report")
        wait_until(lambda: "spammer" in self.ctl("report"), "the report")
        for command in ("status", "report"):
            indent(self.ctl(command))
            say()

    def ctl(self, *command):
        return self.host.run(self.temp / "build" / "weirctl", "-s",
                             self.place / "control.sock", *command,
                             env={**os.environ, "COLUMNS": "96"}).stdout

    def check(self):
        """Whether all of it was true."""
        mailbox = {str(m["Return-Path"]): m for m in self.mx.mailbox()}
        assert sorted(mailbox) == ["<alice@example.org>", "<shop@example.org>"]
        assert mailbox["<shop@example.org>"]["X-Weir-Tag"] == "offer"
        assert mailbox["<alice@example.org>"]["X-Weir-Tag"] is None
        assert all("TLS" in str(m.get_all("Received"))
                   for m in mailbox.values())
        refused, = self.client.log_lines("status=bounced")
        assert "550 5.1.1" in refused and "User unknown" in refused
        done = self.host.run("sqlite3", "-readonly", self.place / "weir.db",
                             "SELECT sender, outcome, decided_by"
                             " FROM transactions ORDER BY sender")
        assert done.stdout.split() == [
            "alice@example.org|delivered|mx", "shop@example.org|delivered|mx",
            "spammer@example.org|rejected|block_senders"], done.stdout

    def run(self, keep):
        say("starting Postfix on both machines, two policies, and weir")
        self.postfix()
        self.policies()
        self.weir()
        self.send()
        self.show()
        self.check()
        station("weir's status page")
        say(f"   http://127.0.0.1:{self.port}/ answers with"
            f" {len(self.get('/'))} bytes"
            + ("" if keep else "; --keep keeps it there for your browser"))
        if keep:
            say("\n   From another terminal, send more, and see it pass:")
            say(f"     ip netns exec {self.host.name} sendmail"
                f" -C {self.client.place}/etc -f you@example.org"
                " someone@example.net")
            say(f"     {self.temp}/build/weirctl -s"
                f" {self.place}/control.sock tail")
            say(f"   weir's log: {self.log}")
            say("   Ctrl-C ends it all.")
            signal.sigwait({signal.SIGINT})


def main():
    temp, keep = Path(sys.argv[1]), sys.argv[2:] == ["--keep"]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    with contextlib.ExitStack() as stack:
        demo = Demo(temp, stack)
        if keep:    # the children inherit it: Ctrl-C is for us alone
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            demo.run(keep)
        except BaseException:
            for path in (temp / "weir").glob("*.log"):
                sys.stderr.write(f"-- {path.name}\n{path.read_text()[-4000:]}")
            raise
    say("\neverything is stopped and removed")


if __name__ == "__main__":
    main()
