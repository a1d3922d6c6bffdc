"""Plain sentences that say why a scan was picked."""

from __future__ import annotations

import numpy as np

from firstscan.domain.arrays import PerCase


def scans(n: int) -> str:
    """Return ``"1 scan"`` or ``"n scans"``."""
    return "1 scan" if n == 1 else f"{n} scans"


def percent_below(values: PerCase, position: int) -> int:
    """Return how many percent of the other values lie strictly below ``values[position]``."""
    others = len(values) - 1
    return 0 if others == 0 else int(100 * np.count_nonzero(values < values[position]) // others)


def in_stratum(typicality: PerCase, uncertainty: PerCase, position: int, stratum: int) -> str:
    """Say how typical and how hard one member of a stratum is among its members."""
    n = len(typicality)
    if n == 1:
        return f"only scan of stratum {stratum}"
    typical, hard = percent_below(typicality, position), percent_below(uncertainty, position)
    place = f"{scans(n)} in stratum {stratum}"
    first = f"most typical of {place}" if typical == 100 else f"more typical than {typical} % of {place}"
    return f"{first}, {'the hardest of them' if hard == 100 else f'harder than {hard} % of them'}"


def for_thin_stratum(size: int) -> str:
    """Say whose place a pick takes: that of a stratum of ``size`` scans, too few to rank."""
    return f"takes the place of a stratum too small to rank ({scans(size)})" if size else "no stratum for this place"


def by_global_rank(why: str) -> str:
    """Say that a pick fills a place from the ranking of the whole pool."""
    return f"{why}: the best remaining scan of the whole pool by score"
