"""The events of one SMTP session that brings one message."""

from __future__ import annotations

import email.utils
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import Any

from weir_policy.events import Leg, Outcome, Phase

from . import edits

Event = dict[str, Any]
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid() -> str:
    number = time.time_ns() // 1_000_000 << 80 | secrets.randbits(80)
    return "".join(_BASE32[number >> shift & 31]
                   for shift in range(125, -1, -5))


@dataclass
class Session:
    """Who sends, to whom, from where, what."""

    raw: bytes
    sender: bytes = b""
    recipients: list[bytes] = field(default_factory=list)
    client: str = "192.0.2.10"
    destination: str = "198.51.100.25"
    listener: str = "outbound"
    helo: bytes = b"client.example"
    tls: str = ""  # a version: the client's leg
    auth: bytes = b""

    def __post_init__(self) -> None:
        self.connection, self.transaction = ulid(), ulid()
        self.headers, self.body = edits.split(self.raw)

    def before(self) -> Iterator[Event]:
        """From the client's connection to the last RCPT."""
        yield {"connect": {
            "connection_id": self.connection, "listener": self.listener,
            "client": {"address": self.client, "port": 40000},
            "destination": {"address": self.destination, "port": 25}}}
        yield {"upstream": {
            "local": {"address": "192.0.2.1", "port": 50000},
            "remote": {"address": self.destination, "port": 25},
            "greeting": {"code": 220, "lines": [b"mx.example ESMTP"]},
            "connect_us": 1000, "greeting_us": 1000}}
        yield self._ehlo()
        if self.tls:
            yield {"tls": {"leg": Leg.CLIENT, "version": self.tls,
                           "cipher": "TLS_AES_256_GCM_SHA384",
                           "cipher_bits": 256}}
            yield self._ehlo()
        if self.auth:
            yield {"auth": {"mechanism": "PLAIN", "identity": self.auth}}
        size = b"SIZE=%d" % len(self.raw)
        yield {"mail": {"transaction_id": self.transaction,
                        "raw": b"FROM:<" + self.sender + b"> " + size,
                        "sender": self.sender, "parameters": [size]}}
        for index, recipient in enumerate(self.recipients):
            yield {"rcpt": {"raw": b"TO:<" + recipient + b">",
                            "recipient": recipient, "index": index}}

    def _ehlo(self) -> Event:
        return {"ehlo": {"verb": b"EHLO", "name": self.helo}}

    def content(self, accepted: list[int]) -> Iterator[Event]:
        """From DATA to the final dot."""
        yield {"data": {"accepted": accepted}}
        yield {"headers": {"raw": self.headers, "message": 1,
                           "fields": edits.fields(self.headers)}}
        for at in range(0, len(self.body), 65536):
            yield {"body": {"data": self.body[at:at + 65536]}}
        yield {"end_of_message": {"size": len(self.raw)}}

    def after(self, outcome: Outcome, decided_by: str) -> Iterator[Event]:
        """The MX's last word, and the ends."""
        reply = {"code": 250, "enhanced": "2.0.0", "lines": [b"OK"]}
        if decided_by == "mx":
            yield {"reply": {"phase": Phase.END_OF_MESSAGE, "reply": reply,
                             "latency_us": 1000}}
        yield {"transaction_end": {
            "transaction_id": self.transaction, "outcome": outcome,
            "decided_by": decided_by,
            "own_decision_applied": decided_by != "mx"}}
        yield {"session_end": {"cause": "quit", "transactions": 1,
                               "bytes": len(self.raw)}}


def with_crlf(raw: bytes) -> bytes:
    """Files on disk end their lines with LF; SMTP does not."""
    return re.sub(rb"\r?\n", b"\r\n", raw)


def addresses(raw: bytes, *names: str) -> list[bytes]:
    """The addresses in header fields of these names."""
    parsed = BytesHeaderParser().parsebytes(raw)
    values = [str(v) for name in names for v in parsed.get_all(name, [])]
    return [address.encode("utf-8", "surrogateescape") for _, address
            in email.utils.getaddresses(values) if "@" in address]
