"""A broken peer never blocks mail at level may, and never gets it in clear at
level encrypt: each way to be broken is an MX of its own, see tls_peer.py."""

import contextlib
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import tls_peer
import weir as under_test
from authority import Authority
from blackbox import certificate
from tls_front import Front, Peers, deliver, name_of
from tls_octets import rsa_certificate


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    reason = under_test.why_not()
    if reason:
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("peers")
    started = Peers(certificate(place))
    yield started
    started.close()


@pytest.fixture(scope="module")
def fronts(peers, tmp_path_factory):
    place = tmp_path_factory.mktemp("fronts")
    with contextlib.ExitStack() as opened:
        made = {}
        for level in ("may", "encrypt"):
            made[level] = Front(place / level, peers, level)
            opened.callback(made[level].stop)
        yield made
        for front in made.values():
            assert front.stop() == 0, front.log


def attempt(fronts, peers, case):
    """Two messages at may, then one at encrypt: what the client heard and the
    MX saw of each level."""
    heard = [deliver(fronts["may"], case) for _ in range(2)]
    at_may = peers.saw(case)
    heard.append(deliver(fronts["encrypt"], case))
    after = peers.saw(case)
    return heard, at_may, {key: after[key][len(at_may[key]):] for key in after}


@pytest.fixture(scope="module")
def attempts(fronts, peers):
    """Of all cases at once, since many of them are slow: case -> result."""
    with ThreadPoolExecutor(16) as pool:
        return {case: pool.submit(attempt, fronts, peers, case)
                for case in tls_peer.NAMES}


def is_over_tls(case):
    return tls_peer.becomes(case) == tls_peer.TLS


@pytest.mark.parametrize("case", tls_peer.NAMES)
def test_mail_is_not_blocked(attempts, case):
    (first, second, _), seen, _ = attempts[case].result()
    assert first[:3] == "250", first
    assert second[:3] == "250", second
    assert seen["messages"] == [is_over_tls(case)] * 2
    assert ("STARTTLS" in seen["sessions"][-1]) == is_over_tls(case)


@pytest.mark.parametrize("case", tls_peer.NAMES)
def test_nothing_is_sent_in_clear(attempts, case):
    (*_, said), _, seen = attempts[case].result()
    if is_over_tls(case):
        assert said[:3] == "250", said
        assert seen["messages"] == [True]
        return
    assert said.startswith("451 4.7.5 "), said
    lines = sum(seen["sessions"], [])
    assert not [line for line in lines if line.startswith("MAIL")], lines


def test_failures_are_recorded_once(attempts, fronts):
    front = fronts["may"]
    for attempted in attempts.values():
        attempted.result()
    rows = front.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL "
                           "ORDER BY id", count=2 * len(tls_peer.NAMES))
    for case in tls_peer.NAMES:
        first, second = (row for row in rows
                         if row["listener"] == name_of(case))
        if is_over_tls(case):
            assert first["upstream_tls_version"]
            assert first["upstream_tls_error"] is None
        else:
            assert first["upstream_tls_error"], case
            assert second["upstream_tls_version"] is None
        assert second["upstream_tls_error"] is None
    results = {(row["listener"], row["id"]): row for row in front.wait_rows(
        "SELECT listener, id, r.* FROM sessions JOIN tls_results r "
        "ON session_id = id", count=2 * len(tls_peer.NAMES))}
    assert len(results) == 2 * len(tls_peer.NAMES), "one for each session"
    for row in rows:
        case = tls_peer.NAMES[int(row["listener"].removeprefix("case"))]
        result = results[row["listener"], row["id"]]
        # also where it was not tried again: it is remembered as what it was
        assert result["result"] == tls_peer.result(case)
        assert (result["reason"] is None) == is_over_tls(case)
        assert result["mx"] == "mx.example.net"
        assert result["upstream_port"] == row["destination_port"]
        assert result["policy"] == "no-policy-found"
        assert result["domain"] is None
        shown = front.api(f"/sessions/{row['id']}")["tls_results"]
        assert [one["result"] for one in shown] == [result["result"]]
    failed = sum(not is_over_tls(case) for case in tls_peer.NAMES)
    assert front.metric("weir_tls_failed_total") == failed
    assert front.metric(
        'weir_tls_failures_total{cause="no_reply"}') == 5
    assert front.metric(
        'weir_tls_failures_total{cause="plain_text"}') == 3
    assert front.metric("weir_tls_fallback_total") == failed


@pytest.mark.parametrize("case", [
    "key that takes seconds", "group that takes minutes",
    "heavy chain, TLS 1.2", "heavy chain, TLS 1.3"])
def test_nobody_is_held_up_by_large_numbers(attempts, fronts, case):
    attempts[case].result()
    error, = (row["upstream_tls_error"] for row in fronts["may"].wait_rows(
        "SELECT upstream_tls_error FROM sessions WHERE listener = ? "
        "AND cause NOT NULL ORDER BY id LIMIT 1", name_of(case)))
    assert "constraint limits" in error


def test_a_failure_is_forgotten(peers, tmp_path):
    case = "alert internal_error"
    front = Front(tmp_path / "forgetful", peers, "may", memory="300ms")
    try:
        tried = []
        for pause in (0, 0, 0.35):
            time.sleep(pause)
            assert deliver(front, case)[:3] == "250"
            tried.append("STARTTLS" in peers.saw(case)["sessions"][-2]
                         or "STARTTLS" in peers.saw(case)["sessions"][-1])
    finally:
        assert front.stop() == 0
    assert tried == [True, False, True]


def test_all_workers_remember(peers, tmp_path):
    case = "alert handshake_failure"
    before = len(peers.saw(case)["sessions"])
    front = Front(tmp_path / "many", peers, "may", workers=3)
    try:
        for _ in range(8):
            assert deliver(front, case)[:3] == "250"
    finally:
        assert front.stop() == 0
    sessions = peers.saw(case)["sessions"][before:]
    assert sum("STARTTLS" in lines for lines in sessions) == 1


@pytest.mark.parametrize("case", tls_peer.LATER)
def test_what_breaks_later_is_remembered(fronts, peers, case):
    assert deliver(fronts["may"], case)[:3] == "421"
    assert deliver(fronts["may"], case)[:3] == "250"
    assert peers.saw(case)["messages"] == [False]


@pytest.mark.parametrize("case", tls_peer.QUITTING)
def test_a_rude_goodbye_is_forgiven(fronts, peers, case):
    for _ in range(2):
        assert deliver(fronts["may"], case)[:3] == "250"
    assert peers.saw(case)["messages"] == [True, True]


@pytest.mark.parametrize("newest", ["TLSv1_2", "TLSv1_3"])
def test_a_client_holds_nobody_up_either(bench, place, newest):
    authority = Authority(place)
    mine, tenant = authority.issue("mx.example.net"), authority.issue("tenant")
    heavy = place / "heavy.pem"
    heavy.write_text(tenant.read_text() + ssl.DER_cert_to_PEM_cert(
        rsa_certificate(40000, 40000)))
    proxy = bench.weir(listener=(
        f'client_tls = offer tls_certificate = {{"{mine}"}} '
        f'tls_client_ca = "{authority.certificate}"'))
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.maximum_version = ssl.TLSVersion[newest]
    context.load_cert_chain(heavy)
    begun = time.monotonic()
    with proxy.connect() as client:
        assert client.ask("STARTTLS")[:3] == "220"
        with pytest.raises(OSError):
            inside = context.wrap_socket(client.socket,
                                         server_hostname="mx.example.net")
            inside.sendall(b"EHLO inside\r\n")
            assert not inside.recv(1), "weir closed"
            raise OSError
    assert time.monotonic() - begun < 2
