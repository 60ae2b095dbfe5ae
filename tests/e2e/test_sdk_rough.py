"""The Go and the Node.js SDK in a rough world: what weir-policy tries, TLS
with certificates on both sides, and kill -9 while mail flows."""

import contextlib
import re
import shutil
import signal
import threading

import pytest
from blackbox import wait_for
from policy_harness import ROOT
from program import Program, go_run
from test_policy_transports import Authority
from weir_policy_command import as_json

# at every phase; says at the end of a message that it has seen all of it
GO = """\
package main

import (
	"context"
	weir "weirpolicy"
)

func ok[E any](context.Context, *weir.Session, E) (*weir.Decision, error) {
	return nil, nil
}

func end(_ context.Context, s *weir.Session, _ *weir.EndOfMessage) (*weir.Decision, error) {
	return weir.Relay().AddHeader("X-Seen", s.Transaction.ID), nil
}

func main() {
	weir.Main(&weir.Policy{Software: "rough/1", Version: "1", BodyWindow: 70000,
		DecideBody: true, Connect: ok[*weir.Connect], Ehlo: ok[*weir.Ehlo],
		Mail: ok[*weir.Mail], Rcpt: ok[*weir.Rcpt], Headers: ok[*weir.Headers],
		Body: ok[*weir.Body], EndOfMessage: end})
}
"""
NODEJS = """\
const { Policy, commandLine, relay } = require('weir-policy')
const policy = new Policy('rough/1', { version: '1', bodyWindow: 70000 })
for (const phase of ['connect', 'ehlo', 'mail', 'rcpt', 'headers']) {
  policy.on(phase, () => {})
}
policy.on('body', { decide: true }, async () => {})
policy.on('endOfMessage', async ({ transaction }) =>
  relay().addHeader('X-Seen', transaction.id))
policy.run(commandLine())
"""
LANGUAGES = {"go": ("go", "-"), "nodejs": ("node", "--")}


@pytest.fixture(params=LANGUAGES)
def rough(request, place):
    """rough(endpoint, option=value) serves the policy above."""
    command, dash = LANGUAGES[request.param]
    if not shutil.which(command):
        pytest.skip(f"{command} is not installed")
    if command == "go":
        (place / "rough.go").write_text(GO)
        go_run(place, "build", "-o", place / "rough", "rough.go", cwd=place)
        words = [place / "rough"]
    else:
        (place / "node_modules").mkdir()
        (place / "node_modules" / "weir-policy").symlink_to(
            ROOT / "contrib" / "sdk" / "nodejs")
        (place / "rough.js").write_text(NODEJS)
        words = ["node", place / "rough.js"]

    def start(endpoint, **options):
        for name, value in {"listen": endpoint, **options}.items():
            words.extend([dash + name.replace("_", "-"), value])
        server = Program(*words)
        del words[words.index(dash + "listen"):]
        servers.enter_context(server)
        server.wait_for("listening on ")
        return server
    with contextlib.ExitStack() as servers:
        yield start


def test_contract(rough, place):
    found = as_json("check", rough(f"unix:{place}/s").endpoint, code=None)
    assert found["wrong"] == 0, found


def test_tls(rough, bench, place):
    """weir and the server show each other their certificates."""
    authority = Authority(place, "authority")
    server = rough("tls:127.0.0.1:0", tls_client_ca=authority.certificate,
                   **dict.fromkeys(["tls_cert", "tls_key"],
                                   authority.issue("policy")))
    weir = bench.weir(more=f'policy "t" {{ endpoint = "{server.endpoint}" '
                      f'tls_ca = "{authority.certificate}" tls_certificate = '
                      f'"{authority.issue("weir")}" '
                      'grants = {"headers"} }\n'
                      f'policy "nobody" {{ endpoint = "{server.endpoint}" '
                      f'tls_ca = "{authority.certificate}" '
                      'on_error = "relay" }')
    weir.wait_log(r"event=policy\.ready policy=t ")
    with weir.connect() as client:
        assert client.deliver().startswith("250")
    assert b"X-Seen: " in bench.server.messages[0].data
    assert "event=policy.ready policy=nobody" not in weir.log


def test_killed_again_and_again_while_mail_flows(rough, bench, place):
    """Clients that try again after a 4xx get everything through, once; and
    only what the policy has seen to its end."""
    endpoint = f"unix:{place}/killed.sock"
    server = rough(endpoint)
    weir = bench.weir(more=f'policy "k" {{ endpoint = "{endpoint}" grants = '
                      '{"headers"} timeout = 500ms breaker_time = 100ms }')
    weir.wait_log(r"event=policy\.ready ")
    done, over, errors = [], threading.Event(), []

    def send(number):
        with weir.connect(hello=False) as client:
            reply = client.reply()
            for command in ("EHLO c", "MAIL FROM:<a@b>", "RCPT TO:<c@d>",
                            "DATA"):
                if reply[0] != "2":
                    return reply
                reply = client.ask(command)
            if reply[0] != "3":
                return reply
            return client.raw(b"X-Number: %d\r\n\r\nx\r\n.\r\n" % number)

    def client(number):
        while not over.is_set():
            reply = send(number)
            if reply.startswith("250"):
                done.append(number)
                number += 3
            elif not reply.startswith("4"):
                errors.append(reply)
                return

    threads = [threading.Thread(target=client, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in [signal.SIGKILL, signal.SIGTERM] * 3:
            before = len(done)
            wait_for(lambda: len(done) > before + 20, "mail that flows", 15)
            server.signal(number)
            server.wait()
            server = rough(endpoint)
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
    assert not errors
    messages = bench.server.messages
    assert sorted(int(re.search(rb"X-Number: (\d+)", message.data)[1])
                  for message in messages) == sorted(done)
    assert all(b"X-Seen: " in message.data for message in messages)
