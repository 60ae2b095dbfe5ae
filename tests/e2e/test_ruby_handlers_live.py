"""policy-examples/ruby/handlers: files that change while mail flows, and files
that are wrong."""

import os
import re
import shlex
import signal
import subprocess
import threading
import time

import pytest
from blackbox import wait_for
from example import parts
from policy_harness import RELAY, REJECT, ROOT, Server, Weir, connect, pb, rcpt
from ruby_handlers import (EXAMPLE, FILES, MESSAGE, deliver, handlers, served,
                           update)
from ruby_harness import RUBY, needs_ruby

pytestmark = needs_ruby


# --------------------------------------------------------- files that are wrong

def test_a_file_that_raises(served):
    server, weir = served(mail_from="\n  nil.downcase", close="1 / 0")
    with weir.connect() as client:
        assert deliver(client)[0] == \
            "451 4.3.0 Temporary failure in a policy\r\n"
        client.ask("QUIT")
    line = server.wait_for("undefined method `downcase' for nil")
    assert f"{server.folder}/mail_from.rb:3: " in line
    assert "close.rb:2: divided by 0 (ZeroDivisionError)" in \
        server.wait_for("divided")
    server.change(mail_from="no_such_fact")
    with weir.connect() as client:
        assert deliver(client)[0][:3] == "451"
    line = server.wait_for("no_such_fact")
    assert line.endswith(" for #<handler> (NameError)"), line


@pytest.mark.parametrize("what, action", [("reject", REJECT), ("weir", 0),
                                          ("continue", RELAY)])
def test_what_becomes_of_errors(handlers, what, action):
    server = handlers("--on-error", what, mail_from="1 / 0")
    server.wait_for("listening on ")
    with Weir(server.endpoint) as weir:
        assert weir.mail(1, b"a@b", seq=1).action == action


BROKEN = {
    "syntax": ("def rcpt_to\n  reject(\nend\n", "rcpt_to.rb:3: syntax error"),
    "load": ("def rcpt_to\nend\n\nNo::Such\n",
             "rcpt_to.rb:4: uninitialized constant"),
    "nothing": ("def rcpt\nend\n", "rcpt_to.rb does not define rcpt_to"),
    "require": ("require 'no/such'\ndef rcpt_to; end\n",
                "rcpt_to.rb:1: cannot load such file"),
    "exit": ("exit\ndef rcpt_to; end\n", "rcpt_to.rb:1: exit"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files(handlers, kind):
    """The last good version stays, other files change; at the start there is
    no last good version."""
    code, words = BROKEN[kind]
    server = handlers(rcpt_to='reject "550 5.1.1 Good"', mail_from="continue")
    server.wait_for("listening on ")
    with Weir(server.endpoint) as weir:
        server.put("rcpt_to", code)
        line = server.wait_for("the last good version stays")
        assert f"{server.folder}/{words}" in server.log(), line
        weir.mail(1, b"a@b", seq=1)
        assert weir.ask(1, 2, rcpt=rcpt(b"c@d")).reply.lines == [b"Good"]
        server.change(mail_from='reject "Changed"')
        update(weir)
        assert weir.mail(2, b"a@b", seq=1).reply.lines == [b"Changed"]
        assert weir.ask(2, 2, rcpt=rcpt(b"c@d")).reply.lines == [b"Good"]
        server.change(rcpt_to='reject "Repaired"', mail_from="continue")
        update(weir)
        assert weir.mail(3, b"a@b", seq=1).action == RELAY
        assert weir.ask(3, 2, rcpt=rcpt(b"c@d")).reply.lines == [b"Repaired"]
    assert server.stop() == 0
    server.put("rcpt_to", code)
    with Server(EXAMPLE / "handlers", "--listen", f"unix:{server.place}/s",
                "--folder", server.folder, program=RUBY) as second:
        assert second.wait() == 1
        assert words in second.log()


def test_names_that_are_none(handlers, tmp_path):
    server = handlers(rcpt="continue")
    assert server.wait() == 1
    assert "rcpt.rb is none of connect.rb, helo.rb" in server.log()


def test_start_and_stop(handlers):
    server = handlers(start='shared[:x] = 7; log "started"',
                      connect='reject shared[:x].to_s',
                      stop='log "stopped #{shared[:x]}"')
    server.wait_for("start: started")
    server.wait_for("listening on ")
    with Weir(server.endpoint) as weir:
        assert weir.ask(1, 1, connect=connect("192.0.2.1")).reply.lines == \
            [b"7"]
    assert server.stop() == 0
    assert "stop: stopped 7" in server.log()
    server.put("start", "raise 'not today'")
    with Server(EXAMPLE / "handlers", "--listen", f"unix:{server.place}/s",
                "--folder", server.folder, program=RUBY) as second:
        assert second.wait() == 1
        assert "start.rb:2: not today" in second.log()
        assert "listening" not in second.log()


# -------------------------------------------------------- while mail flows

def test_a_message_is_judged_by_one_version(handlers):
    server = handlers(mail_from='reject "one" if sender == "now"',
                      rcpt_to='reject "one"')
    server.wait_for("listening on ")
    with Weir(server.endpoint) as weir:
        assert weir.mail(1, b"a@b", seq=1).action == RELAY
        server.change(rcpt_to='reject "two"')
        assert update(weir).version.startswith("handlers@")
        assert weir.ask(1, 2, rcpt=rcpt(b"c@d")).reply.lines == [b"one"]
        weir.send(1, transaction_end=pb.TransactionEnd())
        assert weir.mail(1, b"a@b", seq=3).action == RELAY
        assert weir.ask(1, 4, rcpt=rcpt(b"c@d")).reply.lines == [b"two"]


def test_subscriptions_follow_the_files(handlers):
    server = handlers(rcpt_to="continue")
    server.wait_for("listening on ")

    def decided(subscriptions):
        return {s.phase for s in subscriptions if s.decide}

    with Weir(server.endpoint) as weir:
        assert decided(weir.welcome.subscriptions) == {pb.PHASE_RCPT}
        weir.mail(1, b"a@b")            # a session of before
        server.change(mail_from='reject "new"', body="continue",
                      rcpt_to='reject "new"')
        assert decided(update(weir).subscriptions) == {
            pb.PHASE_MAIL, pb.PHASE_RCPT, pb.PHASE_END_OF_MESSAGE}
        assert weir.ask(1, 1, rcpt=rcpt(b"c@d")).action == RELAY
        weir.send(1, transaction_end=pb.TransactionEnd())
        weir.mail(1, b"a@b")            # weir cannot ask it at MAIL
        assert weir.ask(1, 2, rcpt=rcpt(b"c@d")).action == RELAY
        weir.send(2, connect=connect("192.0.2.1"))
        assert weir.mail(2, b"a@b", seq=1).reply.lines == [b"new"]
        server.change(mail_from=None, body=None)
        assert decided(update(weir).subscriptions) == {pb.PHASE_RCPT}
        weir.send(2, transaction_end=pb.TransactionEnd())
        assert weir.mail(2, b"a@b", seq=2).action == RELAY  # still asked
        weir.send(9, connect=connect("192.0.2.1"))  # begun before weir knew
        assert weir.mail(9, b"a@b", seq=1).action == RELAY
        assert weir.ask(9, 2, end_of_message=pb.EndOfMessage()).action == RELAY
        weir.send(1, transaction_end=pb.TransactionEnd())
        weir.mail(1, b"a@b")
        assert weir.ask(1, 3, rcpt=rcpt(b"c@d")).reply.lines == [b"new"]


class Flow(threading.Thread):
    """One client that sends a message every so often, some on the same
    connection, until told to stop; `failed` is what did not say 250."""

    def __init__(self, weir, every, name):
        super().__init__(daemon=True)
        self.weir, self.every, self.who = weir, every, name
        self.sent, self.failed, self.over = 0, [], threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                with self.weir.connect() as client:
                    for _ in range(5):
                        self.sent += 1
                        answers = deliver(client, message=b"X-Number: %s-%d\r\n"
                                          % (self.who.encode(), self.sent)
                                          + MESSAGE)
                        if not answers[-1].startswith("250"):
                            self.failed.append(answers)
                        time.sleep(self.every)
                    client.ask("QUIT")
        except Exception as error:      # the test shows it
            self.failed.append(error)

    def stop(self):
        self.over.set()
        self.join(20)
        return self.sent


def test_files_change_while_mail_flows(served, bench):
    """Changed, broken, repaired, added, removed, in one server: no message
    fails, none is lost or doubled, and every version was at work."""
    def version(number):
        return f'add_header "X-Version", "{number}"'

    server, weir = served(rcpt_to='reject "No" if recipient == "never@x"',
                          end_of_headers=version(1))
    flows = [Flow(weir, 0.02, name) for name in "abc"]

    def seen(header):
        with bench.server.lock:
            return sum(header in m.data for m in bench.server.messages)

    try:
        wait_for(lambda: seen(b"X-Version: 1\r\n") > 5, "version 1")
        for number in range(2, 8):
            server.change(end_of_headers=version(number))
            wait_for(lambda: seen(b"X-Version: %d\r\n" % number) > 5,
                     f"version {number}")
            server.put("end_of_headers", "def end_of_headers(\n")
            server.wait_for("end_of_headers.rb:")
            before = seen(b"X-Version: %d\r\n" % number)
            wait_for(lambda: seen(b"X-Version: %d\r\n" % number) > before + 5,
                     "the last good version")
        server.change(end_of_headers=version(8),
                      end_of_message='add_header "X-End", size.to_s')
        wait_for(lambda: seen(b"X-End: ") > 5, "an added file at work")
        server.change(end_of_message=None, header="continue", body="skip")
        server.change(end_of_headers=None, header=None, body=None)
        wait_for(lambda: seen(b"\r\n") > seen(b"X-Version: ") + 5,
                 "messages without a handler")
    finally:
        sent = sum(flow.stop() for flow in flows)
    assert [flow.failed for flow in flows] == [[], [], []]
    numbers = [re.search(rb"X-Number: (\S+)", m.data)[1]
               for m in bench.server.messages]
    assert len(numbers) == len(set(numbers)) == sent > 100
    assert not weir.rows("SELECT * FROM decisions WHERE error <> ''")
    # 1 to 7, 8, and the one without a handler
    weir.wait_rows("SELECT DISTINCT version FROM decisions", count=9)


def test_the_contract(handlers, tmp_path):
    """weir-policy finds nothing wrong with it, nor with a restart."""
    server = handlers(**{name: "continue" for name in FILES})
    endpoint = server.endpoint
    again = shlex.join(map(str, [
        EXAMPLE / "handlers", "--listen", endpoint, "--folder", server.folder]))
    done = subprocess.run(
        [ROOT / "contrib/weir-policy/weir-policy", "check", endpoint,
         "--restart", f"kill {server.process.pid}; sleep 1; {again} "
         f">{tmp_path}/second.log 2>&1 & echo $! >{tmp_path}/pid; sleep 2"],
        capture_output=True, text=True, timeout=60)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nothing is wrong" in done.stdout
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)


# --------------------------------------------------------------------- README

def test_the_readmes_example(bench, place):
    """The command and the block of the README, with the folder they name."""
    commands, block = parts(EXAMPLE / "README.md")
    assert {f.stem for f in (EXAMPLE / "example").iterdir()} == set(FILES)
    option = re.search(r"--folder (\S+)", commands[0])[1]
    assert (EXAMPLE / option).is_dir()
    with Server(EXAMPLE / "handlers", "--listen", f"unix:{place}/handlers.sock",
                "--folder", EXAMPLE / option, program=RUBY) as server:
        server.wait_for("listening on ")
        weir = bench.weir(more=block.replace("/run/weir", str(place)))
        weir.wait_log(r"event=policy\.ready ")
        with weir.connect() as client:
            assert client.ask("VRFY joe").startswith("502 5.5.1 Not here")
            assert deliver(client, recipients=["Nobody@example.com"])[-1] == \
                "550 5.1.1 User unknown\r\n"
            assert deliver(client, sender="x@bad.example")[0].startswith("550")
            assert deliver(client, message=b"Subject: FREE money\r\n\r\nx\r\n"
                           )[-1] == "554 5.6.0 No such offers\r\n"
            assert deliver(client, message=b"Subject: x\r\n\r\nX-GO-AWAY-TEST"
                           b"\r\n")[-1].startswith("554 5.6.0 Not this")
            assert deliver(client, message=b"Subject: x\r\nX-Internal-Note: s"
                           b"\r\n\r\nx\r\n")[-1].startswith("250")
            client.ask("QUIT")
        data, = [m.data for m in bench.server.messages]
        assert b"Internal" not in data
        assert re.search(rb"^Message-ID: <\w{26}@example.org>\r$", data, re.M)
        assert b"X-Policy: checked in " in data
        server.wait_for("client.example.org quit")
        assert server.stop() == 0
        assert "1 recipients were refused" in server.log()
