"""One verdict on a batch, from what its diagnostics hold: the only place where trust is put into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from firstscan.domain.selection import Selection
from firstscan.domain.verdict import MOST_REASONS, Reason, Says, State, Verdict

from .confounding import MODERATE, confounding
from .confounds import Association
from .dcr import FEWEST, dcr_of
from .evidence import LINK, evidence_of
from .learning import GUESSING_ROTATION, HALF_WAY, Learning

VERDICT, STABILITY, AGREEMENT, LEARNING, AUDIT = "verdict", "stability", "agreement", "learning", "signal_audit"
"""Diagnostics: the verdict, and what it is made of."""
MADE_OF = (STABILITY, AGREEMENT, LEARNING, AUDIT)
STEADY, TWICE, NEAR = 1 / 3, 2.0, 1.5
"""A choice returns where batches share half of their scans (a Jaccard index of 1/3) and twice what chance gives, and it
does not where they share less than ``NEAR`` times what chance gives."""
_ORDER = ("pool", "evidence", "stability", "confounding", "learning", "dcr")
_RANK = {"against": 0, "for": 1, "open": 2}
_OPEN = {
    "evidence": "our own runs do not settle it for this strategy and budget",
    "stability": "the choice is only partly the same on other pools of this kind",
    "learning": "the network learned its tasks only in part",
    "confounding": "the signals follow the columns of the scans in part",
}
_FOR = {"evidence": "our own runs found it better", "stability": "other pools of this kind give much the same picks"}
_AGAINST = {
    "evidence": "our own runs found it no better",
    "stability": "other pools of this kind give other picks",
    "confounding": "the signals follow how the scans were made",
    "learning": "the network hardly learned its tasks",
}


def judge(selection: Selection, pool: int) -> Verdict:
    """Return the verdict on a batch from a ``pool`` of so many usable scans; nothing is measured here."""
    makers: tuple[Callable[[Selection, int], Reason | None], ...] = (
        _of_pool, _of_evidence, _of_stability, _of_confounding, _of_learning, _of_dcr,
    )  # fmt: skip
    found = [reason for make in makers if (reason := make(selection, pool)) is not None]
    found.sort(key=_weight)
    reasons = tuple(found[:MOST_REASONS])
    state, because = _state(reasons)
    return Verdict(state, f"{state[0].upper()}{state[1:]}: {because}.", reasons)


def _weight(reason: Reason) -> tuple[bool, bool, int, int]:
    return reason.topic != "pool", reason.topic == "dcr", _RANK[reason.says], _ORDER.index(reason.topic)


def with_verdict(selection: Selection, pool: int) -> Selection:
    """Return the selection with its verdict among the diagnostics, as plain data."""
    return replace(selection, diagnostics={**selection.diagnostics, VERDICT: judge(selection, pool).plain()})


def verdict_of(selection: Selection, pool: int) -> Verdict:
    """Return the verdict that a selection carries or, where it was made before there was one, a new one."""
    told = selection.diagnostics.get(VERDICT)
    return judge(selection, pool) if told is None else Verdict.of(told)


def _state(reasons: tuple[Reason, ...]) -> tuple[State, str]:
    says = {reason.topic: reason.says for reason in reasons}
    if "pool" in says:
        return "not enough to say", f"fewer than {FEWEST} scans cannot show how good a choice is"
    against = [_AGAINST[reason.topic] for reason in reasons if reason.says == "against"]
    if against:
        return "not supported", _joined(against[:2])
    carrying = [topic for topic in ("evidence", "stability") if says.get(topic) == "for"]
    heavy = any(r.topic == "confounding" and (r.number or 0.0) >= MODERATE for r in reasons)
    if len(carrying) == 2 and not heavy:
        return "supported", _joined([_FOR[topic] for topic in carrying])
    unmeasured = not any(r.topic == "stability" and r.number is not None for r in reasons)
    words = {**_OPEN, **({"stability": "how steady the choice is was not measured"} if unmeasured else {})}
    missing = [t for t in ("evidence", "stability", "confounding", "learning") if says.get(t) == "open"]
    if not heavy and len(missing) > 1:
        missing = [topic for topic in missing if topic != "confounding"]
    return "not enough to say", _joined([words[topic] for topic in missing[:2]] or [words["stability"]])


def _of_pool(selection: Selection, pool: int) -> Reason | None:
    del selection
    if pool >= FEWEST:
        return None
    scans = f"{pool} usable scan{'s' * (pool != 1)}"
    return Reason("pool", "open", float(pool), f"The pool holds {scans}; from {FEWEST} on a choice can be judged.")


def _of_evidence(selection: Selection, pool: int) -> Reason | None:
    del pool
    rounds = selection.diagnostics.get("rounds")
    if rounds:
        text = f"Rule {rounds[-1]['rule']} of the last round has not been compared with random draws in our own runs."
        return Reason("evidence", "open", None, text, LINK)
    if selection.strategy == "random":
        text = "The batch is a random draw itself: 0.000 Dice from what others are held against."
        return Reason("evidence", "against", 0.0, text, LINK)
    run = evidence_of(selection.strategy)
    if run is None:
        text = f"Strategy {selection.strategy} has not been compared with random draws in our own runs."
        return Reason("evidence", "open", None, text, LINK)
    better, worse = run.low > 0, run.high < 0 or run.worse > run.better
    budget = len(selection)
    told = (
        f"In our own runs {run.strategy} gave {_signed(run.difference)} Dice against random draws (95 % interval "
        f"{_signed(run.low)} to {_signed(run.high)}; {' and '.join(map(str, run.budgets))} scans, {run.collections} "
        f"collections, {run.segmenter})"
    )
    told += f"; worse on {run.worse or 'none'} of them"
    if not run.covers(budget):
        return Reason("evidence", "open", run.difference, f"{told}. A budget of {budget} was not run.", LINK)
    return Reason("evidence", "for" if better else "against" if worse else "open", run.difference, f"{told}.", LINK)


def _of_stability(selection: Selection, pool: int) -> Reason | None:
    found = stability_of(selection)
    if found is None:
        if pool < FEWEST:
            return None
        return Reason("stability", "open", None, f"How steady the choice is was not measured.{_others(selection)}")
    overlap, chance = float(found["pool_overlap"]), float(found["random_overlap"])
    if chance >= 1:
        return None  # every scan is picked
    steady = overlap >= max(STEADY, TWICE * chance)
    says: Says = "for" if steady else "open" if overlap >= NEAR * chance else "against"
    seed = f", other seeds {_percent(float(found['seed_overlap']))}" if "seed_overlap" in found else ""
    text = (
        f"Chosen again on {int(found['pool_runs'])} resampled pools, two batches share {_percent(overlap)} of their "
        f"scans{seed}; two random draws {_percent(chance)}.{_others(selection)}"
    )
    decides = pool >= FEWEST and selection.strategy != "random"
    return Reason("stability", says if decides else "open", overlap, text)


def stability_of(selection: Selection) -> Mapping[str, Any] | None:
    """Return what repeats of this very choice found: none where strategy or size have changed since."""
    found = selection.diagnostics.get(STABILITY)
    if found is None or (found.get("strategy", selection.strategy), found.get("budget", len(selection))) != (
        selection.strategy,
        len(selection),
    ):
        return None
    pools = found.get("pool_runs", int(found["runs"]) - int(found["runs"]) // 2)
    return {**found, "pool_runs": pools} if pools >= 2 else None


def _others(selection: Selection) -> str:
    told = selection.diagnostics.get(AGREEMENT) or {}
    batch = frozenset(selection.case_ids)
    shares = {
        name: len(batch & set(row["case_ids"])) / len(batch | set(row["case_ids"]))
        for name, row in sorted(told.items())
        if row["case_ids"] and len(row["case_ids"]) == len(batch) and name not in {"random", selection.strategy}
    }
    if not shares:
        return ""
    nearest = max(shares, key=lambda name: shares[name])
    mean = _percent(float(np.mean(list(shares.values()))))
    most = f"most of all {nearest} ({_percent(shares[nearest])})"
    return f" {len(shares)} other strategies share {mean} on average, {most}."


def _of_confounding(selection: Selection, pool: int) -> Reason | None:
    if pool < FEWEST:
        return None
    audit = selection.diagnostics.get(AUDIT)
    if audit is None:
        return None
    rows = [Association(**{**row, "interval": tuple(row["interval"])}) for row in audit["associations"]]
    found = confounding(rows, float(audit["stated_share"]), audit.get("together", ()))
    adjusted = selection.diagnostics.get("adjusted_for") or ()
    before = f" The signals were adjusted for {', '.join(map(str, adjusted))} beforehand." if adjusted else ""
    return Reason("confounding", found.says, found.share, f"{found.text}{before}")


def _of_learning(selection: Selection, pool: int) -> Reason | None:
    told = selection.diagnostics.get(LEARNING)
    if told is None or pool < FEWEST:
        return None
    found = Learning(told["start"], told["end"])
    parts = "; ".join(
        f"{task} {found.start[task]:.2f} → {found.end[task]:.2f}"
        + (f" (guessing {GUESSING_ROTATION:.2f})" if task == "rotation" else "")
        for task in found.start
    )
    fell = f"{len(found.fell)} of {len(found.start)} fell by a tenth or more"
    rotation = found.end.get("rotation", math.nan)
    if found.guessing or "inpainting" not in found.fell:
        says: Says = "against"
    else:
        says = "for" if len(found.fell) == len(found.start) and rotation <= HALF_WAY * GUESSING_ROTATION else "open"
    number = rotation if math.isfinite(rotation) else None
    return Reason("learning", says, number, f"Losses of the network's tasks, start → end: {parts}; {fell}.")


def _of_dcr(selection: Selection, pool: int) -> Reason | None:
    found = dcr_of(selection.diagnostics, pool)
    if found is None:
        return None
    span = "" if found.interval is None else f"; 95 % interval {found.interval[0]:+.2f} to {found.interval[1]:+.2f}"
    p = "p < 0.001" if found.pvalue < 0.001 else f"p = {found.pvalue:.2g}"
    how = f" {found.method}" if found.method else ""
    means = (
        f"hard scans are {'typical' if found.value > 0 else 'peripheral'}"
        if found.decided
        else "whether hard scans are typical or peripheral is open"
    )
    idle = (
        f"; strategy {selection.strategy} does not use it"
        if selection.diagnostics.get("pacing_used") is False or "gamma" not in selection.diagnostics
        else ""
    )
    numbers = f"{found.value:+.2f} ({p}{how}{span})".replace("-", "−")
    return Reason("dcr", "open", found.value, f"DCR is {numbers}: {means}{idle}.")


def _joined(clauses: list[str]) -> str:
    return ", and ".join(clauses)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
