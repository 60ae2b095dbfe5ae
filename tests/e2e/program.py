"""Policy servers in other languages than Python, and what the papers say of
them: programs and blocks of weir.conf are taken from the README files.
"""

import os
import re
import subprocess

from policy_harness import ROOT, Server


class Program(Server):
    """Any program in place of a Python script."""

    def __init__(self, program, *command, **environment):
        super().__init__(*command, program=program, **environment)


def fenced(readme, language):
    """The fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(),
                      re.DOTALL | re.MULTILINE)


def indented(readme, words):
    """The first indented block that begins with these words."""
    found = re.search(rf"^    {words}.*?(?=^\S|\Z)", readme.read_text(),
                      re.DOTALL | re.MULTILINE)
    assert found, f"no {words!r} in {readme}"
    return re.sub(r"^    ", "", found[0], flags=re.MULTILINE)


def moved(text, place):
    """A README's files are elsewhere while it is tested."""
    return text.replace("/run/weir", str(place))


def go_run(place, *command, cwd):
    """A command of Go, with the SDK where its README installs it."""
    link = place / "go" / "src" / "weirpolicy"
    if not link.is_symlink():
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT / "contrib" / "sdk" / "go")
    done = subprocess.run(
        ["go", *map(str, command)], cwd=cwd, capture_output=True, text=True,
        timeout=400, env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "",
                          "GOPATH": f"{place}/go:/usr/share/gocode"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
