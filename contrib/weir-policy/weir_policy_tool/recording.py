"""The file that `weir-policy capture` writes and `replay` reads.

    weir-capture 1 bodies=no LF
    record, record, ...

A record is a 4-byte length of what follows in it; 8 bytes with the time, in
microseconds since 1970; 4 bytes with the number of weir's connection, from 1;
and one ToPolicy message as weir sent it. All numbers are big-endian. The first
record of a connection is its Hello. Each record is written at once, so a
capture that was killed is whole up to its last record; half a record at the
end is passed over. A later version of the format has another first line.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from weir_policy import wire

from .peer import Problem

_MAGIC = b"weir-capture "
_HEAD = struct.Struct(">IQI")  # length, microseconds, connection
_REST = _HEAD.size - 4  # of the head, what the length counts


class Record(NamedTuple):
    microseconds: int
    connection: int
    message: Any  # a ToPolicy


class Writer:
    """A new file, for its owner only: it holds mail."""

    def __init__(self, path: str, bodies: bool) -> None:
        self.path = path
        try:
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL
                              | os.O_APPEND, 0o600)
        except FileExistsError:
            raise Problem(f"{path} is there already, and a capture overwrites"
                          " nothing") from None
        except OSError as error:
            raise Problem(f"{path}: {error.strerror}") from None
        self._write(_MAGIC + (b"1 bodies=yes\n" if bodies
                              else b"1 bodies=no\n"))

    def add(self, microseconds: int, connection: int, payload: bytes) -> None:
        self._write(_HEAD.pack(_REST + len(payload), microseconds, connection)
                    + payload)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.fd, view):]
        except OSError as error:
            raise Problem(f"{self.path}: {error.strerror}; what was written"
                          " before can be used") from None

    def close(self) -> None:
        os.close(self.fd)


class Reader:
    """Iterate over it for the records."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.cut = False  # the last record is not whole
        try:
            self.file: BinaryIO = open(path, "rb")
        except OSError as error:
            raise Problem(f"{path}: {error.strerror}") from None
        words = self.file.readline(100).split()
        if len(words) != 3 or words[0] != _MAGIC.strip():
            raise Problem(f"{path} is no capture of weir-policy")
        if words[1] != b"1":
            raise Problem(f"{path} is of version {words[1].decode()} of the"
                          " format, and this weir-policy reads version 1")
        self.bodies = words[2] == b"bodies=yes"

    def __iter__(self) -> Iterator[Record]:
        while head := self.file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                break
            length, microseconds, connection = _HEAD.unpack(head)
            if not _REST <= length <= _REST + wire.FRAME_MAX:
                raise Problem(f"{self.path}: a record of {length} bytes before"
                              f" byte {self.file.tell()}: the file is damaged")
            payload = self.file.read(length - _REST)
            if len(payload) < length - _REST:
                break
            try:
                message = wire.decode(payload)
            except wire.ProtocolError:
                raise Problem(f"{self.path}: no message before byte"
                              f" {self.file.tell()}: the file is damaged"
                              ) from None
            yield Record(microseconds, connection, message)
        self.cut = bool(head)
