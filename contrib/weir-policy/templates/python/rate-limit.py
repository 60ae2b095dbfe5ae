#!/usr/bin/python3
"""@NAME@: at most LIMIT (an environment variable, 100) @WHATS@ an hour
from each @WHO@."""

import os
import time
from collections import Counter

from weir_policy import Policy, arguments, tempfail

LIMIT = int(os.environ.get("LIMIT", "100"))
HOUR = 3600
policy = Policy("@NAME@/1.0", version=f"limit-{LIMIT}")
counts: Counter[str] = Counter()
hour = 0


@policy.@PHASE@
def count(session, event):
    global hour
    now = int(time.time()) // HOUR
    if now != hour:
        hour = now
        counts.clear()
    who = @KEY@.lower()
    counts[who] += 1
    if counts[who] > LIMIT:
        return tempfail("Too many, try again later", 451, "4.7.1").because(
            rule="rate", score=counts[who], reason=who)
    return None


policy.run(arguments(__doc__).parse_args())
