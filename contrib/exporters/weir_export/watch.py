"""What of a record is worth an operator's attention: few words, seldom."""

import datetime
from collections import Counter, OrderedDict

from .words import clean

SENDERS_MAX = 10_000        # that were refused lately
OPEN_MAX = 1000             # transactions that have not ended
QUIET_S = 60                # without an error, and a policy answers again
REMIND_S = 3600             # a policy that still fails
VALUE_MAX = 200             # characters of what came by SMTP


def escape(text):
    """Slack's three characters: nothing becomes a link or a mention."""
    return (text.replace("&", "&amp;").replace("<", "&lt;")
            .replace(">", "&gt;"))


def code(text):
    """What came from elsewhere, as it is: in code there is no markup and no
    mention, for Slack or for those who are compatible with it."""
    text = clean(str(text)).replace("`", "'").strip() or "<>"
    if len(text) > VALUE_MAX:
        text = text[:VALUE_MAX] + "..."
    return f"`{escape(text)}`"


def seconds(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def minutes(value):
    """A span of seconds, in words."""
    return (f"{value:.0f} s" if value < 120 else
            f"{value / 60:.0f} min" if value < 7200 else
            f"{value / 3600:.1f} h")


def number(value):
    return value if isinstance(value, int) else 0


def reply(event):
    words = [str(event[name]) for name in ("code", "enhanced", "reply")
             if event.get(name)]
    return " ".join(words)


class Watch:
    """Facts of events. What it keeps is bounded, and survives a restart."""

    def __init__(self, burst, window_s, carried=None):
        self.burst, self.window_s = burst, window_s
        carried = carried or {}
        # name -> since, errors by cause, last error, last told
        self.policies = {name: [since, Counter(causes), last, told]
                         for name, (since, causes, last, told)
                         in carried.get("policies", {}).items()}
        # sender -> begin of its window, refused in it, told at
        self.senders = OrderedDict(carried.get("senders", []))
        # transactions with a recipient refused, until their end
        self.refused = OrderedDict((name, None)
                                   for name in carried.get("refused", []))
        self.now = carried.get("now", 0.0)      # by the record's own clock

    def carried(self):
        return {"now": self.now,
                "policies": {name: [since, dict(causes), last, told]
                             for name, (since, causes, last, told)
                             in self.policies.items()},
                "senders": [(sender, one) for sender, one
                            in self.senders.items()
                            if self.now - one[0] <= self.window_s],
                "refused": list(self.refused)}

    def facts(self, event):
        """What to tell of it: texts."""
        at = seconds(event["time"])
        self.now = max(self.now, at)
        kind = event["event"]
        if kind == "mx_state":
            yield self.mx(event)
        elif kind == "decision":
            yield from self.decision(event, at)
        elif kind == "recipient":
            self.recipient(event)
        elif kind == "transaction":
            yield from self.transaction(event, at)
        yield from self.recovered()

    @staticmethod
    def mx(event):
        evidence = event.get("evidence")
        evidence = evidence if isinstance(evidence, dict) else {}
        text = (f"MX group {code(event.get('group', '?'))}, from "
                f"{code(event.get('source', '?'))}: "
                f"{code(event.get('from', '?'))} to "
                f"*{escape(clean(str(event.get('to', '?'))))}*")
        if evidence.get("words"):
            text += f": {code(evidence['words'])}"
        if evidence.get("text"):
            text += (f", it said {code(evidence.get('code', ''))} "
                     f"{code(evidence['text'])}")
        return text

    def decision(self, event, at):
        name, error = event.get("policy"), event.get("error")
        if not isinstance(name, str) or not error:
            return
        words = event.get("error_text") or error
        known = self.policies.get(name)
        if known is None:
            self.policies[name] = [at, Counter({str(error): 1}), at, at]
            yield f"Policy {code(name)} fails: {code(words)}"
            return
        known[1][str(error)] += 1
        known[2] = max(known[2], at)
        if at - known[3] >= REMIND_S:
            known[3] = at
            yield (f"Policy {code(name)} fails for {minutes(at - known[0])}: "
                   f"{self.causes(known[1])}")

    @staticmethod
    def causes(counter):
        return ", ".join(f"{count} x {code(name)}"
                         for name, count in counter.most_common(8))

    def recovered(self):
        """Those that had no error for a while; time goes by events."""
        for name, (since, causes, last, _) in list(self.policies.items()):
            if self.now - last >= QUIET_S:
                del self.policies[name]
                yield (f"Policy {code(name)} has had no error for "
                       f"{minutes(self.now - last)}. Before, in "
                       f"{minutes(last - since)}: {self.causes(causes)}")

    def recipient(self, event):
        """Its transaction comes later, and knows the sender."""
        if not event.get("accepted") and number(event.get("code")) >= 500:
            self.refused[str(event.get("transaction"))] = None
            if len(self.refused) > OPEN_MAX:
                self.refused.popitem(last=False)

    def transaction(self, event, at):
        name = str(event.get("transaction"))
        refused = self.refused.pop(name, self) is not self
        if not refused and event.get("outcome") != "rejected":
            return
        sender = event.get("sender") or "<>"
        begin, count, told = self.senders.pop(sender, (at, 0, 0))
        if at - begin > self.window_s:
            begin, count, told = at, 0, 0
        count += 1
        if count >= self.burst and count >= 10 * told:
            told = count
            where = event.get("upstream")
            yield (f"{count} messages of {code(sender)} were refused within "
                   f"{minutes(self.window_s)}, the last by "
                   f"{code(event.get('decided_by', '?'))}"
                   + (f" at {code(where)}" if where else "")
                   + (f": {code(reply(event))}" if reply(event) else ""))
        self.senders[sender] = (begin, count, told)
        if len(self.senders) > SENDERS_MAX:
            self.senders.popitem(last=False)
