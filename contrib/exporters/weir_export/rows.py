"""Events become rows of two tables, `connections` and `communications`, as
doc/RECORD.md describes them: the same rows as in weir's own database."""

import datetime
from collections import OrderedDict
from typing import NamedTuple

CROCKFORD = {c: n for n, c in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
SESSIONS_MAX = 20_000       # that are open; weir ends those of a dead client
RECIPIENTS_MAX = 65_536     # bytes of mail_to, as in weir's own
ALL_MAX = 8 << 20           # bytes of mail_to of all that are open


class Connection(NamedTuple):
    id: str
    mail_from: str
    mail_to: str
    occurred_at: str
    elapse: int


class Communication(NamedTuple):
    id: str
    connection_id: str
    direction: str
    data: str
    occurred_at: str


class Open:
    """What is known of a session that has not ended."""

    __slots__ = ("occurred_at", "first", "mail_from", "mail_to", "length")

    def __init__(self, values=(None, None, None, None, 0)):
        (self.occurred_at, self.first, self.mail_from, self.mail_to,
         self.length) = values

    def values(self):
        return [getattr(self, name) for name in self.__slots__]


def session_time(session):
    """When it began, in milliseconds, of its id."""
    value = 0
    for digit in session[:10]:
        value = value * 32 + CROCKFORD.get(digit, 0)
    return value


class Sessions:
    """Remembers of open sessions what the row of a closed one needs."""

    def __init__(self, carried=None):
        self.open = OrderedDict((name, Open(values))
                                for name, values in (carried or {}).items())
        self.bytes = sum(one.length for one in self.open.values())

    def carried(self):
        return {name: one.values() for name, one in self.open.items()}

    def rows(self, event):
        """The rows of one event: a Connection, a Communication, or none."""
        session, kind = event.get("session"), event["event"]
        if not isinstance(session, str):
            return None     # it is of no session
        if kind == "line":
            return self.line(session, event)
        known = self.open.get(session)
        if kind == "close":
            if known is not None:
                self.forget(session)
            return self.closed(session, known or Open(), event)
        if kind not in ("open", "recipient", "transaction"):
            return None
        if known is None:
            known = self.open[session] = Open()
            if len(self.open) > SESSIONS_MAX:
                self.forget(next(iter(self.open)))
        if kind == "open":
            known.occurred_at = event["time"]
        else:
            before = known.length
            self.mail(known, event)
            self.bytes += known.length - before
            while self.bytes > ALL_MAX:
                self.forget(next(iter(self.open)))
        return None

    def forget(self, session):
        self.bytes -= self.open.pop(session).length

    @staticmethod
    def line(session, event):
        number = event.get("number")
        direction, data = event.get("direction"), event.get("data")
        if not isinstance(number, int) or not isinstance(data, str):
            return None
        return Communication(f"{session}-{number:08d}", session,
                             str(direction), data, event["time"])

    @staticmethod
    def mail(known, event):
        """Of the first transaction only."""
        transaction = event.get("transaction")
        if known.first is None:
            known.first = transaction
        if known.first != transaction:
            return
        if event["event"] == "transaction":
            known.mail_from = event.get("sender") or "<>"
            return
        address = event.get("address", "")
        if known.length > RECIPIENTS_MAX:
            return
        known.length += len(address.encode()) + 1
        if known.length <= RECIPIENTS_MAX:
            known.mail_to = (address if known.mail_to is None
                             else f"{known.mail_to},{address}")

    @staticmethod
    def closed(session, known, event):
        return Connection(
            session, known.mail_from or "unknown",
            "unknown" if known.mail_to is None else known.mail_to,
            known.occurred_at or from_ms(session_time(session)),
            event.get("elapse_ms", -1))


def from_ms(value):
    when = (datetime.datetime(1970, 1, 1)
            + datetime.timedelta(milliseconds=value))
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
