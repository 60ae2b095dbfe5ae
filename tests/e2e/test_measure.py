"""What is measured of an MX, and what its refusals are about, in the record
and at the status API of a weir that runs."""

import signal
import subprocess
import threading
import time

from blackbox import wait_for
from weir import PROGRAM

SLOW = 0.4      # seconds, in one phase of each session
PHASES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot", "QUIT")


class SlowMX:
    """Slow in another phase of each session; the final reply says which."""

    def __init__(self):
        self.left, self.lock = list(PHASES), threading.Lock()

    def script(self):
        return {phase: lambda session, line, phase=phase:
                self.answer(session, phase) for phase in PHASES}

    def answer(self, session, phase):
        if phase == "greeting":
            with self.lock:
                session.slow = self.left.pop()
        if session.slow == phase:
            time.sleep(SLOW)
        if phase == "dot":
            return f"250 2.0.0 {session.slow}\r\n".encode()
        return None


def measured(show):
    """Seconds by phase, out of what the API shows of a session."""
    timings, transaction = show["timings"], show["transactions"][0]
    us = {"greeting": timings["greeting_us"], "EHLO": timings["ehlo_us"],
          "MAIL": transaction["mail_us"], "RCPT": transaction["rcpt_us"],
          "dot": transaction["reply_us"], "QUIT": timings["quit_us"]}
    us["DATA"] = transaction["data_us"] - us["MAIL"] - us["RCPT"]
    return {phase: value / 1e6 for phase, value in us.items()}


def send(proxy):
    with proxy.connect() as client:
        for line, code in (("MAIL FROM:<a@example.com>", "250"),
                           ("RCPT TO:<b@example.net>", "250"),
                           ("DATA", "354"), ("Subject: x\r\n\r\nx\r\n.", "250"),
                           ("QUIT", "221")):
            assert client.ask(line)[:3] == code


def test_a_slow_phase_is_that_phase_and_no_other(bench):
    slow = SlowMX()
    bench.mx(script=slow.script())
    proxy = bench.weir()
    clients = [threading.Thread(target=send, args=(proxy,))
               for _ in PHASES]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    rows = proxy.wait_rows("SELECT * FROM sessions WHERE cause = 'quit'",
                           count=len(PHASES))
    seen = set()
    for row in rows:
        show = proxy.api(f"/sessions/{row['id']}")
        transaction = show["transactions"][0]
        phase = transaction["reply"]
        took = measured(show)
        assert took[phase] >= SLOW, (phase, took)
        assert max(took, key=took.get) == phase, took
        assert transaction["body_us"] > 0
        assert transaction["category"] is None
        assert transaction["mx_group"] == "example.net"
        assert show["mx_name"] == row["mx_name"] == "mx.example.net"
        assert 0 < show["timings"]["min_rtt_us"] < SLOW * 1e6
        for name in ("greeting_us", "ehlo_us", "quit_us", "min_rtt_us"):
            assert row[name] == show["timings"][name]
        seen.add(phase)
    assert seen == set(PHASES)


def refused(proxy, number):
    """A RCPT that the MX refuses: what is written of it."""
    with proxy.connect() as client:
        client.ask("MAIL FROM:<a@example.com>")
        assert client.ask("RCPT TO:<b@example.net>")[:3] == "550"
        client.ask("QUIT")
    proxy.wait_rows("SELECT id FROM sessions WHERE cause = 'quit'",
                    count=number)
    rows = proxy.rows(
        "SELECT t.category AS whole, r.category FROM transactions t "
        "JOIN recipients r ON r.transaction_id = t.id ORDER BY t.id")
    return [tuple(row.values()) for row in rows]


def reload(proxy, event):
    before = proxy.log.count(event)
    proxy.process.send_signal(signal.SIGHUP)
    wait_for(lambda: proxy.log.count(event) > before, event)


def test_rules_are_the_operators_and_read_again_by_a_reload(bench, place):
    rules = place / "rules"
    rules.write_text('tls "not today" @example.net\n')
    bench.mx(script={"RCPT": b"550 5.7.1 Not  today\r\n"})
    proxy = bench.weir(more=f'deliverability {{ rules = "{rules}" }}\n')
    assert refused(proxy, 1) == [("tls", "tls")]

    rules.write_text('throttle "not today"\nspam 4xx\n')
    reload(proxy, "event=reload.failed")
    error = f"{rules}:2: spam is no category; a line begins with throttle"
    assert error in proxy.log
    checked = subprocess.run([PROGRAM, "-t", "-c", proxy.config],
                             capture_output=True, text=True)
    assert checked.returncode != 0 and error in checked.stderr
    assert refused(proxy, 2)[1:] == [("tls", "tls")]

    rules.write_text('throttle "not today"\n')
    reload(proxy, "event=reload.done")
    assert refused(proxy, 3)[2:] == [("throttle", "throttle")]
