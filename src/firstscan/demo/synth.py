"""From tissue maps to a scan: pure functions on arrays, in the order in which a scanner spoils an image.

Axes are canonical (x to the left, y to the back, z to the head) and affines map voxel indices to LPS mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage
from scipy.interpolate import BSpline
from scipy.spatial.transform import Rotation

from firstscan.domain.arrays import Bool, Float, Int

from .sites import Contrast

Image = Float[np.ndarray, "x y z"]
Coarser = Float[np.ndarray, "x_coarse y_coarse z_coarse"]
Affine = Float[np.ndarray, "4 4"]
PerPoint = Float[np.ndarray, "points"]
PointMask = Bool[np.ndarray, "points"]

# Where the lateral ventricles meet in MNI space, LPS mm, and how far their size reaches.
_VENTRICLES_MM = np.array([0.0, 12.0, 12.0])
_VENTRICLE_REACH_MM = 24.0
# Half the side of the cube around the template's centre over which a head's displacement field is spread.
_FIELD_REACH_MM = 130.0


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """Tissue shares of the template, each (x, y, z) in [0, 1], and what its T1 image shows beyond them.

    ``brain`` is the share of a voxel inside the brain, so cerebrospinal fluid is ``brain − gm − wm``;
    ``texture`` is the T1 signal (white matter about 1) that the tissues do not explain.
    """

    brain: Image
    gm: Image
    wm: Image
    texture: Image
    affine: Affine


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """One head's shape: pose and size, a smooth displacement on a coarse grid, and the size of its ventricles."""

    rotation: Float[np.ndarray, "3 3"]
    scale: Float[np.ndarray, "3"]
    shift_mm: Float[np.ndarray, "3"]
    displacement_mm: Float[np.ndarray, "3 nodes nodes nodes"]
    ventricles: float


@dataclass(frozen=True, slots=True)
class Grid:
    """A canonical grid of voxels: ``shape``, ``spacing_mm`` and the LPS position of voxel (0, 0, 0)."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    @property
    def affine(self) -> Affine:
        """Voxel index → LPS mm."""
        matrix = np.diag([*self.spacing_mm, 1.0])
        matrix[:3, 3] = self.origin_mm
        return matrix


def anatomy(t1: Image, gm: Image, wm: Image, affine: Affine) -> Anatomy:
    """Return the template's anatomy at half its resolution, cropped to the brain.

    ``t1``, ``gm`` and ``wm`` share one grid of 1 mm and any intensity scale.
    """
    brain = (t1 > 0).astype(np.float32)
    maps = [_halved(m) for m in (brain, gm / gm.max(), wm / wm.max(), t1 / np.percentile(t1[wm > 0.9 * wm.max()], 50))]
    box = ndimage.find_objects((maps[0] > 0).astype(np.int8))[0]
    brain, gm, wm, t1 = (np.pad(m[box], 2).astype(np.float32) for m in maps)
    # The published grey and white shares may add up to a little more than the brain's.
    excess = np.maximum((gm + wm) / np.maximum(brain, 1e-6), 1.0)
    gm, wm = (np.where(brain > 0, m / excess, 0.0).astype(np.float32) for m in (gm, wm))
    tissues = np.stack([brain - gm - wm, gm, wm])
    inside = brain > 0.99
    levels = np.linalg.lstsq(tissues[:, inside].T, t1[inside], rcond=None)[0].astype(np.float32)
    texture = np.where(inside, t1 - np.tensordot(levels, tissues, 1), 0.0)
    texture = ndimage.gaussian_filter(np.clip(texture, -0.3, 0.3), 0.5)
    corner = np.array([s.start * 2 + 0.5 - 4 for s in box])
    halved = affine.astype(np.float64) @ np.diag([2.0, 2.0, 2.0, 1.0])
    halved[:3, 3] = affine[:3, :3] @ corner + affine[:3, 3]
    return Anatomy(brain, gm, wm, texture.astype(np.float32), halved)


def _halved(image: Image) -> Coarser:
    x, y, z = (n // 2 * 2 for n in image.shape)
    halved: Coarser = image[:x, :y, :z].reshape(x // 2, 2, y // 2, 2, z // 2, 2).mean(axis=(1, 3, 5), dtype=np.float32)
    return halved


def smooth_field(
    places: tuple[np.ndarray, np.ndarray, np.ndarray], coefficients: Float[np.ndarray, "nodes_x nodes_y nodes_z"]
) -> Image:
    """Return the uniform cubic B-spline field with the control points ``coefficients`` (at least 4 an axis).

    ``places`` are the positions along each axis, in [0, 1] of the field's own extent; places beyond are clipped.
    """
    field = coefficients
    for axis, along in enumerate(places):
        nodes = coefficients.shape[axis]
        knots = np.arange(nodes + 4) - 3.0
        basis = BSpline.design_matrix(np.clip(along, 0.0, 1.0) * (nodes - 3), knots, 3).toarray()
        field = np.moveaxis(np.tensordot(basis, field, axes=(1, axis)), 0, axis)
    return field


def random_warp(rng: np.random.Generator, *, roughness_mm: float = 2.2) -> Warp:
    """Draw one head: its size (± 5 %), pose (± 4°), smooth displacements of about ``roughness_mm``, and ventricles."""
    return Warp(
        rotation=Rotation.from_euler("xyz", rng.normal(0.0, 4.0, 3), degrees=True).as_matrix(),
        scale=rng.normal(1.0, 0.03) * np.clip(rng.normal(1.0, 0.04, 3), 0.9, 1.1),
        shift_mm=rng.normal(0.0, 4.0, 3),
        # A cubic B-spline shows about a third of its control points' deviation.
        displacement_mm=3.0 * roughness_mm * np.clip(rng.normal(0.0, 1.0, (3, 9, 9, 9)), -2.0, 2.0),
        ventricles=float(rng.uniform(-0.35, 0.45)),
    )


def head_box_mm(template: Anatomy, warp: Warp) -> Float[np.ndarray, "2 3"]:
    """Return the lower and upper corner, in LPS mm, of a box around the posed head (smooth displacements aside)."""
    inside = np.argwhere(template.brain[::3, ::3, ::3] > 0.5) * 3.0
    points = inside @ template.affine[:3, :3].T + template.affine[:3, 3]
    centre = _centre_mm(template)
    posed = ((points - centre) * warp.scale) @ warp.rotation.T + centre + warp.shift_mm
    return np.stack([posed.min(axis=0), posed.max(axis=0)])


def sample(template: Anatomy, warp: Warp, grid: Grid) -> tuple[Image, Image, Image, Image]:
    """Return brain, grey, white and texture of the warped head on ``grid``, each (x, y, z), by linear interpolation."""
    centre = _centre_mm(template)
    to_voxel = np.linalg.inv(template.affine)
    unpose = np.diag(1.0 / warp.scale) @ warp.rotation.T
    axes = _axes_mm(grid)
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    places = _field_places(axes, centre)
    field = np.stack([smooth_field(places, d) for d in warp.displacement_mm]).reshape(3, -1)
    points = unpose @ (points + field - (centre + warp.shift_mm)[:, None]) + centre[:, None]
    away = points - _VENTRICLES_MM[:, None]
    bump = np.exp(-(away**2).sum(axis=0) / (2 * _VENTRICLE_REACH_MM**2))
    points -= warp.ventricles * bump * away
    voxels = to_voxel[:3, :3] @ points + to_voxel[:3, 3:]
    limits = np.array(template.brain.shape)[:, None] - 1
    near = ((voxels > 0) & (voxels < limits)).all(axis=0)
    brain = _carried(template.brain, voxels, near)
    inside = brain > 0
    others = (_carried(m, voxels, inside) for m in (template.gm, template.wm, template.texture))
    first, second, third = (m.reshape(grid.shape) for m in others)
    return brain.reshape(grid.shape), first, second, third


def _axes_mm(grid: Grid) -> list[np.ndarray]:
    return [o + s * np.arange(n) for n, s, o in zip(grid.shape, grid.spacing_mm, grid.origin_mm, strict=True)]


def _field_places(axes_mm: list[np.ndarray], centre_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the positions along each axis in [0, 1] of a box of fixed size around the head."""
    x, y, z = (0.5 + (a - c) / (2 * _FIELD_REACH_MM) for a, c in zip(axes_mm, centre_mm, strict=True))
    return x, y, z


def _carried(values: Image, voxels: Float[np.ndarray, "3 points"], where: PointMask) -> PerPoint:
    """Return ``values`` interpolated at the positions ``where`` marks, 0 elsewhere."""
    image = np.zeros(where.size, dtype=np.float32)
    image[where] = ndimage.map_coordinates(values, np.compress(where, voxels, axis=1), order=1)
    return image


def _centre_mm(template: Anatomy) -> Float[np.ndarray, "3"]:
    middle = (np.array(template.brain.shape) - 1) / 2
    centre: Float[np.ndarray, "3"] = template.affine[:3, :3] @ middle + template.affine[:3, 3]
    return centre


def averaged_slices(image: Image, count: int) -> Coarser:
    """Return ``image`` with every ``count`` neighbours along z averaged: thick slices with partial volume."""
    x, y, z = image.shape
    thick: Coarser = image.reshape(x, y, z // count, count).mean(axis=3)
    return thick


def tissue_labels(brain: Image, gm: Image, wm: Image) -> Int[np.ndarray, "x y z"]:
    """Return the likeliest tissue of each voxel: 0 background, 1 cerebrospinal fluid, 2 grey, 3 white matter."""
    labels: Int[np.ndarray, "x y z"] = np.argmax(np.stack([1.0 - brain, brain - gm - wm, gm, wm]), axis=0)
    return labels.astype(np.int16)


def signal(contrast: Contrast, brain: Image, gm: Image, wm: Image, texture: Image) -> Image:
    """Return the noiseless signal, about 0 to 1, of tissues seen with ``contrast``."""
    shown = contrast.csf * (brain - gm - wm) + contrast.gm * gm + contrast.wm * wm + contrast.texture * texture
    clean: Image = np.maximum(shown, 0.0).astype(np.float32)
    return clean


def moved(
    image: Image, *, spacing_mm: tuple[float, float, float], severity: float, axis: int, rng: np.random.Generator
) -> Image:
    """Return ``image`` as if the head had moved while the lines of k-space along ``axis`` were acquired.

    The lines are split at random times; each part shows another pose (about ``severity`` × 4 mm and 4°), except the
    part at the centre of k-space, so that labels still fit. A periodic change of phase adds ghosts along ``axis``.
    """
    lines = image.shape[axis]
    times = np.sort(rng.choice(np.arange(2, lines - 2), size=min(7, lines // 6), replace=False))
    part = np.searchsorted(times, np.arange(lines), side="right")
    still = part[lines // 2]
    mixed = np.empty(image.shape, dtype=np.complex64)
    for p in np.unique(part):
        pose = image if p == still else _posed(image, spacing_mm, severity, rng)
        spectrum = fft.fftshift(fft.fft(pose, axis=axis), axes=axis)
        chosen = tuple(part == p if a == axis else slice(None) for a in range(3))
        mixed[chosen] = spectrum[chosen]
    phase = 0.35 * severity * np.sin(2 * np.pi * np.arange(lines) / rng.uniform(3.0, 6.0) + rng.uniform(0, 2 * np.pi))
    phase[np.abs(np.arange(lines) - lines // 2) <= 1] = 0.0
    ramp = np.exp(1j * phase).astype(np.complex64).reshape([-1 if a == axis else 1 for a in range(3)])
    ghosted: Image = np.abs(fft.ifft(fft.ifftshift(mixed * ramp, axes=axis), axis=axis)).astype(np.float32)
    return ghosted


def _posed(image: Image, spacing_mm: tuple[float, float, float], severity: float, rng: np.random.Generator) -> Image:
    spacing = np.array(spacing_mm)
    turn = Rotation.from_euler("xyz", rng.normal(0.0, 4.0 * severity, 3), degrees=True).as_matrix()
    matrix = np.diag(1 / spacing) @ turn @ np.diag(spacing)
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - matrix @ centre + rng.normal(0.0, 4.0 * severity, 3) / spacing
    posed: Image = ndimage.affine_transform(image, matrix, offset, order=1)
    return posed


def biased(image: Image, template: Anatomy, grid: Grid, *, strength: float, rng: np.random.Generator) -> Image:
    """Return ``image`` times a smooth positive field whose logarithm has about the standard deviation ``strength``.

    As a coil's, the field belongs to the room around the head: how wide the field of view is does not change it.
    """
    nodes = rng.normal(0.0, 1.0, (6, 6, 6))
    whole = np.linspace(0.15, 0.85, 24)
    reference = smooth_field((whole, whole, whole), nodes)
    field = smooth_field(_field_places(_axes_mm(grid), _centre_mm(template)), nodes)
    field = strength * (field - reference.mean()) / reference.std()
    uneven: Image = (image * np.exp(field)).astype(np.float32)
    return uneven


def rician(image: Image, *, sigma: float, rng: np.random.Generator) -> Image:
    """Return the magnitude of ``image`` with complex Gaussian noise of standard deviation ``sigma``."""
    real = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(image.shape, dtype=np.float32)
    noisy: Image = np.hypot(real, imaginary).astype(np.float32)
    return noisy


def stored(
    image: np.ndarray, affine: Affine, *, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> tuple[np.ndarray, Affine]:
    """Return ``image`` with its axes in stored order, some backwards, and the affine that keeps voxels in place."""
    columns = affine[:3, :3][:, list(axes)]
    origin = affine[:3, 3].copy()
    turned = image.transpose(axes)
    for axis, backwards in enumerate(flips):
        if backwards:
            origin = origin + columns[:, axis] * (turned.shape[axis] - 1)
            columns[:, axis] *= -1
            turned = np.flip(turned, axis)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = columns, origin
    return np.ascontiguousarray(turned), matrix
