"""What libraries write to the terminal from C and C++ while they read: kept off it, a finding says what it meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_lock = Lock()
_held: list[int] = []
"""The real stream, while anyone wants it kept away; and once more for each that does so at the same time."""


@contextmanager
def silenced() -> Iterator[None]:
    """Send what is written to the stream of errors, of this process and from any language, nowhere.

    For the moments in which a library reads a file. Several threads may be in it at a time; the last one out puts the
    stream back. Where there is no such stream nothing happens.
    """
    _begin()
    try:
        yield
    finally:
        _end()


def _begin() -> None:
    with _lock:
        if _held:
            _held.append(_held[0])
            return
        try:
            real = os.dup(_STDERR)
        except OSError:
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        _held.append(real)


def _end() -> None:
    with _lock:
        if not _held:
            return
        real = _held.pop()
        if not _held:
            os.dup2(real, _STDERR)
            os.close(real)
