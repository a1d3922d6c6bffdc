"""Simple measures of noise, ghosts and cut-off anatomy on one scan."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Float, Mask
from firstscan.domain.finding import Finding
from firstscan.domain.sampling import places, sample_inside
from firstscan.domain.volume import Volume

NOISE_SHARE = 0.15
GHOST_SHARE = 0.01
CUT_SHARE = 0.6
_LEAST_AIR = 0.2
_LEAST_SIDE = 8
_LEAST_VOXELS = 100


def check_quality(volume: Volume, path: str = "") -> tuple[Finding, ...]:
    """Return warnings on heavy noise and ghosts and a note on cut-off anatomy, from the first channel."""
    image, mask = volume.voxels[0], volume.foreground
    measures = (
        ("noisy", noise_share(image, mask), NOISE_SHARE, "noise is {:.0%} of the tissue contrast"),
        ("ghosting", ghost_share(image, mask), GHOST_SHARE, "ghosts beside the body reach {:.0%} of its signal"),
        ("cut-off", cut_share(mask), CUT_SHARE, "{:.0%} of the body's cross-section leaves the field of view"),
    )
    remedies = {
        "noisy": "look at this scan: is it good enough to be annotated?",
        "ghosting": "look at this scan: the patient may have moved",
        "cut-off": "nothing to do if the field of view ends there on purpose",
    }
    return tuple(
        Finding(
            code=code,
            severity="note" if code == "cut-off" else "warn",
            case_id=volume.case_id,
            message=message.format(value),
            remedy=remedies[code],
            path=path,
            measured=value,
            threshold=limit,
        )
        for code, value, limit, message in measures
        if value is not None and value > limit
    )


def noise_share(image: Float[np.ndarray, "x y z"], mask: Mask) -> float | None:
    """Return the noise deviation over the spread of tissue intensities (95th minus 5th percentile), or None.

    Noise: 1.4826 · median |second difference| / √6 along the axis where that is smallest, within the foreground: a
    second difference cancels smooth anatomy. 0.05 is a good scan; at 0.15 half of
    the contrast between neighbouring voxels is noise.
    """
    inside = sample_inside(image, mask)
    if inside.size < 1000:
        return None
    low, high = np.percentile(inside, [5, 95])
    if high <= low:
        return None
    values = []
    for axis in range(3):
        if image.shape[axis] < _LEAST_SIDE:
            continue
        at = places(_shifted(mask, axis, 0) & _shifted(mask, axis, 1) & _shifted(mask, axis, 2))
        if len(at[0]):
            first, middle, last = (_shifted(image, axis, i)[at] for i in range(3))
            values.append(1.4826 * float(np.median(np.abs(last - 2 * middle + first))) / np.sqrt(6))
    return float(min(values) / (high - low)) if values else None


def _shifted(array: Shaped[np.ndarray, "x y z"], axis: int, by: int) -> Shaped[np.ndarray, "_ _ _"]:
    """Return all but two planes along ``axis``, the first ``by`` of them left out."""
    planes = slice(by, array.shape[axis] - 2 + by)
    return array[tuple(planes if a == axis else slice(None) for a in range(3))]


def ghost_share(image: Float[np.ndarray, "x y z"], mask: Mask) -> float | None:
    """Return how much brighter the air beside the body is than the air in the corners, over the median tissue signal.

    Moving patients leave ghosts along the phase-encoding axis: in the columns that pass through the body, not in the
    corners; scans without motion stay below 0.001 here. None where there is too little air to tell.
    """
    if mask.mean() > 1 - _LEAST_AIR or not mask.any() or min(mask.shape) < _LEAST_SIDE:
        return None
    signal = float(np.median(sample_inside(image, mask)))
    air = ~_grown(mask) & ~_padding(image)
    beside = []
    everywhere = np.zeros_like(mask)
    for axis in range(3):
        through = np.broadcast_to(mask.any(axis=axis, keepdims=True), mask.shape)
        everywhere |= through
        if (level := _mean(image, air & through)) is not None:
            beside.append(level)
    corner = _mean(image, air & ~everywhere)
    if not beside or corner is None or signal <= 0:
        return None
    return float((max(beside) - corner) / signal)


def cut_share(mask: Mask) -> float | None:
    """Return the largest cross-section that lies on a face of the array, over the largest of all along that axis.

    None where the scan holds hardly any air: then it is a crop, and every face is cut.
    """
    if mask.mean() > 1 - _LEAST_AIR or not mask.any():
        return None
    worst = 0.0
    for axis in range(3):
        area = mask.sum(axis=tuple(a for a in range(3) if a != axis))
        worst = max(worst, float(max(area[0], area[-1]) / area.max()))
    return worst


def _padding(image: Float[np.ndarray, "x y z"]) -> Mask:
    """Return the voxels that hold exactly what most corners of the array hold: padding, not air."""
    corners = image[np.ix_(*[[0, -1]] * 3)].ravel()
    values, counts = np.unique(corners, return_counts=True)
    if counts.max() < 4:
        return np.zeros(image.shape, dtype=bool)
    return np.asarray(image == values[int(counts.argmax())])


def _mean(image: Float[np.ndarray, "x y z"], where: Mask) -> float | None:
    """Return the mean over ``where``; None for so few voxels that it says nothing."""
    count = int(np.count_nonzero(where))
    return float(np.mean(image, where=where, dtype=np.float64)) if count >= _LEAST_VOXELS else None


def _grown(mask: Mask) -> Mask:
    """Return the dilation by a box of two voxels a side."""
    result = mask.copy(order="K")
    for axis in range(3):
        for _ in range(2):
            moved = np.moveaxis(result, axis, 0)
            before = moved.copy(order="K")
            moved[1:] |= before[:-1]
            moved[:-1] |= before[1:]
    return result
