"""An event as one line of text, and how grave it is."""

import json
import re
import unicodedata

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
LEVELS = {"error": ERROR, "warning": WARNING, "notice": NOTICE, "info": INFO,
          "debug": DEBUG}
OUTCOMES = {"delivered": INFO, "discarded": INFO, "aborted": NOTICE,
            "deferred": WARNING, "rejected": WARNING}
RESULTS = {"success": DEBUG, "starttls-not-supported": INFO}
PLAIN = re.compile(r"[\x21\x23-\x3c\x3e-\x7e]+\Z")      # no space, " nor =


def level(event):
    """A syslog severity: what went as it should is info once for each
    message, and debug in its details."""
    kind = event["event"]
    if kind == "transaction":
        return OUTCOMES.get(event.get("outcome"), NOTICE)
    if kind == "recipient":
        return DEBUG if event.get("accepted") else NOTICE
    if kind in ("upstream", "tls", "rehomed"):
        if event.get("error"):
            return WARNING
        return INFO if kind == "rehomed" else DEBUG
    if kind == "tls_result":
        return RESULTS.get(event.get("result"), WARNING)
    if kind == "decision":
        if event.get("error"):
            return ERROR
        acts = event.get("applied") and event.get("result") != "relay"
        return NOTICE if acts else DEBUG
    if kind == "close":
        cause = event.get("cause")
        return (DEBUG if cause in ("quit", "tunnel") else
                ERROR if cause == "internal" else NOTICE)
    if kind == "mx_state":
        return WARNING if event.get("to") in ("throttled", "blocked") \
            else NOTICE
    # the details of a session; or what happened to weir itself
    return DEBUG if event.get("session") else INFO


def clean(text):
    """Nothing in it that moves a cursor, ends a line or turns a direction:
    weir's lines have no such bytes, but the receiver must not rely on it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "".join(f"\\x{byte:02x}" for byte in one.encode("utf-8", "replace"))
        if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else one for one in text)


def value(one):
    """As text on one line."""
    if not isinstance(one, str):
        one = json.dumps(one, ensure_ascii=False, separators=(",", ":"))
    return clean(one)


def members(event):
    """(name, text) of all but time and kind."""
    return [(name, value(one)) for name, one in event.items()
            if name not in ("time", "event")]


def line(event):
    """As weir's log has it: event=transaction sender=a@b reply="no such"."""
    words = [f"event={value(event['event'])}"]
    for name, text in members(event):
        if not PLAIN.match(text):
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            text = f'"{escaped}"'
        words.append(f"{name}={text}")
    return " ".join(words)


def cut(data, size):
    """So many bytes of UTF-8 at most, and no half character."""
    if len(data) <= size:
        return data
    return data[:size].decode("utf-8", "ignore").encode()
