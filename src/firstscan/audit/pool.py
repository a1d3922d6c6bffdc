"""Checks that need the whole pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firstscan.domain.finding import Finding
from firstscan.domain.volume import CaseSummary


def check_duplicates(summaries: Iterable[CaseSummary], paths: Mapping[str, str] | None = None) -> tuple[Finding, ...]:
    """Find byte-identical scans: the first by id stays, every other is dropped and names its twin."""
    first: dict[str, str] = {}
    found = []
    for summary in sorted(summaries, key=lambda s: s.case_id):
        twin = first.setdefault(summary.fingerprint, summary.case_id)
        if twin == summary.case_id:
            continue
        found.append(
            Finding(
                code="duplicate",
                severity="drop",
                case_id=summary.case_id,
                message=f"byte for byte the same scan as {twin}, which stays in the pool",
                remedy="remove one of the two files",
                path=(paths or {}).get(summary.case_id, ""),
            )
        )
    return tuple(found)
