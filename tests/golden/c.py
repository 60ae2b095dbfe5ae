#!/usr/bin/python3
"""libweir-policy reads and writes vectors.json; see README and probe.c."""
import base64
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

TOP, BUILD = os.environ["top_srcdir"], os.environ["top_builddir"]

# What a program does not write by itself: the library's own subscriptions are
# in these.
NOT_OURS = {"welcome", "update"}
# Hello's own affairs, which a policy need not know.
HANDSHAKE = {"major", "features", "max_frame"}


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


VECTORS = json.loads(read("tests/golden/vectors.json"))
ENUMS = {name: int(number) for name, number in re.findall(
    r"\b([A-Z][A-Z0-9_]+) = (\d+);", read("proto/policy.proto"))}
BYTES = {
    "raw", "sender", "recipient", "parameters", "lines", "data", "verb",
    "identity", "arguments", "peer_certificate", "insert", "rewrite"}


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def frame(number, body, session=0, seq=0):
    """A ToPolicy with one event, its body given."""
    data = b"".join([
        b"\x08" + varint(session) if session else b"",
        b"\x10" + varint(seq) + b"\x18" + varint(5000) if seq else b"",
        varint(number << 3 | 2) + varint(len(body)) + body])
    return struct.pack(">I", len(data)) + data


HELLO = frame(10, b"\x08\x01" + b"\x50\x80\x80\x40")
READY = frame(11, b"")
PING, PONG = frame(12, b"\x08\x07"), bytes.fromhex("000000045a020807")
MAIL, HEADERS = 26, 29


class Probe:
    def __init__(self, *options):
        self.place = tempfile.TemporaryDirectory(prefix="weir-golden-")
        self.path = f"{self.place.name}/probe.sock"
        self.process = subprocess.Popen(
            [f"{BUILD}/tests/golden/probe", *options, f"unix:{self.path}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.log = self.process.stderr.readline()
        assert "listening on" in self.log, self.log

    def connect(self, hello=HELLO, ready=READY):
        weir = socket.socket(socket.AF_UNIX)
        weir.settimeout(10)
        weir.connect(self.path)
        weir.sendall(hello)
        receive(weir)
        weir.sendall(ready)
        return weir

    def line(self):
        return json.loads(self.process.stdout.readline())

    def command(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        rest = self.process.stdout.read()
        log = self.process.stderr.read()
        return self.process.wait(10), rest, log


def receive(weir):
    """One frame, whole; b"" at the end."""
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
        size = 4 if len(data) < 4 else 4 + struct.unpack(">I", data[:4])[0]
        more = weir.recv(size - len(data))
        if not more:
            return data
        data += more
    return data


def plain(value, name=""):
    """JSON of either side in one form: numbers, hex, nothing that is 0."""
    if isinstance(value, dict):
        out = {k: plain(v, k) for k, v in value.items() if k != ""}
        return {k: v for k, v in out.items() if v}
    if isinstance(value, list):
        return [plain(v, name) for v in value]
    if isinstance(value, str) and name in NUMBERS:
        return ENUMS.get(value) or int(value)
    return value


NUMBERS = {"mode", "leg", "phase", "outcome", "if_enforced", "connect_us",
           "greeting_us", "handshake_us", "latency_us", "offset", "length",
           "size", "bytes", "token", "max_offset", "remove"}


def expected(kind, facts):
    """The facts of `message` as the probe prints them."""
    def hexed(value, name=""):
        if isinstance(value, dict):
            return {k: hexed(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [hexed(v, name) for v in value]
        # of Ehlo, `name` is from the wire too; of Pool it is not
        if name in BYTES or (name == "name" and kind == "ehlo"):
            return base64.b64decode(value).hex()
        return value
    facts = plain(hexed(facts))
    if kind == "headers":
        raw = bytes.fromhex(facts.get("raw", ""))
        for field in facts.get("fields", []):
            at = field.get("offset", 0)
            text = raw[at:at + field["length"]].rstrip(b"\r\n")
            value = text[text.index(b":", field["name_length"]) + 1:]
            field.update({"value": value.hex()} if value else {})
    if kind == "hello":
        facts = {k: v for k, v in facts.items() if k not in HANDSHAKE}
        for key in ("phases", "grants"):
            if key in facts:
                facts[key] = sum(1 << ENUMS[name] for name in facts[key])
    return facts


def same(got, want):
    return [] if got == want else [f"got  {got}", f"want {want}"]


def check_ready(probe, entry):
    """Phases that weir refuses are in the log; the connection goes on."""
    with probe.connect(ready=bytes.fromhex(entry["frame"])) as weir:
        weir.sendall(PING)
        found = same(receive(weir), PONG)
    return found + sum((
        same(name in probe.process.stderr.readline(), True)
        for name in entry["message"]["ready"].get("refused", [])), [])


def check_hello(probe, entry):
    with probe.connect(bytes.fromhex(entry["frame"])) as weir:
        weir.sendall(frame(MAIL, b"", 9))
        found = same(plain(probe.line())["hello"],
                     expected("hello", entry["message"]["hello"]))
        probe.line()
    until_freed(probe)
    return found


def check_cancel(probe, entry):
    message = entry["message"]
    with probe.connect() as weir:
        weir.sendall(frame(MAIL, b"", int(message["session"]),
                           message["cancel"]["seq"]) +
                     bytes.fromhex(entry["frame"]))
        probe.line(), probe.line()
        found = same(probe.line()["cancel"]["session"], 1)
        probe.command("relay")
    until_freed(probe)
    return found


def check_quiet(probe, entry):
    """Nothing that the program sees; only Ping is answered."""
    with probe.connect() as weir:
        weir.sendall(bytes.fromhex(entry["frame"]) + PING)
        found = []
        if "ping" in entry["message"]:
            want = next(e["frame"] for e in VECTORS["from_policy"]
                        if e["message"] == {"pong": entry["message"]["ping"]})
            found = same(receive(weir).hex(), want)
        return found + same(receive(weir), PONG)


def check_phase(probe, entry, kind):
    message = entry["message"]
    with probe.connect() as weir:
        weir.sendall(bytes.fromhex(entry["frame"]))
        probe.line()                            # hello
        got = plain(probe.line())
        found = same(got.get(kind, {}), expected(kind, message[kind]))
        found += same((got.get("asked", 0), got.get("deadline_ms")),
                      (int("seq" in message), message.get("deadline_ms")))
        if "seq" in message:
            probe.command("relay")
            receive(weir)
    until_freed(probe)
    return found


def check_event(probe, entry):
    kind = next((k for k in entry["message"]
                 if k not in ("session", "seq", "deadline_ms")), None)
    others = {None: check_quiet, "ping": check_quiet, "drain": check_quiet,
              "ready": check_ready, "hello": check_hello,
              "cancel": check_cancel}
    if kind in others:
        return others[kind](probe, entry)
    return check_phase(probe, entry, kind)


def until_freed(probe):
    while probe.line() != {"freed": "session"}:
        pass


def word(data):
    """Text for a command: bytes, or the str of a `string`."""
    data = data.encode() if isinstance(data, str) else data
    return data.hex()


def commands(message):
    """The lines that make the probe send this FromPolicy."""
    kind = next(k for k in message if k not in ("session", "seq"))
    body = message[kind]
    if kind == "working":
        return [("working", body["extra_ms"])]
    if kind == "credit":
        return [("credit", body["message"], int(body["max_offset"]) - 262144)]
    if kind == "annotate":
        return [("annotate", word(k), word(v))
                for k, v in body["annotations"].items()]
    return [*details(body), action(body)]


def action(d):
    reply = d.get("reply", {})
    lines = b"\n".join(base64.b64decode(line)
                       for line in reply.get("lines", []))
    name = d.get("action", "ACTION_none").removeprefix("ACTION_").lower()
    if name == "none":
        return name, word(d["reason"])
    return (name, reply.get("code", 0), word(reply.get("enhanced", "")) if
            reply.get("enhanced") else "-", word(lines) if lines else "-")


def details(d):
    for k, v in d.get("annotations", {}).items():
        yield "note", word(k), word(v)
    if d.get("scope"):
        yield "scope", ENUMS[d["scope"]]
    if d.get("delay_ms"):
        yield "delay", d["delay_ms"]
    if d.get("rule"):
        yield ("because", word(d["rule"]), repr(d.get("score", 0)),
               word(d.get("reason", "")))
    for edit in d.get("headers", []):
        yield (edit["op"].removeprefix("OP_").lower(), edit.get("index", 0),
               word(base64.b64decode(edit["name"])),
               word(base64.b64decode(edit.get("value", ""))))
    for splice in d.get("body", []):
        yield ("splice", splice.get("offset", 0), splice.get("remove", 0),
               base64.b64decode(splice.get("insert", "")).hex() or "-")
    if d.get("rewrite_set"):
        yield "rewrite", word(base64.b64decode(d.get("rewrite", "")))
    if "outbound" in d:
        yield outbound(d["outbound"])


def outbound(o):
    hop = o.get("next_hop", {})
    tlsa = ["/".join([str(t.get("usage", 0)), str(t.get("selector", 0)),
                      str(t.get("matching", 0)),
                      base64.b64decode(t["data"]).hex()])
            for t in o.get("tlsa", [])]
    return ("outbound", *(word(o[k]) if k in o else "-" for k in (
        "source_address", "source_pool", "ehlo_name")),
        ENUMS.get(o.get("tls"), 0), word(hop["address"]) if hop else "-",
        hop.get("port", 0), ",".join(map(word, o.get("tls_names", []))) or ",",
        ",".join(tlsa) or ",")


def check_answer(probe, entry):
    message = entry["message"]
    session = int(message.get("session", 5))
    with probe.connect() as weir:
        if "credit" in message:
            weir.sendall(frame(HEADERS, b"\x18\x02", session))
        else:
            weir.sendall(frame(MAIL, b"", session, message.get("seq", 1)))
        probe.line(), probe.line()
        for line in commands(message):
            probe.command(*line)
        found = same(receive(weir).hex(), entry["frame"])
        if "decision" not in message and "credit" not in message:
            probe.command("relay")
            receive(weir)
    until_freed(probe)
    return found


def check_refused(probe, entry):
    with probe.connect() as weir:
        weir.sendall(bytes.fromhex(entry["frame"]))
        found = same(receive(weir), b"")
    line = probe.process.stderr.readline()
    return found + same(line, "demo/1: closing a connection: a frame that holds "
                        "no message of the protocol\n")


count = failed = 0


def report(name, found):
    global count, failed
    count += 1
    failed += bool(found)
    print("not ok" if found else "ok", count, "-", name, flush=True)
    for problem in found:
        print("# " + str(problem)[:2000], flush=True)


probe = Probe("-m")
for entry in VECTORS["to_policy"]:
    report("in: " + entry["name"], check_event(probe, entry))
for entry in VECTORS["refused"]:
    report("refused: " + entry["name"], check_refused(probe, entry))
for entry in VECTORS["from_policy"]:
    if entry["name"] not in NOT_OURS and "pong" not in entry["message"]:
        report("out: " + entry["name"], check_answer(probe, entry))
code, rest, log = probe.stop()
report("the probe ends well", same((code, rest), (0, '{"end": 0}\n')))
print(f"1..{count}")
sys.exit(1 if failed else 0)
