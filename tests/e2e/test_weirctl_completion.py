"""Completion of weirctl, by the shells that do it."""

import os
import re
import select
import shutil
import signal
import subprocess
import time

import pytest
import weir
import weirctl

COMPLETIONS = weir.ROOT / "contrib/completions"
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
ID = "01M819QCCP8S0SG9Q0BAHA89TE"
COLUMNS = {"state": "normal", "source": "192.0.2.1", "weight": 1}

pytestmark = pytest.mark.skipif(
    bool(weir.why_not() or weirctl.why_not()),
    reason=weir.why_not() or weirctl.why_not() or "")


@pytest.fixture
def fake(place):
    with weirctl.Fake(place, {
            "/api/v1/sessions": (200, [{
                "id": ID, "occurred_at": "2026-11-22T08:00:00Z",
                "outcome": "delivered", "sender": "a@example.org"}]),
            "/api/v1/policies": (200, [{"name": "gate"}]),
            "/api/v1/sources": (200, {"pools": [], "default": [
                {"address": "2001:db8::7"}, {"address": "192.0.2.10"}]}),
            "/api/v1/mx": (200, [
                {"group": "example.net", **COLUMNS},
                {"group": f"$(touch${{IFS}}{place}/owned)", **COLUMNS},
                {"group": f"`touch\t{place}/owned`", **COLUMNS}]),
    }) as server:
        yield server


def environment():
    path = f"{weirctl.PROGRAM.parent}:{os.environ['PATH']}"
    # the leak check stops the process to look at it, which waits for ever
    # when a shell does so, too, in its own way; leaks are for other tests
    checks = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return weirctl.environment(PATH=path, COLUMNS=120, ASAN_OPTIONS=checks)


@pytest.mark.skipif(not os.path.exists(BASH_COMPLETION),
                    reason="no bash-completion")
@pytest.mark.parametrize("typed, offered", (
    ("sta", {"status"}), ("status --w", {"--watch"}),
    ("re", {"report", "resume", "reload"}),
    ("-s SOCKET show ", {ID}), ("-s SOCKET mx ", {"example.net"}),
    ("-s SOCKET resume 192", {"192.0.2.10"}),
    ("-s SOCKET suspend 2001:db8:", {":7"}),    # bash begins anew at colons
    ("-s SOCKET sessions --policy ", {"gate"}),
    ("-s /nowhere show ", set()),
    ("sessions --outcome de", {"delivered", "deferred"}),
    ("top --outcome ", {"refused", "all"}), ("-c /etc/hostn", {"/etc/hostname"}),
))
def test_bash(fake, place, typed, offered):
    line = "weirctl " + typed.replace("SOCKET", str(fake.path))
    done = subprocess.run(
        ["bash", "--norc", "-c", f"""
        . {BASH_COMPLETION}
        . {COMPLETIONS}/weirctl.bash
        COMP_LINE=$1 COMP_POINT=${{#1}} COMP_TYPE=9 COMP_KEY=9
        read -ra COMP_WORDS <<<"${{1//:/ : }}"
        [[ $1 != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _weirctl 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """, "bash", line], check=True, capture_output=True, text=True,
        timeout=weirctl.SECONDS, env=environment())
    assert set(done.stdout.split()) == offered, done
    assert not (place / "owned").exists()


class Zsh:
    """A real one, at a terminal."""

    def __init__(self, fake):
        self.ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            ["zsh", "-f", "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment(), start_new_session=True)
        os.close(theirs)
        self.said = ""
        self.type(f"PS1=%%; fpath=({COMPLETIONS} $fpath);"
                  "autoload -Uz compinit && compinit -u -D; LISTMAX=0;"
                  f"SOCKET={fake.path}; print re''ady\n", "ready")

    def type(self, keys, until):
        self.said = ""
        os.write(self.ours, keys.encode())
        end = time.monotonic() + 20
        while not re.search(until, self.said):
            assert time.monotonic() < end, self.said
            if select.select([self.ours], [], [], 1)[0]:
                data = os.read(self.ours, 65536).decode(errors="replace")
                self.said += re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\x1b[=>]|\r", "",
                                    data)
        return self.said

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.ours)


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh(fake, place):
    zsh = Zsh(fake)
    clear = "\x15"
    try:
        zsh.type("weirctl stat\t", "weirctl status ")
        zsh.type(clear + "weirctl status --w\t", "--watch ")
        zsh.type(clear + "weirctl top sender-\t", "sender-domains ")
        said = zsh.type(clear + "weirctl re\t\t", "(?s)resume.*report|"
                        "report.*resume")
        assert "reload" in said
        zsh.type(clear + f"weirctl -s {fake.path} show 01\t", f"{ID} ")
        zsh.type(clear + f"weirctl -s {fake.path} mx exa\t", "example.net ")
        zsh.type(clear + f"weirctl -s {fake.path} suspend 20\t",
                 r"2001:db8::7 |2001\\:db8\\:\\:7 ")
        zsh.type(clear + f"weirctl -s {fake.path} sessions --policy g\t",
                 "gate ")
    finally:
        zsh.close()
    assert not (place / "owned").exists()
