"""Crop → features that need no network: what a scan looks like, how it is textured, how large the patient is."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from firstscan.domain.arrays import Bool, Float, Mask
from firstscan.domain.volume import CaseSummary, Crop

from .standardise import well_inside

APPEARANCE_CELLS = 12
"""Cells along each axis of the patient's box."""
LARGEST_GROUP = 256
"""Numbers that one feature group keeps of a scan; longer ones are projected."""
_SCALES = 3
TEXTURE_NUMBERS = _SCALES + 6
"""Numbers of the group ``texture`` for each channel."""
SHAPE_NUMBERS = 4
"""Numbers of the group ``shape``."""
_FLOOR = 1e-4

Vector = Float[np.ndarray, " feature"]


def appearance(crop: Crop) -> Vector:
    """Return the scan at low resolution: means over 12³ cells of the patient's box, projected to at most 256 numbers.

    Intensities are those of the crop, with mean 0 and standard deviation 1 inside the patient; outside they continue
    the nearest voxel inside, so that neither air nor padding shows.
    """
    box = _box(crop.foreground)
    inside = crop.voxels[(slice(None), *box)]
    for axis in range(3):
        inside = _cell_means(inside, axis + 1, APPEARANCE_CELLS)
    return projected(inside.reshape(-1), "appearance")


def texture(crop: Crop) -> Vector:
    """Return how a scan is textured, per channel: 3 energies of detail at scales of 2, 4 and 8 voxels, and 6 numbers of
    its gradients (logarithms of the mean step along each axis, and of the ratio of its root mean square to its mean).

    Taken well inside the patient, from intensities with standard deviation 1.
    """
    core = well_inside(crop.foreground)
    numbers: list[float] = []
    for channel in crop.voxels:
        numbers += [float(np.log(e + _FLOOR)) for e in _detail(channel, core)]
        for axis in range(3):
            step = np.diff(channel, axis=axis)
            both = _but_last(core, axis) & _but_first(core, axis)
            size = np.abs(step[both], dtype=np.float64) if both.any() else np.zeros(1)
            mean = float(size.mean())
            spread = float(np.sqrt((size**2).mean())) / max(mean, _FLOOR)
            numbers += [float(np.log(mean + _FLOOR)), float(np.log(spread + _FLOOR))]
    return np.array(numbers, dtype=np.float32)


def shape(summary: CaseSummary) -> Vector:
    """Return the logarithms of the patient's extent along each axis (mm), and of a third of the volume's (ml)."""
    extents = np.log(np.maximum(summary.extent_mm, 1.0))
    return np.array([*extents, np.log(max(summary.foreground_ml, 1e-3)) / 3], dtype=np.float32)


def projected(values: Vector, name: str) -> Float[np.ndarray, " kept"]:
    """Return at most 256 numbers whose distances are those of ``values`` but for a few percent.

    A fixed Gaussian matrix, drawn from the name and the length: storing a hundred thousand scans stays cheap.

    References
    ----------
    Johnson & Lindenstrauss, Extensions of Lipschitz mappings into a Hilbert space, 1984.
    """
    if len(values) <= LARGEST_GROUP:
        return values.astype(np.float32)
    return np.asarray(values.astype(np.float32) @ _projection(name, len(values)))


@cache
def _projection(name: str, length: int) -> Float[np.ndarray, "length feature"]:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    drawn = np.random.default_rng([seed, length]).standard_normal((length, LARGEST_GROUP))
    matrix: np.ndarray = (drawn / np.sqrt(LARGEST_GROUP)).astype(np.float32)
    return matrix


def _box(mask: Mask) -> tuple[slice, slice, slice]:
    """Return the box of the patient; the whole crop where there is none."""
    ends = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    box = [slice(int(e[0]), int(e[-1]) + 1) if e.size else slice(None) for e in ends]
    return box[0], box[1], box[2]


def _cell_means(values: Float[np.ndarray, "_ _ _ _"], axis: int, cells: int) -> Float[np.ndarray, "_ _ _ _"]:
    """Return means over ``cells`` equal parts of one axis; voxels on a border count by their share in each part."""
    n = values.shape[axis]
    sums = np.concatenate([np.zeros_like(np.take(values, [0], axis)), np.cumsum(values, axis=axis)], axis=axis)
    edges = np.arange(cells + 1) * n / cells
    low = np.minimum(edges.astype(int), n - 1)
    share = [1] * values.ndim
    share[axis] = -1
    part = (edges - low).astype(values.dtype).reshape(share)
    reached = np.take(sums, low, axis) * (1 - part) + np.take(sums, low + 1, axis) * part
    return np.asarray(np.diff(reached, axis=axis) * (cells / n), dtype=np.float32)


def _detail(channel: Float[np.ndarray, "x y z"], core: Mask) -> list[float]:
    """Return how much variance is lost each time that 2³ cells, all of them inside, are averaged."""
    energies = []
    values, known = channel.astype(np.float64), core
    for _ in range(_SCALES):
        n = [s // 2 * 2 for s in values.shape]
        values, known = values[: n[0], : n[1], : n[2]], known[: n[0], : n[1], : n[2]]
        cells = values.reshape(n[0] // 2, 2, n[1] // 2, 2, n[2] // 2, 2)
        known = np.asarray(known.reshape(cells.shape).all(axis=(1, 3, 5)))
        values = cells.mean(axis=(1, 3, 5))
        lost = (cells**2).mean(axis=(1, 3, 5)) - values**2
        energies.append(float(lost[known].mean()) if known.any() else 0.0)
    return energies


def _but_last(mask: Mask, axis: int) -> Bool[np.ndarray, "_ _ _"]:
    return np.asarray(np.take(mask, range(mask.shape[axis] - 1), axis))


def _but_first(mask: Mask, axis: int) -> Bool[np.ndarray, "_ _ _"]:
    return np.asarray(np.take(mask, range(1, mask.shape[axis]), axis))
