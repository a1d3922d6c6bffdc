"""Which voxels are the patient: the mask that keeps padding and air out of every signal.

METHOD §3.2: signals must follow neither zero padding nor a margin of air. Hence the threshold depends only on voxels
above it (a fixed point reached from above), everything outside the array counts as background, and planes that hold
nothing but one value are cut off before anything is measured.
"""

from __future__ import annotations

import numpy as np

from firstscan.domain.arrays import Float, Mask, Voxels
from firstscan.domain.volume import Modality

from ._sitk import sitk

BACKGROUND_SHARE = 0.2
"""MR: the background level as a share of the median foreground intensity."""
CT_AIR_HU = -500.0
"""CT: half-way between air (−1000 HU) and water (0 HU)."""
_SAMPLES = 1 << 20
_KEEP_COMPONENT = 0.05
_THIN_AXIS = 16


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
    box = _content_box(voxels)
    mask = np.zeros(voxels.shape[1:], dtype=bool)
    if box is None:
        return mask
    inner = voxels[(slice(None), *box)]
    smooth, sharp = np.zeros(inner.shape[1:], dtype=bool), np.zeros(inner.shape[1:], dtype=bool)
    for channel in inner:
        averaged, own = _above_background(channel, modality)
        smooth |= averaged
        sharp |= own
    mask[box] = _tidy(smooth, sharp, axial_holes=modality == "ct")
    return mask


def background_level(channel: Float[np.ndarray, "x y z"], modality: Modality) -> float:
    """Return the intensity below which a voxel of one channel is background (see :func:`foreground`).

    For MR the level t is the largest solution of t = floor + 0.2·(median of voxels above t − floor), found from above,
    so that air, of whatever amount, has no say in it.
    """
    if modality == "ct":
        return CT_AIR_HU
    values = channel.ravel()[:: _stride(channel)]
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
        following = floor + BACKGROUND_SHARE * (median - floor)
        if following >= level:
            break
        level = following
    return level


def _stride(channel: Float[np.ndarray, "x y z"]) -> int:
    return max(1, channel.size // _SAMPLES)


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
    padding = _padding(clean)
    if padding is not None and modality != "ct":
        inside = clean[~padding]
        reference = clean[padding][0]
        if inside.size and float(np.mean(inside < reference)) > 0.05:
            inside_field = np.asarray(~padding & finite)
            return inside_field, inside_field
    smooth = _box_mean(clean, CT_AIR_HU * 2 if modality == "ct" else _floor(clean.ravel()[:: _stride(clean)]))
    level = background_level(np.minimum(smooth, clean), modality)
    valid = finite if padding is None else finite & ~padding
    return (smooth > level) & valid, (clean > level) & valid


def _padding(channel: Float[np.ndarray, "x y z"]) -> Mask | None:
    """Return the connected constant region that fills much of the array's border, if there is one."""
    faces = np.concatenate([np.take(channel, i, axis=a).ravel() for a in range(3) for i in (0, -1)])
    values, counts = np.unique(faces, return_counts=True)
    top = int(np.argmax(counts))
    if counts[top] < 0.2 * faces.size:
        return None
    same = channel == values[top]
    return np.asarray(same & _box_open(same, (1, 1, 1)))


def _content_box(voxels: Voxels) -> tuple[slice, slice, slice] | None:
    """Return the smallest box outside of which every channel holds one constant value, or None if nothing is left."""
    box = [slice(0, n) for n in voxels.shape[1:]]
    changed = True
    while changed:
        changed = False
        for axis in range(3):
            start, stop = box[axis].start, box[axis].stop
            while start < stop and _flat(voxels, box, axis, start):
                start += 1
            while stop > start and _flat(voxels, box, axis, stop - 1):
                stop -= 1
            if start == stop:
                return None
            changed |= (start, stop) != (box[axis].start, box[axis].stop)
            box[axis] = slice(start, stop)
    return box[0], box[1], box[2]


def _flat(voxels: Voxels, box: list[slice], axis: int, at: int) -> bool:
    plane = list(box)
    plane[axis] = slice(at, at + 1)
    values = voxels[(slice(None), *plane)].reshape(len(voxels), -1)
    first = values[:, :1]
    return bool(np.all((values == first) | (np.isnan(values) & np.isnan(first))))


def _box_mean(channel: Float[np.ndarray, "x y z"], outside: float) -> Float[np.ndarray, "x y z"]:
    """Return the mean over 3×3×3 neighbours, with ``outside`` beyond the array: there, too, lies air."""
    result = channel - np.float32(outside)
    for axis in range(3):
        moved = np.moveaxis(result, axis, 0)
        total = moved.copy(order="K")
        total[1:] += moved[:-1]
        total[:-1] += moved[1:]
        result = np.moveaxis(total, 0, axis)
    result *= np.float32(1 / 27)
    result += np.float32(outside)
    return result


def _tidy(smooth: Mask, sharp: Mask, *, axial_holes: bool) -> Mask:
    """Open, keep the large components, trim the blurred edge, fill enclosed holes; never return nothing."""
    if not smooth.any():
        return np.ones_like(smooth)
    opened = _box_open(smooth, _radii(smooth))
    kept = _large_components(opened if opened.any() else smooth)
    trimmed = _box_grow(kept) & sharp
    filled = _fill_holes(trimmed if trimmed.any() else kept)
    return _fill_axial_holes(filled) if axial_holes else filled


def _radii(above: Mask) -> tuple[int, int, int]:
    """Return the opening radius an axis: 0 along axes where the object is only a few planes thick."""
    radii = []
    for axis in range(3):
        planes = above.sum(axis=tuple(a for a in range(3) if a != axis))
        extent = int(np.count_nonzero(planes > 0.02 * planes.max(initial=0)))
        radii.append(1 if extent >= _THIN_AXIS else 0)
    return radii[0], radii[1], radii[2]


def _box_open(mask: Mask, radius: tuple[int, int, int]) -> Mask:
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
    return _box_grow(result, radius)


def _box_grow(mask: Mask, radius: tuple[int, int, int] = (1, 1, 1)) -> Mask:
    """Return the dilation by a box of the given half-widths (0 or 1)."""
    result = mask
    for axis in range(3):
        if radius[axis]:
            moved = np.moveaxis(result, axis, 0)
            out = moved.copy(order="K")
            out[1:] |= moved[:-1]
            out[:-1] |= moved[1:]
            result = np.moveaxis(out, 0, axis)
    return np.ascontiguousarray(result)


def _labels(mask: Mask) -> np.ndarray:
    lib = sitk()
    image = lib.GetImageFromArray(mask.astype(np.uint8))
    return np.asarray(lib.GetArrayFromImage(lib.ConnectedComponent(image)))


def _large_components(mask: Mask) -> Mask:
    """Keep components of at least 5 % of the largest one's voxels."""
    labels = _labels(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    keep = sizes >= _KEEP_COMPONENT * sizes.max()
    keep[0] = False
    return np.asarray(keep[labels])


def _fill_holes(mask: Mask) -> Mask:
    """Fill background that no path connects to the outside of the array."""
    labels = _labels(~mask)
    outside = np.zeros(int(labels.max()) + 1, dtype=bool)
    for axis in range(3):
        for i in (0, -1):
            outside[np.unique(np.take(labels, i, axis=axis))] = True
    outside[0] = False
    return np.asarray(~outside[labels])


def _fill_axial_holes(mask: Mask) -> Mask:
    """Fill holes within each axial plane: lungs and bowel that leave the field of view at its ends."""
    lib = sitk()
    result = mask.copy()
    for z in range(mask.shape[2]):
        plane = lib.GetImageFromArray(mask[:, :, z].astype(np.uint8))
        result[:, :, z] = lib.GetArrayFromImage(lib.BinaryFillhole(plane)) > 0
    return result
