"""Datagrams and streams to a log server, which acknowledges nothing: what can
be known about its being there is looked at before a batch counts as sent."""

import argparse
import fcntl
import os
import select
import socket
import struct
import termios
import time

from .service import Away

TIMEOUT_S = 30
PACE = 50           # datagrams without a pause


def target(text):
    """udp:HOST:PORT, tcp:HOST:PORT or unix:PATH of the command line."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return kind, rest
    host, colon, port = rest.rpartition(":")
    if (kind not in ("udp", "tcp") or not colon or not host
            or not port.isdecimal() or not 0 < int(port) < 65536):
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of udp:HOST:PORT, tcp:HOST:PORT, unix:/PATH")
    return kind, (host.strip("[]"), int(port))


class Wire:
    """send(frames): all of them, or Away."""

    def __init__(self, where, rate):
        self.kind, self.address = where
        self.rate, self.socket = rate, None

    @property
    def name(self):
        return (self.address if self.kind == "unix" else
                f"{self.kind}:{self.address[0]}:{self.address[1]}")

    def open(self):
        if self.kind == "tcp":
            return socket.create_connection(self.address, TIMEOUT_S)
        if self.kind == "unix":
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            address = self.address
        else:
            family, _, _, _, address = socket.getaddrinfo(
                *self.address, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(family, socket.SOCK_DGRAM)
        made.settimeout(TIMEOUT_S)
        try:
            made.connect(address)
        except OSError:
            made.close()
            raise
        return made

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def send(self, frames):
        """Takes away from the list what has gone."""
        try:
            if self.socket is not None and self.kind == "tcp":
                self.look()
            if self.socket is None:
                self.socket = self.open()
            if self.kind == "tcp":
                self.stream(frames)
            else:
                self.datagrams(frames)
        except OSError as error:
            self.close()
            raise Away(f"{self.name}: {error.strerror or error}") from None

    def stream(self, frames):
        """All again, if the connection breaks before the other side's kernel
        has them."""
        self.socket.sendall(b"".join(frames))
        until = time.monotonic() + TIMEOUT_S
        while struct.unpack("i", fcntl.ioctl(
                self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]:
            if time.monotonic() > until:
                raise TimeoutError("what was sent is not taken")
            time.sleep(.005)
        self.look()
        if self.socket is None:
            raise ConnectionResetError("closed while it was told something")
        frames.clear()

    def look(self):
        """Whether it has closed, while we had nothing to say."""
        while select.select([self.socket], [], [], 0)[0]:
            if not self.socket.recv(4096):
                self.close()
                return

    def datagrams(self, frames):
        """Not faster than a receiver can take them out of its buffer."""
        while frames:
            some = frames[:PACE]
            for frame in some:
                self.socket.send(frame)
            if self.kind == "udp":
                time.sleep(len(some) / self.rate)
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:    # nobody listens there
                raise OSError(code, os.strerror(code))
            del frames[:len(some)]


def add_options(group, example):
    group.add_argument("--to", metavar="WHERE", type=target, required=True,
                       help=example)
    group.add_argument("--rate", metavar="N", type=int, default=2000,
                       help="most datagrams per second over UDP, where "
                            "nobody says that it is too fast (default: "
                            "%(default)s)")
