"""What the lint scripts share: where the tree is, and TAP."""
import os
import re
import shlex
import sys

TOP = os.path.abspath(os.environ.get("top_srcdir", "."))
BUILD = os.path.abspath(os.environ.get("top_builddir", "."))

# doc/ARCHITECTURE.md: each may include only itself and those before it.
LAYERS = ["base", "smtp", "policy", "mx", "config", "session", "net",
          "service", "daemon"]

# Beside the layers: a program of its own, and what of them it may include.
PROGRAMS = {"weirctl": ("base/", "config/config.h",
                        "service/record_maintain.h")}

WARNINGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wshadow",
            "-Wconversion", "-Wstrict-prototypes", "-Wvla", "-Werror"]


def sources(suffixes=(".c", ".h"), top=TOP):
    """Paths below src/, relative to it, in order."""
    found = []
    for folder, _, names in os.walk(os.path.join(top, "src")):
        found += [os.path.relpath(os.path.join(folder, n),
                                  os.path.join(top, "src"))
                  for n in names if n.endswith(suffixes)]
    return sorted(found)


def read(path, top=TOP):
    with open(os.path.join(top, "src", path), encoding="utf-8") as f:
        return f.read()


def flatten(code, strings=True):
    """The code with comments (and literals) blanked, line by line."""
    def blank(match):
        text = match.group(0)
        if text[0] in "\"'" and not strings:
            return text
        return re.sub(r"[^\n]", " ", text)
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\""
                  r"|'(?:\\.|[^'\\\n])*'", blank, code, flags=re.S)


def make_variable(name):
    """A variable of the Makefile that was configured, as words."""
    with open(os.path.join(BUILD, "Makefile"), encoding="utf-8") as f:
        found = re.search(r"^%s = (.*)$" % re.escape(name), f.read(), re.M)
    return shlex.split(found.group(1)) if found else []


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def check(self, name, problems):
        """One test; problems is a list of lines, empty if all is well."""
        self.count += 1
        self.failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {self.count} - {name}")
        for problem in problems:
            for line in str(problem).splitlines():
                print("# " + line)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}")

    def done(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)
