"""weir-export-mariadb, with real sessions and a real mariadbd."""

import re
import subprocess
import tempfile
import threading
from pathlib import Path

import exporters
import pytest
from exporters import wait_for

NAME = "weir-export-mariadb"
SECRET = {"WEIR_MARIADB_PASSWORD": "secret<&"}
CONNECTIONS = "SELECT id, mail_from, mail_to, occurred_at, elapse FROM " \
    "connections ORDER BY id"
COMMUNICATIONS = "SELECT id, connection_id, direction, data, occurred_at " \
    "FROM communications ORDER BY id"


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="weir-exporters-") as place:
        made = exporters.MariaDB(Path(place)).start()
        yield made
        made.close()


@pytest.fixture
def mariadb(server):
    if server.process.poll() is not None:
        server.start()
    return server.fresh()


def as_sqlite(rows):
    """With times as weir writes them."""
    return [tuple(value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                  if hasattr(value, "strftime") else value for value in row)
            for row in rows]


def mail(proxy, sender=b"a@b.example", recipients=(b"c@d.example",),
         body=b"Subject: x\r\n\r\nbody\r\n"):
    with proxy.connect() as client:
        client.raw(b"MAIL FROM:<" + sender + b">\r\n")
        for recipient in recipients:
            client.raw(b"RCPT TO:<" + recipient + b">\r\n")
        assert client.ask("DATA")[:3] == "354"
        client.raw(body + b".\r\n")
        client.ask("QUIT")


def strange_sessions(proxy):
    mail(proxy)
    mail(proxy, b"", [b"x" * 60 + b"%d@" % n + b"y" * 180 + b".example"
                      for n in range(300)])
    mail(proxy, body="Subject: \U0001f980 \u202e \ufffd\r\n".encode()
         + b"X: \xff\xfe '\\'; DROP TABLE connections; -- %s %(a)s\r\n\r\n.\r\n")
    with proxy.connect() as client:     # nothing was sent
        client.ask("QUIT")
    with proxy.connect() as client:     # two transactions: the first counts
        client.envelope("first@b.example", "c@d.example")
        client.ask("RSET")
        client.envelope("second@b.example", "e@d.example")
        client.ask("QUIT")
    return 5


def test_the_tables_are_those_of_weirs_own_database(bench, place, mariadb):
    bench.mx()
    proxy = bench.weir()
    count = strange_sessions(proxy)
    exporters.wait_closed(place / "weir.json", count)
    proxy.wait_rows("SELECT * FROM connections", count=count)
    own = [proxy.rows(query) for query in (CONNECTIONS, COMMUNICATIONS)]

    def look():
        return [as_sqlite(mariadb.rows(query))
                for query in (CONNECTIONS, COMMUNICATIONS)]
    run = (place, NAME, *mariadb.options)
    exporters.once(*run, json=place / "weir.json", **SECRET)
    expected = [[tuple(row.values()) for row in rows] for rows in own]
    assert look() == expected
    assert len(expected[0]) == count
    # again, and from the beginning
    exporters.once(*run, json=place / "weir.json", **SECRET)
    (place / f"{NAME}.state").unlink()
    exporters.once(*run, json=place / "weir.json", **SECRET)
    assert look() == expected
    # the query that users of the older tool have
    session = expected[0][0][0]
    said = mariadb.rows("SELECT direction, data FROM communications "
                        "WHERE connection_id = %s ORDER BY occurred_at",
                        session)
    assert said == [row[2:4] for row in expected[1] if row[1] == session]
    assert ("->", "MAIL FROM:<a@b.example>\\r\\n") in said


def test_a_session_that_a_restart_falls_into(place, mariadb):
    """Its row is made of what came before and after."""
    path = place / "weir.json"
    parts = (['"event":"open"', '"event":"recipient","transaction":"T",'
              '"address":"c@d.example"'],
             ['"event":"recipient","transaction":"T","address":"e@d.example"',
              '"event":"transaction","transaction":"T","sender":""'],
             ['"event":"recipient","transaction":"U","address":"f@d.example"',
              '"event":"transaction","transaction":"U","sender":"g@h"',
              '"event":"close","elapse_ms":7'])
    for part in parts:
        with open(path, "a", encoding="utf-8") as file:
            for text in part:
                file.write('{"time":"2026-11-22T01:20:33.765434Z","session":'
                           '"01M80DEDF5675KB33T0VEV60FE",%s}\n' % text)
        exporters.once(place, NAME, *mariadb.options, json=path, **SECRET)
    assert as_sqlite(mariadb.rows(CONNECTIONS)) == [
        ("01M80DEDF5675KB33T0VEV60FE", "<>", "c@d.example,e@d.example",
         "2026-11-22T01:20:33.765434Z", 7)]


def test_columns_are_exactly_those_listed(place, mariadb):
    (place / "weir.json").write_text("")
    (place / "password").write_text("secret<&\n")
    exporters.once(place, NAME, *mariadb.options, "--password-file",
                   place / "password", json=place / "weir.json")
    # tables are made with the first row; none has come
    assert mariadb.rows("SHOW TABLES") == []
    event(place / "weir.json", 0)
    exporters.once(place, NAME, *mariadb.options, "--password-file",
                   place / "password", json=place / "weir.json")
    assert [row[0] for row in mariadb.rows("SHOW COLUMNS FROM connections")
            ] == ["id", "mail_from", "mail_to", "occurred_at", "elapse"]
    assert [row[0] for row in mariadb.rows("SHOW COLUMNS FROM communications")
            ] == ["id", "connection_id", "direction", "data", "occurred_at"]


def event(path, number, data="QUIT"):
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"time":"2026-11-22T01:20:33.%06dZ","session":'
                   '"01M80DEDF5675KB33T0VEV60FE","event":"line","number":%d,'
                   '"direction":"->","data":"%s"}\n' % (number, number, data))


def test_goes_on_after_the_server_and_itself_were_killed(place, mariadb):
    path = place / "weir.json"
    event(path, 0)
    running = exporters.Exporter(place, NAME, *mariadb.options, json=path,
                                 **SECRET)
    try:
        count = "SELECT count(*), count(DISTINCT id) FROM communications"
        wait_for(lambda: mariadb.rows("SHOW TABLES LIKE 'communications'")
                 and mariadb.rows(count) == [(1, 1)], "the first row")
        mariadb.kill()
        for number in range(1, 300):
            event(path, number)
        running.wait_log("trying again in 1 s")
        mariadb.start()
        wait_for(lambda: mariadb.rows(count) == [(300, 300)], "300 rows")
        running.wait_log("it works again")
        running.kill()
        for number in range(300, 400):
            event(path, number)
        running = exporters.Exporter(place, NAME, *mariadb.options, json=path,
                                     **SECRET)
        wait_for(lambda: mariadb.rows(count) == [(400, 400)], "400 rows")
        running.stop()
    finally:
        running.close()


def test_says_why_it_is_refused_and_keeps_its_place(place, mariadb):
    path = place / "weir.json"
    event(path, 0)
    run = (place, NAME, *mariadb.options)
    said = exporters.once(*run, json=path, code=75,
                          WEIR_MARIADB_PASSWORD="wrong")
    assert "MariaDB: Access denied for user 'weir'@'localhost'" in said
    said = exporters.once(*run, "--password-file", "/nonexistent", json=path,
                          code=64)
    assert "/nonexistent" in said
    exporters.once(*run, json=path, **SECRET)
    assert len(mariadb.rows("SELECT id FROM communications")) == 1


def test_a_file_that_cannot_be_read_is_said_to_cron(place, mariadb):
    run = (place, NAME, *mariadb.options)
    said = exporters.once(*run, json=place / "none.json", code=75, **SECRET)
    assert f"{place}/none.json: No such file or directory" in said


def test_a_row_that_a_table_cannot_hold_stops_no_other(place, mariadb):
    path = place / "weir.json"
    mariadb.rows("CREATE TABLE communications (id CHAR(35) PRIMARY KEY, "
                 "connection_id CHAR(26), direction CHAR(2), "
                 "data DATE, occurred_at DATETIME(6))")
    for number, data in enumerate(("2026-11-22", "b" * 21, "2026-11-23")):
        event(path, number, data)
    said = exporters.once(place, NAME, *mariadb.options, json=path, **SECRET)
    assert "refuses row '01M80DEDF5675KB33T0VEV60FE-00000001'" in said
    assert mariadb.rows("SELECT day(data) FROM communications ORDER BY id"
                        ) == [(22,), (23,)]


def rotation(place, proxy):
    """logrotate, as EXPORTERS.md shows it, at once."""
    text = (exporters.HOME / "EXPORTERS.md").read_text()
    text = re.search(r"^/var/lib/weir/record\.json \{.*?^\}$", text,
                     re.S | re.M)[0]
    for old, new in (("/var/lib/weir/record.json", place / "weir.json"),
                     ("su weir weir", "su root root"),
                     ("systemctl kill --signal=HUP weir.service",
                      f"kill -HUP {proxy.process.pid}")):
        assert old in text
        text = text.replace(old, str(new))
    config = place / "logrotate.conf"
    config.write_text(text)
    config.chmod(0o644)
    done = subprocess.run(
        ["logrotate", "--force", "--state", place / "rotated", config],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_logrotate_loses_and_doubles_nothing(bench, place, mariadb):
    """While mail flows, with the exporter running, and then without it."""
    bench.mx()
    proxy = bench.weir()
    path, enough, sent = place / "weir.json", threading.Event(), []

    def flow():
        while not enough.wait(.01):
            mail(proxy)
            sent.append(1)
    flowing = threading.Thread(target=flow)
    flowing.start()

    def more():
        had = len(sent)
        wait_for(lambda: len(sent) > had + 3, "mail")
    running = exporters.Exporter(place, NAME, *mariadb.options, json=path,
                                 **SECRET)
    try:
        wait_for((place / f"{NAME}.state").exists, "a state file")
        for turn in range(6):
            if turn == 3:
                running.stop()
            more()
            rotation(place, proxy)
            wait_for(path.exists, "a new file")
        more()
    finally:
        enough.set()
        flowing.join()
        running.close()
    proxy.wait_rows("SELECT id FROM connections", count=len(sent))
    assert (place / "weir.json.1").exists()
    assert (place / "weir.json.6.gz").exists()
    own = [[tuple(row.values()) for row in proxy.rows(query)]
           for query in (CONNECTIONS, COMMUNICATIONS)]
    # what the last commits of JSON lines have not brought yet comes soon

    def complete():
        exporters.once(place, NAME, *mariadb.options, json=path, **SECRET)
        return len(mariadb.rows(CONNECTIONS)) >= len(own[0])
    wait_for(complete, "all connections")
    assert [as_sqlite(mariadb.rows(query))
            for query in (CONNECTIONS, COMMUNICATIONS)] == own
    assert "lost" not in running.log and "skipped" not in running.log
