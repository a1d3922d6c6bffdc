"""Memory that one piece of work is done with stays with the process, for the next one.

Left to itself, glibc hands large blocks back to the system when they are freed; the system zeroes them, page by page,
when they are asked for again. That can cost as much as the arithmetic. Elsewhere than on glibc nothing is changed.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

GIB = 2**30
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # as malloc.h numbers them
_NEVER = -1
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20, _TOP_PAD: 128 * 2**10}
"""Where glibc's own adjustment ends once blocks of over 32 MiB have been freed; it cannot be switched on again."""


def keep_freed_memory(at_most: int | None = None) -> None:
    """Keep what is freed from now on; where more than ``at_most`` bytes lie idle, keep half of that.

    ``at_most`` lies below 2 GiB, the largest number that glibc takes; None: keep all.
    """
    if (libc := _glibc()) is None:
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER if at_most is None else at_most)
    if at_most is not None:
        libc.mallopt(_TOP_PAD, at_most // 2)


@contextmanager
def freed_memory_kept(at_most: int | None = None) -> Iterator[None]:
    """Keep what is freed within; afterwards hand it back, and every later block when it is freed."""
    keep_freed_memory(at_most)
    try:
        yield
    finally:
        if (libc := _glibc()) is not None:
            for which, value in _USUAL.items():
                libc.mallopt(which, value)
            libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    """Return the C library where it is one that can be told."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
