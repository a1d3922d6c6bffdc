"""NIfTI voxels, read by ourselves: SimpleITK silently fills what a file lacks and turns NaN into 0."""

from __future__ import annotations

import importlib
import logging
import math
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from firstscan.audit.header import AXES_EXACT, SPACING_SHARE
from firstscan.domain.arrays import Float
from firstscan.domain.axes import off_right_angles
from firstscan.domain.errors import ScanError
from firstscan.domain.volume import Header

_CHUNK = 1 << 20
HEADER_BYTES = 348
_FIRST_VOXEL = 352
"""Where voxels begin in a single file that does not say it."""
_GZIP = b"\x1f\x8b"
_SLACK = 1 << 20
_UNITS = {1: 1000.0, 3: 0.001}
"""What makes millimetres of metres and microns, by their NIfTI codes; SimpleITK does the same."""
_REMEDY = "copy or export this scan again"


@cache
def nibabel() -> Any:
    """Return the nibabel module, imported on first use; what it would log, findings tell."""
    module: Any = importlib.import_module("nibabel")
    module.imageglobals.logger.setLevel(logging.CRITICAL)
    return module


@dataclass(frozen=True, slots=True)
class NiftiVoxels:
    """The voxels of a NIfTI file as they lie in it: ``stored`` (x, y, z, volume), and the scale of its header."""

    stored: Shaped[np.ndarray, "x y z volume"]
    slope: float
    intercept: float

    def volume(self, component: int = 0) -> Shaped[np.ndarray, "x y z"]:
        """Return one volume, scaled as the header says; where that changes nothing, a view of what was read."""
        with np.errstate(all="ignore"):
            scaled = nibabel().volumeutils.apply_read_scaling(
                self.stored[..., component], np.float64(self.slope), np.float64(self.intercept)
            )
        kept = np.float64 if scaled.dtype.itemsize > 8 else scaled.dtype.newbyteorder("=")
        return np.asarray(scaled.astype(kept, copy=False))


def nifti_voxels(path: Path, header: Header) -> NiftiVoxels:
    """Return all voxels of a NIfTI file in stored orientation.

    A gzip stream is read to its end, so that its checksum is verified, and never inflates to much more than the
    header promises.

    Raises
    ------
    ScanError : ``truncated`` (less data than promised), ``damaged`` (broken gzip stream or wrong checksum),
        ``oversized`` (as a gzip bomb), ``unreadable`` (a header without sense, complex numbers).
    """
    library = nibabel()
    damaged = (library.spatialimages.HeaderDataError, library.wrapstruct.WrapStructError)
    content = _content(path, math.prod(header.shape) * max(header.components, 1) * 16)
    try:
        parsed = library.Nifti1Header(bytes(content[:HEADER_BYTES]))
        parsed.get_best_affine()  # refuses rotations that are none
        shape, stored = tuple(int(n) for n in parsed.get_data_shape()), parsed.get_data_dtype()
        slope, intercept = parsed.get_slope_inter()
        offset = int(parsed.get_data_offset()) or _FIRST_VOXEL
    except (*damaged, ValueError, OverflowError) as error:
        raise ScanError("unreadable", f"{path} is not a readable NIfTI file: {error}", _REMEDY) from error
    if stored.kind not in "fiu" or shape[:3] != header.shape or min(shape) < 1 or offset < HEADER_BYTES:
        raise ScanError(
            "unreadable", f"{path} claims {shape} voxels of type {stored} from byte {offset}: no 3D scan", _REMEDY
        )
    promised = offset + math.prod(shape) * stored.itemsize
    if len(content) < promised:
        raise ScanError(
            "truncated",
            f"{path} is cut short: it holds {len(content):,} of the {promised:,} bytes that its header promises",
            _REMEDY,
        )
    voxels: np.ndarray = np.frombuffer(content, stored, math.prod(shape), offset)
    return NiftiVoxels(
        voxels.reshape((*shape[:3], -1), order="F"),
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
    )


def nifti_header(path: Path) -> Header | None:
    """Return the header of a NIfTI file, read ten times faster than by SimpleITK; None where it makes no sense.

    For audits of many headers: where qform and sform disagree, SimpleITK may choose the other one. None also where
    there is an sform alone and pixdim states other voxel sizes.
    """
    parsed = _raw_header(path)
    if parsed is None:
        return None
    shape = tuple(int(n) for n in parsed.get_data_shape())
    dtype = parsed.get_data_dtype()
    if any(n < 1 for n in shape) or not shape:
        return None
    qform, sform = _orientations(parsed)
    crooked = sform is not None and _off(sform) > AXES_EXACT and qform is not None
    if qform is None and sform is not None and not _sizes_agree(parsed, sform):
        return None
    stated = sform if sform is not None and not crooked else qform
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ (stated if stated is not None else np.diag([*_zooms(parsed), 1.0]))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = affine[:3, :3] / np.where(spacing > 0, spacing, 1.0)
    colours = len(dtype.names) if dtype.names else 1
    return Header(
        shape=shape[:3],
        spacing_mm=tuple(float(s) for s in spacing),
        direction=tuple(float(d) for d in direction.ravel()),
        origin_mm=tuple(float(o) for o in affine[:3, 3]),
        components=math.prod(shape[3:]) * colours,
        dtype=str(dtype),
    )


def nifti_orientations(
    path: Path,
) -> tuple[Float[np.ndarray, "4 4"] | None, Float[np.ndarray, "4 4"] | None]:
    """Return (qform, sform) as voxel → mm in the axes of the file; None for one that is not set or cannot be read."""
    parsed = _raw_header(path)
    return (None, None) if parsed is None else _orientations(parsed)


def nifti_axes_off(path: Path) -> float:
    """Return how far the axes of a file that has only an sform are off right angles, as a cosine; 0 for other files."""
    parsed = _raw_header(path)
    qform, sform = (None, None) if parsed is None else _orientations(parsed)
    return _off(sform) if sform is not None and qform is None else 0.0


def _sizes_agree(parsed: Any, sform: Float[np.ndarray, "4 4"]) -> bool:
    return bool(np.allclose(_zooms(parsed), np.linalg.norm(sform[:3, :3], axis=0), rtol=SPACING_SHARE, atol=0))


def _off(affine: Float[np.ndarray, "4 4"]) -> float:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return off_right_angles(affine[:3, :3] / lengths) if lengths.all() else 1.0


def _raw_header(path: Path) -> Any:
    """Return nibabel's header of a file, or None where it cannot be parsed."""
    library = nibabel()
    try:
        parsed = library.Nifti1Header(start_of(path)[:HEADER_BYTES], check=False)
        parsed.get_data_dtype(), parsed.get_data_shape()
    except (
        library.spatialimages.HeaderDataError,
        library.wrapstruct.WrapStructError,
        zlib.error,
        ValueError,
        KeyError,
    ):
        return None
    return parsed if parsed["magic"].item().rstrip(b"\0")[:3] in {b"n+1", b"ni1"} else None


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file, inflated.  Raises OSError, zlib.error."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start[:2] != _GZIP:
        return start
    content = b""
    while start[:2] == _GZIP and len(content) < _FIRST_VOXEL:  # a header may be spread over several members
        member = zlib.decompressobj(31)
        content += member.decompress(start, 1024)
        start = member.unused_data
    return content


def check_orientation_numbers(path: Path) -> None:
    """Refuse a NIfTI file whose orientation holds NaN or infinity: SimpleITK may never come back from reading it.

    Raises
    ------
    ScanError : code ``unreadable``.
    """
    parsed = _raw_header(path)
    if parsed is None or max(parsed["sform_code"], parsed["qform_code"]) <= 0:
        return
    rows = [parsed[f"srow_{axis}"] for axis in "xyz"]
    rotation = [parsed[f"{name}_{axis}"] for name, axes in (("quatern", "bcd"), ("qoffset", "xyz")) for axis in axes]
    if not np.isfinite(rows if parsed["sform_code"] > 0 else rotation).all():
        raise ScanError("unreadable", f"{path}: its orientation holds numbers that are not finite", _REMEDY)


def _orientations(parsed: Any) -> tuple[Float[np.ndarray, "4 4"] | None, Float[np.ndarray, "4 4"] | None]:
    to_mm = _to_mm(parsed)
    with np.errstate(all="ignore"):
        try:
            if parsed["pixdim"][0] not in (-1, 1):  # only its sign counts, by the standard
                parsed["pixdim"][0] = -1 if parsed["pixdim"][0] < 0 else 1
            qform = parsed.get_qform(coded=True)[0]
        except (nibabel().spatialimages.HeaderDataError, ValueError):
            qform = None
        return _plain(qform, to_mm), _plain(parsed.get_sform(coded=True)[0], to_mm)


def _to_mm(parsed: Any) -> float:
    return _UNITS.get(int(parsed["xyzt_units"]) & 7, 1.0)


def _zooms(parsed: Any) -> list[float]:
    return [float(z) * _to_mm(parsed) or 1.0 for z in np.abs(parsed["pixdim"][1:4])]


def _plain(affine: Float[np.ndarray, "4 4"] | None, to_mm: float) -> Float[np.ndarray, "4 4"] | None:
    if affine is None or not np.isfinite(affine).all():
        return None
    scaled: np.ndarray = np.asarray(affine, dtype=np.float64) * np.array([[to_mm], [to_mm], [to_mm], [1.0]])
    return scaled


def _content(path: Path, voxel_bytes: int) -> bytes | bytearray:
    """Return the inflated content of ``path``, of which the voxels can be at most ``voxel_bytes``."""
    limit = voxel_bytes + _SLACK
    with path.open("rb") as file:
        if file.read(2) != _GZIP:
            file.seek(0)
            return file.read(limit)
        file.seek(0)
        content, stream = bytearray(), zlib.decompressobj(31)
        while block := file.read(_CHUNK):
            while block:
                try:
                    content += stream.decompress(block, 16 * _CHUNK)
                except zlib.error as error:
                    raise ScanError("damaged", f"{path}: its gzip data is damaged ({error})", _REMEDY) from error
                if len(content) > limit:
                    raise ScanError(
                        "oversized",
                        f"{path} inflates to far more data than its header promises",
                        "leave it out, or export this scan again",
                    )
                if not stream.eof:
                    block = stream.unconsumed_tail
                    continue
                rest = stream.unused_data + (file.read(_CHUNK) if len(stream.unused_data) < len(_GZIP) else b"")
                if rest[:2] != _GZIP:  # padding, or nothing
                    return content
                block, stream = rest, zlib.decompressobj(31)  # programs that compress in parallel write many members
    raise ScanError("truncated", f"{path} is cut short: its gzip data ends after {len(content):,} bytes", _REMEDY)
