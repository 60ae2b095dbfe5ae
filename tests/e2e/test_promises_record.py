"""What weir promises of record, status and operation, on the real daemon."""

import json
import re
import signal
import socket
import subprocess
import time

import pytest
import weir as under_test
from blackbox import CONFIG, REJECT, decision, wait_for

MESSAGE = b"Subject: hello\r\nX: <script>alert(1)</script>\r\n\r\nsecret body\r\n"


def deliver(client, sender="a@b.example", recipients=("c@d.example",)):
    client.envelope(sender, *recipients)
    assert client.ask("DATA")[:3] == "354"
    return client.raw(MESSAGE + b".\r\n")


def columns(proxy, name):
    return [row["name"] for row in proxy.rows(f"PRAGMA table_info({name})")]


def test_connections_and_communications_columns(bench):
    bench.mx()
    proxy = bench.weir()
    with proxy.connect() as client:
        deliver(client, recipients=("c@d.example", "e@f.example"))
        client.ask("QUIT")
    row, = proxy.wait_rows("SELECT * FROM connections")
    assert list(row) == ["id", "mail_from", "mail_to", "occurred_at",
                         "elapse"]
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", row["id"])
    assert (row["mail_from"], row["mail_to"]) == (
        "a@b.example", "c@d.example,e@f.example")
    assert 0 <= row["elapse"] < 5000
    lines = proxy.rows("SELECT * FROM communications ORDER BY id")
    assert list(lines[0]) == ["id", "connection_id", "direction", "data",
                              "occurred_at"]
    assert {line["connection_id"] for line in lines} == {row["id"]}
    said = [(line["direction"], line["data"]) for line in lines
            if line["direction"] != "--"]
    assert ("<-", "220 mx.example.net ESMTP\\r\\n") in said
    assert ("->", "MAIL FROM:<a@b.example>\\r\\n") in said
    assert ("<-", "250 2.1.0 OK\\r\\n") in said
    assert ("->", "Subject: hello\\r\\n") in said
    assert ("->", "QUIT\\r\\n") in said
    assert not any("secret body" in data for _, data in said)
    directions = [d for d, _ in said]
    assert set(directions) <= {"->", "<-", ">|", "|>", "|<", "<|"}


def test_directions_of_a_held_and_refused_message(bench, place):
    from blackbox import certificate
    bench.mx(tls=certificate(place))
    bench.policy(decide=["end_of_message"],
                 answer=lambda *_: decision(REJECT, 550, "5.7.9", ["no"]))
    proxy = bench.weir()
    with proxy.connect() as client:
        assert deliver(client).startswith("550")
        client.ask("QUIT")
    proxy.wait_rows("SELECT * FROM connections")
    said = [(r["direction"], r["data"]) for r in proxy.rows(
        "SELECT * FROM communications ORDER BY id")]
    assert (">|", "DATA\\r\\n") in said
    assert any(d == "<|" and x.startswith("354 ") for d, x in said)
    assert ("<|", "550 5.7.9 no\\r\\n") in said
    assert ("|>", "RSET\\r\\n") in said
    assert ("|>", "STARTTLS\\r\\n") in said
    assert any(d == "|<" and x.startswith("220 2.0.0") for d, x in said)
    assert (">|", "Subject: hello\\r\\n") in said
    assert not any("secret body" in data for _, data in said)


def test_elapse_minus_2_without_a_354(bench):
    bench.mx()
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("QUIT")
    row, = proxy.wait_rows("SELECT * FROM connections")
    assert (row["mail_from"], row["mail_to"], row["elapse"]) == (
        "unknown", "unknown", -2)


def test_weirs_own_tables(bench):
    bench.mx(script={"RCPT": lambda s, line: b"550 5.1.1 no such user\r\n"
                     if "bad" in line else None})
    bench.policy(decide=["mail"], answer=lambda *_: decision(rule="r"))
    proxy = bench.weir()
    with proxy.connect() as client:
        deliver(client, recipients=("c@d.example", "bad@d.example"))
        client.ask("QUIT")
    session, = proxy.wait_rows("SELECT * FROM sessions WHERE cause NOT NULL")
    assert session["listener"] == "fixed" and session["cause"] == "quit"
    assert session["client_address"] == session["upstream_address"] == \
        session["source_address"] == "127.0.0.1"
    assert session["client_bytes"] > len(MESSAGE)
    transaction, = proxy.rows("SELECT * FROM transactions")
    assert (transaction["sender"], transaction["outcome"],
            transaction["decided_by"], transaction["code"],
            transaction["enhanced"], transaction["size"]) == (
        "a@b.example", "delivered", "mx", 250, "2.0.0", len(MESSAGE))
    good, bad = proxy.rows("SELECT * FROM recipients ORDER BY number")
    assert (good["address"], good["code"], good["enhanced"]) == (
        "c@d.example", 250, "2.1.5")
    assert (bad["code"], bad["reply"]) == (550, "no such user")
    made, = proxy.rows("SELECT * FROM decisions")
    assert (made["policy"], made["version"], made["phase"], made["action"],
            made["rule"], made["applied"]) == ("p0", "v7", "mail", "relay",
                                               "r", 1)
    assert made["latency_us"] > 0 and made["error"] is None
    assert proxy.rows("PRAGMA journal_mode")[0]["journal_mode"] == "wal"
    assert proxy.rows("PRAGMA user_version")[0]["user_version"] > 0
    assert proxy.rows("PRAGMA foreign_key_check") == []


def test_json_lines_and_sighup_reopens(bench):
    bench.mx()
    proxy = bench.weir()
    with proxy.connect() as client:
        deliver(client)
        client.ask("QUIT")
    path = bench.place / "weir.json"
    wait_for(lambda: path.exists() and path.read_text().count("\n") > 3,
             "JSON lines")
    for line in path.read_text().splitlines():
        json.loads(line)
    path.rename(bench.place / "weir.json.1")
    proxy.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "event=reload.done" in proxy.log, "reload")
    with proxy.connect() as client:
        deliver(client, sender="second@b.example")
        client.ask("QUIT")
    wait_for(lambda: path.exists() and "second@" in path.read_text(),
             "the new file")


@pytest.mark.parametrize("how", ["read-only", "locked"])
def test_the_record_never_stops_mail(bench, how):
    import sqlite3
    server = bench.mx()
    if how == "read-only":
        (bench.place / "weir.db").mkdir()
    proxy = bench.weir()
    lock = None
    if how == "locked":
        lock = wait_for(lambda: (bench.place / "weir.db").exists() and
                        proxy.rows("SELECT 1 FROM sqlite_master") and
                        sqlite3.connect(bench.place / "weir.db",
                                        isolation_level=None), "database")
        lock.execute("BEGIN EXCLUSIVE")
    for _ in range(3):
        with proxy.connect() as client:
            assert deliver(client)[:3] == "250"
            client.ask("QUIT")
    assert len(server.messages) == 3
    if lock:
        lock.execute("ROLLBACK")
        lock.close()
        proxy.wait_rows("SELECT * FROM connections", count=3)


# ------------------------------------------------------------------- status

def test_routes(bench):
    bench.mx()
    p = bench.policy(decide=["mail"])
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("VRFY </script><script>alert(1)</script>&\"'")
        deliver(client, sender="\"<script>\"@b.example")
        client.ask("QUIT")
    row, = proxy.wait_rows("SELECT * FROM connections")
    code, headers, body = proxy.get("/")
    assert code == 200 and "text/html" in headers["Content-Type"]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(rb"(src|href)=[\"']?https?://", body)
    status = proxy.api("/status")
    assert {"listeners", "policies", "workers"} <= set(status), status.keys()
    assert status["policies"][0]["name"] == "p0"
    sessions = wait_for(lambda: proxy.api("/sessions"), "sessions")
    found = sessions["sessions"] if isinstance(sessions, dict) else sessions
    assert row["id"] in [s["id"] for s in found]
    code, headers, body = proxy.get(f"/api/v1/sessions/{row['id']}")
    assert code == 200 and headers["Content-Type"].startswith(
        "application/json")
    text = json.dumps(json.loads(body))
    assert "MAIL FROM" in text and "secret body" not in text
    code, headers, body = proxy.get("/metrics")
    assert code == 200 and headers["Content-Type"].startswith("text/plain")
    assert re.search(rb"^weir_\w+(\{.*\})? \d", body, re.M)
    assert proxy.get("/healthz")[0] == 200
    assert proxy.get("/readyz")[0] == 200
    assert proxy.get("/nothing")[0] == 404
    assert proxy.get("/api/v1/sessions/nope")[0] in (400, 404)
    assert proxy.get("/api/v1/sessions/01ARZ3NDEKTSV4RRFFQ69G5FAV")[0] == 404
    assert headers["X-Content-Type-Options"] == "nosniff" and p


def test_post_needs_a_token_and_another_host_is_refused(bench):
    proxy = bench.weir()
    with socket.create_connection(("127.0.0.1", proxy.status), 5) as s:
        s.sendall(b"POST /api/v1/drain HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                  b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        assert s.recv(100).split()[1] in (b"401", b"403")
    assert proxy.get("/", Host="evil.example")[0] in (400, 403, 421)
    assert proxy.get("/healthz")[0] == 200


def test_status_beyond_loopback_needs_a_token(bench):
    bench.mx()
    (bench.place / "weir.conf").write_text(
        'status { address = "0.0.0.0:0" control = "" }\nuser = ""\n'
        'record { sqlite = "" }\nlistener "x" { address = "127.0.0.1:0" }\n')
    done = subprocess.run([under_test.PROGRAM, "-t", "-c",
                           bench.place / "weir.conf"], capture_output=True,
                          text=True, timeout=10)
    assert done.returncode != 0 and "token_file" in done.stderr


# ------------------------------------------------------------------ options

def run(*options):
    return subprocess.run([under_test.PROGRAM, *options], timeout=10,
                          capture_output=True, text=True)


def test_options(place):
    conf = place / "weir.conf"
    conf.write_text('listener "one" { }\n')
    done = run("-t", "-c", conf)
    assert (done.returncode, done.stdout) == (0, ""), done
    conf.write_text('workers = 1\n\nlistener "one" { adress = "x" }\n')
    done = run("-t", "-c", conf)
    assert done.returncode != 0
    assert done.stderr.startswith(f"{conf}:3: "), done.stderr
    table = run("-T")
    assert table.returncode == 0
    keys = {line.split("\t")[0] for line in table.stdout.splitlines()}
    for text in ("workers hostname user log_level listener.address "
                 "listener.mode listener.destination listener.allow "
                 "listener.client_tls listener.tls_certificate "
                 "listener.tls_key upstream.source upstream.mark upstream.tls "
                 "upstream.tls_ca pool.addresses pool.ehlo_name "
                 "policy.endpoint policy.stage policy.mode policy.grants "
                 "policy.on_error policy.timeout policy.message_timeout "
                 "policy.required policy.sample policy.breaker_failures "
                 "policy.breaker_time policy.max_extension "
                 "policy.transaction_timeout policy.connections "
                 "policy.max_frame policy.on_error_rcpt policy.delay_max "
                 "policy.on_error_end_of_message record.sqlite record.json "
                 "record.retention status.address status.control "
                 "status.token_file limits.message_size limits.connections "
                 "limits.bare_newline limits.spool_memory").split():
        assert text in keys, text
    for line in table.stdout.splitlines():
        assert len(line.split("\t")) == 6, line
    assert run("-c", place / "none").returncode != 0
    assert run("-Z").returncode != 0


@pytest.mark.parametrize("text, words", [
    ('workers = -1', "workers"), ('policy "p" { }', "endpoint"),
    ('listener "l" { mode = "fixed" }', "destination"),
    ('listener "l" { mode = "magic" }', "mode"),
    ('policy "p" { endpoint = "unix:/x" timeout = 3x }', "timeout"),
    ('policy "p" { endpoint = "unix:/x" on_error = "maybe" }', "on_error"),
    ('policy "p" { endpoint = "unix:/x" grants = {"all"} }', "grants"),
    ('limits { message_size = 10XB }', "message_size"),
    ('listener "l" { address = "nonsense" }', "address"),
    ('workers = 1\nworkers 2', ""), ('listener "l" {', "")])
def test_errors_are_file_line_message(place, text, words):
    conf = place / "weir.conf"
    conf.write_text(text + "\n")
    done = run("-t", "-c", conf)
    assert done.returncode != 0
    assert re.match(rf"{re.escape(str(conf))}:\d+: .*{words}", done.stderr), \
        done.stderr


def test_the_sample_of_the_design_is_good(place):
    (place / "weir.conf").write_text('''
workers = 0
hostname = ""
user = "root"
log_level = "info"
listener "outbound" {
  address = "127.0.0.1:10025"
  mode = "redirect"            # redirect | tproxy | proxy-protocol | fixed
  destination = ""             # fixed: host:port
  allow = {"127.0.0.0/8"}      # fixed and proxy-protocol: who may connect
  client_tls = "strip"         # strip | offer | passthrough
  tls_certificate = ""
  tls_key = ""
}
upstream {
  source = {}                  # default source addresses, one per family
  mark = 0
  tls = "may"                  # none | may | encrypt | verify | dane
  tls_ca = ""                  # default: the system's
}
pool "clean" {
  addresses = {"203.0.113.10", "203.0.113.11"}
  ehlo_name = "out1.example.com"
}
policy "reputation" {
  endpoint = "unix:/run/weir/reputation.sock"
  stage = 10
  mode = "enforce"             # enforce | observe
  grants = {"headers", "outbound"}
  on_error = "tempfail"
  timeout = 2s
  message_timeout = 15s
  required = false
  sample = 100
}
record { sqlite = "/var/lib/weir/weir.db" json = "" retention = 30d }
status { address = "127.0.0.1:8025" control = "/run/weir/control.sock"
  token_file = "" }
limits { message_size = 10240000 connections = 20000
  bare_newline = "smuggling" }
''')
    done = run("-t", "-c", place / "weir.conf")
    assert done.returncode == 0, done.stderr


# --------------------------------------------------------- reload and drain

def test_reload_is_all_or_nothing_and_open_sessions_keep_theirs(bench):
    bench.mx()
    proxy = bench.weir()
    with proxy.connect() as client:
        good = proxy.config.read_text()
        proxy.config.write_text(good + "nonsense = 1\n")
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_log(r"event=reload.failed .*weir\.conf:\d+: ")
        proxy.config.write_text(good.replace(
            "limits {  }", "limits { message_size = 10 }"))
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_log("event=reload.done")
        assert deliver(client)[:3] == "250"
    with proxy.connect() as client:
        client.envelope()
        client.ask("DATA")
        assert client.raw(MESSAGE + b".\r\n").startswith("552 5.3.4")


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return True
    return False


def test_sigterm_drains(bench):
    server = bench.mx(script={"dot": lambda *_: time.sleep(0.1)})
    proxy = bench.weir()
    busy, idle = proxy.connect(), proxy.connect()
    busy.envelope()
    busy.ask("DATA")
    proxy.process.terminate()
    wait_for(lambda: "weir.drain" in proxy.log, "drain")
    wait_for(lambda: is_refused(proxy.port), "no new connections")
    assert idle.ask("NOOP")[:3] == "250", "open sessions finish"
    assert idle.reply().startswith("421 4.3.2"), "after drain_timeout"
    assert busy.raw(MESSAGE + b".\r\n")[:3] == "250"
    assert busy.reply().startswith("421 4.3.2")
    assert proxy.process.wait(5) == 0
    assert len(server.messages) == 1


def test_limits_connections(bench):
    bench.mx()
    proxy = bench.weir(limits="connections = 2")
    open_ones = [proxy.connect(), proxy.connect()]
    with proxy.connect(hello=False) as third:
        assert third.reply()[:3] in ("421", "")
    for _ in range(20):
        with proxy.connect(hello=False) as another:
            another.reply()
    refused = proxy.log.count('reason="limits.connections = 2 are open"')
    assert 0 < refused < 10, "in words, but no flood of them"
    open_ones.pop().close()
    time.sleep(0.1)
    with proxy.connect():
        pass


def test_a_loop_is_counted(bench):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    proxy = bench.weir(text=CONFIG.replace(
        "127.0.0.1:0", f"127.0.0.1:{port}", 1).replace(
            '"{destination}"', f'"127.0.0.1:{port}"'))
    with proxy.connect(hello=False) as client:
        assert client.reply().startswith("421 4.3.5")
    metrics = proxy.get("/metrics")[2].decode()
    loops = [line for line in metrics.splitlines()
             if "loop" in line and not line.startswith("#")]
    assert loops and float(loops[0].rpartition(" ")[2]) >= 1, loops
