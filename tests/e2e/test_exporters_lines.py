"""The lines of record.json are followed through everything that happens to
files: each event comes, in order, and none twice without need."""

import gzip
import json
import os
import random
import subprocess
import sys

import exporters
import pytest

sys.path.insert(0, str(exporters.HOME))
from weir_export import lines as under_test  # noqa: E402
from weir_export import rows  # noqa: E402


def test_told_to_stop_at_any_moment():
    """A signal that came while it looked whether to stop was waited for
    within itself, for ever."""
    program = """
import os, signal, threading
from weir_export.service import Stop
main = threading.main_thread().ident
for _ in range(300):
    stop = Stop()
    begun = threading.Event()
    killer = threading.Thread(target=lambda: (
        begun.wait(), signal.pthread_kill(main, signal.SIGTERM)))
    killer.start()
    begun.set()
    while not stop.wait(0):
        pass
    killer.join()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60,
                   env={**os.environ, "PYTHONPATH": str(exporters.HOME)})


def line(number):
    return json.dumps({"time": "2026-11-22T01:20:33.%06dZ" % number,
                       "session": "S", "event": "line",
                       "number": number}).encode() + b"\n"


class Record:
    """Writes as weir does, and moves files as logrotate does."""

    def __init__(self, place):
        self.path, self.number = place / "record.json", 0
        self.tick = 1_700_000_000_000_000_000
        self.reopen()

    def reopen(self):
        self.file = open(self.path, "ab", buffering=0)

    def raw(self, data):
        self.file.write(data)
        # files that were written at different times say so
        self.tick += 1_000_000
        os.utime(self.file.fileno(), ns=(self.tick, self.tick))

    def write(self, count=1):
        for _ in range(count):
            self.raw(line(self.number))
            self.number += 1

    def rename(self, create=False, pack=False):
        """The others up by one; the second is compressed."""
        for old in range(8, 0, -1):
            for suffix in ("", ".gz"):
                name = f"{self.path}.{old}{suffix}"
                if os.path.exists(name):
                    os.rename(name, f"{self.path}.{old + 1}{suffix}")
        second = f"{self.path}.2"
        if pack and os.path.exists(second):
            info = os.stat(second)
            with open(second, "rb") as plain, \
                    gzip.open(second + ".gz", "wb") as packed:
                packed.write(plain.read())
            os.unlink(second)
            os.utime(second + ".gz", ns=(info.st_mtime_ns, info.st_mtime_ns))
        os.rename(self.path, f"{self.path}.1")
        if create:
            self.path.touch()


class Reader:
    def __init__(self, place, **options):
        self.place, self.options = place, options
        self.said, self.got = [], []
        self.start()

    def start(self):
        self.lines = under_test.Lines(self.place / "record.json",
                                      self.place / "state", self.said.append,
                                      **self.options)

    def read(self, commit=True):
        """All that there is now."""
        while events := self.lines.read():
            self.got += [event["number"] for event in events]
        if commit:
            self.lines.commit()
        return self.got

    def restart(self):
        self.lines.state.lock.close()
        self.start()


@pytest.fixture
def record(place):
    return Record(place)


@pytest.fixture
def reader(place, record):
    return Reader(place)


def test_what_was_committed_does_not_come_again(record, reader):
    record.write(3)
    assert reader.read() == [0, 1, 2]
    record.write(2)
    reader.restart()
    assert reader.read(commit=False) == [0, 1, 2, 3, 4]
    reader.restart()
    assert reader.read() == [0, 1, 2, 3, 4, 3, 4]
    assert reader.said == []


def test_a_line_without_its_end_waits_for_it(record, reader):
    record.write()
    record.raw(line(1)[:20])
    assert reader.read() == [0]
    record.raw(line(1)[20:])
    assert reader.read() == [0, 1]
    # weir takes a line back that a full disk has cut off
    record.raw(line(2)[:20])
    assert reader.read() == [0, 1]
    os.truncate(record.path, os.path.getsize(record.path) - 20)
    record.raw(line(2))
    assert reader.read() == [0, 1, 2]
    assert reader.said == []


def test_a_moved_file_is_read_until_weir_writes_to_the_next(record, reader):
    record.write()
    assert reader.read() == [0]
    record.rename(create=True)
    record.write()      # SIGHUP has not come: it still has the old one
    assert reader.read() == [0, 1]
    record.write()
    record.reopen()
    record.write()
    assert reader.read() == [0, 1, 2, 3]
    assert reader.said == []


@pytest.mark.parametrize("pack", [False, True])
def test_several_rotations_while_nobody_read(record, reader, pack):
    record.write(2)
    reader.read()
    for _ in range(4):
        record.write(2)
        record.rename(create=True, pack=pack)
        record.reopen()
    record.write(2)
    reader.restart()
    assert reader.read() == list(range(record.number))
    # and once more from what is read now
    record.rename()
    record.reopen()
    record.write()
    reader.restart()
    assert reader.read() == list(range(record.number))
    assert reader.said == []


def test_a_file_that_was_read_is_known_after_somebody_touched_it(record,
                                                                 reader):
    record.write(600)
    reader.read()
    record.rename()
    record.reopen()
    record.write(2)
    reader.read()
    record.rename(pack=True)
    record.reopen()
    os.utime(f"{record.path}.2.gz", ns=(record.tick + 500, record.tick + 500))
    record.write(2)
    assert reader.read() == list(range(604))
    assert reader.said == []


def test_copytruncate_is_followed_into_the_copy(record, reader):
    record.write(600)
    assert len(reader.read()) == 600
    record.write(3)
    copy = f"{record.path}.1"
    with open(copy, "wb") as file:
        file.write(record.path.read_bytes())
    info = os.stat(record.path)
    os.utime(copy, ns=(info.st_mtime_ns, info.st_mtime_ns))
    os.truncate(record.path, 0)
    record.write(2)
    assert reader.read() == list(range(605))
    assert reader.said == []


def test_a_cut_file_is_said_and_read_from_its_begin(record, reader):
    record.write(9)
    reader.read()
    os.truncate(record.path, 0)
    record.write(2)
    assert reader.read() == list(range(11))
    assert "was cut behind our back" in reader.said[0]
    assert len(reader.said) == 1


def test_a_file_that_is_gone_is_said_once(record, reader):
    record.write(9)
    reader.read()
    record.path.unlink()
    reader.restart()
    for _ in range(3):
        reader.read()
    assert len(reader.said) == 1
    assert "lines behind byte" in reader.said[0]
    record.reopen()
    record.write(2)
    assert reader.read() == list(range(11))
    assert len(reader.said) == 1


def test_what_is_no_event_is_counted_said_and_skipped(record, reader):
    record.write()
    garbage = [b"", b"{", b"[1]", b"\0\xff\xfe", b'{"time":1,"event":"x"}',
               b"[" * 100_000, b'{"time":"2026-11-22T01:20:33.000000Z"}',
               b'{"time":"2026-13-41T01:20:33.000000Z","event":"x"}',
               b'{"time":"2026-11-22T01:20:33.000000Z","event":"\\uD800"}',
               b'{"time":"2026-11-22T01:20:33.000000Z","event":"x","y":NaN}',
               b"x" * (17 << 20)]
    for one in garbage:
        record.raw(one + b"\n")
    record.write(2)
    assert reader.read() == [0, 1, 2]
    assert reader.lines.skipped == len(garbage) == len(reader.said)
    assert "skipped 3 bytes that are no event: b'[1]' (3 so far)" in \
        reader.said[2]


def test_a_torn_end_of_a_moved_file_is_skipped(record, reader):
    record.write()
    reader.read()
    record.raw(line(7)[:30])
    record.rename()
    record.reopen()
    record.write()
    assert reader.read() == [0, 1]
    assert reader.lines.skipped == 1


@pytest.mark.parametrize("state", [b"", b"{}", b"[]", b"\xff",
                                   b'{"version": 2}'])
def test_a_broken_state_file_is_said_and_all_comes_again(place, record,
                                                         state):
    record.write(2)
    (place / "state").write_bytes(state)
    reader = Reader(place)
    assert reader.read() == [0, 1]
    assert "beginning anew" in reader.said[0]
    reader.restart()
    assert reader.read() == [0, 1]
    assert len(reader.said) == 1


def test_one_state_file_is_for_one_process(place, record, reader):
    with pytest.raises(under_test.Locked):
        Reader(place)


def test_from_the_end_begins_behind_the_last_whole_line(place, record):
    record.write(5)
    record.raw(line(5)[:10])
    reader = Reader(place, from_end=True)
    assert reader.read() == []
    record.raw(line(5)[10:])
    assert reader.read() == [5]


def test_a_file_that_comes_later_is_read_from_its_begin(place):
    """Also by those who begin at the end: all of it is new."""
    reader = Reader(place, from_end=True)
    assert reader.read() == [] and len(reader.said) == 1
    Record(place).write(2)
    assert reader.read() == [0, 1]


def test_garbage_without_end_does_not_fill_the_log(record, reader):
    record.raw(b"x\n" * 2500)
    assert reader.read() == []
    assert reader.lines.skipped == 2500 and len(reader.said) == 22


def test_sessions_that_never_end_are_bounded():
    """In number, and in what they were about; the last ones are known."""
    sessions = rows.Sessions()

    def tell(session, kind, **more):
        return sessions.rows({"time": "2026-11-22T01:20:33.765434Z",
                              "session": session, "event": kind, **more})
    for number in range(rows.SESSIONS_MAX + 10):
        tell(f"{number:026d}", "open")
    assert len(sessions.open) == rows.SESSIONS_MAX
    for number in range(10, 310):
        for _ in range(70):
            tell(f"{number:026d}", "recipient", transaction="T",
                 address="x" * 1000)
    assert sum(len(one.mail_to or "") for one in sessions.open.values()) \
        <= rows.ALL_MAX
    sessions = rows.Sessions(json.loads(json.dumps(sessions.carried())))
    last = tell(f"{309:026d}", "close", elapse_ms=3)
    assert len(last.mail_to) == 65 * 1001 - 1
    assert last.occurred_at == "2026-11-22T01:20:33.765434Z"
    # one that was forgotten: what its id and its end say
    lost = tell("01M80DEDF5675KB33T0VEV60FE", "close")
    assert lost == ("01M80DEDF5675KB33T0VEV60FE", "unknown", "unknown",
                    "2026-11-22T01:20:33.765000Z", -1)


def test_memory_stays_small_however_much_waits(record, reader):
    record.raw(b"".join(line(number) for number in range(50_000)))
    events = reader.lines.read()
    assert 1000 < len(events) < 5_000


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_in_whatever_order(place, seed):
    """Restarts, rotations with and without a new file, late SIGHUPs."""
    chance = random.Random(seed)
    record = Record(place)
    reader = Reader(place)
    record.write()
    reader.read()       # a first start begins with the file that is there
    held = 0
    for _ in range(60):
        step = chance.choice(["write", "write", "read", "restart", "rotate",
                              "hup"])
        if step == "write":
            record.write(chance.randrange(1, 40))
        elif step == "read":
            reader.read()
        elif step == "restart":
            reader.restart()
        elif step == "rotate" and not held and \
                os.path.getsize(record.path):
            record.rename(create=chance.random() < .5,
                          pack=chance.random() < .5)
            held = 1
        elif step == "hup":
            record.reopen()
            held = 0
    record.reopen()
    record.write()
    reader.restart()
    assert reader.read() == list(range(record.number))
    assert reader.said == []
