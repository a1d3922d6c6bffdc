"""Volume → what a pretrained encoder is fed: its own spacing and intensities, the box of the patient."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from firstscan.domain.arrays import Float, Mask
from firstscan.domain.encoding import EncoderInput
from firstscan.domain.sampling import inside, sample_inside
from firstscan.domain.volume import Volume

from .morphology import bounds
from .standardise import axis_weights

_SHARE_INSIDE = 0.499


def encoder_input(volume: Volume, given: EncoderInput) -> Volume:
    """Return the patient's box of ``volume``, resampled and with intensities as ``given`` says, in LPS+.

    Voxels outside the foreground keep what was scanned there: these encoders were trained on scans with air. They are
    resampled linearly, with the kernel widened where the grid gets coarser. A channel without contrast becomes 0.

    Returns
    -------
    A volume of any shape; ``voxels`` in [0, 1] (``unit``) or with mean 0 and standard deviation 1 in the foreground.
    """
    mask = volume.foreground if volume.foreground.any() else np.ones_like(volume.foreground)
    box = bounds(mask)
    shape = [s.stop - s.start for s in box]
    spacing = given.spacing_mm or _fitting(shape, volume.spacing_mm, given.size)
    sizes = [max(1, round(n * mm / new)) for n, mm, new in zip(shape, volume.spacing_mm, spacing, strict=True)]
    weights = [_matrix(n, volume.spacing_mm[a], spacing[a], sizes[a]) for a, n in enumerate(shape)]
    patient = _resampled(mask[box].astype(np.float32), weights) >= _SHARE_INSIDE
    patient = patient if patient.any() else np.ones_like(patient)
    voxels = np.empty((len(volume.voxels), *sizes), dtype=np.float32)
    for target, channel in zip(voxels, volume.voxels, strict=True):
        target[...] = _scaled(_resampled(_clipped(channel, mask, box, given), weights), patient, given)
    return Volume(
        volume.case_id,
        voxels,
        np.ascontiguousarray(patient),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        _placed(volume, box, shape, sizes, spacing),
        volume.channel_names,
        volume.modality,
    )


def _fitting(
    shape: list[int], step_mm: tuple[float, float, float], size: tuple[int, int, int]
) -> tuple[float, float, float]:
    """Return the isotropic spacing at which the patient's box just fits one input."""
    spacing = max(n * mm / wanted for n, mm, wanted in zip(shape, step_mm, size, strict=True))
    return spacing, spacing, spacing


def _matrix(n: int, step_mm: float, spacing_mm: float, size: int) -> sparse.csr_array:
    """Return the resampling of one axis, (size, n); beyond the last voxel's centre it takes that voxel's value.

    Sparse: a scan on a fine grid is brought to another fine one, and each voxel has a say in two or three.
    """
    matrix = axis_weights(n, step_mm, (n - 1) / 2, spacing_mm, size)
    beyond = np.flatnonzero(matrix.sum(axis=1) <= 0)
    matrix[beyond, np.where(beyond < size / 2, 0, n - 1)] = 1
    return sparse.csr_array(np.asarray(matrix / matrix.sum(axis=1, keepdims=True), dtype=np.float32))


def _resampled(array: Float[np.ndarray, "x y z"], weights: list[sparse.csr_array]) -> Float[np.ndarray, "_ _ _"]:
    """Apply one matrix an axis, the axis that shrinks most first; the order of memory cannot show in the last digit."""
    result = array
    for axis in sorted(range(3), key=lambda a: weights[a].shape[0] / weights[a].shape[1]):
        first = np.moveaxis(result, axis, 0)
        mapped = weights[axis] @ np.ascontiguousarray(first).reshape(len(first), -1)
        result = np.moveaxis(mapped.reshape(-1, *first.shape[1:]), 0, axis)
    return np.ascontiguousarray(result)


def _clipped(
    channel: Float[np.ndarray, "x y z"], mask: Mask, box: tuple[slice, slice, slice], given: EncoderInput
) -> Float[np.ndarray, "_ _ _"]:
    """Return the channel within ``box``, clipped to the window and, for ``unit``, mapped to 0 … 1."""
    part = channel[box].astype(np.float32, copy=True)
    window = given.window
    if window is None:
        if given.scale == "zscore":
            return part
        low, high = float(part.min()), float(part.max())
    elif window.percentiles:
        low, high = (float(v) for v in np.percentile(sample_inside(channel, mask), [window.low, window.high]))
    else:
        low, high = window.low, window.high
    np.clip(part, np.float32(low), np.float32(high), out=part)
    if given.scale == "zscore":
        return part
    if not high > low:
        return np.zeros_like(part)
    part -= np.float32(low)
    part /= np.float32(high - low)
    return part


def _scaled(values: Float[np.ndarray, "x y z"], patient: Mask, given: EncoderInput) -> Float[np.ndarray, "x y z"]:
    if given.scale == "unit":
        return np.asarray(np.clip(values, 0, 1))
    known = inside(values, patient).astype(np.float64)
    deviation = float(known.std())
    if not deviation > 1e-6 * max(1.0, abs(float(known.mean()))):
        return np.zeros_like(values)
    return np.asarray((values - known.mean()) / deviation, dtype=np.float32)


def _placed(
    volume: Volume,
    box: tuple[slice, slice, slice],
    shape: list[int],
    sizes: list[int],
    spacing: tuple[float, float, float],
) -> Float[np.ndarray, "4 4"]:
    """Return the affine of the resampled box: its middle is where it was."""
    factor = np.array(spacing) / np.array(volume.spacing_mm)
    middle = np.array([s.start + (n - 1) / 2 for s, n in zip(box, shape, strict=True)])
    first = middle - (np.array(sizes) - 1) / 2 * factor
    affine = volume.affine.astype(np.float64, copy=True)
    affine[:3, :3] = volume.affine[:3, :3] * factor[None, :]
    affine[:3, 3] = volume.affine[:3, :3] @ first + volume.affine[:3, 3]
    return affine
