"""How far a batch can be trusted, in words."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .data import ReportData
from .privacy import without_folders
from .rounds import on_trust, rounds_of
from .words import (
    GUESSING_LOSS,
    NO_UNCERTAINTY,
    SIGNALS,
    count,
    diagnostic,
    explains,
    interval,
    percent,
    sentence,
    uses_pacing,
)

Level = Literal["good", "caution", "bad", "note"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing to know before trusting the picks: how good the news is, a title, and a sentence or two."""

    level: Level
    title: str
    text: str


def trust(data: ReportData) -> tuple[Verdict, ...]:
    """Return what to know before relying on the picks: given advice first, then what the data themselves say."""
    given = tuple(Verdict("note", "Advice", without_folders(sentence)) for sentence in data.advice)
    own = (
        _of_signals(data),
        _of_network(data),
        _of_dcr(data),
        _of_strata(data),
        _of_training(data),
        _of_stability(data),
        _of_picks(data),
        *(Verdict(level, title, text) for level, title, text in on_trust(data)),
    )
    why = "No label was used, so nothing" if not rounds_of(data) else "No scan was held back for testing, so nothing"
    limits = Verdict(
        "note",
        "What this cannot know",
        f"{why} here measures segmentation quality. The picks are a reasoned {'first ' * (not rounds_of(data))}batch; "
        "whether they beat a random draw on your task shows only once both have been annotated.",
    )
    order = {"bad": 0, "caution": 1, "good": 2, "note": 3}
    return (*given, *sorted((v for v in own if v), key=lambda v: order[v.level]), limits)


def _of_signals(data: ReportData) -> Verdict | None:
    title = "Do the signals follow the scans, or their files?"
    columns = data.selection.diagnostics.get("adjusted_for") or ()
    adjusted = f" The signals were adjusted for {', '.join(map(str, columns))} beforehand." if columns else ""
    if data.audit is None:
        return Verdict("note", title, f"Not checked: the feature table has no columns to check against.{adjusted}")
    signals = [row for row in data.audit if row.flagged and row.signal in SIGNALS]
    components = [row for row in data.audit if row.flagged and row.signal not in SIGNALS]
    tested = len({row.covariate for row in data.audit})
    clear = f"no column of the {tested} checked explains {percent(data.stated_share)} or more"
    if not signals and not components:
        return Verdict("good", title, f"The scans: {clear} of {_named_signals(data)}.{adjusted}")
    named = "; ".join(explains(row) for row in sorted(signals or components, key=lambda row: -row.share)[:3])
    more = len(signals or components) - 3
    named += f"; and {more} more" if more > 0 else ""
    if not signals:
        text = (
            f"The signals do not: {clear} of {_named_signals(data)}. The embeddings do, and the strata with them: "
            f"{named}. Look whether the strata are groups of anatomy or of that."
        )
        return Verdict("caution", title, text + adjusted)
    also = " The embeddings, and so the strata, follow some of it too." if components else ""
    text = f"Partly their files: {named}. A DCR built on such signals means little.{also} What to do is listed below."
    return Verdict("bad", title, text + adjusted)


def _named_signals(data: ReportData) -> str:
    return "typicality" if data.features.uncertainty is None else "typicality or uncertainty"


def _of_network(data: ReportData) -> Verdict | None:
    if data.features.uncertainty is not None:
        return None
    return Verdict("note", "Which scans are hard?", NO_UNCERTAINTY)


def _of_dcr(data: ReportData) -> Verdict | None:
    if (
        diagnostic(data, "gamma") is None
        or not uses_pacing(data)
        or (data.stability is not None and data.stability.advice)
    ):
        return None  # the advice says it
    bounds, title = interval(data), "Is the balance of hard and typical well founded?"
    if bounds is None:
        return Verdict("note", title, "DCR has no interval here, so its certainty is unknown.")
    if bounds[0] <= 0 <= bounds[1]:
        return Verdict(
            "caution",
            title,
            "The interval of DCR includes zero: it is open whether hard scans are typical or peripheral here. "
            "Do not read much into how γ leans; the picks rest mainly on the spread over strata.",
        )
    return Verdict("good", title, "The interval of DCR excludes zero, so the direction in which γ leans has support.")


def _of_strata(data: ReportData) -> Verdict | None:
    if not data.selection.strata:
        return None
    sizes = Counter(data.selection.strata.values())
    least = int(data.selection.options.get("min_stratum", 3))
    thin = sum(1 for size in sizes.values() if size < least)
    title = "Does each pick stand for a group?"
    spread = f"{len(sizes):,} strata of {min(sizes.values()):,} to {max(sizes.values()):,} scans"
    if thin == 0:
        return Verdict("good", title, f"Yes: {spread}, none of them thin.")
    if data.selection.options.get("thin_strata") == "fill":
        what = "These are not represented: their places went to the best remaining scans of the whole pool."
    else:
        what = "A pick from such a stratum is an outlier or stands for very few scans: look before annotating."
    level: Level = "caution" if thin * 4 > len(sizes) else "note"
    few = f"{thin:,} of them {'has' if thin == 1 else 'have'} fewer than {least} scans"
    return Verdict(level, title, f"{spread}; {few}. {what}")


def _of_training(data: ReportData) -> Verdict | None:
    if not data.history:
        return None
    tail = data.history[-max(len(data.history) // 10, 1) :]
    rotation = float(np.mean([row.rotation for row in tail]))
    title = "Did the network learn the anatomy?"
    ended = f"The rotation loss ended at {rotation:.2f}, where guessing gives {GUESSING_LOSS:.2f}"
    if not math.isfinite(rotation) or rotation > 0.9 * GUESSING_LOSS:
        return Verdict(
            "bad", title, f"Hardly. {ended}. The embeddings are weak: train longer, or start from a checkpoint."
        )
    if rotation > 0.5 * GUESSING_LOSS:
        return Verdict("caution", title, f"In part. {ended}. Longer training would make the map more telling.")
    return Verdict("good", title, f"Yes, as far as the pretext tasks show. {ended}.")


def _of_stability(data: ReportData) -> Verdict | None:
    title = "Would another run pick the same scans?"
    if data.stability is None:
        return Verdict("note", title, "Not measured in this run; `--stability 20` repeats the selection and counts.")
    share = data.stability.mean_jaccard
    said = " ".join(sentence(without_folders(text)) for text in data.stability.advice)
    b, n = len(data.selection), len(data.features)
    chance = b / (2 * n - b)
    text = (
        f"Over {data.stability.repeats} repeats on other seeds and resampled pools, two batches share on average "
        f"{share:.0%} of their scans (random draws: {chance:.0%})."
    ).replace("%", " %")
    if share >= 0.6:
        return Verdict("good", title, f"Mostly. {said or text}")
    if share >= max(0.3, 2 * chance):
        closing = said or f"{text} Several scans would serve about equally well."
        return Verdict("caution", title, f"In part. {closing}")
    return Verdict("bad", title, f"Hardly. {said or f'{text} A random draw would do about as well here.'}")


def _of_picks(data: ReportData) -> Verdict | None:
    title = "Are the picks themselves sound?"
    if not _warned(data):
        return Verdict("good", title, warned_picks(data)) if data.scanned else None
    advice = "Look at the scan before annotating it; `firstscan replace` takes the next best of its stratum instead."
    return Verdict("caution", title, f"{warned_picks(data)} {advice}")


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
