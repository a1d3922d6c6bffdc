"""Which scans another round can pick, and whether there are enough of them."""

from __future__ import annotations

from firstscan.domain.errors import DataError
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.steps.steering.amend import VETOED, Batch

from .ensemble import Labelled


def open_ids(batch: Batch, labelled: Labelled) -> list[str]:
    """Return the scans that can be picked: not labelled, not a pick already, neither excluded nor vetoed."""
    gone = {entry["removed"] for entry in batch.selection.diagnostics.get("replacements", ())}
    closed = {
        *batch.config.labelled,
        *batch.config.exclude,
        *labelled.labels,
        *batch.selection.case_ids,
        *batch.selection.diagnostics.get(VETOED, {}),
        *gone,
    }
    return sorted(set(batch.features.case_ids) - closed)


def require_room(left: int, more: int) -> None:
    """Raise DataError where fewer scans are left than asked for."""
    if more > left or not left:
        remedy = "Ask for fewer, or add scans." if left else "The pool is used up: add scans."
        raise DataError(f"--more {more}: only {left} scan(s) are left to add. {remedy}")


def require_left(left: list[str], failed: tuple[Finding, ...], more: int) -> None:
    """Raise DataError where so many scans could not be predicted that too few are left."""
    if len(left) - len(failed) < more:
        raise DataError(
            f"--more {more}: {len(failed)} of the {len(left)} scans that are left could not be predicted. "
            f"{failed[0].case_id}: {failed[0].message}"
        )


def require_scans(pool: Pool, batch: Batch, labelled: Labelled) -> None:
    """Raise DataError where scans that are needed are not where they were."""
    gone = [i for i in (*labelled.labels, *open_ids(batch, labelled)) if i not in pool]
    if gone:
        raise DataError(
            f"{len(gone)} scan(s) of the batch are not where they were: {', '.join(gone[:5])}; bring them back to "
            f"{pool.source}"
        )
