"""Decisions and outcomes: in words, and as plain data for JSON."""

from __future__ import annotations

from typing import Any

from weir_policy.decisions import Scope, TlsLevel
from weir_policy.events import text

from .play import Answer

ACTIONS = {0: "none", 1: "relay", 2: "reject", 3: "tempfail", 4: "discard",
           5: "disconnect"}
OPS = {1: "add", 2: "insert", 3: "change", 4: "delete"}
DEFAULTS = {2: "550", 3: "451", 4: "250", 5: "421"}


def printable(data: bytes | str) -> str:
    """Bytes of an SMTP wire on a terminal: nothing that controls it."""
    shown = text(data) if isinstance(data, bytes) else data
    return "".join(c if c.isprintable() else f"\\x{ord(c) & 0xff:02x}"
                   for c in shown)


def about(event: dict[str, Any]) -> str:
    """Whom or what one {kind: facts} event is about, if a word says that."""
    (kind, facts), = event.items()
    if kind == "connect":
        client = facts.get("client")
        return str(client["address"] if isinstance(client, dict)
                   else getattr(client, "address", ""))
    if kind in ("mail", "rcpt"):
        address = facts.get("sender" if kind == "mail" else "recipient", b"")
        return f"<{printable(address)}>"
    return printable(facts.get({"ehlo": "name", "auth": "identity"}.get(
        kind, ""), b""))


def reply(decision: Any) -> str:
    r = decision.reply
    if not r.code:
        return DEFAULTS.get(decision.action, "")
    lines = [printable(line) for line in r.lines]
    return " ".join(w for w in (str(r.code), r.enhanced, " / ".join(lines))
                    if w)


def verdict(answer: Answer) -> str:
    """An answer on one line."""
    if answer.error:
        return f"FAILED {answer.error}"
    decision = answer.decision
    if decision is None:
        return "not asked"
    words = [ACTIONS.get(decision.action, str(decision.action))]
    if decision.action in DEFAULTS:
        words.append(reply(decision))
    if answer.repeated:
        words.append("(repeated)")
    elif decision.scope in (1, 2):
        words.append(f"(for the {Scope(decision.scope).name.lower()})")
    words += changes(decision)
    for name in ("rule", "score", "reason"):
        value = getattr(decision, name)
        if value:
            shown = f"{value:g}" if name == "score" else printable(value)
            words.append(f"{name}={shown}")
    words += [f"{k}={printable(v)}" for k, v in
              sorted(decision.annotations.items())]
    return " ".join(words)


def changes(decision: Any) -> list[str]:
    """What a decision edits or chooses, in words."""
    words = []
    for edit in decision.headers:
        value = "" if edit.op == 4 else f": {printable(edit.value)}"
        words.append(f"[{OPS.get(edit.op, '?')} {printable(edit.name)}"
                     f"{value}]")
    for s in decision.body:
        words.append(f"[body at {s.offset}: remove {s.remove}, insert"
                     f" {len(s.insert)} bytes]")
    if decision.rewrite_set:
        words.append(f"[rewrite <{printable(decision.rewrite)}>]")
    if decision.HasField("outbound"):
        out = decision.outbound
        facts = {"from": out.source_address or out.source_pool,
                 "ehlo": out.ehlo_name, "names": ",".join(out.tls_names),
                 "tls": TlsLevel(out.tls).name.lower() if out.tls else "",
                 "next_hop": f"{out.next_hop.address}:{out.next_hop.port}"
                 if out.HasField("next_hop") else ""}
        words.append("[outbound " + " ".join(
            f"{k}={v}" for k, v in facts.items() if v) + "]")
    if decision.delay_ms:
        words.append(f"[delay {decision.delay_ms / 1000:g} s]")
    return words


def plain(value: Any) -> Any:
    """An event or a protobuf message for JSON: bytes become text, in which
    what is no UTF-8 is a lone surrogate."""
    if isinstance(value, bytes):
        return text(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if hasattr(value, "ListFields"):
        return {f.name: plain(v) for f, v in value.ListFields()}
    if hasattr(value, "items"):
        return {key: plain(v) for key, v in value.items()}
    return [plain(v) for v in value]


def decision_data(decision: Any) -> dict[str, Any]:
    data: dict[str, Any] = plain(decision)
    data["action"] = ACTIONS.get(decision.action, str(decision.action))
    if data.pop("scope", 0):
        data["scope"] = Scope(decision.scope).name.lower()
    for made, edit in zip(data.get("headers", ()), decision.headers):
        made["op"] = OPS.get(edit.op, "?")
    return data


def display(message: bytes) -> str:
    """A message on a terminal, its lines as lines."""
    return "".join(printable(line.rstrip("\r")) + "\n"
                   for line in text(message).removesuffix("\n").split("\n"))
