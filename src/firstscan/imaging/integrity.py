"""Is all of the data that a header promises really in the file? SimpleITK fills what a NIfTI lacks with zeros."""

from __future__ import annotations

import zlib
from pathlib import Path

from firstscan.domain.errors import ScanError

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_SLACK = 1 << 20
_REMEDY = "copy or export this scan again"


def check_nifti_length(path: Path, voxel_bytes: int) -> None:
    """Check that a NIfTI file holds its header and ``voxel_bytes`` of voxels, in bounded memory.

    Raises
    ------
    ScanError : ``truncated`` (less data than promised), ``damaged`` (the gzip stream is broken or its checksum is
        wrong), ``oversized`` (much more data than promised, as in a gzip bomb).
    """
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    held = _inflated_length(path, voxel_bytes + _SLACK) if compressed else path.stat().st_size
    if held < voxel_bytes + 348:
        raise ScanError(
            "truncated",
            f"{path} is cut short: it holds {held:,} bytes of the {voxel_bytes + 352:,} that its header promises",
            _REMEDY,
        )


def _inflated_length(path: Path, limit: int) -> int:
    """Return the number of bytes that a gzip file inflates to; stop with an error past ``limit``."""
    total = 0
    stream = zlib.decompressobj(31)
    with path.open("rb") as file:
        pending = file.read(_CHUNK)
        while pending:
            try:
                total += len(stream.decompress(pending, _CHUNK))
            except zlib.error as error:
                raise ScanError("damaged", f"{path}: its gzip data is damaged ({error})", _REMEDY) from error
            if total > limit:
                raise ScanError(
                    "oversized",
                    f"{path} inflates to far more data than its header promises",
                    "leave it out, or check it",
                )
            if stream.eof:
                return total
            pending = stream.unconsumed_tail or file.read(_CHUNK)
    raise ScanError("truncated", f"{path} is cut short: its gzip data ends early, after {total:,} bytes", _REMEDY)
