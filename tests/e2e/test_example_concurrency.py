"""policy-examples/c/concurrency, by its README, with real weir."""

import re
import shlex
import shutil
import subprocess
import time

import c_policy
import pytest
from example import parts
from policy_harness import ROOT

FOLDER = ROOT / "policy-examples" / "c" / "concurrency"
README = FOLDER / "README.md"


@pytest.fixture(scope="module")
def library():
    reason = c_policy.why_not()
    if reason:
        pytest.skip(reason)
    return c_policy.Library()


@pytest.fixture
def start(bench, library, place):
    """start(change of the command...) gives (weir, policy)."""
    compiled, = re.findall(r"^    (cc .*)$", README.read_text(), re.M)
    shutil.copy(FOLDER / "concurrency.c", place)
    library.compile(compiled, place)
    (command,), block = parts(README)

    def started(*more):
        program, *options = shlex.split(command.replace("/run/weir",
                                                        str(place)))
        server = bench.opened.enter_context(
            library.server(place / program, *options, *more))
        server.wait_for("listening on ")
        weir = bench.weir(more=block.replace("/run/weir", str(place)),
                          ready=False)
        weir.wait_log(r"event=policy\.ready ")
        return weir, server
    return started


def greeted(weir):
    """A client that was greeted, and how long that took."""
    begun = time.monotonic()
    client = weir.connect(hello=False)
    assert client.reply().startswith("220")
    return client, time.monotonic() - begun


def test_the_sixth_connection_waits(start, bench):
    weir, server = start()
    clients, times = zip(*(greeted(weir) for _ in range(5)))
    assert max(times) < 1.5
    sixth, waited = greeted(weir)
    assert 2.9 < waited < 6
    # as many as before leave: the next two are the fifth and the sixth
    for client in (sixth, *clients[:1]):
        client.close()
    weir.wait_rows("SELECT * FROM sessions WHERE cause IS NOT NULL", count=2)
    row, = weir.wait_rows("SELECT * FROM decisions WHERE rule = 'concurrency'")
    assert row["score"] == 6
    assert row["version"] == "5 connections, 3 s"
    fifth, waited = greeted(weir)
    assert waited < 1.5
    again, waited = greeted(weir)
    assert 2.9 < waited < 6
    for client in (*clients[1:], fifth, again):
        client.close()
    weir.stop()
    assert server.stop() == 0, server.log()


def test_both_numbers_are_options(start):
    weir, _ = start("--connections", "1", "--delay", "0.8")
    with greeted(weir)[0]:
        client, waited = greeted(weir)
        assert 0.7 < waited < 2.5
        client.close()


def test_wrong_options(start, library, place):
    start()
    for options in (["--delay", "x"], ["--connections", "-1"], ["more"],
                    ["--delay", "1e9"]):
        done = subprocess.run(
            [place / "concurrency", "--listen", f"unix:{place}/x", *options],
            capture_output=True, text=True, timeout=10,
            env=library.environment)
        assert done.returncode == 64 and "usage" in done.stderr, done
