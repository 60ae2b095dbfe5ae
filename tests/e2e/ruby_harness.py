"""Policy servers in Ruby, for the tests of its SDK and examples."""

import os
import subprocess

import pytest
from policy_harness import ROOT, Server

SDK = ROOT / "contrib" / "sdk" / "ruby"
LIB = f"-I{SDK}/lib"
RUBY = "/usr/bin/ruby"
needs_ruby = pytest.mark.skipif(not os.access(RUBY, os.X_OK),
                                reason="Ruby is not installed")
HEAD = "require 'weir_policy'\ninclude WeirPolicy::Decisions\n$stderr.sync = " \
    "true\npolicy = WeirPolicy::Policy.new('test/1', **({options}))\n"


def ruby(*command, cwd="/", **environment):
    return subprocess.run(
        [RUBY, *map(str, command)], cwd=cwd, timeout=60, text=True,
        capture_output=True, env={**os.environ, **environment})


@pytest.fixture
def run(tmp_path):
    """run(source): a policy from source, served; gives its Server."""
    servers = []

    def start(source, endpoint=None, options="{}", tls="nil"):
        script = tmp_path / f"policy{len(servers)}.rb"
        script.write_text(HEAD.replace("{options}", options) + source
                          + f"\npolicy.run(ARGV.fetch(0), tls: {tls})\n")
        servers.append(Server("-w", LIB, script, endpoint or
                              f"unix:{tmp_path}/{len(servers)}.sock",
                              program=RUBY))
        return servers[-1]

    yield start
    for server in servers:
        with server:
            pass


# a decision takes as many ms as the recipient says, and its rule is how many
# recipients the session knew by then
ORDER = """
policy.on :rcpt do |session, event|
  sleep event.recipient.to_f / 1000
  relay.because(rule: session.envelope.recipients.size)
end
"""
