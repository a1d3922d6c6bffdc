"""Every random choice of a ``unet`` training, drawn before it begins: which patches, and how each is augmented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Float, Int

IGNORED = -1
"""Class index of voxels that nobody annotated."""
NOISE = 1 << 20
"""How many normal numbers the noise of all patches is taken from."""
STRIDE = 8
"""What the network divides each edge of a patch by."""
_ANISOTROPIC = 3.0

Indices = Int[np.ndarray, "x y z"]
Patch = tuple[int, ...]


@dataclass(frozen=True)
class Draws:
    """Draws by (step, patch): which ``case``, where it ``start``s (voxels of the padded scan), and its augmentation.

    ``matrix`` turns and scales coordinates in voxels; values become ``value · contrast + brightness``, then follow a
    power ``gamma`` (1: none), are mixed with their half-resolution copy by ``blur`` (0: none), and get noise of
    standard deviation ``noise`` (0: none) from a common list of normal numbers, beginning at ``noise_at``.
    """

    case: Int[np.ndarray, "step patch"]
    start: Int[np.ndarray, "step patch 3"]
    matrix: Float[np.ndarray, "step patch 3 3"]
    contrast: Float[np.ndarray, "step patch"]
    brightness: Float[np.ndarray, "step patch"]
    gamma: Float[np.ndarray, "step patch"]
    blur: Float[np.ndarray, "step patch"]
    noise: Float[np.ndarray, "step patch"]
    noise_at: Int[np.ndarray, "step patch"]


@dataclass(frozen=True)
class Spots:
    """Where patches of one scan may be centred: flat indices of the voxels of each class, and of all annotated ones.

    ``annotated`` is None where every voxel is.
    """

    shape: Patch
    classes: tuple[Int[np.ndarray, " _"], ...]
    annotated: Int[np.ndarray, " _"] | None


def patch_of(shapes: Sequence[Patch], largest: int) -> Patch:
    """Return the patch (voxels, x y z): the median scan rounded up to the network's stride, at most ``largest``."""
    median = np.median(shapes, axis=0)
    return tuple(int(min(largest, -(-n // STRIDE) * STRIDE)) for n in median)


def spots_of(labels: Indices) -> Spots:
    """Return where patches of a scan may be centred; ``labels`` (x, y, z) hold class indices, or IGNORED."""
    flat = labels.ravel()
    present = [int(c) for c in np.unique(flat) if c > 0]
    whole = bool((flat != IGNORED).all())
    return Spots(
        labels.shape,
        tuple(np.flatnonzero(flat == c) for c in present),
        None if whole else np.flatnonzero(flat != IGNORED),
    )


def draw(
    spots: Sequence[Spots],
    patch: Patch,
    spacing_mm: Sequence[float],
    *,
    steps: int,
    batch: int,
    foreground_share: float,
    seed: int,
) -> Draws:
    """Draw a whole training.

    A share of the patches is centred on a voxel of a class drawn at random among those that the scan holds; the others
    lie anywhere in it, or around any annotated voxel where some are not annotated. Anisotropic scans are turned and
    scaled in the plane of their slices only, as nnU-Net does (Isensee et al. 2021): out of it, thin annotated slices
    would fall apart.
    """
    coarse = coarse_axis(spacing_mm)
    where, how = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    n = steps * batch
    case = where.integers(len(spots), size=n)
    start = np.array([_start(spots[c], patch, foreground_share, where) for c in case])
    matrix = np.stack([_turned(how, spacing_mm, coarse) for _ in range(n)]).astype(np.float32)
    gamma = np.where(how.random(n) < 0.3, how.uniform(0.7, 1.5, n), 1.0)
    blur = np.where(how.random(n) < 0.2, how.random(n), 0.0)
    noise = np.where(how.random(n) < 0.2, how.uniform(0.0, 0.2, n), 0.0)
    values = {
        "contrast": how.uniform(0.75, 1.25, n),
        "brightness": how.uniform(-0.2, 0.2, n),
        "gamma": gamma,
        "blur": blur,
        "noise": noise,
    }
    return Draws(
        case=case.reshape(steps, batch),
        start=start.reshape(steps, batch, 3),
        matrix=matrix.reshape(steps, batch, 3, 3),
        noise_at=how.integers(NOISE, size=n).reshape(steps, batch),
        **{name: v.astype(np.float32).reshape(steps, batch) for name, v in values.items()},
    )


def normal_numbers() -> Float[np.ndarray, " number"]:
    """Return the numbers that noise is taken from; always the same."""
    return np.random.default_rng(0).standard_normal(NOISE, dtype=np.float32)


def coarse_axis(spacing_mm: Sequence[float]) -> int | None:
    """Return the axis of the slices of an anisotropic scan (coarser than three times the finest), or None."""
    coarsest = int(np.argmax(spacing_mm))
    return coarsest if spacing_mm[coarsest] > _ANISOTROPIC * min(spacing_mm) else None


def _start(spots: Spots, patch: Patch, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the first voxel of a patch in the padded scan."""
    missing = np.maximum(np.subtract(patch, spots.shape), 0)
    room = np.maximum(np.subtract(spots.shape, patch), 0)
    among = None
    if spots.classes and rng.random() < share:
        among = spots.classes[int(rng.integers(len(spots.classes)))]
    elif spots.annotated is not None and len(spots.annotated):
        among = spots.annotated
    if among is None:
        return np.array([int(rng.integers(r + 1)) for r in room])
    centre = np.array(np.unravel_index(among[int(rng.integers(len(among)))], spots.shape)) + missing // 2
    start: np.ndarray = np.clip(centre - np.array(patch) // 2, 0, room)
    return start


def _turned(rng: np.random.Generator, spacing_mm: Sequence[float], coarse: int | None) -> np.ndarray:
    """Return a random rotation (±20° about each axis) and scaling (0.8–1.25), each for half of the patches.

    Angles are those of the patient; the matrix is in voxels.
    """
    angles = rng.uniform(-math.pi / 9, math.pi / 9, 3) * (rng.random() < 0.5)
    scale = np.full(3, math.exp(rng.uniform(-0.22, 0.22)) if rng.random() < 0.5 else 1.0)
    if coarse is not None:
        angles[np.arange(3) != coarse] = 0.0
        scale[coarse] = 1.0
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        about = np.eye(3)
        about[i, i] = about[j, j] = math.cos(angle)
        about[i, j], about[j, i] = -math.sin(angle), math.sin(angle)
        turn = turn @ about
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    in_voxels: np.ndarray = (turn * scale) * spacing[None, :] / spacing[:, None]
    return in_voxels
