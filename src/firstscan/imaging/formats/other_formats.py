"""Formats that nibabel reads and SimpleITK does not, or not safely: FreeSurfer, pairs of files, NIfTI in bzip2."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Float
from firstscan.domain.errors import ScanError
from firstscan.domain.volume import Header

from .axes import righted
from .nifti import nibabel

_REMEDY = "copy or export this scan again, as NIfTI if you can"
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def other_header(path: Path) -> Header:
    """Return what a file says of itself, without its voxels.

    Raises
    ------
    ScanError : ``missing-file``, or ``unreadable`` where it makes no sense, ``not-orthogonal``.
    """
    return _header(path, _opened(path))


def other_voxels(path: Path, component: int = 0) -> Shaped[np.ndarray, "x y z"]:
    """Return one volume of a file in stored orientation, scaled as its header says.

    Raises
    ------
    ScanError : ``truncated`` where voxels are missing or damaged; as :func:`other_header`.
    """
    image = _opened(path)
    header = _header(path, image)
    try:
        with np.errstate(all="ignore"):
            voxels = np.asanyarray(image.dataobj)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise ScanError(
            "truncated", f"{path}: its voxels cannot be read; it is cut short or damaged", _REMEDY
        ) from error
    if voxels.dtype.kind not in "fiu":
        raise ScanError("unreadable", f"{path} holds voxels of type {voxels.dtype}: no 3D scan", _REMEDY)
    return np.asarray(voxels.reshape((*header.shape, -1), order="F")[..., component])


def other_orientations(path: Path) -> tuple[Float[np.ndarray, "4 4"] | None, Float[np.ndarray, "4 4"] | None]:
    """Return (qform, sform) of a file as it states them; one of them where the format knows only one orientation."""
    image = _opened(path)
    if hasattr(image.header, "get_qform"):
        try:
            return image.header.get_qform(coded=True)[0], image.header.get_sform(coded=True)[0]
        except (nibabel().spatialimages.HeaderDataError, ValueError):
            return None, image.header.get_sform(coded=True)[0]
    return None, None if _is_analyze(image) else np.asarray(image.affine, np.float64)


def _is_analyze(image: Any) -> bool:
    return type(image).__name__ in {"AnalyzeImage", "Spm99AnalyzeImage", "Spm2AnalyzeImage"}


def _opened(path: Path) -> Any:
    if path.suffix.lower() == ".img" and header_beside(path) is None:
        raise ScanError("missing-file", f"{path} has no header {path.stem}.hdr beside it", "put that file beside it")
    try:
        if path.stat().st_size == 0:
            raise ScanError("unreadable", f"{path} is empty (0 bytes)", _REMEDY)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return nibabel().load(path)
    except FileNotFoundError as error:
        message = f"{path} cannot be opened: {error.strerror or 'No such file or directory'}"
        raise ScanError("missing-file", message, "restore the file or its read permission") from error
    except PermissionError as error:
        message = f"{path} cannot be opened: {error.strerror}"
        raise ScanError("missing-file", message, "restore the file or its read permission") from error
    except EOFError as error:
        raise ScanError("truncated", f"{path} is cut short: {_words(error)}", _REMEDY) from error
    except Exception as error:  # a damaged file can fail anywhere in the parsers, with errors of their own
        raise ScanError("unreadable", f"{path} is not a readable image ({_words(error)})", _REMEDY) from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:150]


def header_beside(path: Path) -> Path | None:
    """Return the header file of an ``.img`` file, or None where there is none."""
    return next((p for p in (path.with_suffix(".hdr"), path.with_suffix(".HDR")) if p.is_file()), None)


def _header(path: Path, image: Any) -> Header:
    shape = tuple(int(n) for n in image.shape)
    affine = _LPS @ np.asarray(image.affine, np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if len(shape) < 2 or min(shape) < 1 or not np.isfinite(affine).all() or not (spacing > 0).all():
        raise ScanError("unreadable", f"{path} claims {shape} voxels of {spacing.tolist()} mm: no 3D scan", _REMEDY)
    header = Header(
        shape=shape[:3],
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        direction=tuple(float(d) for d in (affine[:3, :3] / spacing).ravel()),
        origin_mm=(float(affine[0, 3]), float(affine[1, 3]), float(affine[2, 3])),
        components=math.prod(shape[3:]),
        dtype=str(image.get_data_dtype()),
    )
    return righted(header, path)
