"""What a study says in words: its headline, and what its design can tell at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from firstscan.metrics.association import smallest
from firstscan.metrics.resampled import smallest_effect
from firstscan.study.plan import RANDOM, Plan
from firstscan.study.statistics.arms import Design
from firstscan.study.statistics.costs import KINDS, needed
from firstscan.study.statistics.summary import Summary

from .tables import needed_words, number, pvalue

DEVIATIONS = (0.05, 0.09)
"""SD of one paired difference between batches, as seen in trials on several pools: the calm and the mixed ones."""


def headlines(summary: Summary) -> list[str]:
    """Return a sentence for each arm, over all pools where there are several; the best difference first."""
    if summary.across:
        pools = f"these {len(summary.designs)} pools"
        told = [(a.estimate, arm, a.low, a.high, summary.across_holm[arm]) for arm, (a, _) in summary.across.items()]
        return [_told(arm, pools, d, (low, high), p) for d, arm, low, high, p in sorted(told, key=lambda x: -x[0])]
    rows = summary.primary.sort_values("difference", ascending=False).to_dict("records")
    several = len(summary.designs) > 1
    return [
        _told(
            str(r["strategy"]),
            f"{r['pool']}," if several else "this pool",
            r["difference"],
            (r["low"], r["high"]),
            r["pvalue_holm"],
        )
        for r in rows
    ]


def _told(arm: str, where: str, difference: float, ends: tuple[float, float], p: float) -> str:
    low, high = (number(end, sign=True) for end in ends)
    numbers = f"{number(difference, sign=True)} Dice, 95 % interval {low} to {high}"
    if not p < 0.05:
        return f"{arm}: on {where} it cannot be told from random ({numbers}; p {pvalue(p)})."
    return f"{arm}: {'better' if difference > 0 else 'worse'} than random on {where} ({numbers}; p {pvalue(p)})."


def work_sentences(work: pd.DataFrame) -> list[str]:
    """Return for each plan by slice and budget how much random whole scans need for what it reaches."""
    pools = work["pool"].nunique()
    told = []
    for row in work[work["sliced"].astype(bool)].to_dict("records"):
        amounts = {kind: needed(work, str(row["pool"]), row["dice"], kind) for kind in KINDS}
        if None in amounts.values():
            continue
        beyond = {kind for kind, found in amounts.items() if found is not None and found.bound == "more than"}
        words = " and ".join(
            f"{needed_words(found)} {kind}{' (the largest run)' if kind in beyond else ''}"
            for kind, found in amounts.items()
        )
        where = f" on {row['pool']}" if pools > 1 else ""
        told.append(
            f"Random whole scans need {words} for what {row['strategy']} reaches with {row['slices']:.0f} slices and "
            f"{row['minutes']:.0f} minutes{where} (Dice {number(row['dice'])})."
        )
    return told


def limit(name: str, design: Design) -> str:
    """Say what a design can tell, and what it cannot."""
    if not design.subpools:
        return (
            f"{name}: one pool, and each strategy has one batch or few in it. Their variance is taken from random's "
            f"{design.draws} draws. This tells whether these batches did better, not whether the strategy would on "
            "other scans; sub-pools (entry pools of a plan) tell that."
        )
    return (
        f"{name}: {design.subpools} sub-pools with {design.draws} random draws each, {design.cases} test scans. "
        f"{reach(design.subpools)}"
    )


def reach(subpools: int) -> str:
    """Say which true difference so many sub-pools find in four of five studies."""
    low, high = (smallest_effect(subpools, d) for d in DEVIATIONS)
    if math.isinf(low):
        return "That is too few to tell anything."
    return (
        f"A true difference of {low:.3f} to {high:.3f} Dice would be found with 80 % power; smaller ones can be missed."
    )


def beforehand(plan: Plan, trainings: int, done: int) -> str:
    """Say, before anything is trained, how much there is to do and what it will be able to tell."""
    work = f"{trainings} trainings, {done} of them done before."
    if plan.rounds is not None:
        pools = 0 if plan.pools is None else plan.pools.draws
        told = reach(pools) if pools else "One pool: this compares batches, not rules on other scans."
        return f"Up to {trainings} trainings in rounds of {in_words(plan.rounds)} scans. {told}"
    if all(entry.name == RANDOM for entry in plan.strategies):
        return f"{work} {_of_random(plan)}"
    if plan.pools is None:
        draws = max((plan.seeds_of(s) for s in plan.strategies if s.name == RANDOM), default=0)
        return f"{work} One pool, {draws} random draws: this compares batches, not strategies on other scans."
    return f"{work} {plan.pools.draws} sub-pools. {reach(plan.pools.draws)}"


def rounds_told(name: str, rounds: Sequence[int], restart: str) -> str:
    """Say how a study with rounds went, and what its comparisons mean."""
    begins = "began anew" if restart == "cold" else "went on from the weights of the round before"
    return (
        f"{name}: rounds of {in_words(rounds)} scans. The first batch is the same for all rules and is not compared; "
        "each rule then chose the rest, and random draws went on from the same batch. Training "
        f"{begins} in every round."
    )


def in_words(numbers: Sequence[int]) -> str:
    """Return numbers as a list in words: 3, 3 and 6."""
    told = [str(n) for n in numbers]
    return f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else "".join(told)


def _of_random(plan: Plan) -> str:
    """Say what random batches alone can tell, at least: batches of one draw are nested and may count for one."""
    draws = max(plan.seeds_of(entry) for entry in plan.strategies)
    pools = 1 if plan.pools is None else plan.pools.draws
    rho = smallest(float(pools * (draws - 1) + 1 if draws > 1 else pools))
    said = "Random batches only: they tell what goes with Dice, and compare nothing."
    if math.isinf(rho):
        return f"{said} These are too few to tell anything."
    return f"{said} A rank correlation of {rho:.2f} or more would be found with 80 % power."
