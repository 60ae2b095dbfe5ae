"""Many weirs, one stream: weir-export-redis and weir-load-redis, with a real
redis-server, a real mariadbd, and all of them killed in between."""

import contextlib
import json
import sqlite3
import tempfile
import threading
from pathlib import Path

import blackbox
import exporters
import pytest
from exporters import wait_for
from test_exporters_mariadb import (COMMUNICATIONS, CONNECTIONS, SECRET,
                                    as_sqlite, event)

EXPORT, LOAD = "weir-export-redis", "weir-load-redis"


@pytest.fixture(scope="module")
def mariadb():
    with tempfile.TemporaryDirectory(prefix="weir-exporters-") as place:
        made = exporters.MariaDB(Path(place)).start()
        yield made.fresh()
        made.close()


@pytest.fixture
def redis(place):
    (place / "redis").mkdir()
    made = exporters.Redis(place / "redis").start()
    yield made
    made.close()


@pytest.fixture
def running(place, redis):
    """running(name, option...) starts one that ends with the test."""
    with contextlib.ExitStack() as opened:
        def start(name, *arguments, where=place, **options):
            made = exporters.Exporter(where, name, *redis.options, *arguments,
                                      **options)
            opened.callback(made.close)
            return made
        yield start


def own(places, query):
    """What the weirs' own databases hold, all together."""
    found = []
    for where in places:
        with contextlib.closing(sqlite3.connect(where / "weir.db")) as there:
            found += there.execute(query).fetchall()
    return sorted(found)


def sqlite(path, query):
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path)) as there:
        try:
            return there.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []       # no such table, yet


def send(proxy, number, enough, sent):
    """Until it is enough."""
    while not enough.wait(.02):
        with proxy.connect() as client:
            client.envelope(f"w{number}-{sent[number]}@b.example",
                            "c@d.example")
            client.ask("DATA")
            client.raw(b"Subject: \xff \xf0\x9f\xa6\x80 x\r\n\r\nbody\r\n.\r\n")
            client.ask("QUIT")
        sent[number] += 1


@pytest.fixture
def fleet(bench, place):
    """Three weirs with directories of their own."""
    mx = bench.mx()
    proxies, opened = [], contextlib.ExitStack()
    for number in range(3):
        (place / f"weir{number}").mkdir()
        proxy = blackbox.Weir(place / f"weir{number}",
                              f"127.0.0.1:{mx.port}")
        opened.callback(proxy.stop)
        proxies.append(proxy)
    with opened:
        yield proxies


def test_no_row_is_lost_or_doubled_whoever_is_killed(fleet, redis, mariadb,
                                                     running, place):
    enough, sent = threading.Event(), [0, 0, 0]
    places = [proxy.place for proxy in fleet]
    archive = place / "archive.db"
    mariadb_options = ["--mariadb-socket", mariadb.socket, "--claim", ".5"]

    def exporter(number):
        return running(EXPORT, "--name", f"weir{number}",
                       where=places[number],
                       json=places[number] / "weir.json")

    def loader(name):
        return running(LOAD, "--consumer", name, *mariadb_options, **SECRET)
    exporting = [exporter(number) for number in range(3)]
    loading = [loader("a"), loader("b")]
    keeping = running(LOAD, "--group", "archive", "--sqlite", archive)
    mail = [threading.Thread(target=send, args=(proxy, number, enough, sent))
            for number, proxy in enumerate(fleet)]
    for thread in mail:
        thread.start()

    def loaded(count):
        wait_for(lambda: mariadb.rows("SHOW TABLES LIKE 'connections'")
                 and len(mariadb.rows(CONNECTIONS)) >= count,
                 f"{count} rows")
    loaded(1)
    exporting[0].kill()
    loading[0].kill()
    loaded(10)
    redis.kill()
    keeping.kill()
    for one in (exporting[1], loading[1]):
        one.wait_log("trying again in 1 s")
    redis.start()
    exporting[0] = exporter(0)
    keeping = running(LOAD, "--group", "archive", "--sqlite", archive)
    enough.set()
    for thread in mail:
        thread.join()
    for where, count in zip(places, sent):
        exporters.wait_closed(where / "weir.json", count)
    for query in (CONNECTIONS, COMMUNICATIONS):
        for proxy, count in zip(fleet, sent):
            proxy.wait_rows("SELECT id FROM connections", count=count)
        expected = own(places, query)
        wait_for(lambda: len(mariadb.rows(query)) >= len(expected),
                 "all rows in MariaDB")
        wait_for(lambda: len(sqlite(archive, query)) >= len(expected),
                 "all rows in SQLite")
        assert as_sqlite(mariadb.rows(query)) == expected
        assert sqlite(archive, query) == expected
    assert len(own(places, CONNECTIONS)) == sum(sent) >= 10
    # nobody has anything left to do
    groups = redis.client.xinfo_groups("weir")
    wait_for(lambda: [(one["pending"], one["lag"])
                      for one in redis.client.xinfo_groups("weir")]
             == [(0, 0)] * 2, f"the end of {groups}")
    for one in (*exporting, loading[1], keeping):
        one.stop()


def test_an_entry_tells_whose_it_is_and_all_that_happened(place, redis):
    path = place / "weir.json"
    for text in ('"event":"open"', '"event":"line","number":0,'
                 '"direction":"<-","data":"220 x"',
                 '"event":"recipient","transaction":"T","address":"c@d"',
                 '"event":"transaction","transaction":"T","sender":"a@b",'
                 '"outcome":"delivered"',
                 '"event":"close","cause":"quit","elapse_ms":7'):
        with open(path, "a") as file:
            file.write('{"time":"2026-11-22T01:20:33.000000Z","session":"S",'
                       + text + "}\n")
    exporters.once(place, EXPORT, *redis.options, "--name", "one", json=path)
    (_, fields), = redis.client.xrange("weir")
    assert fields[b"weir"] == b"one" and fields[b"id"] == b"S"
    assert fields[b"events"].decode() == path.read_text().rstrip("\n")
    assert json.loads(fields[b"connection"]) == {
        "id": "S", "mail_from": "a@b", "mail_to": "c@d",
        "occurred_at": "2026-11-22T01:20:33.000000Z", "elapse": 7}


def test_long_sessions_come_in_entries_of_bounded_size(place, redis):
    for number in range(1500):
        event(place / "weir.json", number, "x" * 100)
    exporters.once(place, EXPORT, *redis.options, json=place / "weir.json")
    entries = redis.client.xrange("weir")
    assert 3 < len(entries) < 10
    assert all(len(fields[b"events"]) <= 64 * 1024 for _, fields in entries)
    exporters.once(place, LOAD, *redis.options, "--sqlite", place / "x.db")
    assert [row[0][-8:] for row in sqlite(place / "x.db", COMMUNICATIONS)
            ] == [f"{number:08d}" for number in range(1500)]


def test_what_the_group_has_not_loaded_is_never_trimmed(place, redis):
    """The exporter stops reading instead."""
    total = 21_000
    with open(place / "weir.json", "w") as file:
        for number in range(total):
            file.write('{"time":"2026-11-22T01:20:33.%06dZ","session":'
                       '"S%025d","event":"line","number":0,'
                       '"direction":"->","data":"x"}\n' % (number, number))
    options = (place, EXPORT, *redis.options, "--maxlen", "10000")
    loaded, had = place / "x.db", 0
    while had < total:
        whole = total - had < 8_000
        said = exporters.once(*options, json=place / "weir.json",
                              code=0 if whole else 75)
        assert ("entries wait in stream weir for group" in said) != whole
        said = exporters.once(place, LOAD, *redis.options, "--sqlite", loaded)
        assert said == ""
        now = len(sqlite(loaded, "SELECT id FROM communications"))
        assert whole or had + 7_000 < now <= had + 10_000
        had = now
    assert had == total and redis.client.xlen("weir") < 10_500


@pytest.mark.parametrize("who, claim", [("same", "60"), ("other", ".001")])
def test_what_a_dead_consumer_had_got_is_loaded(place, redis, who, claim):
    """By itself after a restart, or by another after a while."""
    event(place / "weir.json", 0)
    exporters.once(place, EXPORT, *redis.options, json=place / "weir.json")
    got = redis.client.xreadgroup("weir", "same", {"weir": ">"})
    assert len(got[0][1]) == 1
    exporters.once(place, LOAD, *redis.options, "--consumer", who, "--claim",
                   claim, "--sqlite", place / "x.db")
    assert len(sqlite(place / "x.db", COMMUNICATIONS)) == 1
    assert redis.client.xpending("weir", "weir")["pending"] == 0


def test_an_entry_is_kept_until_the_database_has_it(place, redis, mariadb,
                                                    running):
    event(place / "weir.json", 9)
    mariadb.fresh().kill()
    loading = running(LOAD, "--mariadb-socket", mariadb.socket, **SECRET)
    exporters.once(place, EXPORT, *redis.options, json=place / "weir.json")
    loading.wait_log("MariaDB: ")
    assert redis.client.xpending("weir", "weir")["pending"] == 1
    mariadb.start()
    wait_for(lambda: redis.client.xpending("weir", "weir")["pending"] == 0,
             "an acknowledgement")
    assert len(mariadb.rows(COMMUNICATIONS)) == 1
    loading.stop()


def test_entries_that_were_trimmed_unread_are_said(place, redis):
    for number in range(5):
        redis.client.xadd("weir", {"id": number})
    redis.client.xgroup_create("weir", "weir", id="0")
    redis.client.xtrim("weir", maxlen=2, approximate=False)
    said = exporters.once(place, LOAD, *redis.options, "--sqlite",
                          place / "x.db")
    assert "3 entries were trimmed before they were loaded" in said
    # and what is no entry of ours is skipped, once
    assert "is skipped: KeyError b'events' (2 so far)" in said
    assert redis.client.xpending("weir", "weir")["pending"] == 0


def test_a_stream_that_was_deleted_is_begun_again(place, redis, running):
    path = place / "weir.json"
    event(path, 0)
    exporting = running(EXPORT, json=path)
    loading = running(LOAD, "--sqlite", place / "x.db")
    count = "SELECT id FROM communications"
    wait_for(lambda: len(sqlite(place / "x.db", count)) == 1, "one row")
    redis.client.flushall()
    loading.wait_log("trying again")
    event(path, 1)
    wait_for(lambda: len(sqlite(place / "x.db", count)) == 2, "two rows")
    for one in (exporting, loading):
        one.stop()


@pytest.mark.parametrize("name, arguments, words", [
    (EXPORT, ["--redis", "redis://:secret@127.0.0.1/0"], "command line"),
    (EXPORT, ["--redis", "http://127.0.0.1/"], "--redis: "),
    (LOAD, [], "one of --sqlite"),
    (LOAD, ["--sqlite", "x", "--mariadb-host", "y"], "one of --sqlite")])
def test_what_cannot_work_is_said(place, name, arguments, words):
    if name == EXPORT:
        arguments = [*arguments, "--state", place / "state"]
    assert words in exporters.once(place, name, *arguments, code=64)


def test_weirs_own_database_is_left_alone(bench, place, redis):
    bench.mx()
    proxy = bench.weir()
    with proxy.connect() as client:
        client.ask("QUIT")
    proxy.wait_rows("SELECT id FROM connections")
    exporters.wait_closed(place / "weir.json", 1)
    exporters.once(place, EXPORT, *redis.options, json=place / "weir.json")
    said = exporters.once(place, LOAD, *redis.options, "--sqlite",
                          place / "weir.db", code=64)
    assert "a database of weir's own" in said
    assert redis.client.xpending("weir", "weir")["pending"] == 1
