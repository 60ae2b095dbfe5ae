#!/usr/bin/python3
"""What an object exports is named after its file or folder, stands in a header
of the folder, and is no mutable data."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

# Files whose functions are named after the thing rather than the file.
ALIASES = {
    "net/listen": {"listener"},	# the struct; to listen is what it does
}


def prefixes(folder, stem):
    """smtp/command.c: smtp_ or command_; service/metrics_json.c: also
    metrics_, whose header it serves."""
    words = stem.split("_")
    files = {"_".join(words[:n + 1]) for n in range(len(words))}
    return {folder} | files | ALIASES.get(f"{folder}/{stem}", set())


def declared(folder):
    """Names that the folder's headers mention in front of a parenthesis, or
    as extern."""
    text = "".join(lint.flatten(lint.read(p))
                   for p in lint.sources((".h",))
                   if p.startswith(folder + "/"))
    return set(re.findall(r"\b(\w+)\s*\(", text)) | \
        set(re.findall(r"\bextern\b[^;]*?(\w+)\s*(?:\[[^]]*\])*\s*;", text))


def judge(folder, stem, section, name, known):
    allowed = prefixes(folder, stem)
    if not any(name == p or name.startswith(p + "_") for p in allowed):
        return f"{folder}/{stem}: {name} has none of {sorted(allowed)}"
    # .data.rel.ro is constant once the program has been relocated
    if section == "*COM*" or re.match(r"\.(data(?!\.rel\.ro)|t?bss|tdata)",
                                      section):
        return f"{folder}/{stem}: {name} is mutable data"
    if name not in known:
        return f"{folder}/{stem}: {name} stands in no header of {folder}/"
    return None


def problems(folder):
    library = os.path.join(lint.BUILD, "src", folder, f"lib{folder}.a")
    if not os.path.exists(library):
        return [f"{library} is not built"]
    listing = subprocess.run(
        ["nm", "--extern-only", "--defined-only", "--format=sysv", library], check=True,
        capture_output=True, text=True, timeout=60).stdout
    known = declared(folder)
    found = []
    for line in listing.splitlines():
        member = re.match(r".*\[(?:\w*lib\w+_a-)?([^]]*)\.o\]:$", line)
        if member:
            stem = member.group(1)
        columns = [c.strip() for c in line.split("|")]
        if len(columns) != 7:
            continue
        name, section = columns[0], columns[6]
        # protobuf-c's code keeps to the names of the contract; what the
        # sanitizers add is not ours either
        if stem == "policy.pb-c" or name.startswith(("__", "_ZN")):
            continue
        seen.append(name)
        found.append(judge(folder, stem, section, name, known))
    return [f for f in found if f]


seen = []
tap = lint.Tap()
if shutil.which("nm") is None:
    tap.skip("exported symbols", "no nm")
    tap.done()
for layer in [*lint.LAYERS[:-1], *lint.PROGRAMS]:
    tap.check(f"{layer}: exported symbols", problems(layer))
tap.check("symbols are found",
          [] if len(seen) > 100 else [f"{len(seen)} only"])
known = {"smtp_line_next", "line_next", "helper", "line_data"}
tap.check("the rule can fail", [
    f"{name}: {'refused' if bad else 'passed'}" for section, name, bad in (
        (".text", "smtp_line_next", False), (".text", "line_next", False),
        (".text", "helper", True), (".text", "linear", True),
        (".text", "smtp_line_hidden", True), (".data", "line_data", True),
        (".bss", "line_data", True), ("*COM*", "line_data", True),
        (".rodata", "line_data", False),
        (".data.rel.ro.local", "line_data", False))
    if bool(judge("smtp", "line", section, name, known)) != bad])
tap.done()
