"""What address_chooser.py decides, without weir: addresses, pools, numbers."""

import ipaddress
import re
import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

DAY = 86400
TROUBLE = ("suspect", "throttled", "blocked")   # states of Connect.health

# a sender's score is what was not refused, of the last day or so
FADE, ENOUGH = DAY, 4.5         # five, faded a little
FALLEN, RISEN = 0.7, 0.9

SCHEMA = """
CREATE TABLE IF NOT EXISTS warm (address TEXT, mx TEXT, day INTEGER,
    quota INTEGER, sent INTEGER, trouble INTEGER,
    PRIMARY KEY (address, mx, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS senders (domain TEXT PRIMARY KEY, good REAL,
    bad REAL, at REAL, moved INTEGER) WITHOUT ROWID;
"""

# What a refusal is about, by the first that fits: "" is the sending.
ABOUT = [
    ("greylist", r"gr[ae]y-?list"),
    ("authentication", r"^.\.7\.2[0-46]$|dmarc|dkim|\bspf\b|unauthenticated"),
    ("content", r"^.\.6\.|virus|malware|phish|spam (message|content)|"
                r"attachment|(message |of the )content|\burls?\b|surbl|uribl"),
    ("", r"^.\.7\.28$|\brate|too (many|much|fast)|throttl|deferred|"
         r"block|listed|banned|reputation|spamhaus"),
    ("mailbox", r"^.\.[12]\.|^.\.5\.3$|user unknown|no such|mailbox|quota"),
]


def about(code: int, enhanced: str, text: str, heard: bool) -> str:
    """What the MX's refusal is about; "" when it is the address or how much
    came from there. heard: the MX had the content, so that a final refusal
    for no named reason is the content's."""
    for subject, pattern in ABOUT:
        for part in (enhanced, text):
            if re.search(pattern, part, re.IGNORECASE):
                return subject
    return "content" if heard and code >= 500 else ""


def of_mx(decided_by: str, code: int, enhanced: str, text: str
          ) -> tuple[int, str, str] | None:
    """The MX's own reply at the end of a transaction; None: it gave none. At
    another address it may refuse so early that weir goes back and answers
    451 itself, with the MX's words in its own."""
    if decided_by == "mx":
        return code, enhanced, text
    match = re.search(r" refused (?:MAIL|the connection): (\d{3}) "
                      r"(\d\.\d+\.\d+)?(.*)", text)
    if decided_by != "weir" or not match:
        return None
    return int(match[1]), match[2] or "", match[3].strip()


class Health(NamedTuple):
    """The part of Connect.health that matters here."""

    group: str
    states: dict[str, str]      # by source address


class Choice(NamedTuple):
    address: str    # either an address,
    pool: str       # or a pool
    rule: str


class Chooser:
    """clock() is seconds since 1970; file ":memory:" keeps nothing."""

    def __init__(self, file: str, clean: str, other: str,
                 new: Iterable[str] = (), schedule: Iterable[int] = (50,),
                 clock: Callable[[], float] = lambda: 0.0) -> None:
        self.clean, self.other = clean, other
        self.new, self.schedule = list(new), list(schedule)
        self.clock = clock
        self.db = sqlite3.connect(file, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = wal")
        self.db.execute("PRAGMA synchronous = normal")
        self.db.executescript(SCHEMA)

    # ------------------------------------------------------------- choosing

    def choose(self, domain: str, destination: str, health: Health | None,
               pools: dict[str, tuple[str, ...]]) -> Choice | None:
        """Where a message of this domain leaves for the MX at `destination`.
        pools: the addresses of each, as Hello has them. None: as weir.conf
        says, because nothing is known of the MX or the sender."""
        if health is None or not domain:
            return None
        version = ipaddress.ip_address(destination).version
        usable = {pool: [a for a in addresses
                         if ipaddress.ip_address(a).version == version]
                  for pool, addresses in pools.items()}
        moved = self.is_moved(domain)
        if not moved:
            for address in self.new:
                if address in usable.get(self.clean, ()) and \
                        self.take(address, health):
                    return Choice(address, "", f"warm-up {health.group}")
        pool, rest = self.clean, self.other
        if moved:
            pool, rest = rest, pool
        if not usable.get(pool):
            return None
        # a pool that is refused outright gives its mail away, for a while;
        # a bad sender is never let into the clean one
        old = [a for a in usable[pool] if a not in self.new]
        if not moved and usable.get(rest) and old and all(
                health.states.get(a) == "blocked" for a in old):
            return Choice("", rest, f"{pool} is blocked at {health.group}")
        return Choice("", pool, "low score" if moved else "score")

    # -------------------------------------------------------------- warm-up

    def take(self, address: str, health: Health) -> bool:
        """One message of today's quota of a new address, if there is one."""
        today = int(self.clock() // DAY)
        key = (address, health.group, today)
        row = self.db.execute(
            "SELECT quota, sent, trouble FROM warm WHERE address = ?"
            " AND mx = ? AND day = ?", key).fetchone()
        if row is None:
            # each day that went well, and was used, is a step
            steps, = self.db.execute(
                "SELECT count(*) FROM warm WHERE address = ? AND mx = ?"
                " AND NOT trouble AND sent * 2 >= quota", key[:2]).fetchone()
            quota = self.schedule[min(steps, len(self.schedule) - 1)]
            row = (quota, 0, 0)
            self.db.execute("INSERT INTO warm VALUES (?, ?, ?, ?, 0, 0)",
                            (*key, quota))
        quota, sent, trouble = row
        if health.states.get(address) in TROUBLE and not trouble:
            self.db.execute("UPDATE warm SET trouble = 1 WHERE address = ?"
                            " AND mx = ? AND day = ?", key)
            trouble = 1
        if trouble or sent >= quota:
            return False
        self.db.execute("UPDATE warm SET sent = sent + 1 WHERE address = ?"
                        " AND mx = ? AND day = ?", key)
        return True

    # ---------------------------------------------------------------- score

    def judged(self, domain: str, delivered: bool, code: int = 250,
               enhanced: str = "", text: str = "",
               heard: bool = True) -> None:
        """The MX has decided on a message of this domain. What it refuses
        for the content, the authentication or the recipient counts for
        nothing: such mail stays where it is."""
        if not domain or not delivered and about(code, enhanced, text, heard):
            return
        good, bad, moved = self.figures(domain)
        good, bad = good + delivered, bad + (not delivered)
        if good + bad >= ENOUGH:
            score = good / (good + bad)
            moved = score < (RISEN if moved else FALLEN)
        self.db.execute("REPLACE INTO senders VALUES (?, ?, ?, ?, ?)",
                        (domain, good, bad, self.clock(), moved))

    def figures(self, domain: str) -> tuple[float, float, bool]:
        row = self.db.execute("SELECT good, bad, at, moved FROM senders"
                              " WHERE domain = ?", (domain,)).fetchone()
        if row is None:
            return 0.0, 0.0, False
        good, bad, at, moved = row
        faded: float = 0.5 ** ((self.clock() - at) / FADE)
        good, bad = good * faded, bad * faded
        return good, bad, bool(moved) and good + bad >= 1   # silence forgives

    def is_moved(self, domain: str) -> bool:
        """Does its score keep it out of the clean pool?"""
        return self.figures(domain)[2]

    def forget(self) -> None:
        """Drops what no decision will be made by any more."""
        now = self.clock()
        self.db.execute("DELETE FROM senders WHERE at < ?", (now - 7 * DAY,))
        self.db.execute("DELETE FROM warm WHERE day < ?",
                        (now // DAY - 400,))
