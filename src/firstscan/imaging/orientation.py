"""Stored axes → canonical axes (LPS+): a view of the same voxels, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Float

from ._sitk import sitk

_AXES = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, slots=True)
class Placed:
    """Voxels along x, y, z with the place of their grid.

    ``voxels`` (x, y, z), a view in whatever order memory has; ``spacing_mm`` (3,); ``direction`` (3, 3), a column an
    axis; ``origin_mm`` (3,): the centre of voxel (0, 0, 0) in LPS.
    """

    voxels: Shaped[np.ndarray, "x y z"]
    spacing_mm: Float[np.ndarray, "3"]
    direction: Float[np.ndarray, "3 3"]
    origin_mm: Float[np.ndarray, "3"]

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel index → LPS mm."""
        affine = np.eye(4)
        affine[:3, :3] = self.direction * self.spacing_mm
        affine[:3, 3] = self.origin_mm
        return affine


def canonical_axes(direction: Sequence[float]) -> list[tuple[int, int]]:
    """Return for each stored axis the canonical one that it runs along, and 1 or −1: whether in its direction.

    ``direction``: the 3×3 cosines, a column an axis, rows flattened.
    """
    filters = sitk().DICOMOrientImageFilter
    return [_AXES[letter] for letter in filters.GetOrientationFromDirectionCosines([float(d) for d in direction])]


def canonical(stored: Placed, like: Placed | None = None) -> Placed:
    """Return the same voxels with x to the patient's left, y to the back and z to the head, as nearly as axes allow.

    What ``SimpleITK.DICOMOrient`` does, and by its judgement of which axis is which, without a copy. Axes half-way
    between two of the patient's are turned as those of ``like`` are: a rounding must not part the channels of a scan.
    """
    ends = canonical_axes((like or stored).direction.ravel().tolist())
    order = sorted(range(3), key=lambda axis: ends[axis][0])
    direction, origin = stored.direction.copy(), stored.origin_mm.copy()
    steps: list[slice] = []
    for axis, (_, sign) in enumerate(ends):
        if sign < 0:
            origin += direction[:, axis] * stored.spacing_mm[axis] * (stored.voxels.shape[axis] - 1)
            direction[:, axis] *= -1
        steps.append(slice(None, None, sign))
    return Placed(
        voxels=stored.voxels[tuple(steps)].transpose(order),
        spacing_mm=stored.spacing_mm[order],
        direction=direction[:, order],
        origin_mm=origin,
    )
