"""DICOM slices or frames → one SimpleITK image with the geometry of the series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstscan.audit.series import widest_gap
from firstscan.audit.stack import Stack, assumed_positions
from firstscan.domain.arrays import Float
from firstscan.domain.errors import ScanError
from firstscan.imaging._sitk import sitk

from .classic_frames import classic_frames, is_classic
from .frame_values import groups_of, part_of, rescaled
from .regridding import on_straight_grid
from .tags import UPRIGHT, pydicom

_REMEDY = "split the file by time or echo, or export the scan again"
_POSITION, _ORIENTATION, _PIXEL, _INSTANCE = "0020|0032", "0020|0037", "0028|0030", "0020|0013"
_BETWEEN, _THICKNESS = "0018|0088", "0018|0050"


def read_series(files: Sequence[str]) -> Any:
    """Return the image of slices that are sorted along their normal, as float32, on a straight grid.

    Every slice is rescaled by its own slope and intercept. Slices that are shifted against each other or unevenly
    spaced are resampled (:func:`firstscan.imaging.dicom.regridding.on_straight_grid`).

    Raises
    ------
    RuntimeError : SimpleITK cannot read one of the files.
    """
    series = sitk().ImageSeriesReader()
    series.SetFileNames(list(files))
    series.MetaDataDictionaryArrayUpdateOn()
    series.SetOutputPixelType(sitk().sitkFloat32)  # else the first slice decides, and fractions of others are lost
    image = series.Execute()
    stack = _stack(series, len(files))
    if stack is None:
        return image
    if stack.is_sheared or stack.is_uneven:
        return _placed(sitk().GetArrayFromImage(image), stack)
    if not _tells_places(series):
        _place(image, stack, stack.positions_mm[0], stack.even_step_mm)
    return image


def read_frames(path: Path) -> Any:
    """Return the image of a multi-frame file as float32, its frames sorted along their normal.

    Raises
    ------
    ScanError : frames without position, several at one position, or missing ones: codes ``unreadable``,
        ``repeated-slices``, ``missing-slices``.
    RuntimeError : SimpleITK cannot read the voxels.
    """
    tags, positions, orientation, spacing = _frames(path)
    order = np.argsort(positions @ np.cross(orientation[:3], orientation[3:]), kind="stable")
    stack = Stack(positions[order], orientation, (float(spacing[1]), float(spacing[0])))
    if stack.steps_mm.min() < 1e-3:
        raise ScanError("repeated-slices", f"{path} holds several frames at one position: a time series?", _REMEDY)
    if gap := widest_gap(stack.steps_mm):
        usual = float(np.median(stack.steps_mm))
        raise ScanError("missing-slices", f"{path} lacks frames: a step of {gap:.2f} mm among {usual:.2f}", _REMEDY)
    image = sitk().ReadImage(str(path), imageIO="GDCMImageIO")
    stored = sitk().GetArrayFromImage(image)
    if stored.ndim != 3 or len(stored) != len(order):
        raise ScanError("unreadable", f"{path} holds {len(order)} positions for {len(stored)} frames", _REMEDY)
    voxels = stored.astype(np.float32) if is_classic(tags) else rescaled(stored, tags)
    return _placed(voxels[order], stack)


def frames_stack(path: Path) -> Stack:
    """Return where the frames of an enhanced multi-frame file lie, sorted along their normal; voxels are not read.

    Raises ScanError as :func:`read_frames`.
    """
    _, positions, orientation, spacing = _frames(path)
    order = np.argsort(positions @ np.cross(orientation[:3], orientation[3:]), kind="stable")
    return Stack(positions[order], orientation, (float(spacing[1]), float(spacing[0])))


def _placed(voxels: Float[np.ndarray, "slice row column"], stack: Stack) -> Any:
    """Return the slices of ``stack`` as an image, resampled where they do not lie on a straight grid."""
    voxels = np.ascontiguousarray(voxels, np.float32)
    first, step = stack.positions_mm[0], stack.even_step_mm
    if stack.is_sheared or stack.is_uneven:
        voxels, first, step = on_straight_grid(voxels, stack)
    image = sitk().GetImageFromArray(voxels)
    _place(image, stack, first, step)
    return image


def _place(image: Any, stack: Stack, first: Float[np.ndarray, "3"], step: float) -> None:
    axes = [stack.orientation[:3], stack.orientation[3:], stack.normal]
    image.SetSpacing([*stack.pixel_mm, step])
    image.SetDirection([float(v) for v in np.stack(axes, axis=1).ravel()])
    image.SetOrigin([float(v) for v in first])


def _tells_places(series: Any) -> bool:
    """Tell whether the first slice of a series that was just read states its position, and directions for it."""
    if not (series.HasMetaDataKey(0, _POSITION) and series.HasMetaDataKey(0, _ORIENTATION)):
        return False
    return any(float(v) for v in series.GetMetaData(0, _ORIENTATION).split("\\"))


def _stack(series: Any, count: int) -> Stack | None:
    """Return where the slices of a series that was just read lie; None where their tags make no sense."""

    def numbers(i: int, key: str) -> list[float]:
        return [float(v) for v in series.GetMetaData(i, key).split("\\")] if series.HasMetaDataKey(i, key) else []

    try:
        pixel = numbers(0, _PIXEL) or [1.0, 1.0]
        orientation = np.array(numbers(0, _ORIENTATION) or UPRIGHT)
        positions = [numbers(i, _POSITION) for i in range(count)]
        if not any(positions) or not orientation.any():
            orientation = orientation if orientation.any() else np.array(UPRIGHT)
            instances = np.array([(numbers(i, _INSTANCE) or [0.0])[0] for i in range(count)])
            step = (numbers(0, _BETWEEN) or numbers(0, _THICKNESS) or [1.0])[0]
            placed = assumed_positions(instances, orientation, abs(step) or 1.0)
        else:
            placed = np.array(positions)
    except ValueError:
        return None
    lengths = np.linalg.norm(orientation.reshape(-1, 3), axis=1) if orientation.shape == (6,) else np.zeros(1)
    if placed.shape != (count, 3) or len(pixel) != 2 or min(pixel) <= 0 or lengths.min() <= 0 or count < 2:
        return None
    stack = Stack(placed, orientation / np.repeat(lengths, 3), (pixel[1], pixel[0]))
    usable = np.isfinite(placed).all() and np.isfinite(stack.orientation).all() and stack.steps_mm.min() > 0
    return stack if usable else None


def _frames(
    path: Path,
) -> tuple[Any, Float[np.ndarray, "frame 3"], Float[np.ndarray, "6"], Float[np.ndarray, "2"]]:
    """Return the tags, the position of each frame, and the orientation and in-plane spacing (row, column), in mm."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = pydicom().dcmread(path, stop_before_pixels=True)
            if is_classic(tags) and int(tags.get("NumberOfFrames") or 1) > 1:
                return tags, *classic_frames(tags, path)
            shared, frames = groups_of(tags)
            positions = [part_of(f, shared, "PlanePositionSequence").ImagePositionPatient for f in frames]
            orientation = part_of(frames[0], shared, "PlaneOrientationSequence").ImageOrientationPatient
            spacing = part_of(frames[0], shared, "PixelMeasuresSequence").PixelSpacing
            placed = np.array(positions, np.float64), np.array(orientation, np.float64), np.array(spacing, np.float64)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ScanError("unreadable", f"{path} does not say where its frames lie ({error})", _REMEDY) from error
    if len(frames) < 2 or not all(np.isfinite(a).all() for a in placed) or placed[2].min() <= 0:
        raise ScanError("unreadable", f"{path} does not say where its frames lie", _REMEDY)
    return tags, *placed
