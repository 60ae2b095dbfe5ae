#!/usr/bin/python3
"""Files of at most 600 lines, functions of at most 80."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

FILE_MAX = 600
FUNCTION_MAX = 80

# Pure tables that may be longer: path, or path:function, and why.
EXCEPTIONS = {}


def functions(code):
    """(name, first line, lines) of each; a body opens with a brace in the
    first column, as the style has it, or at the end of a top-level line."""
    lines = lint.flatten(code).splitlines()
    depth, start, name = 0, 0, None
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            continue
        if depth == 0:
            found = re.match(r"(?:[\w*]+[\s*]+)*(\w+)\s*\(", line)
            if found:
                name, start = found.group(1), number
            elif line.startswith(("struct", "enum", "static const", "const",
                                  "union", "typedef")):
                name = None
        before, depth = depth, depth + line.count("{") - line.count("}")
        if before > 0 and depth == 0:
            if name:
                yield name, start, number - start + 1
            name = None


def problems(path, code):
    found = []
    lines = code.count("\n")
    if lines > FILE_MAX and path not in EXCEPTIONS:
        found.append(f"{path}: {lines} lines, more than {FILE_MAX}")
    for name, start, length in functions(code):
        if length > FUNCTION_MAX and f"{path}:{name}" not in EXCEPTIONS:
            found.append(f"{path}:{start}: {name}() has {length} lines, "
                         f"more than {FUNCTION_MAX}")
    return found


tap = lint.Tap()
paths = lint.sources()
tap.check("files and functions are short", sum(
    (problems(p, lint.read(p)) for p in paths), []))
count = sum(len(list(functions(lint.read(p)))) for p in paths
            if p.endswith(".c"))
tap.check("functions are recognized", [] if count > 60 else [f"{count} only"])


def sample(n):
    return "static int\nlong_one(int a,\n    int b)\n{\n" + "\ta++;\n" * n + \
        "}\n"


tap.check("a long function and a long file are refused",
          [] if problems("x.c", sample(78)) and problems("x.c", "\n" * 601)
          and not problems("x.c", sample(70) + sample(70))
          and not problems("x.c", "\n" * 600) else ["they passed"])
tap.done()
