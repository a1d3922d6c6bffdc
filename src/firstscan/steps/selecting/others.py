"""What other strategies would pick from the same scans under the same conditions."""

from __future__ import annotations

from typing import Any

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.execution import Progress
from firstscan.selection import Constraints
from firstscan.selection import select as choose

QUICK = ("alps", "calr", "kcenter", "maxherding")
"""Strategies compared on every pool up to ``MOST_QUICK`` scans: seconds there."""
SLOWER = ("cscs", "csal3d", "probcover", "typiclust", "usl")
"""Compared up to ``MOST_SLOWER`` scans."""
MOST_QUICK, MOST_SLOWER = 5_000, 2_000


def agreement(
    selection: Selection, used: FeatureTable, constraints: Constraints, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Return ``case_ids`` by strategy for as many picks and the same seed, or ``why_not`` where one cannot choose."""
    names = [*(QUICK if len(used) <= MOST_QUICK else ()), *(SLOWER if len(used) <= MOST_SLOWER else ())]
    names = sorted(name for name in names if name != selection.strategy)
    if not names:
        return {}
    progress.start("Comparing choices", len(names))
    found = {}
    for name in names:
        try:
            other = choose(used, len(selection), name, selection.seed, constraints=constraints)
            found[name] = {"case_ids": list(other.case_ids), "why_not": ""}
        except UsageError as error:
            found[name] = {"case_ids": [], "why_not": str(error)}
        progress.advance(1, name)
    progress.finish()
    return found
