"""What the numbers mean, in sentences for people who will act on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from firstscan.selection.signals import pacing

from .data import ReportData, SignalCorrelation
from .privacy import last_part
from .rounds import labels_used

GUESSING_LOSS = math.log(4)
NO_UNCERTAINTY = (
    "No uncertainty U was measured (preset instant uses no network), so there is neither DCR nor γ, and nothing here "
    "tells hard scans from easy ones. Typicality T is there. Preset fast measures both."
)
SIGNALS = ("typicality", "uncertainty")


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
    if plan is not None and len(plan.cases) < n:
        whole = count(n - len(plan.cases), "whole scan")
        return f"Annotate {whole} and {count(len(plan), 'slice')} of {count(len(plan.cases), 'other')} first"
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


def explains(row: SignalCorrelation) -> str:
    """Return ``air_share explains 46 % of uncertainty (ρ = −0.68)``; categories have no direction."""
    direction = "" if row.rho is None else f" (ρ = {number(row.rho, signed=True)})"
    return f"{row.covariate} explains {percent(row.share)} of {row.signal}{direction}"


def percent(share: float) -> str:
    """Return a share in [0, 1] as whole percent; where that would read as nothing, with a digit more."""
    return f"{100 * share:.1f} %" if 0.0005 <= share < 0.005 else f"{100 * share:.0f} %"
