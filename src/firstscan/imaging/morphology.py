"""Masks opened, parted and filled, in the order their memory has (x fastest)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Bool, Mask

from ._sitk import sitk

_KEEP_COMPONENT = 0.05


def nowhere(shape: tuple[int, ...]) -> Mask:
    """Return an empty mask whose memory has the order of a scan's."""
    return np.zeros(shape[::-1], dtype=bool).T


def bounds(mask: Mask) -> tuple[slice, slice, slice]:
    """Return the box around all that is set; something must be."""
    ends = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    x, y, z = (slice(int(e[0]), int(e[-1]) + 1) for e in ends)
    return x, y, z


def box_open(mask: Mask, radius: tuple[int, int, int]) -> Mask:
    """Return the opening by a box of the given half-widths (0 or 1), with background outside the array."""
    result = mask
    for axis in range(3):
        if radius[axis]:
            moved = np.moveaxis(result, axis, 0)
            out = moved.copy(order="K")
            out[1:] &= moved[:-1]
            out[:-1] &= moved[1:]
            out[0] = out[-1] = False
            result = np.moveaxis(out, 0, axis)
    return box_grow(result, radius)


def box_grow(mask: Mask, radius: tuple[int, int, int] = (1, 1, 1)) -> Mask:
    """Return the dilation by a box of the given half-widths (0 or 1)."""
    result = mask
    for axis in range(3):
        if radius[axis]:
            moved = np.moveaxis(result, axis, 0)
            out = moved.copy(order="K")
            out[1:] |= moved[:-1]
            out[:-1] |= moved[1:]
            result = np.moveaxis(out, 0, axis)
    return result


def _components(mask: Mask) -> Any:
    """Return the SimpleITK image of face-connected components, numbered from 1."""
    return sitk().ConnectedComponent(_image(mask.T))


def _image(planes: Bool[np.ndarray, "z y x"]) -> Any:
    return sitk().GetImageFromArray(np.ascontiguousarray(planes).view(np.uint8))


def large_components(mask: Mask) -> Mask:
    """Keep components of at least 5 % of the largest one's voxels."""
    by_size = sitk().RelabelComponentImageFilter()
    image = by_size.Execute(_components(mask))
    sizes = np.array(by_size.GetSizeOfObjectsInPixels())
    labels = sitk().GetArrayViewFromImage(image).T
    last = int(np.count_nonzero(sizes >= _KEEP_COMPONENT * sizes[0]))
    return np.asarray((labels > 0) & (labels <= last))


def fill_holes(mask: Mask) -> Mask:
    """Fill background that no path connects to the outside of the array."""
    image = _components(~mask)
    labels = sitk().GetArrayViewFromImage(image).T
    return _all_but(labels, [np.moveaxis(labels, a, 0)[i] for a in range(3) for i in (0, -1)])


def fill_axial_holes(mask: Mask) -> Mask:
    """Fill holes within each axial plane: also lungs and bowel that leave the field of view at its ends.

    All planes are looked at in one go, kept apart by planes without background.
    """
    apart = np.zeros((2 * mask.shape[2] - 1, mask.shape[1], mask.shape[0]), dtype=bool)
    np.logical_not(mask.T, out=apart[::2])
    image = sitk().ConnectedComponent(_image(apart))
    labels = sitk().GetArrayViewFromImage(image)[::2].T
    return _all_but(labels, [np.moveaxis(labels, a, 0)[i] for a in range(2) for i in (0, -1)])


def _all_but(labels: Shaped[np.ndarray, "x y z"], faces: Sequence[Shaped[np.ndarray, "_ _"]]) -> Mask:
    """Return all voxels but those of components that show on one of ``faces``."""
    outside = np.zeros(int(labels.max()) + 1, dtype=bool)
    for face in faces:
        outside[face] = True
    outside[0] = False
    return np.asarray(~outside[labels.T]).T
