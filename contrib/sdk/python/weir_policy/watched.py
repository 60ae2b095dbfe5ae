"""Files that operators edit while the policy runs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger("weir_policy")
T = TypeVar("T")


class WatchedFile(Generic[T]):
    """The parsed content of a file, read again when it has changed.

    parse takes the lines, without comments ("#" begins one) and empty lines,
    as (number, line), and raises ValueError if it does not like them. Then the
    last good content stays, and the log says why. `version` names the content:
    it is fit for Policy.version.
    """

    def __init__(self, path: str,
                 parse: Callable[[list[tuple[int, str]]], T]) -> None:
        self.path = Path(path)
        self._parse = parse
        self._stamp = self._stat()
        self._value = self._read()

    def _stat(self) -> tuple[int, int, int]:
        s = self.path.stat()
        return s.st_mtime_ns, s.st_size, s.st_ino

    def _read(self) -> T:
        data = self.path.read_bytes()
        lines = data.decode("utf-8").splitlines()
        stripped = ((n, line.partition("#")[0].strip())
                    for n, line in enumerate(lines, 1))
        value = self._parse([(n, line) for n, line in stripped if line])
        # of the content, so that it is the same on every host
        digest = hashlib.sha256(data).hexdigest()[:12]
        self.version = f"{self.path.name}@{digest}"
        return value

    @property
    def value(self) -> T:
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                self._value = self._read()
                log.info("%s: read again", self.path)
        except FileNotFoundError:
            pass  # between an editor's two steps: keep what we have
        except (OSError, ValueError) as error:
            log.error("%s: %s; the last good version stays", self.path, error)
        return self._value
