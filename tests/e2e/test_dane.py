"""Level dane: real zones below a signed root, real certificates."""

import contextlib
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import signed_zones
import weir as under_test
from blackbox import PATIENCE

CONFIG = """\
user = ""
workers = 2
listener "l" {{ address = "127.0.0.1:0" }}
upstream {{ {upstream} }}
record {{ sqlite = "" }}
status {{ address = "" control = "" }}
dns {{ resolver = {{"127.0.0.1:{port}"}} {dns} timeout = {timeout} }}
"""


class Loopback:
    """Where processes are started that need no namespace."""

    @staticmethod
    def popen(*command):
        return subprocess.Popen(command)


@pytest.fixture(scope="module")
def roots():
    """Two roots, one signed: {"signed", "unsigned"} -> zones."""
    reason = signed_zones.why_not() or under_test.why_not()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as opened:
        place = Path(opened.enter_context(
            tempfile.TemporaryDirectory(prefix="weir-dane-")))
        made = {}
        for name in ("signed", "unsigned"):
            zones = signed_zones.Zones(place / name,
                                       port=signed_zones.free_port())
            zones.anchor = zones.root(signed=name == "signed")
            process = zones.serve(Loopback)
            opened.callback(process.wait, PATIENCE)
            opened.callback(process.terminate)
            made[name] = zones
        yield made


def run(place, upstream="", reload=None, timeout="10s", **parts):
    """weir until it is ended: its exit code and what it said. reload: another
    upstream section for it to read first."""
    parts["timeout"] = timeout
    config = place / "weir.conf"
    config.write_text(CONFIG.format(upstream=upstream, **parts))
    process = subprocess.Popen([under_test.PROGRAM, "-c", config],
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    said = ""
    while "event=weir.serving" not in said:
        line = process.stderr.readline()
        if not line:
            break
        said += line
    if reload is not None:
        config.write_text(CONFIG.format(upstream=reload, **parts))
        process.send_signal(signal.SIGHUP)
        while "event=reload." not in said:
            said += process.stderr.readline()
    process.terminate()
    return process.wait(PATIENCE), said + process.stderr.read()


def test_start_with_a_resolver_that_gives_dnssec(roots, place):
    code, said = run(place, dns=f'trust_anchor = "{roots["signed"].anchor}"',
                     port=roots["signed"].port)
    assert code == 0 and "event=weir.serving" in said, said


def test_level_dane_needs_dnssec(roots, place):
    """By its own trust anchor, which knows nothing of the test's root."""
    code, said = run(place, dns="", port=roots["signed"].port,
                     upstream='tls = "dane"')
    assert code == 1 and "event=weir.serving" not in said
    assert "weir: DNSSEC, which level dane needs: " in said


def test_a_first_level_dane_takes_a_restart(roots, place):
    code, said = run(place, dns="", port=roots["signed"].port,
                     reload='tls = "dane"')
    assert code == 0 and "event=reload.failed" in said
    assert "needs a restart" in said


@pytest.mark.parametrize("root, anchor, why", [
    ("unsigned", "signed", "the root zone cannot be validated"),
    ("signed", "foreign", "the root zone cannot be validated"),
    ("nobody", "signed", "no answer in time"),
    ("signed", "broken", "is the trust anchor a file of DS or DNSKEY"),
])
def test_start_is_refused(roots, place, root, anchor, why):
    (place / "foreign").write_text(". IN DS 1 13 2 " + "00" * 32 + "\n")
    (place / "broken").write_text("no key\n")
    file = roots["signed"].anchor if anchor == "signed" else place / anchor
    port = roots[root].port if root in roots else signed_zones.free_port()
    code, said = run(place, dns=f'trust_anchor = "{file}"', port=port,
                     timeout="500ms" if root == "nobody" else "10s")
    assert code == 1 and "event=weir.serving" not in said
    assert "weir: DNSSEC, which dns.trust_anchor needs: " in said
    assert why in said and "see section dns in weir.conf(5)" in said


def test_an_anchor_that_is_not_there(roots, place):
    code, said = run(place, dns=f'trust_anchor = "{place}/missing"',
                     port=roots["signed"].port, timeout="10s")
    assert code == 1 and "event=weir.serving" not in said
    assert f"weir: dns.trust_anchor: {place}/missing cannot be read\n" in said
