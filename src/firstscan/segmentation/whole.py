"""Is all of a NIfTI file there? ITK writes half a file on a full disk, and reads one as zeros, without a word."""

from __future__ import annotations

import errno
import gzip
import math
import os
import struct
import zlib
from pathlib import Path

_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 348
_GZIP_BITS = 31
_CHUNK, _AT_ONCE = 1 << 20, 1 << 26


def is_whole(path: Path) -> bool:
    """Tell whether a NIfTI-1 file holds all that its header promises; other files count as whole.

    Of a gzip file the length in its last bytes is believed; only where it differs is the file inflated.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return True
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            promised = _promised(file.read(_HEADER_BYTES))
        if not packed:
            return path.stat().st_size >= promised
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            told = int.from_bytes(file.read(4), "little")
        return told == promised % 2**32 or _inflates_to(path, promised)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False


def has_place(path: Path) -> bool:
    """Tell whether the rotation of a NIfTI-1 file is finite; other files count as such.

    SimpleITK may never come back from reading one that is infinite, so this is asked before.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return True
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except (OSError, EOFError, zlib.error):
        return True  # whoever reads it says what is wrong
    order = _byte_order(header)
    if order is None or struct.unpack_from(f"{order}h", header, 254)[0] <= 0:
        return True
    return all(math.isfinite(number) for number in struct.unpack_from(f"{order}12f", header, 280))


def _byte_order(header: bytes) -> str | None:
    """Return the sign of the byte order of a NIfTI-1 header, None for anything else."""
    if len(header) < _HEADER_BYTES:
        return None
    return next((o for o in "<>" if struct.unpack_from(f"{o}i", header)[0] == _HEADER_BYTES), None)


def require_written(path: Path) -> None:
    """Remove a file that was not written to its end.  Raises OSError: no space left."""
    if not is_whole(path):
        path.unlink()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _promised(header: bytes) -> int:
    """Return the bytes of a NIfTI-1 file by its header; 0 where it is another format, or tells no place for voxels."""
    if len(header) < _HEADER_BYTES:
        raise EOFError("no room for a header")
    order = _byte_order(header)
    if order is None:
        return 0
    dimensions, *sizes = struct.unpack_from(f"{order}8h", header, 40)
    bits: int = struct.unpack_from(f"{order}h", header, 72)[0]
    offset: float = struct.unpack_from(f"{order}f", header, 108)[0]
    if not math.isfinite(offset):
        return 0
    promised: int = int(offset) + math.prod(max(n, 1) for n in sizes[:dimensions]) * bits // 8
    return promised


def _inflates_to(path: Path, promised: int) -> bool:
    """Tell whether a gzip file holds so many bytes in whole members; what follows them does not matter."""
    held, stream = 0, zlib.decompressobj(_GZIP_BITS)
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            more = True
            while more:
                inflated = len(stream.decompress(block, _AT_ONCE))
                held += inflated
                if not stream.eof:
                    block = stream.unconsumed_tail
                    more = bool(block) or inflated == _AT_ONCE
                elif held >= promised:
                    return True
                else:
                    block, stream = stream.unused_data, zlib.decompressobj(_GZIP_BITS)
                    more = bool(block)
    return False
