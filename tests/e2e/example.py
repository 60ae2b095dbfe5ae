"""Examples as their README shows them: its command, its block of weir.conf."""

import re
import shlex
import subprocess
from pathlib import Path

from policy_harness import ROOT, Server


def parts(readme):
    """(commands, policy block) that stand indented in a README."""
    text = readme.read_text()
    commands = re.findall(r"^    (\./.*)$", text, re.M)
    block = re.search(r'^    policy "\w+" \{.*?^    \}$', text, re.S | re.M)
    return commands, re.sub("^    ", "", block[0], flags=re.M)


def python_example(name, place, *more, swap=()):
    """Starts policy-examples/python/NAME by its README, with the paths of
    /run/weir and all of `swap` changed; (server, block of weir.conf)."""
    folder = ROOT / "policy-examples" / "python" / name
    (command, *_), block = parts(folder / "README.md")
    for old, new in [("/run/weir", place), *swap]:
        command = command.replace(old, str(new))
        block = block.replace(old, str(new))
    script, *options = shlex.split(command)
    server = Server(folder / Path(script).name, *options, *more)
    server.wait_for("listening on ")
    return server, block


def quiet_port():
    """A port of the loopback that was free a moment ago."""
    import socket
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def run(*command, **options):
    return subprocess.run(list(map(str, command)), check=True,
                          capture_output=True, timeout=30, **options)
