"""What RFC 8461 says a policy, and the record that announces it, look like."""

import re
from collections.abc import Iterable
from typing import NamedTuple

MAX_AGE = 31557600      # a year, the most that a policy may ask for
MX_MAX = 32             # names that weir takes in one decision

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_MX = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})+\Z")
_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}\Z")
_DIGITS = re.compile(r"[0-9]{1,10}\Z")
MODES = ("enforce", "testing", "none")


class Invalid(ValueError):
    """What came is no policy."""


class StsPolicy(NamedTuple):
    mode: str
    max_age: int
    mx: tuple[str, ...]


def parse_record(texts: Iterable[str]) -> str | None:
    """The id in the TXT records of _mta-sts (3.1); None: there is not exactly
    one that announces a policy, which is as good as none."""
    ours = [text for text in texts if re.match(r"v=STSv1[ \t]*;", text)]
    if len(ours) != 1:
        return None
    for field in ours[0].split(";")[1:]:
        key, equals, value = field.partition("=")
        if key.strip() == "id":
            value = value.strip()
            return value if equals and _ID.match(value) else None
    return None


def parse_policy(data: bytes) -> StsPolicy:
    """The body of mta-sts.txt (3.2). Keys that nobody knows are for later
    versions; of those that come twice, but mx, the first counts."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("it is not UTF-8") from None
    fields: dict[str, str] = {}
    mx: list[str] = []
    for line in re.split(r"\r?\n", text):
        if not line.strip(" \t"):
            continue
        key, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not colon or not _KEY.match(key):
            raise Invalid(f"{line[:80]!r} has no key")
        if key == "mx":
            mx.append(value.lower())
        else:
            fields.setdefault(key, value)
    return _checked(fields, mx)


def _checked(fields: dict[str, str], mx: list[str]) -> StsPolicy:
    if fields.get("version") != "STSv1":
        raise Invalid("its version is not STSv1")
    mode, age = fields.get("mode", ""), fields.get("max_age", "")
    if mode not in MODES:
        raise Invalid(f"mode {mode[:20]!r} is unknown")
    if not _DIGITS.match(age) or int(age) > MAX_AGE:
        raise Invalid(f"max_age {age[:20]!r} is no such time")
    if mode != "none" and not mx:
        raise Invalid("it names no mx")
    for name in mx:
        if len(name) > 253 or not _MX.match(name):
            raise Invalid(f"mx {name[:80]!r} is no name")
    if len(set(mx)) > MX_MAX:
        raise Invalid(f"it names more than {MX_MAX} mx")
    return StsPolicy(mode, int(age), tuple(dict.fromkeys(mx)))


def matches(name: str, patterns: Iterable[str]) -> bool:
    """4.1: "*" stands for exactly one label, the first."""
    name = name.lower().rstrip(".")
    return any(name == p or (p.startswith("*.") and
                             name.partition(".")[2] == p[2:])
               for p in patterns)
