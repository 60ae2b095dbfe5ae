"""What `weir-policy new` has to know of each language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import weir_policy

_NO_BUILD = 'fail "it does not build; README.md says what it needs"'
_TREE = Path(__file__).resolve().parents[2] / "sdk"


def _in_tree(name: str) -> Callable[[], Path | None]:
    """Where the package's source is, when we run from weir's source."""
    place = _TREE / name
    return lambda: place if place.is_dir() else None


def _our_own() -> Path | None:
    return Path(weir_policy.__file__).resolve().parents[1]


@dataclass
class Language:
    name: str
    suffix: str
    source: str  # the file's name
    package: str  # what it needs, for the README
    build: str  # lines of test.sh
    run: str  # in test.sh
    command: str  # in the README
    sdk: Callable[[], Path | None]
    keys: dict[str, str] = field(default_factory=dict)  # by phase: whom to look up
    extra: tuple[str, ...] = ()  # more files


LANGUAGES = {language.name: language for language in [
    Language(
        "python", ".py", "@NAME@.py",
        "the package weir_policy (weir's contrib/sdk/python), installed or in"
        " PYTHONPATH",
        'export PYTHONPATH="${PYTHONPATH:-$sdk}" PYTHONDONTWRITEBYTECODE=1',
        '/usr/bin/python3 @NAME@.py --listen "unix:$place/sock"',
        "./@NAME@.py --listen unix:/run/weir/@NAME@.sock", _our_own,
        {"connect": "session.client.address", "ehlo": "event.name",
         "mail": "event.sender", "rcpt": "event.recipient"}),
    Language(
        "ruby", ".rb", "@NAME@.rb",
        "the gem weir_policy (weir's contrib/sdk/ruby)",
        '[ -z "$sdk" ] || export RUBYLIB="$sdk/lib"',
        'ruby @NAME@.rb "unix:$place/sock"',
        "./@NAME@.rb unix:/run/weir/@NAME@.sock", _in_tree("ruby"),
        {"connect": "session.client.address", "ehlo": "event.name",
         "mail": "event.sender", "rcpt": "event.recipient"}),
    Language(
        "go", ".go", "main.go",
        "the package weirpolicy (weir's contrib/sdk/go, whose README says how"
        " `go build` finds it)",
        'if [ -n "$sdk" ]; then\n'
        '\tmkdir -p "$place/go/src"\n'
        '\tln -s "$sdk" "$place/go/src/weirpolicy"\n'
        '\texport GO111MODULE=off GOPATH="$place/go:/usr/share/gocode"\n'
        f'fi\ngo build -o "$place/@NAME@" main.go || {_NO_BUILD}',
        '"$place/@NAME@" -listen "unix:$place/sock"',
        "go build -o @NAME@ main.go && ./@NAME@ -listen"
        " unix:/run/weir/@NAME@.sock", _in_tree("go"),
        {"connect": "s.ClientAddress()", "ehlo": "string(e.Name)",
         "mail": "string(e.Sender)", "rcpt": "string(e.Recipient)"}),
    Language(
        "nodejs", ".js", "@NAME@.js",
        "the package weir-policy (weir's contrib/sdk/nodejs)",
        'if [ -n "$sdk" ]; then\n'
        '\tmkdir "$place/modules"\n'
        '\tln -s "$sdk" "$place/modules/weir-policy"\n'
        '\texport NODE_PATH="$place/modules"\nfi',
        'node @NAME@.js --listen "unix:$place/sock"',
        "./@NAME@.js --listen unix:/run/weir/@NAME@.sock",
        _in_tree("nodejs"),
        {"connect": "session.client.address", "ehlo": "event.name",
         "mail": "event.sender", "rcpt": "event.recipient"}),
    Language(
        "c", ".c", "@NAME@.c",
        "libweir-policy (`make install` of weir installs it)",
        f'make -s || {_NO_BUILD}', './@NAME@ "unix:$place/sock"',
        "make && ./@NAME@ unix:/run/weir/@NAME@.sock", lambda: None,
        {"connect": "{ event->connect.client.address,\n"
                    "\t    strlen(event->connect.client.address) }",
         "ehlo": "event->ehlo.name", "mail": "event->mail.sender",
         "rcpt": "event->rcpt.recipient"}, ("Makefile",)),
]}
