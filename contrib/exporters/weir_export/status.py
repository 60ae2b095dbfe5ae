"""What only weir itself can tell: that it was started, that it is gone, and
which policies are connected. Its status page is asked now and then."""

import http.client
import json
import time
import urllib.request

from .watch import code

ASK_S, AGAIN_S = 2, 1
ANSWER_MAX = 8 << 20


def ask(url):
    """/api/v1/status, or None."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/api/v1/status",
                                    timeout=5) as answer:
            value = json.loads(answer.read(ANSWER_MAX))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return value if isinstance(value, dict) else None


class Status:
    """Facts of how weir is. It is gone when it did not answer twice."""

    def __init__(self, url, carried=None):
        self.url = url
        carried = carried or {}
        self.started = carried.get("started")   # None: not known
        self.up = carried.get("up")
        self.states = carried.get("policies", {})
        self.silent, self.next = 0, 0.0

    def carried(self):
        return {"started": self.started, "up": self.up,
                "policies": self.states}

    def facts(self):
        if self.url is None or time.monotonic() < self.next:
            return
        status = ask(self.url)
        self.next = time.monotonic() + ASK_S
        if status is None:
            self.silent += 1
            if self.silent == 1:
                self.next = time.monotonic() + AGAIN_S
            elif self.up is not False:
                self.up = False
                yield f"weir does not answer at {code(self.url)}"
            return
        self.silent = 0
        yield from self.life(status)
        yield from self.policies(status)

    def life(self, status):
        started = str(status.get("started_at"))
        if self.started is not None and started != self.started:
            yield (f"weir {code(status.get('version', '?'))} was started at "
                   f"{code(started)}")
        elif self.up is False:
            yield "weir answers again"
        self.started, self.up = started, True

    def policies(self, status):
        now = {str(one.get("name")): str(one.get("state"))
               for one in status.get("policies", []) if isinstance(one, dict)}
        for name, state in now.items():
            before = self.states.get(name)
            if before != state and (before or state != "ready"):
                yield f"Policy {code(name)} is {code(state)}" + (
                    f", was {code(before)}" if before else "")
        self.states = now
