"""What the numbers mean, in sentences for people who will act on them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from firstscan.selection.signals import pacing

from .data import ReportData, SignalCorrelation
from .privacy import last_part, without_folders
from .rounds import labels_used, on_trust, rounds_of

Level = Literal["good", "caution", "bad", "note"]
GUESSING_LOSS = math.log(4)
NO_UNCERTAINTY = (
    "No uncertainty U was measured (preset instant uses no network), so there is neither DCR nor γ, and nothing here "
    "tells hard scans from easy ones. Typicality T is there. Preset fast measures both."
)
SIGNALS = ("typicality", "uncertainty")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing to know before trusting the picks: how good the news is, a title, and a sentence or two."""

    level: Level
    title: str
    text: str


def number(value: float | None, *, signed: bool = False, digits: int = 2) -> str:
    """Return a number with a true minus sign, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def significant(value: float | None) -> str:
    """Return a number with three significant digits (all of them from 1,000 on), or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def p_value(p: float | None) -> str:
    """Return ``p = 0.03`` or ``p < 0.001``."""
    if p is None or not math.isfinite(p):
        return "p not available"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def count(n: int, one: str, many: str = "") -> str:
    """Return ``1 scan`` or ``1,200 scans``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """Return the text with a capital at its start (unless it starts with a name) and a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    first = text.split()[0].rstrip(",;:.")
    start = text[0].upper() + text[1:] if first.replace("-", "").isalpha() else text
    return (start + ("" if text[-1] in ".!?" else ".")).replace(" %", "\u00a0%")


def headline(data: ReportData) -> str:
    """Return the answer in one line."""
    n, plan = len(data.selection), data.selection.slices
    if plan is not None:
        return f"Annotate {count(len(plan), 'slice')} of {'this scan' if n == 1 else f'these {n:,} scans'} first"
    return "Annotate this scan first" if n == 1 else f"Annotate these {n:,} scans first"


def provenance(data: ReportData) -> str:
    """Return where the picks come from, in one or two sentences."""
    name = last_part(data.source) or "the pool"
    text = f"Chosen from {count(len(data.features), 'usable scan')} of “{name}”"
    if data.left_out:
        text += f" ({data.scanned:,} found, {data.left_out:,} left out)"
    return f"{text}. {labels_used(data)}"


def diagnostic(data: ReportData, name: str) -> float | None:
    """Return a finite number from the selection's diagnostics, or None."""
    value = data.selection.diagnostics.get(name)
    return float(value) if isinstance(value, int | float | np.number) and math.isfinite(float(value)) else None


def interval(data: ReportData) -> tuple[float, float] | None:
    """Return the bootstrap interval of DCR, or None."""
    pair = data.selection.diagnostics.get("dcr_interval")
    if pair is None or len(pair) != 2 or any(v is None or not math.isfinite(v) for v in pair):
        return None
    return float(pair[0]), float(pair[1])


def strength(rho: float) -> str:
    """Return a word for how strong a rank correlation is."""
    size = abs(rho)
    return "hardly any" if size < 0.1 else "a weak" if size < 0.3 else "a moderate" if size < 0.5 else "a strong"


def reading(data: ReportData) -> tuple[str, ...]:
    """Return what DCR and γ mean for this pool, a paragraph each; empty where the strategy has neither."""
    if data.features.uncertainty is None:
        return (NO_UNCERTAINTY,)
    dcr = diagnostic(data, "dcr")
    if dcr is None:
        return ()
    bounds = interval(data)
    numbers = f"{p_value(diagnostic(data, 'dcr_pvalue'))}" + (
        f"; 95 % interval {number(bounds[0], signed=True)} to {number(bounds[1], signed=True)}" if bounds else ""
    )
    unsure = bounds is not None and bounds[0] <= 0 <= bounds[1]
    relation = f"{strength(dcr)} {'positive' if dcr > 0 else 'negative'} relation" if abs(dcr) >= 0.1 else ""
    first = (
        "The Difficulty-Coverage Ratio (DCR) is the rank correlation between how hard and how typical the scans are. "
        f"Here it is {number(dcr, signed=True)} ({numbers}): "
        + (f"{relation}. " if relation else "hardly any relation between the two. ")
    )
    if abs(dcr) >= 0.1 and dcr > 0:
        first += (
            "Hard scans tend to sit in dense regions of the pool: they are hard and typical at once, "
            "so a label on one of them helps with many like it."
        )
    elif abs(dcr) >= 0.1:
        first += (
            "Hard scans tend to be peripheral: they lie in sparse regions of the pool, "
            "so a label on one of them helps with few others, and typical scans are the safer start."
        )
    else:
        first += "How hard a scan is says next to nothing about how typical it is."
    if unsure and abs(dcr) >= 0.1:
        first += " The interval includes zero, so do not lean on the sign."
    second = _gamma_in_words(data)
    return (first, second) if second else (first,)


def uses_pacing(data: ReportData) -> bool:
    """Tell whether γ took part in the choice; for other strategies it is shown only."""
    return data.selection.diagnostics.get("pacing_used") is not False


def _gamma_in_words(data: ReportData) -> str:
    gamma, alpha = diagnostic(data, "gamma"), diagnostic(data, "alpha_eff")
    if gamma is not None and not uses_pacing(data):
        return (
            f"Strategy {data.selection.strategy} does not use DCR to choose; it describes the pool. Strategy cscs "
            f"would weigh difficulty {gamma:.0%} and typicality {1 - gamma:.0%} (γ = {gamma:.3f}) here."
        ).replace("%", " %")
    if gamma is None:
        return "This strategy does not use DCR to choose; it is shown to describe the pool."
    low, high = _gamma_bounds(data.selection.options)
    ends, over = interval(data), ""
    if ends is not None and alpha is not None:
        least, most = (pacing(end, alpha, (low, high)) for end in ends)
        over = f" Over the interval of DCR it would run from {least:.3f} to {most:.3f}."
    budget = (
        f"With {len(data.selection):,} picks from {len(data.features):,} scans (α = B/√N = {number(alpha)})"
        if (alpha is not None)
        else "For this budget"
    )
    lean = (
        "an even balance"
        if abs(gamma - 0.5) < 0.005
        else f"a lean towards {'hard' if gamma > 0.5 else 'typical'} scans"
        if abs(gamma - 0.5) > 0.05
        else f"close to even, with a slight lean towards {'hard' if gamma > 0.5 else 'typical'} scans"
    )
    return (
        f"{budget} the pacing rule sets γ = {gamma:.3f}: within each stratum difficulty counts {gamma:.0%} and "
        f"typicality {1 - gamma:.0%} – {lean}. The rule keeps γ between {low:g} and {high:g}, and 0.5 is even.{over}"
    ).replace("%", " %")


def _gamma_bounds(options: Mapping[str, Any]) -> tuple[float, float]:
    bounds = options.get("gamma_bounds", (0.3, 0.7))
    return float(bounds[0]), float(bounds[1])


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


def explains(row: SignalCorrelation) -> str:
    """Return ``air_share explains 46 % of uncertainty (ρ = −0.68)``; categories have no direction."""
    direction = "" if row.rho is None else f" (ρ = {number(row.rho, signed=True)})"
    return f"{row.covariate} explains {percent(row.share)} of {row.signal}{direction}"


def percent(share: float) -> str:
    """Return a share in [0, 1] as whole percent; where that would read as nothing, with a digit more."""
    return f"{100 * share:.1f} %" if 0.0005 <= share < 0.005 else f"{100 * share:.0f} %"


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
