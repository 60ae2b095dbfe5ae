"""A milter that says what the test says, and remembers what it was told.

It speaks the protocol itself, so that it can also speak it wrongly.
"""

import contextlib
import os
import socket
import struct
import threading
import time

CONTINUE, ACCEPT, REJECT, TEMPFAIL = b"c", b"a", b"r", b"t"
DISCARD, SKIP, PROGRESS = b"d", b"s", b"p"
SHUTDOWN, CONN_FAIL = b"4", b"f"

ADDHDRS, CHGBODY, ADDRCPT, DELRCPT, CHGHDRS, QUARANTINE, CHGFROM, \
    ADDRCPT_PAR, SETSYMLIST = (1 << n for n in range(9))
ALL_ACTIONS = 0x1FF
NOCONNECT, NOHELO, NOMAIL, NORCPT, NOBODY, NOHDRS, NOEOH, NR_HDR, \
    NOUNKNOWN, NODATA, CAN_SKIP, RCPT_REJ, NR_CONN, NR_HELO, NR_MAIL, \
    NR_RCPT, NR_DATA, NR_UNKN, NR_EOH, NR_BODY, LEADSPC = \
    (1 << n for n in range(21))


def packet(data):
    return struct.pack(">I", len(data)) + data


def texts(command, *values):
    return command + b"".join(value + b"\0" for value in values)


def reply_code(text):
    return texts(b"y", text)


def add_header(name, value):
    return texts(b"h", name, value)


def insert_header(index, name, value):
    return b"i" + struct.pack(">I", index) + texts(b"", name, value)


def change_header(index, name, value):
    return b"m" + struct.pack(">I", index) + texts(b"", name, value)


def replace_body(data):
    return b"b" + data


class Session:
    """One connection: `log` has (letter, payload), `macros` what was
    defined for each letter."""

    def __init__(self, milter, connection):
        self.milter, self.socket = milter, connection
        self.log, self.macros, self.offer = [], {}, None
        self.body = b""

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def send(self, data):
        self.socket.sendall(packet(data))

    def run(self):
        while True:
            size, = struct.unpack(">I", self.read(4))
            data = self.read(size)
            letter, payload = data[:1].decode(), data[1:]
            if letter == "D":
                words = payload[1:].split(b"\0")
                self.macros.setdefault(chr(payload[0]), {}).update(
                    zip(words[:-1:2], words[1::2]))
            else:
                self.log.append((letter, payload))
            if letter == "O":
                self.offer = struct.unpack(">III", payload)
            if letter == "M":
                self.body = b""
            if letter == "B":
                self.body += payload
            if letter in "QD":
                if letter == "Q":
                    return
                continue
            self.answer(letter, payload)

    def answer(self, letter, payload):
        said = self.milter.script.get(letter)
        if callable(said):
            said = said(self, payload)
        if said is None:
            said = self.usual(letter)
        for one in said if isinstance(said, list) else [said]:
            if isinstance(one, (int, float)):
                time.sleep(one)
            elif one:
                self.send(one)

    def usual(self, letter):
        if letter == "O":
            return self.milter.negotiate(self.offer)
        return b"" if letter in "AK" or letter in self.milter.silent \
            else CONTINUE

    def told(self, letter):
        return [payload for kind, payload in self.log if kind == letter]


class Milter:
    """script maps a command's letter to what is answered: bytes, a list of
    bytes and pauses in seconds, or a function of (session, payload). path:
    of a unix socket, or an IP address, on which it takes a free port."""

    def __init__(self, path, script=None, version=6, actions=ALL_ACTIONS,
                 protocol=0, symbols=None, silent=""):
        self.path, self.script = str(path), script or {}
        self.version, self.actions = version, actions
        self.protocol, self.silent = protocol, silent
        self.symbols = symbols or {}
        self.sessions = []
        self.listen()

    def listen(self):
        if not self.path.startswith("/"):
            six = ":" in self.path
            self.socket = socket.create_server(
                (self.path, getattr(self, "port", 0)),
                family=socket.AF_INET6 if six else socket.AF_INET)
            self.port = self.socket.getsockname()[1]
        else:
            self.listen_unix()
        threading.Thread(target=self.serve, args=(self.socket,),
                         daemon=True).start()

    def listen_unix(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.listen(64)

    @property
    def address(self):
        if self.path.startswith("/"):
            return f"unix:{self.path}"
        return f"inet:{self.port}@{self.path}"

    def negotiate(self, offer):
        version, actions, protocol = offer
        return b"O" + struct.pack(
            ">III", min(self.version, version), self.actions & actions,
            self.protocol) + b"".join(
            struct.pack(">I", stage) + names + b"\0"
            for stage, names in self.symbols.items())

    def serve(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            session = Session(self, connection)
            self.sessions.append(session)
            threading.Thread(target=self.carry, args=(session,),
                             daemon=True).start()

    @staticmethod
    def carry(session):
        with contextlib.suppress(OSError):
            session.run()
        session.socket.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for session in self.sessions:
            with contextlib.suppress(OSError):
                session.socket.shutdown(socket.SHUT_RDWR)
