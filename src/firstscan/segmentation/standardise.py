"""Bring scans of one dataset to one spacing and one intensity scale, and predictions back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstscan.domain.arrays import Float, Int, LabelMap

from .grids import Grid, sitk

Voxels = Float[np.ndarray, "channel x y z"]
Resampled = Float[np.ndarray, "channel x2 y2 z2"]
ResampledLabels = Int[np.ndarray, "x2 y2 z2"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How one channel is normalised: per scan (``clip`` None), or a CT by numbers taken from the picks.

    ``clip`` (lower, upper), ``mean`` and ``std`` in file units.
    """

    clip: tuple[float, float] | None = None
    mean: float = 0.0
    std: float = 1.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return ``values`` of one channel with mean 0 and standard deviation about 1, as float32."""
        if self.clip is None:
            mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        else:
            values, mean, std = np.clip(values, *self.clip), self.mean, self.std
        return ((values - mean) / max(std, 1e-8)).astype(np.float32)


def scale_of(channel_name: str, foreground: np.ndarray) -> Scale:
    """Return the scale of a channel; ``foreground`` holds its values inside the labels of all picks.

    CT: clipped to the 0.5–99.5 percentiles and standardised by those values (nnU-Net's rule). Else: per scan.
    """
    if channel_name.lower() != "ct" or foreground.size == 0:
        return Scale()
    low, high = (float(v) for v in np.percentile(foreground, (0.5, 99.5)))
    inside = np.clip(foreground, low, high)
    return Scale((low, high), float(inside.mean(dtype=np.float64)), float(inside.std(dtype=np.float64)))


def working_spacing(grids: Sequence[Grid], largest_voxels: int) -> tuple[float, ...]:
    """Return the spacing (mm, x y z) to train at: the median of the picks, coarsened until scans are small enough.

    ``largest_voxels`` bounds the voxels of the median scan; coarsening takes the finest axes first.
    """
    spacing = np.median([g.spacing_mm for g in grids], axis=0)
    extent = np.median([np.multiply(g.spacing_mm, g.shape) for g in grids], axis=0)
    while float(np.prod(extent / spacing)) > largest_voxels:
        finest = spacing <= spacing.min() * 1.001
        spacing = np.where(finest, spacing * 1.05, spacing)
    return tuple(float(s) for s in spacing)


def to_spacing(voxels: Voxels, spacing_mm: Sequence[float], target_mm: Sequence[float]) -> Resampled:
    """Resample channels (channel, x, y, z) linearly to another spacing (mm); the extent stays as it is."""
    if np.allclose(spacing_mm, target_mm, rtol=1e-3):
        return voxels
    shape = resampled_shape(voxels.shape[1:], spacing_mm, target_mm)
    return np.stack([_resample(c, spacing_mm, shape, nearest=False) for c in voxels])


def labels_to_spacing(
    labels: LabelMap, spacing_mm: Sequence[float], target_mm: Sequence[float], *, ignored: int | None = None
) -> ResampledLabels:
    """Resample a label map (x, y, z) by nearest neighbour to another spacing (mm).

    Of the voxels that fall into a coarser one, the nearest that is not ``ignored`` counts: annotated slices would
    otherwise be lost between the coarser ones.
    """
    if np.allclose(spacing_mm, target_mm, rtol=1e-3):
        return labels
    shape = resampled_shape(labels.shape, spacing_mm, target_mm)
    if ignored is None or not (labels == ignored).any():
        return _resample(labels, spacing_mm, shape, nearest=True)
    for axis, n in enumerate(shape):
        labels = _coarser(labels, axis, n, ignored)
    return labels


def _coarser(labels: np.ndarray, axis: int, wanted: int, ignored: int) -> np.ndarray:
    """Return ``labels`` with ``wanted`` voxels along ``axis``, each the nearest known one among those it covers."""
    ratio = labels.shape[axis] / wanted
    centre = (np.arange(wanted) + 0.5) * ratio - 0.5
    reach = max(int(np.ceil((ratio - 1) / 2)), 0)
    found: np.ndarray = np.take(labels, np.clip(np.round(centre).astype(int), 0, labels.shape[axis] - 1), axis=axis)
    for step in sorted(range(-reach, reach + 1), key=abs)[1:]:
        index = np.round(centre).astype(int) + step
        covered = (np.abs(index - centre) <= ratio / 2) & (index >= 0) & (index < labels.shape[axis])
        other = np.take(labels, np.clip(index, 0, labels.shape[axis] - 1), axis=axis)
        shape = [1] * labels.ndim
        shape[axis] = -1
        found = np.where((found == ignored) & covered.reshape(shape), other, found)
    return found


def resampled_shape(shape: Sequence[int], spacing_mm: Sequence[float], target_mm: Sequence[float]) -> tuple[int, ...]:
    """Return the number of voxels along each axis after resampling."""
    return tuple(max(1, round(n * a / b)) for n, a, b in zip(shape, spacing_mm, target_mm, strict=True))


def _resample(values: np.ndarray, spacing_mm: Sequence[float], shape: tuple[int, ...], *, nearest: bool) -> np.ndarray:
    """Resample one array (x, y, z) so that both grids cover the same extent from corner to corner."""
    image: Any = sitk().GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing([float(s) for s in spacing_mm])
    step = [n * s / m for n, s, m in zip(values.shape, spacing_mm, shape, strict=True)]
    corner = [(b - a) / 2 for a, b in zip(spacing_mm, step, strict=True)]
    method = sitk().sitkNearestNeighbor if nearest else sitk().sitkLinear
    identity = sitk().Transform(3, sitk().sitkIdentity)
    directions = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    nearest_outside = sitk().ResampleImageFilter()
    nearest_outside.SetUseNearestNeighborExtrapolator(True)
    nearest_outside.SetTransform(identity)
    nearest_outside.SetInterpolator(method)
    nearest_outside.SetSize([int(n) for n in shape])
    nearest_outside.SetOutputSpacing(step)
    nearest_outside.SetOutputOrigin(corner)
    nearest_outside.SetOutputDirection(directions)
    resampled: np.ndarray = sitk().GetArrayFromImage(nearest_outside.Execute(image)).T
    return resampled
