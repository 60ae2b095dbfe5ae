"""The service unit: systemd knows every setting, and it is as tight as said."""

import re
import shutil
import subprocess

import pytest
from policy_harness import ROOT

TRUE = "/bin/true"


@pytest.fixture
def units(tmp_path):
    """The units, with a program that exists here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    text = (ROOT / "contrib" / "weir.service.in").read_text()
    assert text.count("@") == text.count("@sbindir@") * 2 + 1  # @system-service
    service = tmp_path / "weir.service"
    service.write_text(text.replace("@sbindir@/weir", TRUE))
    shutil.copy(ROOT / "contrib" / "weir.socket", tmp_path)
    return tmp_path


def analyze(units, *words):
    done = subprocess.run(["systemd-analyze", *words], cwd=units, timeout=60,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze does not run here: {done.stderr}")
    return done


def test_systemd_accepts_the_units(units):
    done = analyze(units, "verify", "--man=no", "./weir.service",
                   "./weir.socket")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_have_refused_a_wrong_unit(units):
    with open(units / "weir.service", "a", encoding="ascii") as file:
        file.write("[Service]\nProtectSystme=strict\n")
    done = analyze(units, "verify", "--man=no", "./weir.service")
    assert "ProtectSystme" in done.stderr


def test_the_service_is_hardened(units):
    done = analyze(units, "security", "--offline=true", "--no-pager",
                   "./weir.service")
    level = re.search(r"exposure level for weir.service: ([0-9.]+)",
                      done.stdout)
    assert level and float(level[1]) <= 2.5, done.stdout


def test_only_one_capability(units):
    text = (units / "weir.service").read_text()
    for key, value in [("CapabilityBoundingSet", "CAP_NET_ADMIN"),
                       ("AmbientCapabilities", "CAP_NET_ADMIN"),
                       ("NoNewPrivileges", "yes"), ("PrivateTmp", "yes"),
                       ("ProtectSystem", "strict"), ("User", "weir"),
                       ("SystemCallFilter", "@system-service")]:
        assert re.findall(rf"^{key}=(.*)$", text, re.M) == [value]


EXPORTERS = sorted((ROOT / "contrib" / "exporters").glob("*.service.in"))


@pytest.mark.parametrize("path", EXPORTERS, ids=lambda path: path.stem)
def test_systemd_accepts_the_exporters_and_they_are_hardened(units, path):
    name = path.stem
    command = f"@pkglibexecdir@/exporters/{name.removesuffix('.service')}"
    text = path.read_text()
    assert command in text
    (units / name).write_text(text.replace(command, TRUE)
                              .replace("@docdir@", "/usr/share/doc/weir"))
    done = analyze(units, "verify", "--man=no", f"./{name}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = analyze(units, "security", "--offline=true", "--no-pager",
                   f"./{name}")
    level = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level and float(level[1]) <= 1.5, done.stdout
