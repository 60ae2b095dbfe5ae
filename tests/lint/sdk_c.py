#!/usr/bin/python3
"""The C library's header, its list of symbols, what it exports, and its man
page name the same functions; and the header compiles alone, as C++ as well."""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint


def text(path):
    with open(os.path.join(lint.TOP, path), encoding="utf-8") as f:
        return f.read()


def declared(header):
    code = lint.flatten(header)
    return set(re.findall(r"^(?!typedef)[\w ]+[ *](weir_\w+)\(", code, re.M))


def listed(symbols):
    return set(re.findall(r"^\t(\w+);", symbols, re.M))


def documented(page):
    return set(re.findall(r"^\.Fn (weir_\w+) ", page, re.M)) - \
        {"weir_event_fn"}


def exported():
    done = subprocess.run(
        ["nm", "-D", "--defined-only", os.path.join(
            lint.BUILD, "contrib/sdk/c/.libs/libweir-policy.so")],
        capture_output=True, text=True, check=True, timeout=60)
    return {line.split()[2].partition("@")[0]
            for line in done.stdout.splitlines() if line.split()[1] == "T"}


def compare(what, got, want):
    return [f"{what}: {name} is missing" for name in sorted(want - got)] + \
        [f"{what}: {name} is too much" for name in sorted(got - want)]


def alone(language, text):
    flags = [w for w in lint.WARNINGS if language == "c" or
             not w.startswith(("-std", "-Wstrict"))]
    done = subprocess.run(
        ["clang", *flags, f"-I{lint.TOP}/contrib/sdk/c", "-fsyntax-only",
         "-x", language, "-"], input=text, capture_output=True, text=True,
        timeout=60, check=False)
    return done.stderr.splitlines() if done.returncode else []


tap = lint.Tap()
functions = declared(text("contrib/sdk/c/weir_policy.h"))
tap.check("functions are recognized",
          [] if len(functions) > 40 else [f"{len(functions)} only"])
tap.check("the list of symbols has them", compare(
    "weir-policy.map", listed(text("contrib/sdk/c/weir-policy.map")),
    functions))
tap.check("the man page has them", compare(
    "weir_policy.3", documented(text("doc/weir_policy.3")), functions))
tap.check("the library exports them, and nothing else",
          compare("libweir-policy.so", exported(), functions))
tap.check("one that is missing is found",
          [] if compare("x", functions - {"weir_on"}, functions)
          and compare("x", functions | {"y"}, functions) else ["it passed"])
for language in ("c", "c++"):
    if shutil.which("clang"):
        tap.check(f"the header compiles alone as {language}",
                  alone(language, "#include <weir_policy.h>\n" * 2))
    else:
        tap.skip(f"the header compiles alone as {language}", "no clang")
tap.done()
