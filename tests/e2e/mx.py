"""An MX that does what the test says, in a thread of the test's process."""

import dataclasses
import socket
import ssl
import threading


@dataclasses.dataclass
class Message:
    sender: str
    recipients: list
    data: bytes
    tls: bool


class Gone(Exception):
    """The other side closed."""


class Session:
    """One connection. The script's functions are called with it."""

    def __init__(self, mx, connection, peer):
        self.mx, self.socket, self.peer = mx, connection, peer
        self.buffer, self.lines = b"", []
        self.sender, self.recipients, self.tls = "", [], False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def more(self):
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self.buffer += data

    def read_until(self, end):
        while end not in self.buffer:
            self.more()
        data, _, self.buffer = self.buffer.partition(end)
        return data + end

    def run(self):
        self.send(self.mx.reply(self, "greeting",
                                b"220 mx.example.net ESMTP\r\n"))
        while True:
            line = self.read_until(b"\r\n")[:-2].decode("utf-8", "replace")
            self.lines.append(line)
            verb = line.split(" ", 1)[0].upper()
            if verb == "DATA":
                self.data(line)
                continue
            reply = self.mx.reply(self, verb, self.usual(verb), line)
            self.send(reply)
            if reply.startswith(b"2"):
                self.accepted(verb, line)
            if verb == "QUIT":
                return

    def usual(self, verb):
        if verb == "EHLO":
            words = ["mx.example.net", *self.mx.extensions]
            if self.mx.tls and not self.tls:
                words.append("STARTTLS")
            *first, last = words
            return "".join([f"250-{word}\r\n" for word in first]
                           + [f"250 {last}\r\n"]).encode()
        return {"STARTTLS": b"220 2.0.0 Go ahead\r\n",
                "MAIL": b"250 2.1.0 OK\r\n", "RCPT": b"250 2.1.5 OK\r\n",
                "QUIT": b"221 2.0.0 Bye\r\n"}.get(verb, b"250 2.0.0 OK\r\n")

    def accepted(self, verb, line):
        if verb == "STARTTLS":
            self.socket = self.mx.tls.wrap_socket(self.socket,
                                                  server_side=True)
            self.tls = True
        elif verb in ("MAIL", "RCPT"):
            path = line[line.index("<") + 1:line.index(">")]
            if verb == "MAIL":
                self.sender, self.recipients = path, []
            else:
                self.recipients.append(path)

    def data(self, line):
        reply = self.mx.reply(self, "DATA", b"354 Go\r\n", line)
        self.send(reply)
        if not reply.startswith(b"354"):
            return
        self.buffer = b"\r\n" + self.buffer    # an empty message, too
        data = self.read_until(b"\r\n.\r\n")[2:]
        reply = self.mx.reply(self, "dot", b"250 2.0.0 queued\r\n", line)
        if reply.startswith(b"2"):
            with self.mx.lock:
                self.mx.messages.append(
                    Message(self.sender, list(self.recipients), data[:-3],
                            self.tls))
        self.send(reply)


class ScriptedMX:
    """Answers as RFC 5321 says, but where `script` has a word of its own.

    script maps a verb (or "greeting", "dot") to the reply, or to a function
    of (session, line) that returns it; it may sleep, send, or raise Gone.
    """

    def __init__(self, namespace, address="10.7.0.2", port=25, tls=None,
                 extensions=("PIPELINING", "8BITMIME", "SIZE 10000000"),
                 script=None):
        self.script, self.extensions = script or {}, extensions
        self.messages, self.sessions = [], []
        self.lock = threading.Lock()
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(tls)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with namespace.inside():
            self.socket = socket.create_server((address, port), family=family,
                                               backlog=512)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def reply(self, session, word, default, line=""):
        said = self.script.get(word, default)
        if not callable(said):
            return said
        answer = said(session, line)
        return default if answer is None else answer

    def serve(self):
        while True:
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            connection.settimeout(60)
            # as MTAs do: no reply waits for the acknowledgement of another
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, connection, peer)
            with self.lock:
                self.sessions.append(session)
            threading.Thread(target=self.carry, args=(session,),
                             daemon=True).start()

    @staticmethod
    def carry(session):
        try:
            session.run()
        except (Gone, OSError):
            pass
        finally:
            session.socket.close()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        for session in self.sessions:
            session.socket.close()
