"""tls: and unix: endpoints, with servers as they ought to be, and others; what
an Update changes, and how a server's health shows."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading

import pytest
from blackbox import Policy, decision, pb, wait_for

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
NAMES = "subjectAltName=DNS:policy.example,IP:127.0.0.1"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True,
                   capture_output=True)


class Authority:
    """A CA in a directory of its own, and what it issues."""

    def __init__(self, place, name):
        self.place = place / name
        self.place.mkdir()
        self.certificate, self.key = self.place / "ca.crt", self.place / "key"
        openssl("req", "-x509", *KEY, "-days", 2, "-subj", f"/CN={name}",
                "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, days=2, names=NAMES):
        """One PEM file with certificate and key."""
        pem = self.place / f"{name}.pem"
        request, crt = self.place / "request", self.place / "crt"
        extensions = self.place / "extensions"
        extensions.write_text(names)
        openssl("req", "-new", *KEY, "-subj", f"/CN={name}", "-keyout", pem,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate,
                "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", crt)
        pem.write_bytes(pem.read_bytes() + crt.read_bytes())
        return pem


@pytest.fixture
def authority(place):
    return Authority(place, "authority")


def context(pem, clients=None, version=ssl.TLSVersion.TLSv1_3):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.maximum_version = version
    made.load_cert_chain(pem)
    if clients:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(clients)
    return made


class TLSPolicy(Policy):
    """A policy server on a TLS port; its context may change at any time."""

    def __init__(self, context, name="p0", **options):
        self.context, self.shaken = context, []
        super().__init__("/nowhere", name=name, **options)

    def open(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, args=(self.socket,),
                         daemon=True).start()

    def _carry(self, connection):
        if self.context is None:
            super()._carry(connection)
            return
        with contextlib.suppress(OSError):      # ssl.SSLError is one, too
            secured = self.context.wrap_socket(connection, server_side=True)
            self.shaken.append((secured.version(), secured.getpeercert()))
            super()._carry(secured)

    def block(self, **keys):
        text = f'policy "{self.name}" {{ endpoint = "tls:127.0.0.1:{self.port}"'
        for key, value in keys.items():
            text += f' {key} = "{value}"'
        return text + " }\n"


@pytest.fixture
def tls(bench):
    """tls(context, key=..) starts weir before such a policy server."""
    def start(made, ready=True, **keys):
        policy = TLSPolicy(made, decide=["mail"])
        bench.opened.callback(policy.close)
        policy.keys = keys
        bench.policies.append(policy)
        return policy, bench.weir(ready=ready)
    return start


def reason(proxy, words):
    line = proxy.wait_log(rf"event=policy\.unreachable .*{words}.*")[0]
    assert "endpoint=tls:127.0.0.1:" in line.replace('"', ""), line
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.")


def test_tls_1_3_with_ca_and_name(tls, authority):
    policy, proxy = tls(context(authority.issue("server")),
                        tls_ca=authority.certificate,
                        tls_name="policy.example")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("250")
    assert policy.one("mail").sender == b"a@b.example"
    assert policy.shaken == [("TLSv1.3", None)]


def test_the_host_is_the_name_by_default(tls, authority):
    _, proxy = tls(context(authority.issue("server")),
                   tls_ca=authority.certificate)
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("250")


def test_a_client_certificate_is_shown(tls, authority):
    policy, proxy = tls(
        context(authority.issue("server"), clients=authority.certificate),
        tls_ca=authority.certificate, tls_certificate=authority.issue("weir"))
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("250")
    (_, shown), = policy.shaken
    assert shown["subject"] == ((("commonName", "weir"),),)


@pytest.mark.parametrize("keys, words", [
    ({"tls_name": "other.example"}, "not for other.example"),
    ({"tls_ca": ""}, "tls_ca.*issuer is unknown"),
    ({"tls_ca": "/nonexistent"}, "cannot read certificates from /none")])
def test_not_whom_weir_expects(tls, authority, keys, words):
    policy, proxy = tls(context(authority.issue("server")), ready=False,
                        **{"tls_ca": authority.certificate, **keys})
    reason(proxy, words)
    assert policy.seen() == []      # not even Hello


def test_expired(tls, authority):
    policy, proxy = tls(context(authority.issue("server", days=-1)),
                        ready=False, tls_ca=authority.certificate)
    reason(proxy, "expired")
    assert policy.seen() == []


@pytest.mark.parametrize("shown, words", [
    (False, "tls_certificate and tls_key"),
    (True, "does not trust the authority of weir's tls_certificate")])
def test_a_server_that_wants_another_client(tls, authority, place, shown,
                                            words):
    keys = {"tls_certificate": Authority(place, "other").issue("weir")} \
        if shown else {}
    _, proxy = tls(
        context(authority.issue("server"), clients=authority.certificate),
        ready=False, tls_ca=authority.certificate, **keys)
    reason(proxy, words)


def test_tls_1_2_is_not_enough(tls, authority):
    _, proxy = tls(context(authority.issue("server"),
                           version=ssl.TLSVersion.TLSv1_2),
                   ready=False, tls_ca=authority.certificate)
    reason(proxy, "does not speak TLS 1.3")


def test_a_plain_server_and_something_else(tls, authority, bench):
    policy, proxy = tls(None, ready=False, tls_ca=authority.certificate)
    reason(proxy, "perhaps it does not speak TLS: then write")

    def banner(connection, _=None):
        connection.sendall(b"220 mx.example ESMTP\r\n")
        connection.recv(1000)
        connection.close()
    policy._carry = banner
    reason(proxy, "does not speak TLS: this looks like an SMTP server")


def test_renewed_files_count_from_the_next_connection(tls, authority, place):
    """And a server that was wrong is found as soon as it is right."""
    wrong = Authority(place, "wrong")
    policy, proxy = tls(context(wrong.issue("server")), ready=False,
                        tls_ca=authority.certificate)
    reason(proxy, "issuer is unknown")
    authority.certificate.write_bytes(wrong.certificate.read_bytes())
    proxy.wait_log(r"event=policy\.ready ")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("250")
    assert policy.shaken


# ----------------------------------------------------------------- peer_uid

@pytest.fixture
def stranger(bench, place):
    """stranger(open): a policy server that another user runs."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a server as somebody else")

    def start(directory_owner, **keys):
        directory = place / "run"
        directory.mkdir()
        os.chown(directory, directory_owner, directory_owner)
        policy = Policy(directory / "p0.sock", name="p0", decide=["mail"],
                        answer=lambda *_: decision())
        bench.opened.callback(policy.close)
        # who listens is who called listen(2)
        os.seteuid(65534)
        try:
            policy.socket.listen(8)
        finally:
            os.seteuid(0)
        policy.keys = keys
        bench.policies.append(policy)
        return policy
    return start


@pytest.mark.parametrize("owner, keys", [
    (65534, {}), (0, {"peer_uid": '"nobody"'}), (0, {"peer_uid": '"65534"'}),
    (0, {"peer_uid": '"any"'})])
def test_an_expected_peer(stranger, bench, owner, keys):
    stranger(owner, **keys)
    with bench.weir().connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("250")


@pytest.mark.parametrize("owner, keys, words", [
    (0, {}, "user 65534 listens at the socket: not root"),
    (65534, {"peer_uid": '"root"'}, "user 65534 .*not root, as peer_uid"),
    (65534, {"peer_uid": '"0"'}, "user 65534 .*not 0, as peer_uid")])
def test_an_unexpected_peer(stranger, bench, owner, keys, words):
    policy = stranger(owner, **keys)
    proxy = bench.weir(ready=False)
    proxy.wait_log(rf"event=policy\.unreachable .*{words}")
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.")
    wait_for(lambda: policy.connections, "an attempt")
    assert policy.seen() == []


# ------------------------------------------------------------ once it is ready

def test_update_is_for_new_sessions(bench):
    """Open ones keep subscriptions and version, and the record says so."""
    policy = bench.policy(decide=["mail"])
    proxy = bench.weir()
    with proxy.connect() as old:
        update = pb.Update(version="v8")
        update.subscriptions.add(phase=pb.PHASE_RCPT, decide=True)
        update.subscriptions.add(phase=77)
        policy.send(pb.FromPolicy(update=update))
        proxy.wait_log('event=policy.update policy=p0 version="v8"')
        proxy.wait_log("event=policy.phase_unknown policy=p0 phase=77")
        with proxy.connect() as new:
            for client in (old, new):
                assert client.ask("MAIL FROM:<a@b.example>")[:3] == "250"
                assert client.ask("RCPT TO:<c@d.example>")[:3] == "250"
    rows = proxy.wait_rows("SELECT phase, version FROM decisions "
                           "ORDER BY version", count=2)
    assert [(r["phase"], r["version"]) for r in rows] == [
        ("mail", "v7"), ("rcpt", "v8")]


def test_no_subscriptions_is_a_warning(bench):
    bench.policy()
    bench.weir().wait_log("event=policy.subscriptions policy=p0 .*"
                          "subscribes to no phase")


def test_a_late_answer_is_measured(bench):
    policy = bench.policy(decide=["mail"], answer=lambda *_: None,
                          keys={"timeout": "100ms"})
    proxy = bench.weir()
    with proxy.connect() as client:
        assert client.ask("MAIL FROM:<a@b.example>").startswith("451 4.")
        question, = policy.wait("mail")
        policy.reply(question, decision())
        wait_for(lambda: proxy.metric(
            'weir_policy_late_seconds_count{policy="p0"}') == 1, "late one")
    assert proxy.metric('weir_policy_pong_seconds{policy="p0"}') == 0
