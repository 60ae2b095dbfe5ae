#!/usr/bin/python3
"""Every #include points to the same layer or one below, and each third-party
library is known to one folder only."""
import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint

OWNERS = {
    "gnutls/": {"net"}, "event2/": {"net"},
    "unbound.h": {"net"},
    "sqlite3.h": {"service"}, "microhttpd.h": {"service"},
    "libpsl.h": {"mx"},
    "protobuf-c/": {"policy"}, "proto/": {"policy"},
    "confuse.h": {"config"}, "uthash.h": {"base"},
    "curl/": {"weirctl"}, "jansson.h": {"weirctl"},
}


def problems(top):
    found = []
    for path in lint.sources(top=top):
        layer = path.split("/")[0]
        if layer not in lint.LAYERS and layer not in lint.PROGRAMS:
            found.append(f"{path}: {layer}/ is no layer")
            continue
        code = lint.flatten(lint.read(path, top), strings=False)
        for name in re.findall(r'^\s*#\s*include\s*[<"]([^>"]*)[>"]', code,
                               re.M):
            owner = next((o for k, o in OWNERS.items()
                          if name.startswith(k)), None)
            other = name.split("/")[0]
            if owner is not None:
                if layer not in owner:
                    found.append(f"{path}: {name} belongs to {owner}")
            elif os.path.exists(os.path.join(top, "src", name)):
                if layer in lint.PROGRAMS or other in lint.PROGRAMS:
                    if other != layer and not name.startswith(
                            lint.PROGRAMS.get(layer, ())):
                        found.append(f"{path}: {name} is not for {layer}/")
                elif lint.LAYERS.index(other) > lint.LAYERS.index(layer):
                    found.append(f"{path}: includes {name}, a layer above")
            elif os.path.exists(os.path.join(top, "src", layer, name)):
                found.append(f"{path}: {name} without its folder")
            elif other in lint.LAYERS or other in lint.PROGRAMS:
                found.append(f"{path}: {name} does not exist")
    return found


WRONG = {
    "base/up.h": '#include "session/session.h"\n',
    "session/session.h": '#include "net/loop.h"\n',
    "net/loop.h": "#include <sqlite3.h>\n",
    "smtp/short.c": '#include "short.h"\n',
    "smtp/short.h": "",
    "policy/gone.c": '#include "policy/gone.h"\n',
    "config/tls.c": "#  include <gnutls/gnutls.h>\n",
    "extra/x.c": "",
    "weirctl/reach.c": '#include "session/session.h"\n',
    "daemon/down.c": '#include "weirctl/table.h"\n',
    "mx/curl.c": "#include <curl/curl.h>\n",
}
RIGHT = {
    "session/fine.c": '#include "smtp/short.h"\n#include <stdio.h>\n',
    "net/fine.c": '#include <event2/event.h>\n/* #include <sqlite3.h> */\n',
    "weirctl/table.h": "#include <jansson.h>\n",
    "weirctl/fine.c": '#include "weirctl/table.h"\n#include "base/base.h"\n',
    "base/base.h": "",
}


def self_test():
    with tempfile.TemporaryDirectory(prefix="weir-lint.") as top:
        for path, text in {**WRONG, **RIGHT}.items():
            full = os.path.join(top, "src", path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as f:
                f.write(text)
        blamed = {p.split(":")[0] for p in problems(top)}
        expected = set(WRONG) - {"smtp/short.h"}
        return [] if blamed == expected else \
            [f"blamed {sorted(blamed)}, expected {sorted(expected)}"]


tap = lint.Tap()
tap.check("the sources are found",
          [] if len(lint.sources()) > 40 else ["too few"])
tap.check("includes respect the layers", problems(lint.TOP))
tap.check("a wrong tree is refused", self_test())
tap.done()
