"""TLS messages and certificates, octet by octet: what no library would make."""

import os
import struct

ECDHE_ECDSA, ECDHE_RSA, DHE_RSA, RC4, TLS13 = (
    0xc02b, 0xc02f, 0x009e, 0x0005, 0x1301)
HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, DATA = 22, 21, 20, 23
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891"
                      "c2a211167abb8c5e079e09e2c8a8339c")


def u16(value):
    return struct.pack(">H", value)


def u24(value):
    return struct.pack(">I", value)[1:]


def record(kind, body, version=0x0303):
    return bytes([kind]) + u16(version) + u16(len(body)) + body


def handshake(kind, body):
    """One message, in as many records as it needs."""
    message = bytes([kind]) + u24(len(body)) + body
    return b"".join(record(HANDSHAKE, message[at:at + 16384])
                    for at in range(0, len(message), 16384))


def alert(level, description):
    return record(ALERT, bytes([level, description]))


def extension(kind, body):
    return u16(kind) + u16(len(body)) + body


def server_hello(hello, suite, extensions=b"", version=0x0303, random=None):
    return handshake(2, u16(version) + (random or os.urandom(32))
                     + bytes([len(hello.session_id)]) + hello.session_id
                     + u16(suite) + b"\0"
                     + (u16(len(extensions)) + extensions
                        if extensions else b""))


def hello_13(hello):
    """A key share that is a point on no curve that anybody knows."""
    return server_hello(hello, TLS13, extension(43, u16(0x0304)) + extension(
        51, u16(29) + u16(32) + os.urandom(32)))


def hello_retry(hello):
    return server_hello(hello, TLS13, extension(43, u16(0x0304)) + extension(
        51, u16(24)), random=RETRY)


def certificates(*chain):
    chain = b"".join(u24(len(der)) + der for der in chain)
    return handshake(11, u24(len(chain)) + chain)


def key_exchange(signature, algorithm=0x0403):
    """ECDHE on P-256, with the point that the curve is made from."""
    point = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    return handshake(12, b"\x03" + u16(23) + bytes([len(point)]) + point
                     + u16(algorithm) + u16(len(signature)) + signature)


DONE = handshake(14, b"")


class Hello:
    """What of a ClientHello an answer needs."""

    def __init__(self, session):
        while len(session.buffer) < 5 or len(session.buffer) < 5 + self.size(
                session):
            session.more()
        message = session.buffer[5:5 + self.size(session)]
        session.buffer = session.buffer[5 + len(message):]
        assert message[0] == 1, message
        self.session_id = message[39:39 + message[38]]

    @staticmethod
    def size(session):
        return struct.unpack(">H", session.buffer[3:5])[0]


def group_exchange(bits, signature):
    """DHE with a prime of so many bits that is none."""
    prime = os.urandom(bits // 8 - 1) + b"\x01"
    return handshake(12, u16(len(prime) + 1) + b"\xff" + prime
                     + u16(1) + b"\x02" + u16(1) + b"\x05"
                     + u16(0x0401) + u16(len(signature)) + signature)


# ---------------------------------------------------------------- certificates

def der(tag, *parts):
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8 or 1, "big")
    if len(body) > 127:
        size = bytes([0x80 | len(size)]) + size
    return bytes([tag]) + size + body


def sequence(*parts):
    return der(0x30, *parts)


def number(value):
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def rsa_certificate(bits, exponent_bits):
    """With numbers that are no key, but are calculated with like one."""
    modulus, exponent = (
        int.from_bytes(os.urandom(size // 8 + 1), "big") % (1 << size)
        | 1 << (size - 1) | 1 for size in (bits, exponent_bits))
    name = sequence(der(0x31, sequence(bytes.fromhex("0603550403"),
                                       der(0x0c, b"mx.example.net"))))
    sha256_rsa = sequence(bytes.fromhex("06092a864886f70d01010b"), b"\5\0")
    rsa = sequence(bytes.fromhex("06092a864886f70d010101"), b"\5\0")
    key = sequence(rsa, der(3, b"\0", sequence(number(modulus),
                                              number(exponent))))
    dates = sequence(der(0x17, b"260101000000Z"), der(0x17, b"460101000000Z"))
    body = sequence(number(5), sha256_rsa, name, dates, name, key)
    return sequence(body, sha256_rsa, der(3, b"\0", bytes(256)))
