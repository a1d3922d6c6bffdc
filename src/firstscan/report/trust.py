"""What to know of the picks besides the verdict: thin strata, warnings, the last round, and limits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from .data import ReportData
from .rounds import on_trust, rounds_of
from .words import count

Level = Literal["good", "caution", "bad", "note"]


@dataclass(frozen=True, slots=True)
class Note:
    """One more thing to know before relying on the picks: how good the news is, a title, and a sentence or two."""

    level: Level
    title: str
    text: str


def notes(data: ReportData) -> tuple[Note, ...]:
    """Return what to know of the picks besides the verdict, and what no verdict can know."""
    own = (
        _of_strata(data),
        _of_picks(data),
        *(Note(level, title, text) for level, title, text in on_trust(data)),
    )
    why = "No label was used, so nothing" if not rounds_of(data) else "No scan was held back for testing, so nothing"
    limits = Note(
        "note",
        "What this cannot know",
        f"{why} here measures segmentation quality. Whether these picks beat a random draw on your task shows only "
        "once both have been annotated.",
    )
    order = {"bad": 0, "caution": 1, "good": 2, "note": 3}
    return (*sorted((note for note in own if note), key=lambda note: order[note.level]), limits)


def _of_strata(data: ReportData) -> Note | None:
    if not data.selection.strata:
        return None
    sizes = Counter(data.selection.strata.values())
    least = int(data.selection.options.get("min_stratum", 3))
    thin = sum(1 for size in sizes.values() if size < least)
    title = "Does each pick stand for a group?"
    spread = f"{len(sizes):,} strata of {min(sizes.values()):,} to {max(sizes.values()):,} scans"
    if thin == 0:
        return Note("good", title, f"Yes: {spread}, none of them thin.")
    if data.selection.options.get("thin_strata") == "fill":
        what = "These are not represented: their places went to the best remaining scans of the whole pool."
    else:
        what = "A pick from such a stratum is an outlier or stands for very few scans: look before annotating."
    level: Level = "caution" if thin * 4 > len(sizes) else "note"
    few = f"{thin:,} of them {'has' if thin == 1 else 'have'} fewer than {least} scans"
    return Note(level, title, f"{spread}; {few}. {what}")


def _of_picks(data: ReportData) -> Note | None:
    title = "Are the picks themselves sound?"
    if not _warned(data):
        return Note("good", title, warned_picks(data)) if data.scanned else None
    advice = "Look at the scan before annotating it; `firstscan replace` takes the next best of its stratum instead."
    return Note("caution", title, f"{warned_picks(data)} {advice}")


def warned_picks(data: ReportData) -> str:
    """Return which picks carry a warning, and of what kind, in a sentence."""
    warned = _warned(data)
    if not warned:
        return "No pick carries a warning."
    named = ", ".join(f"{case_id} ({', '.join(codes)})" for case_id, codes in list(warned.items())[:3])
    more = f" and {len(warned) - 3} more" if len(warned) > 3 else ""
    return f"{count(len(warned), 'pick')} with a warning: {named}{more}."


def _warned(data: ReportData) -> dict[str, list[str]]:
    """Return the codes of the warnings of each pick that has any, in order of rank."""
    codes: dict[str, list[str]] = {}
    for finding in data.findings:
        if finding.severity == "warn" and finding.code not in codes.setdefault(finding.case_id, []):
            codes[finding.case_id].append(finding.code)
    return {case_id: codes[case_id] for case_id in data.selection.case_ids if case_id in codes}
