"""Three orthogonal planes through the foreground's centre, as radiologists look at them."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from firstscan.domain.arrays import Float, Mask
from firstscan.domain.sampling import sample_inside
from firstscan.domain.volume import Modality, Volume

from .standardise import axis_weights, centre_of

CT_DISPLAY_HU = (-160.0, 240.0)
_DISPLAY_PERCENTILES = (0.5, 99.5)
_FRAME = 1.04


def thumbnails(volume: Volume, size: int = 160, channel: int = 0) -> UInt8[np.ndarray, "3 size size"]:
    """Return the axial, coronal and sagittal planes, ``size`` pixels square, one scale for all three.

    Radiological display: the patient's right is on the left of axial and coronal planes; anterior is up in axial and on
    the left in sagittal planes; superior is up. Grey values: CT from −160 to 240 HU, others from the 0.5th to the
    99.5th percentile of the foreground.
    """
    mask, step = volume.foreground, volume.spacing_mm
    image = volume.voxels[channel]
    centre = [centre_of(mask, a) for a in range(3)]
    pixel_mm = max(_reach_mm(mask, a, step[a], centre[a]) for a in range(3)) * 2 * _FRAME / size
    weights = [axis_weights(mask.shape[a], step[a], centre[a], pixel_mm, size) for a in range(3)]
    low, high = _window(image, mask, volume.modality)
    planes = np.zeros((3, size, size), dtype=np.uint8)
    for i, (normal, across, down, flip) in enumerate(((2, 0, 1, False), (1, 0, 2, True), (0, 1, 2, True))):
        at = min(max(round(centre[normal]), 0), mask.shape[normal] - 1)
        plane = np.take(image, at, axis=normal).astype(np.float32)
        plane = np.clip((plane - low) / (high - low), 0, 1)
        drawn = weights[across] @ plane @ weights[down].T
        rows = drawn.T[::-1] if flip else drawn.T
        planes[i] = np.round(255 * np.clip(rows, 0, 1)).astype(np.uint8)
    return planes


def _reach_mm(mask: Mask, axis: int, step_mm: float, centre: float) -> float:
    planes = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    if planes.size == 0:
        return float(mask.shape[axis] * step_mm / 2)
    first, last = int(planes[0]), int(planes[-1])
    return max(centre - first + 0.5, last + 0.5 - centre) * step_mm


def _window(image: Float[np.ndarray, "x y z"], mask: Mask, modality: Modality) -> tuple[float, float]:
    if modality == "ct":
        return CT_DISPLAY_HU
    seen = sample_inside(image, mask)
    low, high = np.percentile(seen, _DISPLAY_PERCENTILES) if seen.size else (0.0, 1.0)
    return float(low), float(high) if high > low else float(low) + 1.0
