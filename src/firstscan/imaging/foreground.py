"""Which voxels are the patient: the mask that keeps padding and air out of every signal.

METHOD §3.2: signals must follow neither zero padding nor a margin of air. Hence the threshold depends only on voxels
above it (a fixed point reached from above), everything outside the array counts as background, and planes that hold
nothing but one value are cut off before anything is measured.

Large scans spend more time here than in a network, so arrays keep the order they have in memory (x fastest), and what
can be done within a few planes or within the box of the patient is done there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Float, Mask, Voxels
from firstscan.domain.sampling import sample
from firstscan.domain.volume import Modality

from .morphology import bounds, box_open, fill_axial_holes, fill_holes, large_components, nowhere

BACKGROUND_SHARE = 0.2
"""MR: the background level as a share of the median foreground intensity."""
_NOISE_SHARE = 0.5
_BORDER_SHARE = 0.2
CT_AIR_HU = -500.0
"""CT: half-way between air (−1000 HU) and water (0 HU)."""
_THIN_AXIS = 16
_PLANES = 8


def foreground(voxels: Voxels, modality: Modality) -> Mask:
    """Return the mask of voxels inside the field of view and above the background level.

    Parameters
    ----------
    voxels : (channel, x, y, z), file units (HU for CT); non-finite voxels count as background.
    modality : ``ct`` thresholds at −500 HU; others at a share of the median of what lies above the threshold.

    Returns
    -------
    (x, y, z) bool; never empty unless every channel is constant. Dark regions enclosed by foreground (ventricles,
    sinuses, lungs) belong to it. Several channels: a voxel counts if any channel shows it.
    """
    mask = nowhere(voxels.shape[1:])
    box = _content_box(voxels)
    if box is None:
        return mask
    inner = voxels[(slice(None), *box)]
    smooth, sharp = nowhere(inner.shape[1:]), nowhere(inner.shape[1:])
    for channel in inner:
        averaged, own = _above_background(channel, modality)
        smooth |= averaged
        sharp |= own
    mask[box] = _tidy(smooth, sharp, axial_holes=modality == "ct")
    return mask


def background_level(channel: Float[np.ndarray, "x y z"], modality: Modality, share: float = BACKGROUND_SHARE) -> float:
    """Return the intensity below which a voxel of one channel is background (see :func:`foreground`).

    For MR the level t is the largest solution of t = floor + share·(median of voxels above t − floor), from above,
    so that air, of whatever amount, has no say in it.
    """
    if modality == "ct":
        return CT_AIR_HU
    values = sample(channel)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0
    floor = _floor(values)
    content = np.sort(values[values > floor])
    if content.size == 0:
        return floor
    level = float(content[int(0.99 * (content.size - 1))])
    for _ in range(100):
        first = int(np.searchsorted(content, level, side="right"))
        if first == content.size:
            first = content.size - 1
        median = float(content[(first + content.size - 1) // 2])
        following = floor + share * (median - floor)
        if following >= level:
            break
        level = following
    return level


def _floor(values: Float[np.ndarray, " n"]) -> float:
    """Return the darkest meaningful value: 0 for magnitude images (few negative overshoots), else the minimum."""
    negative = float(np.mean(values < 0))
    content = float(np.mean(values != 0))
    return 0.0 if negative <= 0.02 * content else float(values.min())


def _above_background(channel: Float[np.ndarray, "x y z"], modality: Modality) -> tuple[Mask, Mask]:
    """Return voxels whose local mean, and voxels whose own value, lies above the background level.

    The mean keeps noisy air below the level but blurs the edge by a voxel; the value itself does the reverse.
    """
    finite = np.isfinite(channel)
    clean = channel if finite.all() else np.where(finite, channel, np.float32(np.min(channel[finite], initial=0.0)))
    smooth = nowhere(channel.shape)
    if modality == "ct":
        for planes, mean in _box_means(clean, 2 * CT_AIR_HU):
            np.greater(mean, CT_AIR_HU, out=smooth[planes])
        return smooth & finite, (clean > CT_AIR_HU) & finite
    floor = _floor(sample(clean))
    if floor < 0 and (padding := _padding(clean)) is not None:
        inside = ~padding & finite
        return inside, inside
    means = np.empty(channel.shape[::-1], dtype=np.float32).T
    for planes, mean in _box_means(clean, floor):
        means[planes] = mean
    values = np.minimum(means, clean)
    level = background_level(values, modality)
    level = max(level, _noise_level(means, values, level))
    return (means > level) & finite, (clean > level) & finite


def _padding(channel: Float[np.ndarray, "x y z"]) -> Mask | None:
    """Return the constant region around a skull-stripped scan whose intensities were standardised, if it is one.

    There, the value that fills a fifth or more of the border lies in the middle of the intensities, so that no
    threshold can tell background from tissue.
    """
    values, counts = np.unique(_faces(channel), return_counts=True)
    top = int(np.argmax(counts))
    if counts[top] < _BORDER_SHARE * counts.sum():
        return None
    padding: Mask = np.asarray(channel == values[top])
    padding &= box_open(padding, (1, 1, 1))
    if not padding.any() or padding.all() or float(np.mean(channel[~padding] < values[top])) <= 0.05:
        return None
    return padding


def _noise_level(smooth: Float[np.ndarray, "x y z"], values: Float[np.ndarray, "x y z"], level: float) -> float:
    """Return the level that clears noisy air where ``level`` does not, else minus infinity.

    Air as bright as a fifth of the tissue shows in one way: nearly all of the array's border lies above the level, and
    most of it is far darker than the rest and, once averaged, nearly uniform.
    """
    rim = _rim(smooth)
    if rim.size == 0 or float(np.mean(rim > level)) < 0.9:
        return -np.inf
    air = rim[rim <= background_level(values, "mr", share=_NOISE_SHARE)]
    if air.size < 0.5 * rim.size or float(air.std()) > 0.25 * float(air.mean()):
        return -np.inf
    darkest = np.sort(air)
    middle = float(darkest[darkest.size // 2])
    spread = middle - float(darkest[int(0.16 * darkest.size)])
    return middle + 4 * spread


def _rim(array: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, " n"]:
    """Return the values one voxel inside the array's six faces (none where an axis has fewer than 5 planes)."""
    if min(array.shape) < 5:
        return np.empty(0, dtype=array.dtype)
    return _faces(array[1:-1, 1:-1, 1:-1])


def _faces(array: Shaped[np.ndarray, "x y z"]) -> Shaped[np.ndarray, " n"]:
    return np.concatenate([np.moveaxis(array, a, 0)[i].ravel() for a in range(3) for i in (0, -1)])


def _content_box(voxels: Voxels) -> tuple[slice, slice, slice] | None:
    """Return the box that is left when constant outer planes are cut off, or None if nothing is left.

    Only planes that hold the value which the outermost plane on their side holds throughout are cut.
    """
    box = [slice(0, n) for n in voxels.shape[1:]]
    padding = {(axis, at): _plane_value(voxels, box, axis, at) for axis in range(3) for at in (0, -1)}
    before = None
    while before != box:
        before = list(box)
        for axis in range(3):
            start, stop = box[axis].start, box[axis].stop
            while start < stop and _holds(voxels, box, axis, start, padding[axis, 0]):
                start += 1
            while stop > start and _holds(voxels, box, axis, stop - 1, padding[axis, -1]):
                stop -= 1
            if start == stop:
                return None
            box[axis] = slice(start, stop)
    return box[0], box[1], box[2]


def _plane(voxels: Voxels, box: list[slice], axis: int, at: int) -> Float[np.ndarray, "channel n"]:
    where: list[slice | int] = list(box)
    where[axis] = at
    return voxels[(slice(None), *where)].reshape(len(voxels), -1)


def _plane_value(voxels: Voxels, box: list[slice], axis: int, at: int) -> Float[np.ndarray, " channel"] | None:
    """Return the one value a channel that a plane holds throughout, or None."""
    value = _plane(voxels, box, axis, at)[:, 0]
    return value if _holds(voxels, box, axis, at, value) else None


def _holds(voxels: Voxels, box: list[slice], axis: int, at: int, value: Float[np.ndarray, " channel"] | None) -> bool:
    if value is None:
        return False
    return bool(np.all(_plane(voxels, box, axis, at) == value[:, None]))


def _box_means(
    channel: Float[np.ndarray, "x y z"], outside: float
) -> Iterator[tuple[tuple[slice, slice, slice], Float[np.ndarray, "x y planes"]]]:
    """Yield the mean over 3×3×3 neighbours, some planes at a time and where they belong.

    Beyond the array lies ``outside``: there, too, is air.
    """
    n = channel.shape[2]
    for start in range(0, n, _PLANES):
        stop = min(start + _PLANES, n)
        low = max(start - 1, 0)
        rows = _with_neighbours(channel[:, :, low : stop + 1] - np.float32(outside), 0)
        total = _with_neighbours(_with_neighbours(rows, 1), 2)[:, :, start - low : stop - low]
        total *= np.float32(1 / 27)
        total += np.float32(outside)
        yield (slice(None), slice(None), slice(start, stop)), total


def _with_neighbours(array: Float[np.ndarray, "x y z"], axis: int) -> Float[np.ndarray, "x y z"]:
    """Return each value plus the one before and the one after along ``axis``; nothing is added at the ends."""
    moved = np.moveaxis(array, axis, 0)
    total = moved.copy(order="K")
    total[1:] += moved[:-1]
    total[:-1] += moved[1:]
    return np.moveaxis(total, 0, axis)


def _tidy(smooth: Mask, sharp: Mask, *, axial_holes: bool) -> Mask:
    """Open, keep the large components, trim the blurred edge, fill enclosed holes; never return nothing."""
    if not smooth.any():
        return np.ones_like(smooth)
    around = bounds(smooth)
    opened = box_open(smooth[around], _radii(smooth))
    kept = large_components(opened if opened.any() else smooth[around])
    inner = bounds(kept)
    kept = kept[inner]
    trimmed = kept & sharp[around][inner]
    result = nowhere(smooth.shape)
    fill = fill_axial_holes if axial_holes else fill_holes
    result[around][inner] = fill(trimmed if trimmed.any() else kept)
    return result


def _radii(above: Mask) -> tuple[int, int, int]:
    """Return the opening radius an axis: 0 along axes where the object is only a few planes thick."""
    radii = []
    for axis in range(3):
        planes = above.sum(axis=tuple(a for a in range(3) if a != axis))
        extent = int(np.count_nonzero(planes > 0.02 * planes.max(initial=0)))
        radii.append(1 if extent >= _THIN_AXIS else 0)
    return radii[0], radii[1], radii[2]
