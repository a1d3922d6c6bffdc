"""What the signal audit says as one graded line: how far signals follow the way the scans were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstscan.domain.verdict import Says

from .confounds import COMPONENT, Association, is_flagged, remedy_of

MODERATE, LARGE = 0.25, 0.5
"""Shares of a signal's variance from which an association is called moderate and large."""


@dataclass(frozen=True, slots=True)
class Confounding:
    """The largest ``share`` that a column explains, in [0, 1], what it says to the verdict, and a line on it."""

    share: float
    says: Says
    text: str


def confounding(rows: Sequence[Association], stated_share: float, together: Sequence[Sequence[str]]) -> Confounding:
    """Return what an audit's rows say, the strongest column in front, columns of one group named with it.

    U and T count against a batch from a quarter on, the components of the embeddings from half on: strata may well
    follow what scans look like.
    """
    flagged = sorted((a for a in rows if is_flagged(a, stated_share)), key=lambda a: -a.share)
    columns = len({a.covariate for a in rows})
    if not flagged:
        largest = max((a.share for a in rows), default=0.0)
        told = f"None of {columns} columns of the scans explains {_percent(stated_share)} or more of a signal."
        return Confounding(largest, "for", told if columns else "No column of the scans varies.")
    signals = [a for a in flagged if not a.signal.startswith(COMPONENT)]
    components = [a for a in flagged if a.signal.startswith(COMPONENT)]
    heavy = bool(signals and signals[0].share >= MODERATE) or bool(components and components[0].share >= LARGE)
    told = [rows[0] for rows in (signals, components) if rows]
    told.sort(key=lambda a: -a.share)
    first = told[0]
    grade = "large" if first.share >= LARGE else "moderate" if first.share >= MODERATE else "slight"
    says: Says = "against" if heavy else "open"
    parts = "; ".join(_told(a, together, told[:i]) for i, a in enumerate(told))
    named = {name for a in told for name in _group(a.covariate, together)}
    others = len({a.covariate for a in flagged} - named)
    more = f"; {others} more column{'s' * (others != 1)} of {columns} too" if others else ""
    remedy = remedy_of(first)
    text = f"{grade.capitalize()} confounding: {parts}{more}. Remedy: {remedy}."
    return Confounding(first.share, says, text)


def _told(a: Association, together: Sequence[Sequence[str]], before: Sequence[Association]) -> str:
    others = [name for name in _group(a.covariate, together) if name != a.covariate]
    again = any(b.covariate in _group(a.covariate, together) for b in before)
    named = f" (with {', '.join(others)}: they go together)" if others and not again else ""
    low, high = (f"{100 * edge:.0f}" for edge in a.interval)
    return f"{a.covariate}{named} explains {_percent(a.share)} of {a.signal} (95 % interval {low} to {high} %)"


def _group(column: str, together: Sequence[Sequence[str]]) -> Sequence[str]:
    return next((names for names in together if column in names), (column,))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
