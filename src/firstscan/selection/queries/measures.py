"""Predicted probabilities of one scan → a few numbers: what query rules see instead of voxels.

Voxel maps are made into numbers of a scan in every way that a rule may ask for (:data:`AGGREGATES`), so that a rule
with another aggregation needs no new prediction. None of them counts air: how much of it a file holds says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Bool, Float, Int, PerCase
from firstscan.domain.errors import DataError
from firstscan.selection.slices.unsure import Profiles, profiles

Measure = Literal["entropy", "information", "margin"]
Aggregate = Literal["foreground", "boundary", "top", "classes"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)

TOP_SHARE = 0.1
"""``top`` averages the largest values of a map, as many as this share of the expected foreground."""
TOLERANCE = 0.01
"""How far the probabilities of a voxel may be from adding up to 1: they are often stored in half precision."""
VERSION = 2
"""Raised whenever a number changes: measures that were kept are then computed again."""

_SLICES = ("slices_x", "slices_y", "slices_z")

Probabilities = Float[np.ndarray, "class x y z"]
Map = Float[np.ndarray, "x y z"]
Winner = Int[np.ndarray, "x y z"]


@dataclass(frozen=True, eq=False)
class CaseMeasures:
    """What a rule may know of the prediction of one scan.

    Parameters
    ----------
    maps : (measure, aggregate) ≥ 0, natural logarithms: the entropy of the mean prediction, the mutual information
        between prediction and member (BALD), and 1 − margin between the two likeliest classes.
    by_class : (class,) mean entropy, each voxel weighted with the probability of the class; background first.
    voxels : (class,) voxels predicted as each class.
    residuals : (class, class) mean over voxels of the likely foreground predicted as class i (row) of p − onehot(i),
        weighted with their share: the gradient of the cross-entropy to the model's own prediction.
    members : predictions of this scan; mutual information is 0 with one.
    slices : how unsure the model is of each slice across each of the patient's axes, from the top
        (:func:`firstscan.selection.slices.unsure.profiles`), over the predicted foreground and the voxels beside it;
        None where it is not known how the scan lies in the patient.
    """

    maps: Float[np.ndarray, "measure aggregate"]
    by_class: Float[np.ndarray, " class"]
    voxels: Int[np.ndarray, " class"]
    residuals: Float[np.ndarray, "class class"]
    members: int
    slices: Profiles | None = None

    @property
    def empty(self) -> bool:
        """Whether no voxel was predicted as anything but background."""
        return not self.voxels[1:].any()

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Return the measures as plain arrays, to be kept."""
        return {
            "maps": self.maps,
            "by_class": self.by_class,
            "voxels": self.voxels,
            "residuals": self.residuals,
            "members": np.array(self.members),
            **dict(zip(_SLICES, self.slices or (), strict=False)),
        }

    @classmethod
    def of_arrays(cls, kept: Mapping[str, np.ndarray]) -> CaseMeasures:
        """Return what :meth:`as_arrays` made plain.  Raises KeyError where an array is missing."""
        x, y, z = (kept.get(name) for name in _SLICES)
        slices = None if x is None or y is None or z is None else (x, y, z)
        return cls(kept["maps"], kept["by_class"], kept["voxels"], kept["residuals"], int(kept["members"]), slices)


@dataclass(frozen=True, eq=False)
class Measures:
    """The measures of a pool, row by row as :class:`firstscan.selection.Candidates` has its scans.

    ``known`` says which rows have a prediction; all numbers of the others are 0. Shapes as in :class:`CaseMeasures`,
    with the case first; ``members`` is the smallest number of predictions of a scan.
    """

    maps: Float[np.ndarray, "case measure aggregate"]
    by_class: Float[np.ndarray, "case class"]
    residuals: Float[np.ndarray, "case class class"]
    known: Bool[np.ndarray, " case"]
    members: int

    def of(self, measure: Measure, aggregate: Aggregate) -> PerCase:
        """Return one number a scan, higher where the model is less sure."""
        return self.maps[:, MEASURES.index(measure), AGGREGATES.index(aggregate)]


def gathered(case_ids: Sequence[str], found: Mapping[str, CaseMeasures]) -> Measures:
    """Return the measures of a pool in the order of ``case_ids``.

    Raises
    ------
    DataError : predictions with different numbers of classes, or none of these scans.
    """
    known = np.array([case_id in found for case_id in case_ids], dtype=bool)
    if not known.any():
        raise DataError("there is no prediction of any scan of the pool")
    classes = {len(found[case_id].by_class): case_id for case_id in reversed(case_ids) if case_id in found}
    if len(classes) > 1:
        told = ", ".join(f"{case_id} has {n}" for n, case_id in sorted(classes.items()))
        raise DataError(f"predictions hold different numbers of classes: {told}; predict all scans with one model")
    n, c = len(case_ids), next(iter(classes))
    maps, by_class = np.zeros((n, len(MEASURES), len(AGGREGATES))), np.zeros((n, c))
    residuals = np.zeros((n, c, c))
    for row in np.flatnonzero(known).tolist():
        of = found[case_ids[row]]
        maps[row], by_class[row], residuals[row] = of.maps, of.by_class, of.residuals
    return Measures(maps, by_class, residuals, known, min(found[i].members for i in case_ids if i in found))


def measured(
    members: Iterable[Shaped[np.ndarray, "..."]], cosines: Float[np.ndarray, "3 3"] | None = None
) -> CaseMeasures:
    """Return the measures of one scan from the class probabilities of each member of an ensemble.

    Parameters
    ----------
    members : at least one array (class, x, y, z) within [0, 1], background first, adding up to 1 in every voxel; they
        are read one after the other, so that they need not all be in memory.
    cosines : direction of the axes x, y, z in the patient (LPS), a column an axis; None: slices are not measured.

    Raises
    ------
    DataError : no member, shapes that differ, fewer than two classes, or numbers that are no probabilities.
    """
    from scipy.special import entr

    count, total, expected = 0, np.zeros(0), np.zeros(0)
    for member in members:
        p = probabilities(member)
        if count and p.shape != total.shape:
            raise DataError(f"the members of the ensemble differ: {total.shape} against {p.shape} (class, x, y, z)")
        entropy = entr(p).sum(axis=0)
        total, expected, count = (total + p, expected + entropy, count + 1) if count else (p, entropy, 1)
    if not count:
        raise DataError("there is no prediction")
    mean = total / count
    entropy = entr(mean).sum(axis=0)
    two = np.partition(mean, len(mean) - 2, axis=0)[-2:]
    maps = {
        "entropy": entropy,
        "information": np.maximum(entropy - expected / count, 0),
        "margin": 1 - (two[1] - two[0]),
    }
    winner = mean.argmax(axis=0)
    regions = _Regions(mean, winner)
    weight = mean.reshape(len(mean), -1)
    sums = weight.sum(axis=1)
    return CaseMeasures(
        maps=np.array([[regions.mean(maps[m], a) for a in AGGREGATES] for m in MEASURES]),
        by_class=np.divide(weight @ entropy.ravel(), sums, out=np.zeros(len(mean)), where=sums > 0),
        voxels=np.bincount(winner.ravel(), minlength=len(mean)),
        residuals=_residuals(mean[:, regions.foreground], winner[regions.foreground]),
        members=count,
        slices=None if cosines is None else profiles([maps[m] for m in MEASURES], regions.near, cosines),
    )


def probabilities(values: Shaped[np.ndarray, "..."]) -> Probabilities:
    """Return (class, x, y, z) in double precision.  Raises DataError where it does not hold probabilities."""
    if values.ndim != 4 or len(values) < 2 or not values.size:
        raise DataError(
            f"probabilities of a scan have the shape (class, x, y, z) with background as first class; found "
            f"{values.shape}"
        )
    p = values.astype(np.float64)
    low, high = float(p.min()), float(p.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < -TOLERANCE or high > 1 + TOLERANCE:
        raise DataError(f"probabilities lie within [0, 1]; found {low:g} to {high:g}: are they scores before softmax?")
    sums = p.sum(axis=0)
    if np.abs(sums - 1).max() > TOLERANCE:
        raise DataError(
            f"the probabilities of a voxel add up to 1; found {sums.min():.3g} to {sums.max():.3g}. Save all classes, "
            "the background first"
        )
    return np.clip(p, 0, 1)


class _Regions:
    """Where a map of one scan is averaged."""

    def __init__(self, mean: Probabilities, winner: Winner) -> None:
        self.winner = winner
        likely = 1 - mean[0]
        self.expected = float(likely.sum())
        self.foreground = winner > 0
        if not self.foreground.any():
            self.foreground = _largest(likely, self.expected)
        self.boundary = _beside_another(winner)
        if not self.boundary.any():
            self.boundary = self.foreground

    @property
    def near(self) -> Bool[np.ndarray, "x y z"]:
        """The foreground and the band of voxels on both sides of every border."""
        return self.foreground | self.boundary

    def mean(self, values: Map, aggregate: Aggregate) -> float:
        if aggregate == "foreground":
            return float(values[self.foreground].mean())
        if aggregate == "boundary":
            return float(values[self.boundary].mean())
        if aggregate == "top":
            return float(values[_largest(values, TOP_SHARE * self.expected)].mean())
        found = np.unique(self.winner[self.winner > 0])
        if not len(found):
            return float(values[self.foreground].mean())
        return float(np.mean([values[self.winner == c].mean() for c in found]))


def _largest(values: Map, wanted: float) -> Bool[np.ndarray, "x y z"]:
    """Return a mask of the ``wanted`` largest values, at least one; ties go to the first voxel."""
    count = min(max(round(wanted), 1), values.size)
    flat = values.ravel()
    mask = np.zeros(flat.shape, dtype=bool)
    limit = np.partition(flat, len(flat) - count)[len(flat) - count]
    mask[flat > limit] = True
    mask[np.flatnonzero(flat == limit)[: count - int(mask.sum())]] = True
    return mask.reshape(values.shape)


def _beside_another(winner: Winner) -> Bool[np.ndarray, "x y z"]:
    """Return a mask of the voxels with a face on a voxel of another class: a band of one voxel on each side."""
    band = np.zeros(winner.shape, dtype=bool)
    for axis in range(winner.ndim):
        ahead, behind = [slice(None)] * winner.ndim, [slice(None)] * winner.ndim
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        differs = winner[tuple(ahead)] != winner[tuple(behind)]
        band[tuple(ahead)] |= differs
        band[tuple(behind)] |= differs
    return band


def _residuals(mean: Float[np.ndarray, "class voxel"], winner: Int[np.ndarray, " voxel"]) -> np.ndarray:
    classes = len(mean)
    chosen = np.eye(classes)[winner]
    residuals: np.ndarray = chosen.T @ (mean.T - chosen) / len(winner)
    return residuals
