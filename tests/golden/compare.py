#!/usr/bin/python3
"""vectors.json is what generate prints, and a test would see a difference."""
import json
import os
import subprocess
import sys

top, build = os.environ["top_srcdir"], os.environ["top_builddir"]
with open(os.path.join(top, "tests/golden/vectors.json"), "rb") as f:
    committed = f.read()
printed = subprocess.run([os.path.join(build, "tests/golden/generate")],
                         stdout=subprocess.PIPE, check=True, timeout=60).stdout
same = printed == committed
print("ok" if same else "not ok", "1 - vectors.json is up to date")
if not same:
    print("# build/tests/golden/generate >tests/golden/vectors.json")
lists = json.loads(committed)
names = [(kind, entry["name"]) for kind in lists for entry in lists[kind]]
short = [entry["name"] for entries in lists.values() for entry in entries
         if int(entry["frame"][:8], 16) != len(entry["frame"]) // 2 - 4]
good = len(names) > 60 and len(set(names)) == len(names) and not short
print("ok" if good else "not ok", "2 - each entry has a name and a whole frame")
print("1..2")
sys.exit(0 if same and good else 1)
