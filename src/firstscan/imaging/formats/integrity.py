"""Is all of the data that an NRRD or MetaImage header promises really in the file? Checked before memory is taken."""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path

from firstscan.domain.errors import ScanError
from firstscan.domain.volume import Header
from firstscan.imaging.files import ENDINGS, split_ending

_CHUNK = 1 << 20
_LONGEST_HEADER = 1 << 16
_REMEDY = "copy or export this scan again"


def check_complete(path: Path, header: Header) -> None:
    """Check that an NRRD or MetaImage file with its voxels inside holds all of them; other files pass.

    Raises
    ------
    ScanError : ``truncated``, or ``damaged`` where a compressed stream is broken or its checksum is wrong.
    """
    kind = ENDINGS.get(split_ending(path.name)[1].lower())
    promised = math.prod(header.shape) * header.components * _voxel_bytes(header.dtype)
    if kind not in {"nrrd", "metaimage"} or not promised:
        return
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    place = _nrrd_data(start) if kind == "nrrd" else _metaimage_data(start)
    if place is None:
        return
    offset, compressed = place
    held = _inflated_length(path, offset, promised) if compressed else path.stat().st_size - offset
    if held < promised:
        raise ScanError(
            "truncated",
            f"{path} is cut short: it holds {max(held, 0):,} of the {promised:,} bytes that its header promises",
            _REMEDY,
        )


def voxel_data(path: Path) -> tuple[int, bool, bool] | None:
    """Return where the voxels of an NRRD or MetaImage file begin, whether they are compressed, and big-endian.

    None where they lie in another file, or as text.  Raises OSError.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    kind = ENDINGS.get(split_ending(path.name)[1].lower())
    place = _nrrd_data(start) if kind == "nrrd" else _metaimage_data(start)
    if place is None:
        return None
    big = re.search(rb"(?im)^(?:endian\s*:\s*big|(?:Element|Binary\w*)ByteOrderMSB\s*=\s*True)", start[: place[0]])
    return *place, big is not None


def _voxel_bytes(dtype: str) -> int:
    match = re.search(r"(\d+)-bit", dtype)
    return int(match[1]) // 8 * (2 if "complex" in dtype else 1) if match else 0


def _nrrd_data(start: bytes) -> tuple[int, bool] | None:
    """Return where the voxels begin and whether they are compressed; None for detached or text data."""
    match = re.search(rb"\r?\n\r?\n", start)
    if match is None or re.search(rb"(?im)^data ?file\s*:", start[: match.start()]):
        return None
    encoding = re.search(rb"(?im)^encoding\s*:\s*(\w+)", start[: match.start()])
    word = encoding[1].lower() if encoding else b""
    return (match.end(), word != b"raw") if word in {b"raw", b"gzip", b"gz"} else None


def _metaimage_data(start: bytes) -> tuple[int, bool] | None:
    match = re.search(rb"(?im)^ElementDataFile\s*=\s*(\S+)[^\n]*\n", start)
    if match is None or match[1].upper() != b"LOCAL":
        return None
    return match.end(), re.search(rb"(?im)^CompressedData\s*=\s*True", start[: match.start()]) is not None


def _inflated_length(path: Path, offset: int, promised: int) -> int:
    """Return how many bytes a gzip or zlib stream inflates to, up to its checksum; stop past ``promised``."""
    total, stream = 0, zlib.decompressobj(47)
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_CHUNK):
            while block:
                try:
                    total += len(stream.decompress(block, 16 * _CHUNK))
                except zlib.error as error:
                    raise ScanError("damaged", f"{path}: its compressed data is damaged ({error})", _REMEDY) from error
                if stream.eof:
                    return total
                if total > promised + _CHUNK:
                    raise ScanError("oversized", f"{path} inflates to far more data than its header promises", _REMEDY)
                block = stream.unconsumed_tail
    raise ScanError("truncated", f"{path} is cut short: its compressed data ends after {total:,} bytes", _REMEDY)
