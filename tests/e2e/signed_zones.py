"""A DNS of the test's own: zones, signed below a root of its own, on an nsd."""

import hashlib
import re
import shutil
import socket
import subprocess
from pathlib import Path

from netns import wait_until

TOOLS = {"nsd": "nsd", "ldns-keygen": "ldnsutils", "ldns-signzone":
         "ldnsutils"}
START = """\
$ORIGIN {zone}
@ 60 IN SOA {ns} {ns} 1 3600 600 86400 60
@ 60 IN NS {ns}
{ns} 60 IN A {address}
"""
CONFIG = """\
server:
    server-count: 1
    ip-address: {address}@{port}
    username: ""
    zonesdir: "{place}"
    zonelistfile: "{place}/zones.list"
    pidfile: ""
    xfrdfile: ""
    xfrdir: "{place}"
    logfile: "{place}/nsd.log"
    database: ""
remote-control:
    control-enable: no
"""


def free_port():
    """Free for both, or nsd does not start."""
    while True:
        with socket.socket() as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


def why_not():
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"{tool} is missing: apt-get install {package}"
    return None


def _run(place, *command):
    done = subprocess.run(command, cwd=place, check=False, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0, (command, done.stdout)
    return done.stdout.strip()


class Zones:
    """add() each, from the lowest up, then root(); serve() them."""

    def __init__(self, place, address="127.0.0.1", port=53):
        self.place = Path(place)
        self.place.mkdir()
        self.address, self.port = address, port
        self.files, self.delegations = {}, ""

    def _write(self, zone, records, signed):
        """Its DS record; None if it is not signed."""
        name = zone if zone != "." else "root."
        path = self.files[zone] = self.place / f"{name}zone"
        ns = "ns." if zone == "." else f"ns.{zone}"
        path.write_text(START.format(zone=zone, ns=ns, address=self.address)
                        + records)
        if not signed:
            return None
        key = _run(self.place, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k",
                   zone)
        _run(self.place, "ldns-signzone", "-o", zone, path.name, key)
        self.files[zone] = path.with_name(path.name + ".signed")
        return (self.place / f"{key}.ds").read_text()

    def add(self, zone, records, signed=True, tamper=()):
        """tamper: (old, new) texts to be changed behind the signatures."""
        ds = self._write(zone, records, signed)
        self.delegations += f"{zone} 60 IN NS ns.{zone}\n" \
            f"ns.{zone} 60 IN A {self.address}\n"
        if ds:
            self.delegations += ds + "\n"
        for old, new in tamper:
            text = self.files[zone].read_text()
            assert re.search(old, text), (old, text)
            self.files[zone].write_text(re.sub(old, new, text))

    def root(self, signed=True):
        """The file of its trust anchor."""
        ds = self._write(".", self.delegations, signed)
        anchor = self.place / "root.key"
        if ds:
            anchor.write_text(ds + "\n")
        return anchor

    def serve(self, namespace):
        text = CONFIG.format(address=self.address, port=self.port,
                             place=self.place)
        for zone, path in self.files.items():
            text += f"zone:\n    name: \"{zone}\"\n" \
                f"    zonefile: \"{path.name}\"\n"
        config = self.place / "nsd.conf"
        config.write_text(text)
        (self.place / "nsd.log").touch()
        process = namespace.popen(shutil.which("nsd"), "-d", "-c", config)
        wait_until(lambda: "nsd started" in
                   (self.place / "nsd.log").read_text(), "nsd")
        return process


def tlsa(usage, selector, matching, der):
    """The text of a record of this certificate, or key."""
    data = {0: lambda d: d, 1: lambda d: hashlib.sha256(d).digest(),
            2: lambda d: hashlib.sha512(d).digest()}[matching](der)
    return f"{usage} {selector} {matching} {data.hex()}"
