"""kill -9 under load: what is in the record is whole, what is not is counted."""

import contextlib
import sqlite3
import threading

from blackbox import Client, Weir, wait_for

CLIENTS = 4


class Load:
    """Clients that deliver one message per connection until weir is gone.

    began: connections that weir has accepted; ended: those whose QUIT it
    answered, and which it therefore saw end.
    """

    def __init__(self, port):
        self.port, self.began, self.ended = port, 0, 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self):
        with contextlib.suppress(OSError, EOFError, AssertionError,
                                 IndexError):
            while True:
                with Client(self.port) as client:
                    client.hello()
                    with self.lock:
                        self.began += 1
                    client.envelope("a@b.example", "c@d.example")
                    client.ask("DATA")
                    if not client.raw(b"Subject: x\r\n\r\ny\r\n.\r\n"):
                        return
                    if not client.ask("QUIT").startswith("221"):
                        return
                    with self.lock:
                        self.ended += 1

    def join(self):
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


def ask(place, query):
    with contextlib.closing(sqlite3.connect(place / "weir.db")) as database:
        return database.execute(query).fetchall()


ROUNDS = 3


def test_killed_under_load(bench):
    mx = bench.mx()
    ended = began = 0
    for number in range(ROUNDS):
        proxy = Weir(bench.place, f"127.0.0.1:{mx.port}")
        bench.opened.callback(proxy.process.kill)
        if number:
            proxy.wait_log("event=record.killed started_at=.* "
                           r"sessions_lost=\d+ sessions_open=\d+")
        load = Load(proxy.port)
        proxy.wait_rows("SELECT * FROM runs JOIN sessions", count=1)
        wait_for(lambda: load.ended > 100 + 37 * number, "sessions")
        proxy.process.kill()
        proxy.process.wait()
        load.join()
        began, ended = began + load.began, ended + load.ended
        place = bench.place
        assert ask(place, "PRAGMA integrity_check") == [("ok",)]
        assert ask(place, "PRAGMA foreign_key_check") == []
        # a session that ended is there with all that it had
        assert ask(place, """SELECT s.id FROM sessions s
            WHERE cause = 'quit' AND ((SELECT count(*) FROM transactions t
                WHERE t.session_id = s.id AND outcome = 'delivered') <> 1
            OR (SELECT count(*) FROM recipients r
                WHERE r.session_id = s.id) <> 1
            OR (SELECT count(*) FROM communications c
                WHERE c.connection_id = s.id
                AND c.data LIKE 'QUIT%') <> 1)""") == []
    proxy = bench.weir()
    proxy.wait_rows("SELECT * FROM runs WHERE ended_at IS NULL AND id = ?",
                    ROUNDS + 1)
    (lost,), = ask(place, "SELECT sum(sessions_lost) FROM runs")
    (there,), = ask(place,
                    "SELECT count(*) FROM sessions WHERE cause <> 'killed'")
    # a client may hear 221 before weir has seen the session's end, and be
    # cut off after it
    assert ended - CLIENTS * ROUNDS <= there + lost <= began
    assert ask(place, "SELECT count(*) FROM sessions WHERE cause IS NULL"
               ) == [(0,)]
    assert ask(place, "SELECT count(*), count(sessions_lost) FROM runs"
               ) == [(ROUNDS + 1, ROUNDS)]
    (last,), = ask(place, "SELECT sessions_lost FROM runs WHERE id = "
                          f"{ROUNDS}")
    assert proxy.metric("weir_record_sessions_lost") == last
    assert proxy.stop() == 0
    assert ask(place, "SELECT sessions_lost FROM runs ORDER BY id DESC "
                      "LIMIT 1") == [(0,)]
