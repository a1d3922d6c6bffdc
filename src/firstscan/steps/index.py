"""Source → pool."""

from __future__ import annotations

from firstscan.domain.pool import Pool
from firstscan.execution import Progress, Silent
from firstscan.imaging import index as find_scans

from .config import IndexConfig


def index(config: IndexConfig, progress: Progress | None = None) -> Pool:
    """Return the scans of ``config.source``; no voxel is read.

    Raises
    ------
    UsageError : no such source, an unknown layout, channel or column, two scans with the same id.
    DataError : no scan in it.
    """
    shown, done = progress or Silent(), 0

    def report(now: int, total: int) -> None:
        nonlocal done
        if not done:
            shown.start("Reading headers", total)
        shown.advance(now - done)
        done = now

    try:
        return find_scans(
            config.source,
            layout=config.layout,
            channels=config.channel or None,
            only=config.only,
            progress=report,
        )
    finally:
        if done:
            shown.finish()


def found(pool: Pool) -> int:
    """Return how many scans the source holds, those left out included."""
    return len(set(pool.case_ids) | {f.case_id for f in pool.findings if f.severity == "drop" and f.case_id})
