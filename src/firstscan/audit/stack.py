"""Where the slices of one series lie, taken from their position vectors: shear, uneven steps, a straight grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstscan.domain.arrays import Float

STEP_TOLERANCE = 0.05
"""How far one step between slices may differ from the mean of all, as a share of it."""
DRIFT_TOLERANCE = 0.5
"""How far a slice may lie beside the line along the normal, in pixels: below that, each voxel stays the nearest one."""


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices of a series in order along their normal.

    ``positions_mm`` (slice, 3): the centre of the first pixel of each; ``orientation`` (6,): the direction along a row
    and down a column, of length 1; ``pixel_mm`` (along a row, down a column).
    """

    positions_mm: Float[np.ndarray, "slice 3"]
    orientation: Float[np.ndarray, "6"]
    pixel_mm: tuple[float, float]

    @property
    def normal(self) -> Float[np.ndarray, "3"]:
        """The direction across the slices."""
        return np.asarray(np.cross(self.orientation[:3], self.orientation[3:]))

    @property
    def along_mm(self) -> Float[np.ndarray, " slice"]:
        """Where each slice lies along the normal."""
        return np.asarray(self.positions_mm @ self.normal)

    @property
    def steps_mm(self) -> Float[np.ndarray, " step"]:
        """The distance from each slice to the next along the normal."""
        return np.diff(self.along_mm)

    @property
    def drift(self) -> Float[np.ndarray, "slice 2"]:
        """How far each slice lies beside the normal through the first one: along a row and down a column, in pixels."""
        beside = self.positions_mm - self.positions_mm[0]
        return np.asarray(beside @ self.orientation.reshape(2, 3).T / np.array(self.pixel_mm))

    @property
    def widest_drift(self) -> float:
        """The largest distance beside that line, in pixels."""
        return float(np.abs(self.drift).max(initial=0.0))

    @property
    def tilt_degrees(self) -> float:
        """The angle between the way from the first slice to the last and the normal."""
        way = self.positions_mm[-1] - self.positions_mm[0]
        length = float(np.linalg.norm(way))
        return float(np.degrees(np.arccos(np.clip(abs(way @ self.normal) / length, 0, 1)))) if length else 0.0

    @property
    def unevenness(self) -> float:
        """The largest difference between one step and the mean of all, as a share of the mean."""
        steps = self.steps_mm
        mean = float(steps.mean()) if steps.size else 0.0
        return float(np.abs(steps / mean - 1).max()) if mean > 0 else 0.0

    @property
    def is_sheared(self) -> bool:
        """Whether the slices are shifted against each other, as with a tilted gantry."""
        return self.widest_drift > DRIFT_TOLERANCE

    @property
    def is_uneven(self) -> bool:
        """Whether the steps between slices differ."""
        return self.unevenness > STEP_TOLERANCE

    @property
    def even_step_mm(self) -> float:
        """The step of a straight grid that keeps what the finest part resolves.

        The mean where steps are even; else the smallest step, but at least half the median: a single slice that lies
        close to its neighbour shall not multiply the scan.
        """
        steps = self.steps_mm
        if not self.is_uneven:
            return float(steps.mean())
        return float(max(steps.min(), np.median(steps) / 2))


def assumed_positions(
    instances: Float[np.ndarray, " slice"], orientation: Float[np.ndarray, "6"], step_mm: float
) -> Float[np.ndarray, "slice 3"]:
    """Return positions for slices that do not tell theirs: by instance number, ``step_mm`` apart along the normal."""
    strides = np.diff(np.sort(instances))
    stride = float(np.median(strides[strides > 0])) if (strides > 0).any() else 1.0
    normal = np.cross(orientation[:3], orientation[3:])
    return np.asarray((instances - instances.min())[:, None] / stride * step_mm * normal)
