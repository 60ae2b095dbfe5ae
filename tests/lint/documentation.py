#!/usr/bin/python3
"""The manual, the example and the papers agree with the program: every key
with its type, unit, range and default; every option; every path."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

DESCRIBE = os.path.join(lint.BUILD, "tests/lint/describe")
MANUALS = ["doc/weir-milter-bridge.8", "doc/weir-tlsrpt.8", "doc/weir.8",
           "doc/weir.conf.5", "doc/weir_policy.3", "doc/weirctl.8"]
PAPERS = ["README.md", "CONTRIBUTING.md", "doc/ARCHITECTURE.md",
          "doc/POLICY.md", "doc/RECORD.md", "doc/STATUS.md", "doc/STYLE.md",
          "doc/THREAT-MODEL.md"]
EXAMPLE = "contrib/weir.conf.example"


def text(path):
    with open(os.path.join(lint.TOP, path), encoding="utf-8") as f:
        return f.read()


def keys():
    """{"policy.timeout": (what the manual says of it, its default)}"""
    out = subprocess.run([DESCRIBE], check=True, capture_output=True,
                         text=True, timeout=60).stdout
    found = {}
    for line in out.splitlines():
        name, kind, unit, values, default, _ = line.split("\t")
        said = kind + (f" in {unit}" if unit != "-" else "")
        said += f"; {values}" if values != "-" else ""
        found[name] = (f"({said}; default {default})", default)
    return found


def manual_keys(page):
    """{"policy.timeout": [lines in parentheses]} of weir.conf(5)"""
    found, section, key = {}, None, None
    for line in page.split(".Sh KEYS", 1)[-1].split(".Sh ")[0].splitlines():
        if line.startswith(".Ss "):
            word = line.split()[1]
            section = "" if word == "Outside" else word + "."
        elif line.startswith(".It Ic "):
            key = section + line.split()[2]
            found[key] = []
        elif line.startswith("(") and "; default " in line and key:
            found[key].append(line)
    return found


def compare_manual(page, schema):
    said = manual_keys(page)
    problems = [f"weir.conf.5: {k} is no key" for k in said if k not in schema]
    for key, (expected, _) in schema.items():
        if key not in said:
            problems.append(f"weir.conf.5: {key} is missing")
        elif said[key] != [expected]:
            problems.append(f"weir.conf.5: {key} says {said[key]}, "
                            f"not {expected}")
    return problems


def example_keys(code):
    """Every key of the example with its value, commented out or not."""
    found, section = {}, ""
    for line in code.splitlines():
        opened = re.match(r'#?(\w+)(?: "[^"]*")? \{$', line)
        given = re.match(r"#?\t?(\w+) = (.*)$", line)
        if opened:
            section = opened.group(1) + "."
        elif line in ("}", "#}"):
            section = ""
        elif given:
            found[section + given.group(1)] = given.group(2)
    return found


# The example has to name something here.
NAMED = {"pool.addresses", "policy.endpoint"}


def compare_example(code, schema):
    said = example_keys(code)
    problems = [f"{EXAMPLE}: {k} is no key" for k in said if k not in schema]
    for key, (_, default) in schema.items():
        if key not in said:
            problems.append(f"{EXAMPLE}: {key} is missing")
        elif said[key] != default and key not in NAMED:
            problems.append(f"{EXAMPLE}: {key} = {said[key]}, but the "
                            f"default is {default}")
    return problems


def options(code):
    return set(re.findall(r'\{ "([\w-]+)", \w+_argument', code))


def compare_options(page, code):
    said = set(re.findall(r"\bFl -([\w-]+)", page))
    return [f"weir.8: --{o} is undocumented or gone"
            for o in said ^ options(code)]


def paths(paper):
    """Paths of this repository between backticks."""
    return re.findall(
        r"`((?:src|tests|doc|contrib|proto|policy-examples)/[\w./-]*)`", paper)


def load(path):
    done = subprocess.run([DESCRIBE, path], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.stdout.splitlines() if done.returncode else []


def mandoc(path):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path],
                          capture_output=True, text=True, timeout=60,
                          check=False)
    return done.stdout.splitlines()


tap = lint.Tap()
schema = keys()
manual = text("doc/weir.conf.5")
example = text(EXAMPLE)
option_code = lint.read("daemon/options.c")

tap.check("every key is in weir.conf(5) as weir -T has it",
          compare_manual(manual, schema))
tap.check("every key is in the example with its default",
          compare_example(example, schema))
tap.check("the example loads", load(os.path.join(lint.TOP, EXAMPLE)))
tap.check("every option is in weir(8)",
          compare_options(text("doc/weir.8"), option_code))
for name in MANUALS:
    if shutil.which("mandoc"):
        tap.check(f"mandoc finds nothing wrong with {name}",
                  mandoc(os.path.join(lint.TOP, name)))
    else:
        tap.skip(f"mandoc finds nothing wrong with {name}",
                 "mandoc is not installed")
for name in PAPERS:
    tap.check(f"{name} names what exists",
              [f"{name}: {p} does not exist" for p in paths(text(name))
               if not os.path.exists(os.path.join(lint.TOP, p))])
tap.check("a wrong default, a missing key and a missing option are found",
          [] if compare_manual(manual.replace("default 60s)", "default 61s)"),
                               schema)
          and compare_manual(manual.replace(".It Ic workers", ".It Ic x"),
                             schema)
          and compare_example(example.replace("stage = 10", "stage = 11"),
                              schema)
          and compare_options("", option_code)
          and paths("`src/nowhere.c`") == ["src/nowhere.c"]
          else ["they passed"])
tap.done()
