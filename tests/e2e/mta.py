"""Real Postfix instances, each in a directory and a namespace of its own.

Nothing of the machine's own Postfix is read or written: configuration, queue,
data, log and mailbox are all below the directory.
"""

import email
import email.policy
import os
import shutil
import subprocess

from netns import wait_until

MASTER = """\
smtp       inet  n - n - -   smtpd
pickup     unix  n - n 5 1   pickup
cleanup    unix  n - n - 0   cleanup
qmgr       unix  n - n 5 1   qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n - -   trivial-rewrite
bounce     unix  - - n - 0   bounce
defer      unix  - - n - 0   bounce
trace      unix  - - n - 0   bounce
verify     unix  - - n - 1   verify
flush      unix  n - n 1000? 0 flush
proxymap   unix  - - n - -   proxymap
proxywrite unix  - - n - 1   proxymap
smtp       unix  - - n - -   smtp
relay      unix  - - n - -   smtp
showq      unix  n - n - -   showq
error      unix  - - n - -   error
retry      unix  - - n - -   error
discard    unix  - - n - -   discard
local      unix  - n n - -   local
virtual    unix  - n n - -   virtual
anvil      unix  - - n - 1   anvil
scache     unix  - - n - 1   scache
postlog    unix-dgram n - n - 1 postlogd
"""

MAIN = """\
compatibility_level = 3.6
queue_directory = {place}/queue
data_directory = {place}/data
maillog_file = {place}/log
maillog_file_prefixes = {place}
myhostname = {hostname}
mydomain = example.org
myorigin = example.org
mydestination =
mynetworks = 127.0.0.0/8 [::1]/128
inet_interfaces = all
inet_protocols = all
alias_maps =
alias_database =
local_recipient_maps =
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtp_connect_timeout = 10s
smtpd_client_connection_count_limit = 0
biff = no
notify_classes =
"""

# one mailbox for whatever comes to example.net
MX = """\
virtual_mailbox_domains = example.net
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtpd_tls_security_level = may
smtpd_tls_cert_file = {place}/mx.pem
smtpd_tls_key_file = {place}/mx.pem
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
"""


def why_not():
    for program in ("postfix", "openssl"):
        if shutil.which(program) is None:
            return f"{program} is missing: apt-get install {program}"
    return None


def certificate(path, name="mx.example.net"):
    """A key and a certificate of its own making, in one file."""
    key, pem = f"{path}.key", f"{path}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName=DNS:{name}", "-keyout", key, "-out", pem],
                   check=True, capture_output=True, timeout=30)
    with open(path, "w", encoding="ascii") as both:
        for part in (key, pem):
            with open(part, encoding="ascii") as file:
                both.write(file.read())
            os.unlink(part)
    os.chmod(path, 0o600)
    return path


class Postfix:
    """One instance, running from here to stop(). `main` adds to main.cf."""

    def __init__(self, namespace, place, hostname, main=""):
        self.namespace, self.place = namespace, place
        for name in ("etc", "queue", "data", "mail"):
            os.makedirs(place / name)
        shutil.chown(place / "data", "postfix")
        shutil.chown(place / "mail", 65534, 65534)
        (place / "etc" / "main.cf").write_text(
            (MAIN + main).format(place=place, hostname=hostname))
        (place / "etc" / "master.cf").write_text(MASTER)
        self.process = namespace.popen(
            "postfix", "-c", place / "etc", "start-fg",
            stdout=open(place / "stdout", "wb"), stderr=subprocess.STDOUT)
        wait_until(lambda: self.process.poll() is not None or
                   "daemon started" in self.log(), "Postfix to start")
        assert self.process.poll() is None, \
            (place / "stdout").read_text() + self.log()

    def log(self):
        path = self.place / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_lines(self, words):
        return [line for line in self.log().splitlines() if words in line]

    def wait_log(self, words, count=1):
        return wait_until(
            lambda: len(self.log_lines(words)) >= count and
            self.log_lines(words), f"{count} x {words!r}; log:\n{self.log()}")

    def sendmail(self, sender, *recipients, subject="hello", body="Hello.\n",
                 headers=""):
        """Hands in a message as a local program does."""
        text = (f"From: {sender}\nTo: {recipients[0]}\nSubject: {subject}\n"
                f"{headers}\n{body}")
        self.namespace.run("sendmail", "-C", self.place / "etc", "-i", "-f",
                           sender, *recipients, input=text)

    def mailbox(self):
        """The messages that were delivered here, oldest first."""
        new = self.place / "mail" / "box" / "new"
        paths = sorted(new.iterdir(), key=lambda p: p.stat().st_mtime_ns) \
            if new.exists() else []
        return [email.message_from_bytes(path.read_bytes(),
                                         policy=email.policy.default)
                for path in paths]

    def wait_mailbox(self, count=1):
        wait_until(lambda: len(self.mailbox()) >= count,
                   f"{count} messages; log:\n{self.log()}")
        return self.mailbox()

    def queued(self):
        done = self.namespace.run("postqueue", "-c", self.place / "etc", "-p")
        return done.stdout

    def stop(self):
        self.namespace.stop(self.process)


def client(namespace, place, relayhost="[10.7.0.2]", main=""):
    """An MTA that sends all but example.org's mail to relayhost, port 25."""
    return Postfix(namespace, place, "client.example.org",
                   "transport_maps = inline:{{example.org=discard:}}\n"
                   f"relayhost = {relayhost}\nmaximal_backoff_time = 5s\n"
                   f"minimal_backoff_time = 5s\nqueue_run_delay = 5s\n{main}")


def mx(namespace, place, main=""):
    """An MX for example.net, with STARTTLS."""
    os.makedirs(place)
    certificate(place / "mx.pem")
    return Postfix(namespace, place, "mx.example.net", MX + main)
