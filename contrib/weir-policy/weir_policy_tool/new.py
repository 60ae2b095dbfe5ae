"""weir-policy new: a policy that runs, with a test that passes."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from pathlib import Path

from .languages import LANGUAGES, Language
from .peer import Problem

HELP = "write a policy that runs and has a test"
ABOUT = """\
Makes a folder NAME with a policy in LANGUAGE, its README.md, its block of
weir.conf, and test.sh, which starts it and plays weir's part. Begin with the
template that is nearest to what you want, and change it.

    blocklist    refuse whoever is on a list (mail, connect, ehlo, rcpt)
    rate-limit   at most so many an hour from each (mail, connect)
    header       add a header field (headers, end_of_message)
    body         refuse by words of the body (end_of_message)

In parentheses are the phases where it can decide; without --phase it is the
first of them.
"""
TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
PHASES = {"blocklist": ("mail", "connect", "ehlo", "rcpt"),
          "rate-limit": ("mail", "connect"),
          "header": ("headers", "end_of_message"),
          "body": ("end_of_message",)}
WHAT = {"blocklist": "Refuses whoever is in the file `blocked`, at {phase}.",
        "rate-limit": "At most LIMIT (an environment variable, 100) {whats} an"
                      " hour from each {who}: the rest gets a 451.",
        "header": "Adds a header field `X-{name}` to each message.",
        "body": "Refuses messages with a phrase of the file `phrases`."}
FILES = {"blocklist": ("blocked", "{bad}\n"),
         "body": ("phrases", "buy this now\n")}
# by phase: an entry of a list, and the option that makes weir-policy send it
BAD = {"connect": ("192.0.2.66", "--client 192.0.2.66"),
       "ehlo": ("bad.example", "--helo bad.example"),
       "mail": ("@bad.example", "--from spam@bad.example"),
       "rcpt": ("@bad.example", "--to trap@bad.example")}
SEEN = {"connect": "192.0.2.66", "ehlo": "bad.example",
        "mail": "<spam@bad.example>", "rcpt": "<trap@bad.example>"}
ENTRIES = {"connect": "an address of a client", "ehlo": "an EHLO name",
           "mail": "user@example.org or @example.org",
           "rcpt": "user@example.org or @example.org"}
RATES = {"connect": ("sessions", "client"), "mail": ("messages", "sender")}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("language", metavar="LANGUAGE",
                        choices=sorted(LANGUAGES),
                        help="one of: " + ", ".join(sorted(LANGUAGES)))
    parser.add_argument("name", metavar="NAME",
                        help="lower-case letters, digits, _ and -")
    parser.add_argument("--template", choices=list(PHASES),
                        default="blocklist", help="default: %(default)s")
    parser.add_argument("--phase", metavar="PHASE",
                        choices=sorted({p for ps in PHASES.values()
                                        for p in ps}),
                        help="where it decides")
    parser.add_argument("--directory", default=".", metavar="DIR",
                        help="where to make the folder (default: here)")


def run(options: argparse.Namespace) -> int:
    template, name = options.template, options.name
    phase = options.phase or PHASES[template][0]
    if phase not in PHASES[template]:
        raise Problem(f"{template} decides at {' or '.join(PHASES[template])},"
                      f" not at {phase}")
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name):
        raise Problem(f"{name!r} is no name: begin with a lower-case letter,"
                      " then letters, digits, _ or -")
    folder = Path(options.directory) / name
    language = LANGUAGES[options.language]
    files = make(language, template, phase, name)
    try:
        folder.mkdir(parents=True)
        for path, content in files.items():
            (folder / path).write_text(content)
            if content.startswith("#!"):
                (folder / path).chmod(0o755)
    except FileExistsError:
        raise Problem(f"{folder} is there already, and nothing was changed"
                      ) from None
    except OSError as error:
        raise Problem(f"{folder}: {error.strerror}") from None
    print(f"{folder}: " + ", ".join(sorted(files)))
    print(f"Try it: {folder}/test.sh")
    return 0


def make(language: Language, template: str, phase: str,
         name: str) -> dict[str, str]:
    """The files of the folder and what is in them."""
    whats, who = RATES.get(phase, ("", ""))
    camel = "".join(w.capitalize() for w in phase.split("_"))
    words = {
        "NAME": name, "PHASE": phase, "PHASE_UPPER": phase.upper(),
        "Phase": camel, "phase": camel[0].lower() + camel[1:],
        "KEY": language.keys.get(phase, ""),
        "ENTRY": ENTRIES.get(phase, ""), "WHATS": whats, "WHO": who,
        "BUILD": language.build, "RUN": language.run,
        "COMMAND": language.command, "PACKAGE": language.package,
        "SDK": str(language.sdk() or ""),
        "WEIR_POLICY": str(Path(sys.argv[0]).resolve()),
        "WHAT": WHAT[template].format(name=name, phase=phase, whats=whats,
                                      who=who),
        "GRANTS": ' grants = {"headers"}' if template == "header" else "",
        "TESTS": tests(template, phase, name)}

    def fill(path: str) -> str:
        text = (TEMPLATES / path).read_text()
        for _ in range(2):  # what is filled in may hold some itself
            text = re.sub(r"@(\w+)@", lambda m: words.get(m[1], m[0]), text)
        return text

    files = {
        language.source.replace("@NAME@", name):
            fill(f"{language.name}/{template}{language.suffix}"),
        "README.md": wrapped(fill("README.md")), "test.sh": fill("test.sh"),
        "weir.conf": f'policy "{name}" {{\n'
                     f'  endpoint = "unix:/run/weir/{name}.sock"\n'
                     + (f"  {words['GRANTS'].strip()}\n" if words["GRANTS"]
                        else "") + "}\n"}
    for extra in language.extra:
        files[extra] = fill(f"{language.name}/{extra}")
    if template in FILES:
        path, content = FILES[template]
        files[path] = content.format(bad=BAD.get(phase, ("", ""))[0])
    return files


def wrapped(text: str) -> str:
    """Its paragraphs filled anew, now that the words are known."""
    return "\n\n".join(
        part if part.startswith((" ", "#")) else
        textwrap.fill(part, 79, break_on_hyphens=False,
                      break_long_words=False)
        for part in text.rstrip("\n").split("\n\n")) + "\n"


def tests(template: str, phase: str, name: str) -> str:
    """The lines of test.sh that are about what the template does."""
    _, bad = BAD.get(phase, ("", ""))
    if template == "blocklist":
        return (f'start\nsays "outcome delivered" "Nothing special."\n'
                f'says "{phase} {SEEN[phase]} reject 550 5.7.1 Blocked" \\\n'
                f'    "Nothing special." {bad}')
    if template == "rate-limit":
        return ('start LIMIT=2\n'
                'says "outcome delivered" one\nsays "outcome delivered" two\n'
                'says "tempfail 451 4.7.1 Too many, try again later" three\n'
                f'says "outcome delivered" "somebody else" {bad}')
    if template == "header":
        return (f'start\nsays "{phase} relay [add X-{name}: from 192.0.2.7]"'
                ' one --client 192.0.2.7')
    return ('start\nsays "outcome delivered" "Nothing special."\n'
            'says "end_of_message reject 550 5.7.1 Not with these words" \\\n'
            '    "You can BUY this now."')
