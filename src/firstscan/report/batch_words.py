"""The sections on other choices, groups, annotation and review, as rows and sentences."""

from __future__ import annotations

from dataclasses import dataclass

from firstscan.selection.history import of_earlier_strata

from .batch import Spread
from .data import ReportData
from .privacy import last_part, without_folders
from .words import count, percent

MOST_REVIEWED = 200
MOST_REPEATED, MOST_RUNNERS_UP = 30, 5
_DONE = {
    "begin": "began",
    "accept": "accepted",
    "unaccept": "took back: accepted",
    "allow": "allowed again",
    "veto": "vetoed",
    "replace": "replaced",
    "pin": "pinned",
    "unpin": "unpinned",
    "budget": "changed the budget",
    "strategy": "changed the strategy",
    "undo": "undid the last change",
    "export": "had the report drawn",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a table with a bar: a name, a share in [0, 1], what is written beside it, and which scans are meant."""

    name: str
    share: float
    text: str
    more: str = ""
    quiet: bool = False

    @property
    def width(self) -> str:
        """The bar's length as CSS."""
        return f"{100 * self.share:.1f}%"


def overlap_rows(data: ReportData) -> tuple[Bar, ...]:
    """Return how much of the batch each other strategy shares, most first, and a random draw for comparison."""
    batch = frozenset(data.selection.case_ids)
    rows = []
    for other in data.afterwards.others:
        if other.why_not:
            rows.append(Bar(other.strategy, 0.0, "–", without_folders(other.why_not), quiet=True))
            continue
        shared = [case_id for case_id in data.selection.case_ids if case_id in other.case_ids]
        union = len(batch | set(other.case_ids))
        ranks = ", ".join(str(p.rank) for p in data.selection.picks if p.case_id in shared)
        named = f"rank {ranks}" if len(shared) == 1 else f"ranks {ranks}" if 0 < len(shared) <= 12 else ""
        rows.append(Bar(other.strategy, len(shared) / union, f"{len(shared)} of {len(batch)}", named))
    rows.sort(key=lambda row: (row.quiet, -row.share, row.name))
    if rows:
        b, n = len(batch), len(data.features)
        rows.append(Bar("a random draw", b / (2 * n - b), f"{b * b / n:.1f} of {b}", "on average", quiet=True))
    return tuple(rows)


def overlap_sentence(data: ReportData) -> str:
    """Return what the overlap says, in a sentence or two."""
    shared = [
        set(other.case_ids) & set(data.selection.case_ids) for other in data.afterwards.others if not other.why_not
    ]
    if not shared:
        return ""
    everyones = [p.rank for p in data.selection.picks if sum(p.case_id in s for s in shared) * 2 > len(shared)]
    text = "The same scans, budget, seed and conditions, other rules. "
    if everyones:
        ranks = ", ".join(map(str, everyones[:12])) + (", …" if len(everyones) > 12 else "")
        only = "Rank" if len(everyones) == 1 else "Ranks"
        are = "is" if len(everyones) == 1 else "are"
        return f"{text}{only} {ranks} {are} picked by most of them too."
    return f"{text}No pick is shared by most of them: what is chosen depends on the rule here."


def recurrence_rows(data: ReportData) -> tuple[Bar, ...]:
    """Return how often each pick came up when the choice was repeated, then the scans that came up most besides."""
    if data.stability is None:
        return ()
    frequency = data.stability.frequency
    picks = [
        Bar(f"{p.rank}. {p.case_id}", frequency.get(p.case_id, 0.0), percent(frequency.get(p.case_id, 0.0)))
        for p in data.selection.picks[:MOST_REPEATED]
    ]
    chosen = frozenset(data.selection.case_ids)
    others = sorted(((f, i) for i, f in frequency.items() if i not in chosen), key=lambda pair: (-pair[0], pair[1]))
    return (*picks, *(Bar(i, f, percent(f), "not picked", quiet=True) for f, i in others[:MOST_RUNNERS_UP]))


def spread_sentence(spread: Spread, picks: int) -> str:
    """Return how the batch spreads over the groups of a column."""
    over = f"{count(picks, 'pick')} from {spread.reached:,} of {count(spread.groups, 'group')}"
    return f"{over}; at most one scan of each was allowed." if spread.once else f"{over}."


def strata_sentence(data: ReportData) -> str:
    """Return which strata belong to which step, where they were formed anew for scans added later."""
    earlier = of_earlier_strata(data.selection)
    ranks = [p.rank for p in data.selection.picks if p.case_id in earlier and p.stratum is not None]
    if not ranks:
        return ""
    which = f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {_spans(ranks)}"
    return f"Strata were formed anew for the scans added later; {which} keep the stratum numbers of an earlier step."


def _spans(numbers: list[int]) -> str:
    """Return sorted numbers as ``1–8, 11``."""
    spans: list[list[int]] = []
    for n in numbers:
        if spans and n == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], n]
        else:
            spans.append([n])
    return ", ".join("–".join(map(str, span)) for span in spans)


def annotation_sentence(data: ReportData) -> str:
    """Return how far the annotation of the batch is."""
    got = {i for collection in data.afterwards.collections for i in collection.labelled}
    given = {i for one in data.afterwards.handovers for ids in one.readers.values() for i in ids}
    batch = data.selection.case_ids
    labelled = [i for i in batch if i in got]
    waiting = [i for i in batch if i in given and i not in got]
    rest = [i for i in batch if i not in given and i not in got]
    text = f"{len(labelled):,} of {count(len(batch), 'pick')} {'is' if len(batch) == 1 else 'are'} labelled."
    if waiting:
        text += f" Handed over and not back: {_listed(waiting)}."
    if rest:
        text += f" Not handed over: {_listed(rest)}."
    return text


def annotation_rows(data: ReportData) -> tuple[tuple[str, str, str, str], ...]:
    """Return (when, what, folder, scans) of every hand-off and collection, oldest first."""
    rows = []
    for one in data.afterwards.handovers:
        scans = {i for ids in one.readers.values() for i in ids}
        readers = [name for name in one.readers if name]
        dealt = f", dealt to {count(len(readers), 'reader')}" if readers else ""
        both = sum(sum(i in ids for ids in one.readers.values()) > 1 for i in scans)
        shared = f", {both} of them to several" if both else ""
        rows.append(
            (one.time, f"handed to {one.target}", last_part(one.folder), f"{count(len(scans), 'scan')}{dealt}{shared}")
        )
    for collection in data.afterwards.collections:
        labels = f"labels of {count(len(collection.labelled), 'scan')}"
        rows.append((collection.time, "collected", last_part(collection.folder), labels))
    return tuple((when(row[0]), *row[1:]) for row in sorted(rows))


def review_rows(data: ReportData) -> tuple[tuple[str, str, str, str], ...]:
    """Return (when, what, scan, why and details) of the last entries of the review, oldest first."""
    return tuple(
        (
            when(entry.time),
            _DONE.get(entry.action, entry.action),
            entry.case_id,
            without_folders("; ".join(part for part in (entry.why, entry.detail) if part)),
        )
        for entry in data.afterwards.review[-MOST_REVIEWED:]
    )


def review_sentence(data: ReportData) -> str:
    """Return what was done in the review, in a sentence."""
    words: dict[str, int] = {}
    for entry in data.afterwards.review:
        words[entry.action] = words.get(entry.action, 0) + 1
    counted = ", ".join(f"{_DONE.get(action, action)} {n}×" for action, n in words.items() if action)
    left = len(data.afterwards.review) - MOST_REVIEWED
    more = f" The first {left:,} are left out here; history.jsonl holds them all." if left > 0 else ""
    return f"{count(len(data.afterwards.review), 'entry', 'entries')}: {counted}.{more}"


def when(time: str) -> str:
    """Return an ISO time as ``2026-05-04 13:20 UTC``; anything else as it is."""
    if len(time) >= 16 and time[10:11] == "T":
        zone = " UTC" if time.endswith(("+00:00", "Z")) else ""
        return f"{time[:10]} {time[11:16]}{zone}"
    return time


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:8]) + (f" and {len(ids) - 8:,} more" if len(ids) > 8 else "")
