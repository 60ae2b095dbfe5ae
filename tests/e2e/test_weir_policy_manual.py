"""doc/weir-policy.1 has every command and option, and no other."""

import re
import shutil
import subprocess

import pytest
from policy_harness import ROOT
from weir_policy_command import weir_policy

PAGE = (ROOT / "doc" / "weir-policy.1").read_text()
COMMANDS = ["new", "check", "send", "capture", "replay"]
TLS = {"tls-ca", "tls-name", "tls-cert", "tls-key"}


def section(name):
    return re.search(rf"^\.Ss {name}\n(.*?)^\.S[sh] ", PAGE, re.S | re.M)[1]


def in_page(text):
    return {option for line in re.findall(r"^\.It (Fl .*)$", text, re.M)
            for option in re.findall(r"Fl -([\w-]+)", line)}


@pytest.mark.parametrize("command", COMMANDS)
def test_options(command):
    offered = set(re.findall(r"(?<![\w-])--([a-z][\w-]*)",
                             re.split(r"\n\n(?:positional|options)",
                                      weir_policy(command, "--help"))[0]
                             .partition("\n\n")[0])) - {"help"}
    written = in_page(section(command))
    if TLS <= offered:
        assert in_page(section("TLS")) == TLS
        offered -= TLS
    assert offered == written


def test_commands():
    assert set(re.findall(r"^    (\w+) +\S", weir_policy("--help"), re.M)) \
        == set(COMMANDS)
    assert set(re.findall(r"^\.Ss (\w+)", PAGE, re.M)) == {*COMMANDS, "TLS"}


def test_it_explains_itself():
    """Without a command, and with a wrong one."""
    assert "usage: weir-policy" in weir_policy(code=2)
    assert "invalid choice: 'sned'" in weir_policy("sned", code=2)


@pytest.mark.skipif(not shutil.which("mandoc"),
                    reason="mandoc is not installed")
def test_the_page_is_well_formed():
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning",
                           ROOT / "doc" / "weir-policy.1"],
                          capture_output=True, text=True)
    assert done.stdout == ""
