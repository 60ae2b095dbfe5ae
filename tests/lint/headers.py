#!/usr/bin/python3
"""Every header compiles alone, with gcc and clang, without a warning."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

FLAGS = sum((lint.make_variable(v) for v in (
    "LIBEVENT_CFLAGS", "GNUTLS_CFLAGS", "PROTOBUF_C_CFLAGS", "SQLITE_CFLAGS",
    "MICROHTTPD_CFLAGS", "CONFUSE_CFLAGS", "CURL_CFLAGS",
    "JANSSON_CFLAGS")), [])


def compile_text(cc, text):
    run = subprocess.run(
        [cc, *lint.WARNINGS, *FLAGS, "-I" + os.path.join(lint.TOP, "src"),
         "-I" + lint.BUILD, "-fsyntax-only", "-x", "c", "-"],
        input=text, capture_output=True, text=True, timeout=60)
    return run.stderr if run.returncode else ""


def problems(cc):
    found = []
    for path in lint.sources((".h",)):
        # twice: it must also have its guard
        error = compile_text(cc, f'#include "{path}"\n' * 2)
        if error:
            found.append(f"{path}:\n{error}")
    return found


tap = lint.Tap()
for cc in ("gcc", "clang"):
    if shutil.which(cc) is None:
        tap.skip(f"headers alone with {cc}", f"no {cc}")
        continue
    tap.check(f"headers alone with {cc}", problems(cc))
    tap.check(f"{cc} refuses a header that lacks an include",
              [] if compile_text(cc, "size_t f(void);\n") else ["it passed"])
tap.done()
