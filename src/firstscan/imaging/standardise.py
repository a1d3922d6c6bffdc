"""Volume → Crop: intensities normalised on the foreground, one isotropic grid centred on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from firstscan.domain.arrays import Float, Mask, Voxels
from firstscan.domain.errors import UsageError
from firstscan.domain.sampling import inside, sample_inside
from firstscan.domain.slices import ScanGeometry
from firstscan.domain.volume import CaseSummary, Crop, Header, Modality, Volume

from .orientation import canonical_axes

CT_WINDOW_HU = (-1000.0, 400.0)
"""Lung to soft tissue and contrast-filled vessels; bone saturates."""
MR_PERCENTILES = (0.5, 99.5)
_SHARE_INSIDE = 0.499
"""Just below one half: an edge half-way between two voxels must not depend on rounding."""
_EDGE_SHARE = 0.01


def summarise(volume: Volume, *, fingerprint: str, file_type: str, header: Header | None = None) -> CaseSummary:
    """Return what standardising the pool and auditing signals need to know of one scan.

    ``extent_mm`` is twice the farthest reach of the foreground from the centre that :func:`standardise` uses.
    ``header`` is the first channel's, as stored; without it nothing is told of how the scan is stored.
    """
    mask = volume.foreground
    shape = (int(mask.shape[0]), int(mask.shape[1]), int(mask.shape[2]))
    described = sample_inside(volume.voxels[0], mask)
    low, high = np.percentile(described, [1, 99]) if described.size else (0.0, 0.0)
    voxel_ml = math.prod(volume.spacing_mm) / 1000
    return CaseSummary(
        case_id=volume.case_id,
        fingerprint=fingerprint,
        shape=shape,
        spacing_mm=volume.spacing_mm,
        channel_names=volume.channel_names,
        modality=volume.modality,
        extent_mm=_extent_mm(mask, volume.spacing_mm),
        voxel_count=mask.size,
        air_share=float(1 - int(mask.sum()) / mask.size),
        foreground_ml=int(mask.sum()) * voxel_ml,
        intensity_scale=float(high - low),
        file_type=file_type,
        geometry=() if header is None else _geometry(volume, header).numbers,
    )


def _geometry(volume: Volume, header: Header) -> ScanGeometry:
    """Return how a scan is stored; the patient's box, found in canonical orientation, along the stored axes."""
    patient = []
    for stored, (axis, sign) in enumerate(canonical_axes(header.direction)):
        planes = np.flatnonzero(volume.foreground.any(axis=tuple(a for a in range(3) if a != axis)))
        n = header.shape[stored]
        first, last = (int(planes[0]), int(planes[-1])) if planes.size else (0, n - 1)
        patient.append((first, last) if sign > 0 else (n - 1 - last, n - 1 - first))
    shape, spacing, origin = header.shape, header.spacing_mm, header.origin_mm
    return ScanGeometry(
        volume.case_id,
        (int(shape[0]), int(shape[1]), int(shape[2])),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        tuple(float(d) for d in header.direction),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        (patient[0], patient[1], patient[2]),
    )


def pool_spacing(extents_mm: Float[np.ndarray, "case 3"], size: int, share: float = 0.95) -> float:
    """Return the finest isotropic spacing in mm at which ``share`` of the foregrounds fit a cube of ``size`` voxels.

    Raises
    ------
    UsageError : no extents, ``size`` < 1, or ``share`` outside (0, 1].
    """
    if len(extents_mm) == 0 or size < 1 or not 0 < share <= 1:
        raise UsageError(
            f"pool_spacing needs scans, size ≥ 1 and 0 < share ≤ 1; found {len(extents_mm)}, {size}, {share}"
        )
    longest = np.sort(extents_mm.max(axis=1))
    enough = math.ceil(share * len(longest)) - 1
    return float(longest[max(enough, 0)] / size)


def standardise(volume: Volume, *, spacing_mm: float, size: int) -> Crop:
    """Return the cube of ``size`` voxels at isotropic ``spacing_mm`` around the centre of the foreground.

    Intensities: CT is clipped to [−1000, 400] HU, everything else to the 0.5th and 99.5th percentile of the foreground;
    each channel is resampled linearly, with the kernel widened by the factor where the grid gets coarser
    (anti-aliasing) and weights over the foreground only, so that air never bleeds into tissue; then it gets mean 0 and
    standard deviation 1 well inside the foreground of the cube, so that neither the intensity scale nor the resolution
    of the file shows. Voxels at least half inside are the cube's foreground; its inside continues outwards.

    Raises
    ------
    UsageError : ``spacing_mm`` or ``size`` is not positive.
    """
    if spacing_mm <= 0 or size < 1:
        raise UsageError(f"standardise needs spacing_mm > 0 and size ≥ 1; found {spacing_mm} and {size}")
    mask = volume.foreground
    cube = np.zeros((len(volume.voxels), size, size, size), dtype=np.float32)
    if not mask.any():
        return Crop(volume.case_id, cube, np.zeros(cube.shape[1:], dtype=bool), float(spacing_mm))
    weights = [
        axis_weights(mask.shape[a], volume.spacing_mm[a], centre_of(mask, a), spacing_mm, size) for a in range(3)
    ]
    box = reach(mask, weights)
    near = [w[:, s] for w, s in zip(weights, box, strict=True)]
    share = _resample(mask[box].astype(np.float32), near)
    patient = share >= _SHARE_INSIDE
    core = well_inside(patient)
    for target, channel in zip(cube, volume.voxels, strict=True):
        clipped = _clip(channel, mask, volume.modality, box)
        target[core] = _normalise(_resample(clipped, near)[core] / share[core])
    return Crop(volume.case_id, continue_outward(cube, core), patient, float(spacing_mm))


def crop_affine(volume: Volume, *, spacing_mm: float, size: int) -> Float[np.ndarray, "4 4"]:
    """Return where the voxels of :func:`standardise`'s cube lie in the patient: index in the cube → LPS mm."""
    centre = np.array([centre_of(volume.foreground, axis) for axis in range(3)])
    steps = spacing_mm / np.array(volume.spacing_mm)
    affine = np.array(volume.affine, dtype=np.float64)
    affine[:3, 3] += affine[:3, :3] @ (centre - (size - 1) / 2 * steps)
    affine[:3, :3] *= steps
    return affine


def well_inside(foreground: Mask) -> Mask:
    """Return the foreground less its outermost layer, which is part air and which noise clings to.

    The edge of the cube counts as inside; a foreground too thin to have an inside is returned as it is.
    """
    core = ndimage.binary_erosion(foreground, np.ones((3, 3, 3), dtype=bool), border_value=1)
    return np.asarray(core) if core.any() else foreground


def continue_outward(cube: Voxels, core: Mask) -> Voxels:
    """Return ``cube`` with every voxel outside ``core`` set to the nearest one inside it.

    A network then sees neither padding nor air, and where the foreground ends is no edge to it. With zeros there
    instead, U follows the size of the scan: signals that follow the crop are not difficulty (docs/method.md;
    measured by benchmarks/main_job.py).
    """
    if core.all() or not core.any():
        return cube
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    return np.ascontiguousarray(cube[(slice(None), *nearest)])


def axis_weights(n: int, step_mm: float, centre: float, spacing_mm: float, size: int) -> Float[np.ndarray, "size n"]:
    """Return the linear resampling of one axis as a matrix; rows sum to 1 inside the array and to 0 far outside.

    ``centre`` is the source index that the middle of the target falls on. The kernel is a triangle as wide as the
    larger of the two steps.
    """
    factor = spacing_mm / step_mm
    position = centre + (np.arange(size) - (size - 1) / 2) * factor
    distance = np.abs(position[:, None] - np.arange(n)[None, :])
    kernel = np.clip(1 - distance / max(factor, 1.0), 0, None)
    unbounded = np.clip(1 - np.abs(position[:, None] - _around(position, factor)) / max(factor, 1.0), 0, None)
    return np.asarray((kernel / unbounded.sum(axis=1, keepdims=True)).astype(np.float32))


def _around(position: Float[np.ndarray, " size"], factor: float) -> Float[np.ndarray, "size k"]:
    """Return the integer positions within kernel reach of each target, whether or not the array holds them."""
    reach = math.ceil(max(factor, 1.0)) + 1
    return np.asarray(np.floor(position)[:, None] + np.arange(-reach, reach + 1)[None, :])


def reach(mask: Mask, weights: Sequence[np.ndarray]) -> tuple[slice, slice, slice]:
    """Return the box of voxels that are foreground and have a say in the cube; the whole array where there is none."""
    box = []
    for axis, matrix in enumerate(weights):
        planes = mask.any(axis=tuple(a for a in range(3) if a != axis)) & matrix.any(axis=0)
        ends = np.flatnonzero(planes)
        box.append(slice(int(ends[0]), int(ends[-1]) + 1) if ends.size else slice(0, mask.shape[axis]))
    return box[0], box[1], box[2]


def _resample(array: Float[np.ndarray, "x y z"], weights: list[np.ndarray]) -> Float[np.ndarray, "s s s"]:
    """Apply one matrix an axis, the axis that shrinks most first; the order of memory cannot show in the last digit."""
    result = np.ascontiguousarray(array.T)
    for axis in sorted(range(3), key=lambda a: weights[a].shape[0] / weights[a].shape[1]):
        matrix = weights[axis]
        if axis == 0:
            result = result @ matrix.T
        elif axis == 1:
            result = matrix @ result
        else:
            result = (matrix @ result.reshape(len(result), -1)).reshape(len(matrix), *result.shape[1:])
    return result.T


def _clip(
    channel: Float[np.ndarray, "x y z"], mask: Mask, modality: Modality, box: tuple[slice, slice, slice]
) -> Float[np.ndarray, "_ _ _"]:
    """Return the part of the channel in ``box``, clipped to the window of its modality and shifted to start at 0.

    0 outside ``mask``, all of whose voxels set the window.
    """
    low, high = CT_WINDOW_HU if modality == "ct" else np.percentile(inside(channel, mask), MR_PERCENTILES)
    span = np.float32(high - low)
    if not span > 0:
        return np.zeros_like(channel[box])
    result: np.ndarray = np.clip(channel[box], np.float32(low), np.float32(high))
    result -= np.float32(low)
    result /= span
    result *= mask[box]
    return result


def _normalise(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return values with mean 0 and standard deviation 1 (all 0 where they are constant)."""
    exact = values.astype(np.float64)
    deviation = float(exact.std())
    if not deviation > 1e-6:
        return np.zeros_like(values)
    return np.asarray((exact - exact.mean()) / deviation, dtype=np.float32)


def centre_of(mask: Mask, axis: int) -> float:
    """Return the middle between the 1 % and 99 % points of the foreground along one axis, to the half voxel.

    The two points are interpolated in the cumulative voxel count and their middle is rounded, so that a handful of
    noise voxels does not move the grid of the crop by a hair.
    """
    counts = mask.sum(axis=tuple(a for a in range(3) if a != axis)).astype(np.float64)
    if not counts.any():
        return (len(counts) - 1) / 2
    low = _first_point(counts / counts.sum())
    high = len(counts) - 1 - _first_point(counts[::-1] / counts.sum())
    return round(low + high) / 2


def _first_point(shares: Float[np.ndarray, " n"]) -> float:
    """Return where the cumulative share passes 1 %, as a voxel index (voxel i reaches from i − ½ to i + ½)."""
    edges = np.concatenate([[0.0], np.cumsum(shares)])
    after = int(np.searchsorted(edges, _EDGE_SHARE))
    step = edges[after] - edges[after - 1]
    return float(after - 1.5 + (_EDGE_SHARE - edges[after - 1]) / step)


def _extent_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    extents = []
    for axis in range(3):
        planes = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if planes.size == 0:
            extents.append(0.0)
            continue
        centre = centre_of(mask, axis)
        reach = max(centre - (planes[0] - 0.5), planes[-1] + 0.5 - centre)
        extents.append(float(2 * reach * spacing_mm[axis]))
    return extents[0], extents[1], extents[2]
