"""Files that are called NIfTI and that no reader takes for it: what they are, in words."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from firstscan.domain.errors import ScanError

from .nifti import HEADER_BYTES, nibabel, start_of

_GZIP = b"\x1f\x8b"
_REMEDY = "copy or export this scan again"
_NO_NIFTI = {
    b"<": ("a web page or an XML file", "download it again: such a page often tells why it failed"),
    b"pk": ("a ZIP archive", "unpack it"),
    b"{": ("a JSON file", "download it again: such a file often tells why it failed"),
}
"""What files begin with, in small letters, that are often found under the name of a NIfTI file."""
_CHUNK, _ENOUGH = 1 << 20, 1 << 30


def refuse_what_is_none(path: Path) -> None:
    """Say what a file is, or what is wrong with it, that no reader takes for NIfTI; return where that is not known.

    Raises
    ------
    ScanError : ``damaged`` where its gzip data is, else ``unreadable``.
    """
    with path.open("rb") as file:
        begins = file.read(512)
    packed = begins[:2] == _GZIP
    known = next((told for mark, told in _NO_NIFTI.items() if begins.lstrip().lower().startswith(mark)), None)
    if known:
        raise ScanError("unreadable", f"{path} is {known[0]}, not a NIfTI file", known[1])
    try:
        start = start_of(path)
    except (OSError, zlib.error) as error:
        raise ScanError("damaged", f"{path}: its gzip data is damaged ({error})", _REMEDY) from error
    if packed and len(start) >= HEADER_BYTES and not path.name.lower().endswith(".gz"):
        message = f"{path} holds compressed data, but its name does not end in .gz"
        raise ScanError("unreadable", message, f"rename it to {path.name}.gz")
    if packed and len(start) < HEADER_BYTES:
        message = f"{path} is cut short: its gzip data holds {len(start)} bytes, less than a header"
        raise ScanError("truncated", message, _REMEDY)
    if start[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c"):
        message = f"{path} is a NIfTI-2 file, which SimpleITK and nnU-Net cannot read"
        raise ScanError("unreadable", message, "convert it to NIfTI-1")
    if packed:
        _refuse_damage(path)
    _refuse_numbers(path, start)


def _refuse_damage(path: Path) -> None:
    """Inflate a file, at most the first gibibyte of it, to find out whether its gzip data is sound."""
    done = 0
    try:
        with gzip.open(path) as file:
            while done < _ENOUGH and (block := file.read(_CHUNK)):
                done += len(block)
    except EOFError as error:
        message = f"{path} is cut short: its gzip data ends after {done:,} bytes"
        raise ScanError("truncated", message, _REMEDY) from error
    except (OSError, zlib.error) as error:
        raise ScanError("damaged", f"{path}: its gzip data is damaged ({error})", _REMEDY) from error


def _refuse_numbers(path: Path, start: bytes) -> None:
    """Say which number of a header makes no sense."""
    library = nibabel()
    if len(start) < HEADER_BYTES:
        raise ScanError("truncated", f"{path} is cut short: it holds {len(start)} bytes, less than a header", _REMEDY)
    try:
        parsed = library.Nifti1Header(start[:HEADER_BYTES], check=False)
    except (library.wrapstruct.WrapStructError, ValueError):
        return
    if parsed["magic"].item()[:3] not in {b"n+1", b"ni1"}:
        raise ScanError("unreadable", f"{path} is not a NIfTI file: it does not begin as one", _REMEDY)
    sizes = [int(n) for n in parsed["dim"]]
    if not 1 <= sizes[0] <= 7 or min(sizes[1 : sizes[0] + 1]) < 1:
        raise ScanError("unreadable", f"{path} claims the dimensions {sizes[: max(sizes[0], 0) % 8 + 1]}", _REMEDY)
    code = int(np.asarray(parsed["datatype"]))
    if code not in library.nifti1.data_type_codes.value_set("code") or code == 0:
        message = f"{path} stores voxels of a type that NIfTI does not know (code {code})"
        raise ScanError("unreadable", message, _REMEDY)
