"""Source → pool."""

from __future__ import annotations

from firstscan.domain.pool import Pool
from firstscan.imaging import index as find_scans

from .config import IndexConfig


def index(config: IndexConfig) -> Pool:
    """Return the scans of ``config.source``; no voxel is read.

    Raises
    ------
    UsageError : no such source, an unknown layout or channel, two scans with the same id.  DataError : no scan in it.
    """
    return find_scans(config.source, layout=config.layout, channels=config.channel or None)


def found(pool: Pool) -> int:
    """Return how many scans the source holds, those left out included."""
    return len(set(pool.case_ids) | {f.case_id for f in pool.findings if f.severity == "drop" and f.case_id})
