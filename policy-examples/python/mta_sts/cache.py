"""The policies that are known: kept on disk, since what makes MTA-STS worth
something is that a policy once seen counts until it expires, whatever an
attacker does to DNS and HTTPS meanwhile.
"""

import asyncio
import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from fetch import Fetcher, Unavailable
from sts_policy import MAX_AGE, MODES, StsPolicy

log = logging.getLogger("mta_sts")

CHECK = 300.0           # seconds until the id is looked up again
FAILED = 300.0          # and until a fetch that failed is tried again (3.3)
DOMAINS_MAX = 20000     # in memory; those with a policy are on disk, too
FETCHES_MAX = 20        # at a time


@dataclass
class Entry:
    id: str = ""                    # "": no policy
    mode: str = "none"
    mx: tuple[str, ...] = ()
    expires: float = 0.0            # by the clock on the wall
    checked: float = 0.0            # when its id was looked up last
    result: str = ""                # why there is no (new) policy
    why: str = ""

    def is_valid(self, now: float) -> bool:
        return self.id != "" and now < self.expires

    def in_force(self) -> "Entry":
        """Itself, or no policy when its time is over."""
        if self.is_valid(time.time()):
            return self
        return Entry(result=self.result, why=self.why)


class Cache:
    def __init__(self, folder: Path, fetcher: Fetcher,
                 check: float = CHECK) -> None:
        self._folder, self._fetcher, self._check = folder, fetcher, check
        self._entries: dict[str, Entry] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._limit = asyncio.Semaphore(FETCHES_MAX)

    # ------------------------------------------------------------- on disk

    def _path(self, domain: str) -> Path:
        return self._folder / f"{domain}.json"

    def load(self) -> None:
        """What an earlier run knew. Files that are none of ours are left."""
        now = time.time()
        for path in self._folder.glob("*.json"):
            try:
                entry = Entry(**json.loads(path.read_text("utf-8")))
                entry.mx = tuple(map(str, entry.mx))
                if entry.mode not in MODES or \
                        entry.expires > now + MAX_AGE + 1:
                    raise ValueError("it is no policy")
            except (OSError, ValueError, TypeError) as error:
                log.error("%s: %s", path, error)
                continue
            if entry.is_valid(now):
                self._entries[path.stem] = entry
            else:
                path.unlink(missing_ok=True)

    def _save(self, domain: str, entry: Entry) -> None:
        path = self._path(domain)
        try:
            new = path.with_suffix(".new")
            new.write_text(json.dumps(asdict(entry)), "utf-8")
            os.replace(new, path)
        except OSError as error:
            log.error("%s: %s; it is kept in memory alone", path, error)

    # ------------------------------------------------------------- at work

    def _make_room(self) -> None:
        """Those without a policy go first, then those that expire first."""
        if len(self._entries) < DOMAINS_MAX:
            return
        order = sorted(self._entries, key=lambda d: self._entries[d].expires)
        for domain in order[:DOMAINS_MAX // 10]:
            del self._entries[domain]
            self._path(domain).unlink(missing_ok=True)

    def _store(self, domain: str, id: str, policy: StsPolicy) -> None:
        now = time.time()
        entry = Entry(id, policy.mode, policy.mx, now + policy.max_age, now)
        self._entries[domain] = entry
        self._save(domain, entry)
        log.info("%s: policy %s, %s, for %d s", domain, id, policy.mode,
                 policy.max_age)

    async def _refresh(self, domain: str, renew: bool) -> None:
        old = self._entries.get(domain) or Entry()
        try:
            async with self._limit:
                id = await self._fetcher.record(domain)
                if id is not None and (renew or id != old.id or
                                       not old.is_valid(time.time())):
                    self._store(domain, id,
                                await self._fetcher.policy(domain))
                    return
                old.result = old.why = ""
        except Unavailable as error:
            old.result, old.why = error.result, str(error)
            log.warning("%s: %s: %s", domain, error.result, error)
        old.checked = time.time()
        self._make_room()
        self._entries[domain] = old     # what was valid stays so (5.1)

    def _start(self, domain: str, renew: bool = False) -> asyncio.Task[None]:
        task = self._running.get(domain)
        if task is None:
            task = asyncio.create_task(self._refresh(domain, renew))
            self._running[domain] = task
            task.add_done_callback(lambda _: self._running.pop(domain, None))
        return task

    async def find(self, domain: str, budget: float) -> Entry:
        """What counts for the domain now. Waits only where nothing is known,
        and for `budget` seconds at most: a fetch goes on after that."""
        now = time.time()
        entry = self._entries.get(domain)
        wait = self._check if entry is None or not entry.result else FAILED
        if entry is not None and now < entry.checked + wait:
            return entry.in_force()
        task = self._start(domain)
        if entry is not None and entry.is_valid(now):
            return entry
        try:
            await asyncio.wait_for(asyncio.shield(task), budget)
        except TimeoutError:
            return Entry(result="sts-policy-fetch-error",
                         why="the policy is still being fetched")
        return self._entries.get(domain, Entry()).in_force()

    async def keep_fresh(self, every: float = 3600.0) -> None:
        """So that a policy does not expire because nobody wrote lately (10.2):
        each is fetched anew when a day has passed, or half of its time."""
        while True:
            await asyncio.sleep(every)
            now = time.time()
            for domain, entry in list(self._entries.items()):
                if not entry.is_valid(now):
                    continue
                left = entry.expires - now
                if now > entry.checked + min(86400.0, left):
                    await asyncio.wait([self._start(domain, renew=True)])
