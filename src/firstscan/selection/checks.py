"""What a table must be before a strategy sees it: numbers that distances can be taken of, and that differ."""

from __future__ import annotations

import numpy as np

from firstscan.domain.arrays import Bool, Embeddings, Float, Int, Strata
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable

LARGEST, SMALLEST = 1e15, 1e-15
"""Between these, squared distances neither overflow nor vanish in single precision, whatever the dimension."""
ROUNDING = 10
"""Steps of a number's precision within which a column counts as constant, as when it is standardised."""


def check_range(table: FeatureTable) -> None:
    """Raise where the distances between embeddings, or in a feature group, would overflow or vanish.

    Raises
    ------
    UsageError : names the values, a case that holds the largest, and the remedy.
    """
    if not len(table):
        return
    for name, x in {"embeddings": table.embeddings, **table.groups}.items():
        low, high = x.min(axis=0), x.max(axis=0)
        largest = float(max(high.max(), -low.min()))
        if largest > LARGEST:
            row = int(np.argmax((x >= largest) | (x <= -largest)) // x.shape[1])
            raise UsageError(
                f"{name} reach {largest:.3g} (case {table.case_ids[row]}): distances between such numbers overflow. "
                "Divide all of them by one number, or standardise each column, and select again"
            )
        spread = float((high - low).max())
        if 0 < spread < SMALLEST and not _same(low, high).all():
            raise UsageError(
                f"{name} differ by {spread:.3g} at most: distances between such numbers vanish. Multiply all of them "
                "by one number, or standardise each column, and select again"
            )


def alike(x: Embeddings) -> bool:
    """Return whether no column differs between the cases by more than rounding."""
    return bool(_same(x.min(axis=0), x.max(axis=0)).all())


def check_differences(strategy: str, x: Embeddings, picks: int, usable: int) -> None:
    """Raise where ``strategy`` shall choose ``picks`` of ``usable`` cases by embeddings that are all the same.

    Raises
    ------
    UsageError : names the remedy.
    """
    if picks < usable and alike(x):
        raise UsageError(
            f"the embeddings of all {len(x)} scans are the same, so that {strategy} cannot tell one scan from another. "
            "Look at how they were computed, and whether the scans are copies of one; strategies random and strided "
            "need no embeddings"
        )


def check_uncertainty(strategy: str, *, needed: bool, measured: bool) -> None:
    """Raise where ``strategy`` chooses by uncertainty and none was measured.

    Raises
    ------
    UsageError : names the remedy.
    """
    if needed and not measured:
        raise UsageError(
            f"strategy {strategy} chooses by uncertainty U, and these features hold none: preset instant measures "
            "without a network, and U is what a network is unsure of. Choose coverage, typiclust, kcenter or another "
            "strategy that needs no U, or extract with --preset fast"
        )


def numbered(strata: Strata) -> tuple[Strata, Int[np.ndarray, " stratum"] | None]:
    """Return strata that count up to the number of cases at most, and the numbers they had if they are new.

    Larger numbers are replaced by 0, 1, 2, … in rising order: strategies keep a place for every number.
    """
    numbers, places = np.unique(strata, return_inverse=True)
    if numbers[-1] <= len(strata):
        return strata.astype(np.int64), None
    return places.astype(np.int64), numbers


def _same(low: Float[np.ndarray, " dim"], high: Float[np.ndarray, " dim"]) -> Bool[np.ndarray, " dim"]:
    reach = np.maximum(np.abs(low), np.abs(high))
    same: np.ndarray = high - low <= ROUNDING * np.finfo(reach.dtype).eps * reach
    return same
