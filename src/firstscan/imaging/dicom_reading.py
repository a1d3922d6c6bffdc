"""DICOM slices or frames → one SimpleITK image with the geometry of the series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.errors import ScanError

from ._sitk import sitk
from .dicom_tags import pydicom

_GAP_FACTOR = 1.5
_REMEDY = "split the file by time or echo, or export the scan again"


def read_series(files: Sequence[str]) -> Any:
    """Return the image of slices that are sorted along their normal.

    Raises
    ------
    RuntimeError : SimpleITK cannot read one of the files.
    """
    series = sitk().ImageSeriesReader()
    series.SetFileNames(list(files))
    return series.Execute()


def read_frames(path: Path) -> Any:
    """Return the image of an enhanced multi-frame file, its frames sorted along their normal.

    Raises
    ------
    ScanError : frames without position, several at one position, or steps that differ: codes ``unreadable``,
        ``repeated-slices``, ``missing-slices``.
    RuntimeError : SimpleITK cannot read the voxels.
    """
    positions, orientation, spacing = _frames(path)
    across, down = orientation[:3], orientation[3:]
    normal = np.cross(across, down)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    step = float(np.median(steps))
    if steps.min() < 1e-3:
        raise ScanError("repeated-slices", f"{path} holds several frames at one position: a time series?", _REMEDY)
    if steps.max() > _GAP_FACTOR * step:
        raise ScanError(
            "missing-slices", f"{path} lacks frames: a step of {steps.max():.2f} mm among {step:.2f}", _REMEDY
        )
    stored = sitk().GetArrayFromImage(sitk().ReadImage(str(path), imageIO="GDCMImageIO"))
    if stored.ndim != 3 or len(stored) != len(order):
        raise ScanError("unreadable", f"{path} holds {len(order)} positions for {len(stored)} frames", _REMEDY)
    image = sitk().GetImageFromArray(np.ascontiguousarray(stored[order]))
    image.SetSpacing([float(spacing[1]), float(spacing[0]), step])
    image.SetDirection([float(v) for v in np.stack([across, down, normal], axis=1).ravel()])
    image.SetOrigin([float(v) for v in positions[order[0]]])
    return image


def _frames(
    path: Path,
) -> tuple[Float[np.ndarray, "frame 3"], Float[np.ndarray, "6"], Float[np.ndarray, "2"]]:
    """Return the position of each frame, and the orientation and in-plane spacing (row, column) of all, in mm."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = pydicom().dcmread(path, stop_before_pixels=True)
            shared = tags.SharedFunctionalGroupsSequence[0] if "SharedFunctionalGroupsSequence" in tags else None
            frames = list(tags.PerFrameFunctionalGroupsSequence)
            positions = [_part(f, shared, "PlanePositionSequence").ImagePositionPatient for f in frames]
            orientation = _part(frames[0], shared, "PlaneOrientationSequence").ImageOrientationPatient
            spacing = _part(frames[0], shared, "PixelMeasuresSequence").PixelSpacing
            placed = np.array(positions, np.float64), np.array(orientation, np.float64), np.array(spacing, np.float64)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ScanError("unreadable", f"{path} does not say where its frames lie ({error})", _REMEDY) from error
    if len(frames) < 2 or not all(np.isfinite(a).all() for a in placed) or placed[2].min() <= 0:
        raise ScanError("unreadable", f"{path} does not say where its frames lie", _REMEDY)
    return placed


def _part(frame: Any, shared: Any, name: str) -> Any:
    """Return one functional group of a frame, or the shared one."""
    return (frame if name in frame or shared is None else shared)[name].value[0]
