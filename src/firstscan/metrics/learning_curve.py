"""A learning curve of two sizes on held-out scans → what more scans can be expected to gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from firstscan.domain.arrays import Float
from firstscan.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class Gain:
    """The expected gain in Dice with its interval (``low``, ``high``)."""

    estimate: float
    low: float
    high: float


def expected_gain(
    differences: Float[np.ndarray, " fold"],
    *,
    few: float,
    many: float,
    labelled: int,
    more: int,
    level: float = 0.95,
) -> Gain:
    """Return what ``more`` scans besides ``labelled`` ones gain if the curve goes on over the logarithm of the scans.

    Curves flatten at some point, so a straight line over the logarithm rather promises too much. The interval is
    Student's over folds, whose networks and test scans are not shared; that their training scans overlap makes it
    somewhat too narrow, and how far the line holds is not in it.

    Parameters
    ----------
    differences : Dice at ``many`` training scans minus Dice at ``few``, the mean over the test scans of each fold.

    Raises
    ------
    UsageError : fewer than two folds, or sizes that do not grow.
    """
    if len(differences) < 2 or not 0 < few < many or labelled < 1 or more < 1:
        raise UsageError("a gain needs at least 2 folds, two sizes that grow, and at least 1 scan more")
    stretch = math.log((labelled + more) / labelled) / math.log(many / few)
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
    half = float(stats.t.ppf((1 + level) / 2, len(differences) - 1)) * error
    return Gain(stretch * mean, stretch * (mean - half), stretch * (mean + half))
