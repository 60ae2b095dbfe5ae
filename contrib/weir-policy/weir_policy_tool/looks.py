"""What the first bytes of a server that does not speak the protocol look like,
so that an error can say what to do."""

from __future__ import annotations

_BEGINNINGS = [
    (b"HTTP/", "this looks like HTTP: a wrong port, or a web framework;"
               " frames go over a plain socket"),
    (b"\x00\x00\x12\x04", "this looks like HTTP/2 (gRPC?): the protocol is"
                          " protobuf, but not gRPC"),
    (b"\x15\x03", "this looks like TLS: use tls:host:port"),
    (b"\x16\x03", "this looks like TLS: use tls:host:port"),
    (b"action=", "this looks like a Postfix policy service, which speaks"
                 " another protocol"),
    (b"220 ", "this looks like an SMTP server: a wrong port?"),
    (b"220-", "this looks like an SMTP server: a wrong port?"),
    (b"SSH-", "this looks like an SSH server: a wrong port?"),
    (b"{", "this looks like JSON: the protocol is protobuf's binary form"),
    (b"<", "this looks like HTML or XML: a wrong port?"),
]


def like(first: bytes) -> str:
    """Words for the first bytes; empty if they look like nothing known."""
    for beginning, words in _BEGINNINGS:
        if first.startswith(beginning):
            return words
    if len(first) >= 5 and first[4:5] in b"OARTYXF" and first[:2] == b"\0\0":
        return "this looks like a milter: put contrib/milter-bridge between"
    if len(first) >= 5 and 0 < int.from_bytes(first[:4], "little") < 1 << 16 \
            and int.from_bytes(first[:4], "big") > 1 << 20:
        return ("the length seems to be little-endian: it must be big-endian"
                " (Python \"big\", C htonl)")
    if len(first) >= 2 and first[0] in (0x52, 0x08):
        return "this looks like a message without the 4-byte length before it"
    if first and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in first):
        return f"this is text, and no frame: {first[:40]!r}"
    return ""
