"""The Python SDK reads and writes the frames of tests/golden."""

import base64
import dataclasses
import enum
import json
import sys

import pytest
from policy_harness import ROOT, SDK

sys.path.append(str(SDK))
from google.protobuf import json_format  # noqa: E402
from weir_policy import (Scope, TlsLevel, Tlsa, discard, disconnect,  # noqa: E402
                         reject, relay, tempfail, wire)
from weir_policy.decisions import failed  # noqa: E402
from weir_policy.events import KINDS, Hello, convert  # noqa: E402

VECTORS = json.loads((ROOT / "tests/golden/vectors.json").read_text())
sys.path.remove(str(SDK))


def entries(kind):
    return [pytest.param(e, id=e["name"]) for e in VECTORS[kind]]


def payload(entry):
    frames = wire.Frames()
    data = bytes.fromhex(entry["frame"])
    [frame] = [f for at in range(0, len(data), 7)
               for f in frames.feed(data[at:at + 7])]
    return frame


# ---------------------------------------------------------------- what weir says

def same(mine, theirs):
    """A fact of the SDK, and what proto3's JSON mapping has for it."""
    if dataclasses.is_dataclass(mine):
        theirs = theirs or {}
        names = [f.name for f in dataclasses.fields(mine) if f.init]
        assert set(theirs) <= set(names)
        return all(same(getattr(mine, n), theirs.get(n)) for n in names)
    if isinstance(mine, tuple):
        theirs = theirs or []
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    if isinstance(mine, enum.IntEnum):
        if not isinstance(theirs, str):  # left out, or not known
            return mine == 0
        return theirs.endswith(mine.name)
    if mine is None:
        return theirs is None
    if isinstance(mine, bytes):
        return mine == base64.b64decode(theirs or "")
    if isinstance(mine, str):
        raw = mine.encode("utf-8", "surrogateescape")
        return theirs in (mine, base64.b64encode(raw).decode()) \
            or (theirs is None and not mine)
    return mine == type(mine)(theirs or 0)


@pytest.mark.parametrize("entry", entries("to_policy"))
def test_reads(entry):
    message = wire.decode(payload(entry))
    expected = dict(entry["message"])
    for name in ("session", "seq", "deadline_ms"):
        assert getattr(message, name) == int(expected.pop(name, 0))
    kind = message.WhichOneof("event")
    assert [kind] == (list(expected) or [None])
    if kind == "hello":
        expected[kind] = dict(expected[kind])
        assert message.hello.major == expected[kind].pop("major")
    if kind in KINDS or kind == "hello":
        cls = Hello if kind == "hello" else KINDS[kind][1]
        assert same(convert(cls, getattr(message, kind)), expected[kind])
    elif kind == "ping":
        assert message.ping.token == int(expected[kind].get("token", 0))
    elif kind == "cancel":
        assert message.cancel.seq == expected[kind]["seq"]
    elif kind == "ready":
        assert list(message.ready.refused) == expected[kind].get("refused", [])


@pytest.mark.parametrize("entry", entries("refused"))
def test_refuses(entry):
    with pytest.raises(wire.ProtocolError, match="no message of weir"):
        wire.decode(payload(entry))


# ------------------------------------------------------------ what a policy says

def raw(value):
    return base64.b64decode(value)


def decision(said):
    """The SDK's decision that a policy would make for it."""
    reply = said.get("reply", {})
    text = "\n".join(raw(line).decode() for line in reply.get("lines", ()))
    scope = Scope[said.get("scope", "SCOPE_COMMAND").removeprefix("SCOPE_")]
    full = (text, reply.get("code", 0), reply.get("enhanced", ""), scope)
    made = {"ACTION_RELAY": lambda: relay(scope),
            "ACTION_REJECT": lambda: reject(*full),
            "ACTION_TEMPFAIL": lambda: tempfail(*full),
            "ACTION_DISCARD": lambda: discard(text, scope),
            "ACTION_DISCONNECT": lambda: disconnect(text, full[2])}.get(
                said.get("action"), lambda: failed(said["reason"]))()
    for edit in said.get("headers", ()):
        name, value = raw(edit["name"]), raw(edit.get("value", ""))
        index = edit.get("index", 0)
        made = {"OP_ADD": lambda: made.add_header(name, value),
                "OP_INSERT": lambda: made.insert_header(index, name, value),
                "OP_CHANGE": lambda: made.change_header(name, value, index),
                "OP_DELETE": lambda: made.delete_header(name, index)
                }[edit["op"]]()
    for s in said.get("body", ()):
        made = made.splice(int(s.get("offset", 0)), int(s.get("remove", 0)),
                           raw(s.get("insert", "")))
    if "outbound" in said:
        out = dict(said["outbound"])
        level = out.get("tls", "AS_CONFIGURED").removeprefix("TLS_LEVEL_")
        hop = out.get("next_hop")
        made = made.outbound(
            source_address=out.get("source_address", ""),
            pool=out.get("source_pool", ""),
            ehlo_name=out.get("ehlo_name", ""), tls=TlsLevel[level],
            tls_names=out.get("tls_names", ()),
            tlsa=[Tlsa(t["usage"], t.get("selector", 0), t.get("matching", 0),
                       raw(t["data"])) for t in out.get("tlsa", ())],
            next_hop=(hop["address"], hop["port"]) if hop else None)
    if said.get("rewrite_set"):
        made = made.rewrite(raw(said.get("rewrite", "")))
    if "delay_ms" in said:
        made = made.delay(said["delay_ms"] / 1000)
    if {"rule", "score", "annotations"} & set(said):
        made = made.because(rule=said.get("rule", ""),
                            score=said.get("score", 0.0),
                            reason=said.get("reason", ""),
                            annotations=said.get("annotations"))
    return made


@pytest.mark.parametrize("entry", entries("from_policy"))
def test_writes(entry):
    said = entry["message"]
    message = wire.FromPolicy(session=int(said.get("session", 0)),
                              seq=said.get("seq", 0))
    if "decision" in said:
        message.decision.CopyFrom(decision(said["decision"])._message)
    else:
        json_format.ParseDict(said, message)
    assert wire.encode(message).hex() == entry["frame"]


def test_decisions_compare():
    """So that a handler can be tested without weir."""
    assert reject("no") == reject("no")
    assert reject("no") != reject("yes")
    assert relay().add_header("X", "1").because(rule="r") == \
        relay().add_header("X", "1").because(rule="r")
    assert relay() != "relay"
