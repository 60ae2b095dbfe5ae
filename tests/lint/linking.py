#!/usr/bin/python3
"""Each layer links with only those below it: no call goes up unseen."""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

CC = lint.make_variable("CC") or ["cc"]
FLAGS = lint.make_variable("CFLAGS") + lint.make_variable("SANITIZER_FLAGS") \
    + ["-pthread"]
# In the order in which the layers may use them.
LIBRARIES = {
    "base": [], "smtp": [], "policy": ["PROTOBUF_C_LIBS"],
    "mx": ["LIBPSL_LIBS"],
    "config": ["CONFUSE_LIBS"], "session": [],
    "net": ["LIBEVENT_LIBS", "GNUTLS_LIBS", "UNBOUND_LIBS"],
    "service": ["SQLITE_LIBS", "MICROHTTPD_LIBS"],
}


def archive(layer):
    return os.path.join(lint.BUILD, "src", layer, f"lib{layer}.a")


def link(layers, main, folder, parts=()):
    """What the linker says to layers, all of it, and their libraries; and to
    what they need of other parts."""
    source = os.path.join(folder, "main.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write(main)
    external = [w for l in layers for v in LIBRARIES[l]
                for w in lint.make_variable(v)]
    run = subprocess.run(
        [*CC, *FLAGS, source, "-Wl,--whole-archive",
         *(archive(l) for l in reversed(layers)), "-Wl,--no-whole-archive",
         *(archive(p) for p in parts), *external, "-lm", "-o",
         os.path.join(folder, "a.out")],
        capture_output=True, text=True, timeout=120)
    return run.stderr if run.returncode else ""


tap = lint.Tap()
layers = list(LIBRARIES)
LIBRARIES["weirctl"] = ["CURL_LIBS", "JANSSON_LIBS", "SQLITE_LIBS"]
with tempfile.TemporaryDirectory(prefix="weir-lint.") as scratch:
    for n, layer in enumerate(layers):
        error = link(layers[:n + 1], "int main(void) { return 0; }\n", scratch)
        tap.check(f"{layer} links with what is below it",
                  [error] if error else [])
    program = link(["base", "smtp", "policy", "mx", "config", "weirctl"],
                   "int main(void) { return 0; }\n", scratch, ["service"])
    tap.check("weirctl links with what it may use",
              [program] if program else [])
    upward = "int session_feed(void); int main(void)" \
        " { return session_feed(); }\n"
    tap.check("a call upward does not link",
              [] if "session_feed" in link(["base", "smtp"], upward, scratch)
              else ["it did"])
tap.done()
