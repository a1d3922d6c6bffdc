"""Deal a batch to several readers, with scans that all of them get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from firstscan.domain.errors import UsageError
from firstscan.domain.selection import Selection


def deal(selection: Selection, readers: int, overlap: int = 0) -> Mapping[str, Selection]:
    """Return each reader's part of the batch, by reader.

    The first ``overlap`` scans in rank order go to every reader, so that agreement is known before most of the work
    is done; the others are dealt one by one in rank order. Every list is in rank order, keeps the ranks of the batch,
    and is at most one scan longer than any other.

    Raises
    ------
    UsageError : fewer than one reader, an overlap without a second reader or beyond the batch, a reader without a scan.
    """
    picks = sorted(selection.picks, key=lambda p: p.rank)
    if readers < 1:
        raise UsageError(f"--readers {readers}: at least 1 reader is needed")
    if overlap < 0 or overlap > len(picks):
        raise UsageError(f"--overlap {overlap}: it must lie in 0 … {len(picks)}, the scans that are handed over")
    if overlap and readers == 1:
        raise UsageError(f"--overlap {overlap}: scans are shared by readers; add --readers 2 or more")
    if not overlap and readers > len(picks):
        raise UsageError(f"--readers {readers}: only {len(picks)} scan(s) are handed over; ask for fewer readers")
    shared, rest = picks[:overlap], picks[overlap:]
    width = len(str(readers))
    parts = {f"reader{i + 1:0{width}d}": (*shared, *rest[i::readers]) for i in range(readers)}
    return {name: replace(selection, picks=part, budget=len(part)) for name, part in parts.items()}
