"""Policies in C, compiled as their authors do: against an installed library."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import weir
from policy_harness import Server

BUILD = Path(os.environ.get("top_builddir") or weir.PROGRAM.parent).resolve()


def make_variable(name):
    found = re.search(rf"^{name} = (.*)$", (BUILD / "Makefile").read_text(),
                      re.M)
    return shlex.split(found[1])


class Library:
    """libweir-policy, installed below a directory that goes away with it."""

    def __init__(self):
        self.place = tempfile.TemporaryDirectory(prefix="weir-c-sdk-")
        subprocess.run(
            ["make", "-s", "-C", BUILD, "install-libLTLIBRARIES",
             "install-includeHEADERS", "install-pkgconfigDATA",
             f"DESTDIR={self.place.name}"], check=True, timeout=300,
            stdout=subprocess.DEVNULL)
        pc, = Path(self.place.name).rglob("weir-policy.pc")
        self.libraries = pc.parents[1]
        self.environment = {
            **os.environ, "PKG_CONFIG_PATH": str(pc.parent),
            "PKG_CONFIG_SYSROOT_DIR": self.place.name,
            "LD_LIBRARY_PATH": str(self.libraries)}

    def compile(self, command, folder):
        """The cc line of a README, in its folder, with this build's
        sanitizers."""
        extra = shlex.join(make_variable("SANITIZER_FLAGS"))
        assert command.startswith("cc "), command
        subprocess.run(f"{make_variable('CC')[0]} {extra} -Wall -Werror "
                       f"{command[3:]}", shell=True, cwd=folder, check=True,
                       timeout=120, env=self.environment)

    def server(self, program, *arguments):
        return Server(*arguments, program=str(program),
                      LD_LIBRARY_PATH=str(self.libraries))


def why_not():
    if not shutil.which("pkg-config"):
        return "pkg-config is not installed"
    if not (BUILD / "Makefile").exists():
        return f"{BUILD} is no build directory"
    return ""
