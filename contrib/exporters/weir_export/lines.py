"""The lines of `record.json`, followed through rotations and restarts.

`Lines.read()` gives the next events; `Lines.commit()` says that all of them
have arrived where they were to go. What was read and not committed is read
again after a restart: at least once, and nothing twice without need.

A file is known again by its first bytes, which no two of weir's files share,
whatever it is called now and whether it was compressed meanwhile.
"""

import bz2
import contextlib
import datetime
import fcntl
import glob
import gzip
import hashlib
import json
import lzma
import os
import re
from pathlib import Path

CHUNK = 256 << 10       # read at once: what a batch is made of
LINE_MAX = 16 << 20     # weir's lines are shorter, whatever came from a wire
HEAD = 512              # bytes that a file is known by
SAID = 20               # lines that are no events, then each thousandth
DONE = 16               # files read to their end that are remembered
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
ROTATED = re.compile(r"[.-]\d[\d.-]*(\.gz|\.xz|\.bz2)?\Z")
PACKED = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
UNREADABLE = (OSError, EOFError, lzma.LZMAError)


class Locked(Exception):
    """Another one works with this state file."""


def refuse(name):
    raise ValueError(f"{name} is not JSON")


def parse(line):
    """The event of a line, or None if it is none."""
    try:
        event = json.loads(line, parse_constant=refuse)
        if b"\\ud" in line.lower():     # half a character is no text
            json.dumps(event, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if (isinstance(event, dict) and isinstance(event.get("event"), str)
            and is_time(event.get("time"))):
        return event
    return None


def is_time(text):
    if not isinstance(text, str) or not TIME.fullmatch(text):
        return False
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


class Place:
    """A file, and how far it was read."""

    def __init__(self, path, file, inode, offset=0):
        self.path, self.file, self.inode = path, file, inode
        self.offset = offset
        self.size = -1      # when nothing more was found
        self.known = (0, hashlib.sha256().hexdigest())

    @classmethod
    def open(cls, path):
        opener = PACKED.get(Path(path).suffix)
        if opener is None:
            file = open(path, "rb")
        else:
            file = opener(path, "rb")
        return cls(path, file, os.fstat(file.fileno()).st_ino)

    def head(self, length):
        self.file.seek(0)
        return hashlib.sha256(self.file.read(length)).hexdigest()

    def note_head(self):
        """By what it is known, before somebody cuts it."""
        length = min(HEAD, self.offset)
        if self.known[0] != length:
            self.known = (length, self.head(length))

    def stat(self):
        return os.fstat(self.file.fileno())

    @property
    def packed(self):
        return Path(self.path).suffix in PACKED


class State:
    """On disk: where we are, and what the exporter carries along."""

    def __init__(self, path):
        self.path = Path(path)
        self.lock = open(f"{path}.lock", "ab")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f"{path} is in use by another process") from None
        self.written = None
        self.broken = None
        try:
            self.value = json.loads(self.path.read_bytes())
            if self.value["version"] != 1:
                raise ValueError(f"version {self.value['version']}")
        except FileNotFoundError:
            self.value = None
        except (ValueError, KeyError, TypeError) as error:
            self.value, self.broken = None, str(error)

    def write(self, value):
        data = json.dumps(value, ensure_ascii=False).encode()
        if data == self.written:
            return
        made = self.path.with_name(self.path.name + ".new")
        with open(made, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.written = data


class Lines:
    def __init__(self, path, state, say, from_end=False):
        """say(text) is called for what an operator should know."""
        self.path, self.say = str(path), say
        self.state = State(state)
        self.place = None
        self.saved = (self.state.value or {}).get("file")
        self.done = [tuple(one) for one in
                     (self.state.value or {}).get("done", [])]
        self.carried = (self.state.value or {}).get("carried")
        self.from_end = from_end and self.state.value is None
        self.skipped = 0        # lines that are no events
        self.unreadable = None  # why the file cannot be opened, said once
        if self.state.broken:
            say(f"{state} cannot be read ({self.state.broken}): "
                "beginning anew")

    # ------------------------------------------------------------ which file

    def rotated(self):
        """The names that logrotate may have given to earlier files."""
        length = len(self.path)
        return [name for name in glob.glob(glob.escape(self.path) + "[.-]*")
                if ROTATED.match(name[length:])]

    def is_done(self, place):
        return any(place.head(length) == digest
                   for length, digest in self.done)

    def later(self, mtime, but=None):
        """What was written to at that time or later, the oldest first, and
        the file that weir has open now last."""
        found = []
        for name in [*self.rotated(), self.path]:
            try:
                place = Place.open(name)
                info = place.stat()
            except OSError:
                continue
            try:
                if (info.st_mtime_ns >= mtime and info.st_size > 0
                        and (but is None or (
                            info.st_ino != but.inode
                            and not self.same(place, but)))
                        and not self.is_done(place)):
                    found.append((name == self.path, info.st_mtime_ns, place))
                    continue
            except UNREADABLE as error:     # half compressed, most likely
                self.trouble(f"{name}: {error}")
            place.file.close()
        found.sort(key=lambda one: one[:2])
        for _, _, place in found[1:]:
            place.file.close()
        return found[0][2] if found else None

    @staticmethod
    def same(place, other):
        """A copy of it, compressed or not."""
        length, digest = other.known
        return length > 0 and place.head(length) == digest

    def find(self, saved):
        """The file that the state file speaks of."""
        for name in [self.path, *self.rotated()]:
            try:
                place = Place.open(name)
            except OSError:
                continue
            with contextlib.suppress(*UNREADABLE):
                if (place.head(saved["head_length"]) == saved["head"]
                        and (saved["head_length"] > 0
                             or place.inode == saved["inode"])):
                    place.offset = saved["offset"]
                    place.note_head()
                    if place.packed or place.stat().st_size >= place.offset:
                        return place
            place.file.close()
        return None

    def start(self):
        """Opens the first file; None while there is none."""
        if self.saved is not None:
            place = self.find(self.saved)
            if place is None:
                self.trouble(
                    f"{self.path}: the file that was read last is gone; "
                    f"lines behind byte {self.saved['offset']} of it, "
                    "if there were any, are lost")
                place = self.later(self.saved["mtime"])
            if place is not None:
                self.saved = None
                return place
        try:
            place = Place.open(self.path)
        except OSError as error:
            if self.saved is None:
                self.trouble(f"{self.path}: {error.strerror}")
            if isinstance(error, FileNotFoundError):
                self.from_end = False   # all that comes will be new
            return None
        self.saved = None
        if self.from_end:
            place.offset = self.end_of(place)
            place.note_head()
        return place

    @staticmethod
    def end_of(place):
        """Behind the last whole line."""
        size = place.stat().st_size
        begin = max(0, size - LINE_MAX)
        place.file.seek(begin)
        return begin + place.file.read(size - begin).rfind(b"\n") + 1

    def trouble(self, text):
        if text != self.unreadable:
            self.say(text)
        self.unreadable = text

    # --------------------------------------------------------------- reading

    def read(self):
        """The next events, at most some CHUNK; [] when there is none now."""
        while True:
            if self.place is None:
                self.place = self.start()
                if self.place is None:
                    return []
                self.unreadable = None
            try:
                lines = self.whole_lines()
            except UNREADABLE as error:
                self.trouble(f"{self.place.path}: {error}")
                return []
            if lines:
                events = []
                for line in lines:
                    event = parse(line)
                    if event is None:
                        self.skip(line)
                    else:
                        events.append(event)
                if events:
                    return events
            elif not self.move_on():
                return []

    def skip(self, line):
        self.skipped += 1
        if self.skipped <= SAID or self.skipped % 1000 == 0:
            self.say(f"{self.path}: skipped {len(line)} bytes that are no "
                     f"event: {line[:60]!r} ({self.skipped} so far)")

    def whole_lines(self):
        """Of the next CHUNK, without what has no newline yet."""
        place, length = self.place, CHUNK
        if not place.packed and place.stat().st_size == place.size:
            return []
        size = place.stat().st_size
        while True:
            place.file.seek(place.offset)
            data = place.file.read(length)
            end = data.rfind(b"\n") + 1
            if end or len(data) < length:
                break
            if length >= LINE_MAX:
                self.skip_long()
                return self.whole_lines()
            length = min(2 * length, LINE_MAX)
        if end:
            place.offset += end
            place.note_head()
            return data[:end - 1].split(b"\n")
        place.size = size
        return []

    def skip_long(self):
        """Nothing of weir's: on to the next newline, or the end."""
        place, first = self.place, None
        while data := place.file.read(CHUNK):
            first = first or data
            end = data.find(b"\n") + 1
            if end:
                place.file.seek(place.file.tell() - len(data) + end)
                break
        self.skip(first or b"")
        place.offset = place.file.tell()
        place.note_head()

    def move_on(self):
        """At the end of a file: whether there is more to read."""
        place = self.place
        if not place.packed and place.stat().st_size < place.offset:
            return self.truncated()
        try:
            now = os.stat(self.path)
        except OSError:
            now = None      # moved away, and weir has not opened a new one
        if now is not None and now.st_ino == place.inode:
            return False
        # one that logrotate made is empty while weir writes to the moved one
        following = self.later_than_this()
        if following is None:
            return False
        # weir has begun the next: this one gets no more, once it was looked
        # at again
        place.size = -1
        if self.more_came():
            following.file.close()
            return True
        self.finish(following)
        return True

    def later_than_this(self):
        place = self.place
        return self.later(place.stat().st_mtime_ns, place)

    def more_came(self):
        place = self.place
        place.file.seek(place.offset)
        data = place.file.read(CHUNK)
        return b"\n" in data

    def finish(self, following):
        place = self.place
        place.file.seek(place.offset)
        rest = place.file.read(LINE_MAX)
        if rest:
            self.skip(rest)
        if place.known[0] > 0:
            self.done = [*self.done, place.known][-DONE:]
        place.file.close()
        self.place = following

    def truncated(self):
        """The file was cut: logrotate's copytruncate has left a copy."""
        saved, self.place = self.position(), None
        found = self.find(saved) if saved["head_length"] else None
        if found is None:
            self.say(f"{self.path} was cut behind our back: lines behind byte "
                     f"{saved['offset']}, if there were any, are lost")
            found = Place.open(self.path)
        self.place = found
        return True

    # ---------------------------------------------------------- where we are

    def position(self):
        place = self.place
        return {"inode": place.inode, "offset": place.offset,
                "head_length": place.known[0], "head": place.known[1],
                "mtime": place.stat().st_mtime_ns}

    def commit(self, carried=None):
        """All that read() has given has arrived."""
        if self.place is None:
            return
        self.state.write({"version": 1, "path": self.path,
                          "file": self.position(), "done": self.done,
                          "carried": carried})
