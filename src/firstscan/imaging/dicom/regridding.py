"""Slices that are shifted or unevenly spaced → voxels on a straight grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from firstscan.audit.stack import DRIFT_TOLERANCE, Stack
from firstscan.domain.arrays import Float
from firstscan.imaging._sitk import sitk


def on_straight_grid(
    voxels: Float[np.ndarray, "slice row column"], stack: Stack
) -> tuple[Float[np.ndarray, "_ _ _"], Float[np.ndarray, "3"], float]:
    """Resample the slices of ``stack`` onto a grid at right angles with even steps, by linear interpolation.

    The grid covers every slice; what no slice covers takes the smallest value of the scan, as dcm2niix does.

    Returns
    -------
    (voxels (slice, row, column) float32, position of its first voxel in mm, step between slices in mm).
    """
    flat, first = _side_by_side(voxels, stack) if stack.is_sheared else (voxels, stack.positions_mm[0])
    step = stack.even_step_mm
    if stack.is_uneven:
        flat = _at_even_steps(flat, stack.along_mm - stack.along_mm[0], step)
    return np.ascontiguousarray(flat, np.float32), first, step


def _side_by_side(
    voxels: Float[np.ndarray, "slice row column"], stack: Stack
) -> tuple[Float[np.ndarray, "_ _ _"], Float[np.ndarray, "3"]]:
    """Shift every slice within its plane, so that all lie along the normal; return that and the first voxel's place."""
    drift = stack.drift
    low = np.where(np.ptp(drift, axis=0) > DRIFT_TOLERANCE, np.floor(drift.min(axis=0)), 0.0)
    high = np.where(np.ptp(drift, axis=0) > DRIFT_TOLERANCE, np.ceil(drift.max(axis=0)), 0.0)
    size = [int(voxels.shape[2] + high[0] - low[0]), int(voxels.shape[1] + high[1] - low[1])]
    lib = sitk()
    resample = lib.ResampleImageFilter()
    resample.SetSize(size)
    resample.SetInterpolator(lib.sitkLinear)
    resample.SetDefaultPixelValue(float(voxels.min()))
    shifted = np.empty((len(voxels), size[1], size[0]), np.float32)
    for plane, image, beside in zip(shifted, voxels, drift, strict=True):
        resample.SetTransform(lib.TranslationTransform(2, (low - np.where(low == high, 0.0, beside)).tolist()))
        plane[:] = lib.GetArrayFromImage(resample.Execute(lib.GetImageFromArray(image)))  # a copy: views outlive it
    moved = low * np.array(stack.pixel_mm)
    return shifted, np.asarray(stack.positions_mm[0] + moved @ stack.orientation.reshape(2, 3))


def _at_even_steps(
    voxels: Float[np.ndarray, "slice row column"], along: Float[np.ndarray, " slice"], step: float
) -> Shaped[np.ndarray, "_ row column"]:
    """Interpolate between neighbouring slices at every multiple of ``step``, until the last slice is covered.

    A plane beyond the last slice, by less than a step, takes its values.
    """
    count = int(np.ceil(along[-1] / step - 1e-3)) + 1
    even = np.empty((count, *voxels.shape[1:]), np.float32)
    for plane, place in zip(even, np.minimum(np.arange(count) * step, along[-1]), strict=True):
        after = int(np.clip(np.searchsorted(along, place), 1, len(along) - 1))
        share = float((place - along[after - 1]) / (along[after] - along[after - 1]))
        plane[:] = voxels[after - 1] + np.float32(share) * (voxels[after] - voxels[after - 1])
    return even
