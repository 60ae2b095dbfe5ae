"""Redis Streams: how entries look, and who waits for whom.

An entry is what came of one session in one step of its exporter:

    weir        whose it is
    id          the session
    events      its lines of record.json, with newlines between
    connection  the row of `connections`, once the session is closed

Entries get their ids from Redis. Those of many weirs in one stream cannot rise
by anything that weir knows, and nothing depends on them: an entry that comes
twice makes the same rows, whose keys are of weir's own ids.
"""

import json
import urllib.parse

from .lines import parse
from .rows import Connection, Sessions
from .service import Away, Wrong

EVENTS_MAX = 64 * 1024      # bytes of one entry
AT_ONCE = 100               # entries


def add_options(parser):
    group = parser.add_argument_group("Redis")
    group.add_argument("--redis", metavar="URL",
                       default="redis://127.0.0.1:6379/0",
                       help="redis://HOST:PORT/DB, rediss://... or "
                            "unix:///PATH (default: %(default)s)")
    group.add_argument("--user", metavar="NAME",
                       help="of Redis' access control list")
    group.add_argument("--password-file", metavar="FILE",
                       help="holds the password, and nothing else")
    group.add_argument("--stream", metavar="KEY", default="weir",
                       help="the stream (default: %(default)s)")
    return group


def connect(url, user, password):
    """(client, what its errors are)"""
    try:
        import redis
    except ImportError:
        raise Wrong("apt-get install python3-redis") from None
    if urllib.parse.urlsplit(url).password is not None:
        raise Wrong("--redis: everybody can read a command line; give the "
                    "password by --password-file or WEIR_REDIS_PASSWORD")
    options = {"username": user, "password": password, "socket_timeout": 30}
    if not url.startswith("unix:"):
        options["socket_connect_timeout"] = 10
    try:
        client = redis.Redis.from_url(url, **options)
    except ValueError as error:
        raise Wrong(f"--redis: {error}") from None
    return client, redis.exceptions.RedisError


class Stream:
    def __init__(self, client, errors, key, group):
        self.client, self.errors = client, errors
        self.key, self.group = key, group

    def call(self, function, *arguments, **options):
        try:
            return function(*arguments, **options)
        except self.errors as error:
            raise Away(f"Redis: {error}") from None
        except OSError as error:
            raise Away(f"Redis: {error}") from None

    def ensure_group(self):
        """From the first entry that there is."""
        try:
            self.client.xgroup_create(self.key, self.group, id="0",
                                      mkstream=True)
        except self.errors as error:
            if not str(error).startswith("BUSYGROUP"):
                raise Away(f"Redis: {error}") from None

    def waiting(self):
        """How many entries the group has not loaded; None: not known."""
        for one in self.call(self.client.xinfo_groups, self.key):
            if one["name"] == self.group.encode():
                lag = one.get("lag")
                return None if lag is None else lag + one["pending"]
        return None

    def overtaken(self):
        """How many entries were trimmed before anybody of the group got them,
        as far as Redis (7 and later) knows."""
        whole = self.call(self.client.xinfo_stream, self.key)
        for one in self.call(self.client.xinfo_groups, self.key):
            if one["name"] == self.group.encode():
                gone = whole.get("entries-added", 0) - whole["length"]
                return max(0, gone - (one.get("entries-read") or 0))
        return 0


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Packer:
    """Events of many sessions become entries, in order for each session."""

    def __init__(self, name, carried=None):
        self.name, self.sessions = name, Sessions(carried)

    def pack(self, events):
        entries, last = [], {}
        for event in events:
            session = event.get("session")
            session = session if isinstance(session, str) else ""
            line = text(event)
            entry = last.get(session)
            if entry is None or entry["size"] + len(line) > EVENTS_MAX:
                entry = last[session] = {"id": session, "lines": [],
                                         "size": 0, "connection": None}
                entries.append(entry)
            entry["lines"].append(line)
            entry["size"] += len(line) + 1
            row = self.sessions.rows(event)
            if isinstance(row, Connection):
                entry["connection"] = row
        return [self.fields(entry) for entry in entries]

    def fields(self, entry):
        made = {"weir": self.name, "id": entry["id"],
                "events": "\n".join(entry["lines"])}
        if entry["connection"] is not None:
            made["connection"] = text(entry["connection"]._asdict())
        return made


def unpack(fields):
    """The rows of an entry; ValueError if it is none of ours."""
    try:
        events = [parse(line) for line in fields[b"events"].split(b"\n")]
        if None in events:
            raise ValueError("a line that is no event")
        rows = [Sessions.line(event["session"], event) for event in events
                if event["event"] == "line"]
        if b"connection" in fields:
            one = json.loads(fields[b"connection"])
            rows.append(Connection(*(one[name]
                                     for name in Connection._fields)))
    except (KeyError, TypeError, UnicodeError) as error:
        raise ValueError(f"{type(error).__name__} {error}") from None
    return [row for row in rows if row is not None]
