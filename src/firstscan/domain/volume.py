"""Voxels in memory: a scan as read, its header, and its standardised crop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .arrays import Float, Mask, Voxels

Modality = Literal["ct", "mr", "other"]


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself without its voxels being loaded.

    ``shape`` is (x, y, z) as stored, ``spacing_mm`` per stored axis, ``direction`` the 3×3 cosines (rows
    flattened), ``origin_mm`` the position of voxel (0, 0, 0) in LPS, ``components`` volumes in the file,
    ``axes_off`` how far the axes in the file were off right angles, as a cosine, where that was repaired.
    """

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    direction: tuple[float, ...]
    origin_mm: tuple[float, ...]
    components: int
    dtype: str
    modality_hint: Modality | None = None
    axes_off: float = 0.0

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel index → LPS mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(self.direction, (3, 3)) * np.array(self.spacing_mm)
        affine[:3, 3] = self.origin_mm
        return affine


@dataclass(frozen=True, slots=True)
class Volume:
    """A scan in canonical orientation (LPS+, see :mod:`firstscan.domain.arrays`).

    ``voxels`` (channel, x, y, z) float32 in file units; ``foreground`` (x, y, z): inside the field of view and
    above the background level; ``spacing_mm`` (3,); ``affine`` (4, 4) voxel index → LPS mm.
    """

    case_id: str
    voxels: Voxels
    foreground: Mask
    spacing_mm: tuple[float, float, float]
    affine: Float[np.ndarray, "4 4"]
    channel_names: tuple[str, ...]
    modality: Modality


@dataclass(frozen=True, slots=True)
class Crop:
    """A standardised cube: the network's input for one case.

    ``voxels`` (channel, s, s, s) float32, normalised well inside ``foreground`` (s, s, s), whose inside continues
    outwards to the edge of the cube; ``spacing_mm`` isotropic.
    """

    case_id: str
    voxels: Voxels
    foreground: Mask
    spacing_mm: float


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """What one reading of a case's voxels tells: enough to standardise the pool and to audit signals.

    ``extent_mm``: size of the foreground's bounding box along each canonical axis; ``voxel_count``: product of the
    stored shape; ``air_share``: share of stored voxels outside the foreground, in [0, 1]; ``foreground_ml``: foreground
    volume in millilitres; ``intensity_scale``: 99th minus 1st percentile of the first channel's foreground;
    ``fingerprint``: SHA-256 over every file's bytes, in channel order; ``geometry``: how the first channel is stored
    and where the patient is in it (:attr:`firstscan.domain.slices.ScanGeometry.numbers`).
    """

    case_id: str
    fingerprint: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    channel_names: tuple[str, ...]
    modality: Modality
    extent_mm: tuple[float, float, float]
    voxel_count: int
    air_share: float
    foreground_ml: float
    intensity_scale: float
    file_type: str
    geometry: tuple[float, ...] = ()
