"""MXs whose TLS is broken, each in a way of its own, in a process of their own.

    tls_peer.py PEM

PEM has an EC key and its certificate. The first line of output says which
case listens where: {"case": port, ...}. Then each case named on a line of
input is answered with what its MX saw: {"sessions": [[command, ...], ...],
"messages": [over TLS or not, ...]}.
"""

import contextlib
import ctypes
import ctypes.util
import json
import os
import socket
import ssl
import struct
import sys
import tempfile
import time
import warnings
from pathlib import Path

from mx import Gone, ScriptedMX
from tls_octets import (CHANGE_CIPHER_SPEC, DATA, DHE_RSA, DONE, ECDHE_ECDSA,
                        ECDHE_RSA, HANDSHAKE, RC4, Hello, alert, certificates,
                        group_exchange, hello_13, hello_retry,
                        key_exchange, record, rsa_certificate, server_hello)

# what a case becomes at level may
CLEAR, TLS = "clear", "tls"
STALL = 60          # seconds; weir's patience is shorter
FLOOD = 32 << 20    # bytes at most, for a weir that would take them all


# -------------------------------------------------------------------- the cases
# A function is what follows the 220 to STARTTLS; it ends with the connection.

CASES = {}


def case(name, becomes=CLEAR):
    def add(function):
        CASES[name] = (becomes, function)
        return function
    return add


def answered(name, *parts, then=None, becomes=CLEAR):
    """A case that answers the ClientHello with parts, made of it."""
    def run(session):
        hello = Hello(session)
        session.send(b"".join(part(hello) if callable(part) else part
                              for part in parts))
        (then or wait_for_its_end)(session)
    CASES[name] = (becomes, run)


def wait_for_its_end(session):
    with contextlib.suppress(Gone):
        while True:
            session.more()


def close(session):
    session.socket.shutdown(socket.SHUT_RDWR)


def reset(session):
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack("ii", 1, 0))
    session.socket.close()


def flood(octets):
    def run(session):
        for _ in range(0, FLOOD, len(octets)):
            session.send(octets)
    return run


def stall(session):
    del session
    time.sleep(STALL)


def plain_12(hello):
    return server_hello(hello, ECDHE_ECDSA)


def real(session):
    """A certificate that nothing is wrong with."""
    return session.mx.der


answered("old version, answered all the same",
         lambda h: server_hello(h, 0x002f, version=0x0301))
answered("cipher that was not offered", lambda h: server_hello(h, RC4))
answered("fin before ServerHello", then=close)
answered("rst before ServerHello", then=reset)
answered("fin after ServerHello", plain_12, then=close)
answered("rst after ServerHello", plain_12, then=reset)
answered("fin in the middle of a record", lambda h: plain_12(h)[:-9],
         then=close)
answered("certificate of no DER", plain_12, certificates(b"\x30\x03\x02\x01"),
         DONE)
answered("certificates of random octets", plain_12,
         certificates(*(os.urandom(700) for _ in range(4))), DONE)
answered("certificate list empty", plain_12, certificates(), DONE)
answered("certificates of 2 MB", plain_12,
         certificates(*(b"\x30\x82\xff\xff" + bytes(65535)
                       for _ in range(32))), DONE)
for words, number in (("handshake_failure", 40), ("internal_error", 80),
                      ("unrecognized_name", 112), ("certificate_required",
                                                   116), ("unknown 200", 200)):
    answered(f"alert {words}", alert(2, number), then=close)
answered("alert after ServerHello", plain_12, alert(2, 80), then=close)
answered("alert of close", alert(1, 0), then=close)
answered("alert flood", then=flood(alert(1, 112) * 1000))
answered("stall before ServerHello", then=stall)
answered("stall after ServerHello", plain_12, then=stall)
answered("stall in the middle of a record", lambda h: plain_12(h)[:-9],
         then=stall)
answered("hello retry loop", hello_retry, hello_retry, hello_retry)
answered("hello retry flood", lambda h: hello_retry(h) * 200)
answered("change_cipher_spec flood before ServerHello",
         then=flood(record(CHANGE_CIPHER_SPEC, b"\x01") * 1000))
answered("change_cipher_spec flood after ServerHello", hello_13,
         then=flood(record(CHANGE_CIPHER_SPEC, b"\x01") * 1000))
answered("change_cipher_spec early", plain_12,
         record(CHANGE_CIPHER_SPEC, b"\x01"), DONE)
answered("records of no length", then=flood(record(HANDSHAKE, b"") * 1000))
answered("record too long", b"\x16\x03\x03\xff\xff" + bytes(70000))
answered("records that nobody encrypted", hello_13,
         record(DATA, bytes(600)))
answered("heartbeats", record(24, b"\x01\x40\x00" + bytes(16)) * 64)
answered("key that takes seconds", lambda h: server_hello(h, ECDHE_RSA),
         certificates(rsa_certificate(40000, 40000)),
         key_exchange(bytes(4999) + b"\1", 0x0401), DONE)
answered("group that takes minutes", lambda h: server_hello(h, DHE_RSA),
         certificates(rsa_certificate(2048, 17)),
         group_exchange(100000, bytes(255) + b"\1"), DONE)


@case("key of another type than the cipher's")
def key_mismatch(session):
    session.send(server_hello(Hello(session), ECDHE_RSA)
                 + certificates(real(session)) + key_exchange(bytes(256))
                 + DONE)
    wait_for_its_end(session)


@case("signature wrong")
def wrong_signature(session):
    session.send(plain_12(Hello(session)) + certificates(real(session))
                 + key_exchange(bytes.fromhex("3006020101020101")) + DONE)
    wait_for_its_end(session)


@case("one octet at a time")
def drip(session):
    for octet in plain_12(Hello(session)) + certificates(real(session)):
        session.send(bytes([octet]))
        time.sleep(0.02)


@case("hello retry loop, obeyed")
def hello_retry_loop(session):
    for _ in range(50):
        session.send(hello_retry(Hello(session)))


@case("plain SMTP instead")
def plain_smtp(session):
    session.more()
    session.send(b"500 5.5.1 what is \\x16\\x03\\x01?\r\n")
    close(session)


@case("HTTP instead")
def http(session):
    session.more()
    session.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    close(session)


@case("closed behind the 220")
def closed(session):
    close(session)


@case("reset behind the 220")
def was_reset(session):
    reset(session)


# Those that answer STARTTLS with something else than a lone 220.
INSTEAD = {
    "454": b"454 4.7.0 TLS not available due to temporary reason\r\n",
    "502": b"502 5.5.1 STARTTLS was a joke\r\n",
    "554": b"554 5.7.3 no\r\n",
    "250": b"250 2.0.0 consider it done\r\n",
    "220 and a reply": b"220 go\r\n250 mx.example.net\r\n",
    "220 and half a reply": b"220 go\r\n250",
    "220 and HTTP": b"220 go\r\nHTTP/1.1 400 Bad Request\r\n\r\n",
    "no reply at all": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "334": b"334 say on\r\n",
}


def instead(octets):
    def run(session, line):
        del line
        session.send(octets)
        if octets[:3] != b"220" and octets[:3].isdigit():
            return b""
        wait_for_its_end(session)
        raise Gone
    return run


def goes(how):
    def run(session, line):
        del line
        how(session)
        raise Gone
    return run


# ------------------------------------------------------------- a TLS of our own
# What Python's ssl cannot be made to do, OpenSSL itself does.

class Crypto:
    """A connection of OpenSSL, like a socket."""

    library = ctypes.CDLL(ctypes.util.find_library("ssl"))
    for name in ("TLS_server_method", "SSL_CTX_new", "SSL_new"):
        getattr(library, name).restype = ctypes.c_void_p
    for name, *types in (
            ("SSL_CTX_new", ctypes.c_void_p), ("SSL_new", ctypes.c_void_p),
            ("SSL_CTX_use_certificate_file", ctypes.c_void_p, ctypes.c_char_p,
             ctypes.c_int),
            ("SSL_CTX_use_PrivateKey_file", ctypes.c_void_p, ctypes.c_char_p,
             ctypes.c_int),
            ("SSL_CTX_ctrl", ctypes.c_void_p, ctypes.c_int, ctypes.c_long,
             ctypes.c_void_p),
            ("SSL_set_fd", ctypes.c_void_p, ctypes.c_int),
            ("SSL_accept", ctypes.c_void_p),
            ("SSL_do_handshake", ctypes.c_void_p),
            ("SSL_renegotiate", ctypes.c_void_p),
            ("SSL_key_update", ctypes.c_void_p, ctypes.c_int),
            ("SSL_new_session_ticket", ctypes.c_void_p),
            ("SSL_read", ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int),
            ("SSL_write", ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)):
        getattr(library, name).argtypes = types

    def __init__(self, connection, pem, newest):
        lib, path = self.library, str(pem).encode()
        context = lib.SSL_CTX_new(lib.TLS_server_method())
        assert lib.SSL_CTX_use_certificate_file(context, path, 1) == 1
        assert lib.SSL_CTX_use_PrivateKey_file(context, path, 1) == 1
        lib.SSL_CTX_ctrl(context, 124, newest, None)    # max_proto_version
        self.ssl, self.socket = lib.SSL_new(context), connection
        connection.setblocking(True)
        lib.SSL_set_fd(self.ssl, connection.fileno())
        if lib.SSL_accept(self.ssl) != 1:
            raise Gone

    def sendall(self, data):
        if data and self.library.SSL_write(self.ssl, data, len(data)) <= 0:
            raise Gone

    def recv(self, size):
        room = ctypes.create_string_buffer(size)
        got = self.library.SSL_read(self.ssl, room, size)
        return room.raw[:got] if got > 0 else b""

    def handshake(self):
        self.library.SSL_do_handshake(self.ssl)

    def close(self):
        self.socket.close()


def own_tls(newest, each):
    """A session whose TLS calls each(connection) before every reply to MAIL
    and RCPT, and once before it reads the first command."""
    def run(session):
        session.socket = Crypto(session.socket, session.mx.pem, newest)
        session.tls = True
        session.annoy = lambda: each(session.socket)
        session.annoy()
    return run


def renegotiate(connection):
    connection.library.SSL_renegotiate(connection.ssl)
    connection.handshake()


def renegotiate_often(connection):
    for _ in range(500):
        renegotiate(connection)


def update_keys(connection):
    for _ in range(500):
        connection.library.SSL_key_update(connection.ssl, 0)
        connection.handshake()


def ask_for_key_updates(connection):
    for _ in range(50):
        connection.library.SSL_key_update(connection.ssl, 1)
        connection.handshake()


def give_tickets(connection):
    for _ in range(500):
        connection.library.SSL_new_session_ticket(connection.ssl)
        connection.handshake()


OWN = {"renegotiation": (0x0303, renegotiate),
       "renegotiation flood": (0x0303, renegotiate_often),
       "key update flood": (0x0304, update_keys),
       "key updates asked for": (0x0304, ask_for_key_updates),
       "ticket flood": (0x0304, give_tickets)}
for words, (newest_version, annoyance) in OWN.items():
    CASES[words] = (CLEAR if words in ("renegotiation flood",
                                       "key update flood",
                                       "key updates asked for") else TLS,
                    own_tls(newest_version, annoyance))


def annoyed(session, line):
    del line
    if getattr(session, "annoy", None):
        session.annoy()


# --------------------------------------------------------- contexts of Python's

def only_old(context):
    warnings.simplefilter("ignore", DeprecationWarning)     # no wonder
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def only_weak(context):
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("eNULL:@SECLEVEL=0")


def wants_certificate(newest, mode):
    def change(context):
        context.maximum_version = newest
        context.verify_mode = mode
    return change


def heavy_chain(newest):
    """An authority behind the certificate that nobody should calculate with."""
    def change(context):
        context.maximum_version = newest
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(Path(sys.argv[1]).read_text() + ssl.DER_cert_to_PEM_cert(
                rsa_certificate(40000, 40000)))
            file.flush()
            context.load_cert_chain(file.name)
    return change


def no_tickets(context):
    context.num_tickets = 0


CONTEXTS = {
    "only TLS 1.0 and 1.1": (CLEAR, only_old),
    "only ciphers that hide nothing": (CLEAR, only_weak),
    "client certificate required, TLS 1.2": (CLEAR, wants_certificate(
        ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED)),
    "client certificate required, TLS 1.3": (CLEAR, wants_certificate(
        ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED)),
    "client certificate wanted, TLS 1.2": (TLS, wants_certificate(
        ssl.TLSVersion.TLSv1_2, ssl.CERT_OPTIONAL)),
    "client certificate wanted, TLS 1.3": (TLS, wants_certificate(
        ssl.TLSVersion.TLSv1_3, ssl.CERT_OPTIONAL)),
    "heavy chain, TLS 1.2": (CLEAR, heavy_chain(ssl.TLSVersion.TLSv1_2)),
    "heavy chain, TLS 1.3": (CLEAR, heavy_chain(ssl.TLSVersion.TLSv1_3)),
    "no tickets": (TLS, no_tickets),
}


def after_handshake(how):
    """The handshake goes well, and then it ends."""
    def run(session, line):
        del line
        if session.tls:
            how(session)
            raise Gone
    return run


def garbage(reply):
    """Answers, and then sends a record that was made with no key."""
    def run(session, line):
        del line
        if not session.tls:
            return None
        session.send(reply)
        os.write(session.socket.fileno(), record(DATA, os.urandom(64)))
        wait_for_its_end(session)
        raise Gone
    return run


# TLS that serves for a while: no session survives it, but the next must.
LATER = {"garbage after MAIL": {"MAIL": garbage(b"")},
         "garbage in the message": {"DATA": garbage(b"354 go\r\n")},
         "garbage for a reply": {"dot": garbage(b"")}}
QUITTING = {"garbage at QUIT": {"QUIT": garbage(b"")},
            "garbage behind QUIT": {"QUIT": garbage(b"221 bye\r\n")}}

REPLIES = {
    **{f"STARTTLS answered: {name}": {"STARTTLS": instead(octets)}
       for name, octets in INSTEAD.items()},
    "STARTTLS answered: fin": {"STARTTLS": goes(close)},
    "STARTTLS answered: rst": {"STARTTLS": goes(reset)},
    "STARTTLS answered: never": {"STARTTLS": goes(stall)},
    "fin after the handshake": {"EHLO": after_handshake(close)},
    "rst after the handshake": {"EHLO": after_handshake(reset)},
    "stall after the handshake": {"EHLO": after_handshake(stall)},
}


def becomes(name):
    for table in (CASES, CONTEXTS):
        if name in table:
            return table[name][0]
    return CLEAR


def result(name):
    """As RFC 8460 names it."""
    if becomes(name) == TLS:
        return "success"
    if name in REFUSED:
        return "starttls-not-supported"
    return "validation-failure"


REFUSED = [f"STARTTLS answered: {code}" for code in (454, 502, 554)]
NAMES = [*CASES, *CONTEXTS, *REPLIES]
PLAIN = "not offered"       # nothing is wrong with this one
EVERY_NAME = [*NAMES, PLAIN, *LATER, *QUITTING]
ALL_REPLIES = {**REPLIES, **LATER, **QUITTING}


# ------------------------------------------------------------------ the program

class Here:
    @staticmethod
    def inside():
        return contextlib.nullcontext()


def breaks(function):
    def run(session, line):
        del line
        session.send(b"220 2.0.0 Go ahead\r\n")
        function(session)
        if not session.tls:
            raise Gone
        return b""
    return run


def serve(name, pem):
    script = {"MAIL": annoyed, "RCPT": annoyed, **ALL_REPLIES.get(name, {})}
    if name in CASES:
        script["STARTTLS"] = breaks(CASES[name][1])
    server = ScriptedMX(Here, "127.0.0.1", 0, script=script,
                        tls=None if name == PLAIN else pem)
    server.pem = pem
    server.der = ssl.PEM_cert_to_DER_cert(
        "-----BEGIN CERT" + pem.read_text().partition("-----BEGIN CERT")[2])
    if name in CONTEXTS:
        CONTEXTS[name][1](server.tls)
    return server


def main(pem):
    servers = {name: serve(name, pem) for name in EVERY_NAME}
    print(json.dumps({name: server.socket.getsockname()[1]
                      for name, server in servers.items()}), flush=True)
    for line in sys.stdin:
        server = servers[line.strip()]
        with server.lock:
            print(json.dumps({
                "sessions": [s.lines for s in server.sessions],
                "messages": [m.tls for m in server.messages]}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
