"""The command weir-policy, for its tests."""

import json
import os
import subprocess

from policy_harness import ROOT

PROGRAM = ROOT / "contrib" / "weir-policy" / "weir-policy"


def weir_policy(*arguments, code=0, text=None):
    """Runs it; what it said. code: its exit status; None: whatever."""
    done = subprocess.run(
        ["/usr/bin/python3", "-B", PROGRAM, *map(str, arguments)], input=text,
        capture_output=True, text=True, timeout=120, errors="replace",
        env={**os.environ, "PYTHONPATH": ""})
    assert "Traceback" not in done.stderr, done.stderr
    if code is not None:
        assert done.returncode == code, (done.returncode, done.stdout,
                                         done.stderr)
    return done.stdout or done.stderr


def as_json(*arguments, code=0):
    return json.loads(weir_policy(*arguments, "--json", code=code))
