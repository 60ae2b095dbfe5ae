"""weir-milter-bridge as a process of its own, and weir before it."""

import contextlib
import os
import signal
import subprocess

import weir as under_test
from blackbox import wait_for

PROGRAM = under_test.PROGRAM.parent / "weir-milter-bridge"
GRANTS = ("headers", "body", "discard")


def why_not():
    if not os.access(PROGRAM, os.X_OK):
        return f"no bridge to test: {PROGRAM} (build it)"
    return None


class Bridge:
    """Runs from here to stop(). options come before the milters, whose
    addresses (or pairs of options and address) are milters."""

    def __init__(self, place, *milters, options=(), name="bridge"):
        self.name, self.path = name, place / f"{name}.sock"
        self.log_path = place / f"{name}.log"
        words = []
        for milter in milters:
            *before, address = [milter] if isinstance(milter, str) else milter
            words += [*before, "--milter", address]
        self.command = [
            PROGRAM, "--listen", f"unix:{self.path}", "--log-level", "debug",
             "--hostname", "mx.example.net", *options, *words]
        self.start()

    def start(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log)
        wait_for(lambda: "listening on" in self.log or
                 self.process.poll() is not None, "bridge that listens")
        assert self.process.poll() is None, self.log

    def kill(self):
        self.process.kill()
        self.process.wait()

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") \
            if self.log_path.exists() else ""

    def wait_log(self, words):
        wait_for(lambda: words in self.log, f"{words!r} in\n{self.log}")

    def block(self, grants=GRANTS, more=""):
        return under_test.block(self.name, f"unix:{self.path}", grants, more)

    def resident(self):
        """MiB of memory."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            line, = (line for line in f if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Desk:
    """What a test starts around one weir in fixed mode, all in `place`."""

    def __init__(self, bench, place):
        self.bench, self.place = bench, place
        self.opened = contextlib.ExitStack()

    def milter(self, name, *args, **options):
        from milter import Milter
        made = Milter(self.place / f"{name}.milter", *args, **options)
        self.opened.callback(made.close)
        return made

    def weir(self, *milters, options=(), grants=GRANTS, keys="", **more):
        """weir behind a bridge to these milters; its first client is yours."""
        addresses = [m if isinstance(m, (str, tuple)) else m.address
                     for m in milters]
        self.bridge = Bridge(self.place, *addresses, options=options)

        def stop():
            code = self.bridge.stop()
            assert code == 0, (code, self.bridge.log)
        self.bench.opened.callback(stop)     # after weir
        proxy = self.bench.weir(more=self.bridge.block(grants, keys), **more)
        proxy.wait_log(r"event=policy\.ready")
        return proxy

    def close(self):
        self.opened.close()
