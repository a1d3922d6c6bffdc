"""Summary → Markdown and LaTeX."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from firstscan.study.plan import RANDOM
from firstscan.study.statistics.costs import KINDS, Needed, needed
from firstscan.study.statistics.goes_with import WORDS
from firstscan.study.statistics.summary import Summary

CURVES_NOTE = (
    "− random: mean difference to the random draws with its 95 % interval, in which other sub-pools (or, on one pool, "
    "other batches) are thought to be drawn; single budgets get no verdict. SD and 10th percentile: of the mean Dice "
    "of distinct batches. Below median: share of batches more than 0.005 below random's median."
)

Rows = Sequence[Sequence[str]]
Table = tuple[tuple[str, ...], Rows]


def number(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """Return a number as people read it; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    value = round(value, digits) or 0.0  # no −0.000
    text = f"{value:+.{digits}f}" if sign and value else f"{value:.{digits}f}"
    return text.replace("-", "−")


def label_count(budget: object) -> str:
    """Return a budget in words."""
    return f"{budget} label{'s' if budget != 1 else ''}"


def pvalue(value: float) -> str:
    """Return a p-value: three digits, or a bound below 0.001."""
    if not math.isfinite(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def curve_table(curves: pd.DataFrame) -> Table:
    """Return the main table: one row a pool, budget and strategy, best mean first."""
    header = (
        "Pool", "Budget", "Strategy", "Batches", "Dice", "SD", "10th percentile", "HD95 mm", "NSD",
        "− random (95 % CI)", "Below median", "One / both empty",
    )  # fmt: skip
    rows = [
        (
            str(r["pool"]), str(r["budget"]), str(r["strategy"]), _count(r), number(r["dice"]),
            number(r["sd_batches"]), number(r["tenth"]), number(r["hd95_mm"], 2), number(r["nsd"]), gain(r),
            f"{100 * r['below_median']:.0f} %" if math.isfinite(r["below_median"]) else "–",
            f"{r['one_empty']} / {r['both_empty']}",
        )
        for r in curves.sort_values(["pool", "budget", "dice"], ascending=[True, True, False]).to_dict("records")
    ]  # fmt: skip
    return without_pool(header, rows)


def gain(row: Mapping[Hashable, Any]) -> str:
    """Return the difference to random with its interval; a dash where there is none."""
    if not math.isfinite(row["difference"]):
        return "–"
    low, high = (number(row[f"difference_{side}"], sign=True) for side in ("low", "high"))
    return f"{number(row['difference'], sign=True)} ({low} to {high})"


def _count(row: Mapping[Hashable, Any]) -> str:
    """Return how many batches were trained on, and how many of them were different."""
    return str(row["batches"]) if row["batches"] == row["distinct"] else f"{row['distinct']} of {row['batches']}"


def verdict_table(summary: Summary, reference: str = RANDOM) -> Table:
    """Return the primary endpoint: each arm's difference to ``reference`` over all budgets, best first in a pool."""
    header = (
        "Pool",
        "Strategy",
        f"− {reference} (95 % CI)",
        "p (Holm)",
        "Verdict",
        "Overlap",
        "Other collections (95 % CI)",
    )
    rows = [
        (
            str(r["pool"]), str(r["strategy"]), _interval(r["difference"], r["low"], r["high"]),
            pvalue(r["pvalue_holm"]), str(r["verdict"]), number(r["overlap"], 2),
            f"{number(r['kind_low'], sign=True)} to {number(r['kind_high'], sign=True)}"
            if math.isfinite(r["kind_low"]) else "–",
        )
        for r in summary.primary.sort_values(["pool", "difference"], ascending=[True, False]).to_dict("records")
    ]  # fmt: skip
    return without_pool(header, rows)


def across_table(summary: Summary) -> Table:
    """Return each arm's mean difference to random over several pools, best first."""
    header = ("Strategy", "These pools (95 % CI)", "p (Holm)", "Verdict", "Pools of this kind (95 % CI)", "A new pool")
    rows = []
    for arm, (mean, kind) in sorted(summary.across.items(), key=lambda item: -item[1][0].estimate):
        p = summary.across_holm[arm]
        verdict = "cannot tell" if not p < 0.05 else "better" if mean.estimate > 0 else "worse"
        others = ("–", "–")
        if kind is not None:
            new = f"{number(kind.new_low, sign=True)} to {number(kind.new_high, sign=True)}"
            others = (_interval(kind.mean.estimate, kind.mean.low, kind.mean.high), new)
        rows.append((arm, _interval(mean.estimate, mean.low, mean.high), pvalue(p), verdict, *others))
    return header, rows


def goes_with_table(related: pd.DataFrame) -> Table:
    """Return how each property of random batches goes with their Dice."""
    header = ("Pool", "Property of a batch", "Features", "ρ with Dice (95 % CI)", "p", "p (Holm)", "Batches (worth)")
    rows = [
        (
            str(r["pool"]), WORDS[str(r["property"])], str(r["group"]) or "–",
            _interval(r["rho"], r["low"], r["high"]) if math.isfinite(r["low"]) else number(r["rho"], sign=True),
            pvalue(r["pvalue"]), pvalue(r["pvalue_holm"]), f"{r['batches']} ({r['effective']:.0f})",
        )
        for r in related[related["rho"].notna()].to_dict("records")
    ]  # fmt: skip
    return without_pool(header, rows)


def _interval(value: float, low: float, high: float) -> str:
    return f"{number(value, sign=True)} ({number(low, sign=True)} to {number(high, sign=True)})"


def without_pool(header: Sequence[str], rows: Rows) -> Table:
    """Return a table without its first column, the pool, where there is one pool only."""
    if len({row[0] for row in rows}) > 1:
        return tuple(header), rows
    return tuple(header[1:]), [row[1:] for row in rows]


def area_table(summary: Summary) -> Table:
    """Return AUBC and labels saved, best first."""
    saved = [c for c in summary.areas.columns if c.startswith("saved_at_")]
    names = [f"Labels saved at {c.removeprefix('saved_at_')}" for c in saved]
    rows = [
        (
            str(r["pool"]), str(r["strategy"]), number(r["aubc"]), *(number(r[c], 1) for c in saved),
        )
        for r in summary.areas.sort_values(["pool", "aubc"], ascending=[True, False]).to_dict("records")
    ]  # fmt: skip
    return without_pool(("Pool", "Strategy", "AUBC", *names), rows)


def cost_table(curves: pd.DataFrame, costs: pd.DataFrame) -> Table:
    """Return what every strategy costs and gains at every budget, as means over its cells."""
    header = ("Pool", "Strategy", "Budget", "Foreground voxels", "Training s", "Prediction s", "− random (95 % CI)")
    gains = {(r["pool"], r["strategy"], r["budget"]): gain(r) for r in curves.to_dict("records")}
    columns = ["foreground_voxels", "train_s", "predict_s"]
    means = costs.groupby(["pool", "strategy", "budget"], sort=False)[columns].mean().reset_index()
    rows = [
        (
            str(r["pool"]), str(r["strategy"]), str(r["budget"]), _thousands(r["foreground_voxels"]),
            number(r["train_s"], 1), number(r["predict_s"], 1),
            gains.get((r["pool"], r["strategy"], r["budget"]), "–"),
        )
        for r in means.sort_values(["pool", "budget"], kind="stable").to_dict("records")
    ]  # fmt: skip
    return without_pool(header, rows)


def work_table(work: pd.DataFrame) -> Table:
    """Return what each arm reaches with how much work, and how much random whole scans need for the same Dice."""
    header = ("Pool", "Strategy", "Budget", "Dice", "Slices", "With foreground", "Minutes", *(
        f"Random whole scans need, {kind}" for kind in KINDS
    ))  # fmt: skip
    rows = [
        (
            str(r["pool"]), str(r["strategy"]), str(r["budget"]), number(r["dice"]),
            *(_thousands(r[name]) for name in ("slices", "foreground_slices", "minutes")),
            *(
                "–" if r["strategy"] == RANDOM else needed_words(needed(work, str(r["pool"]), r["dice"], kind))
                for kind in KINDS
            ),
        )
        for r in work.sort_values(["pool", "budget"], kind="stable").to_dict("records")
    ]  # fmt: skip
    return without_pool(header, rows)


def needed_words(found: Needed | None) -> str:
    """Return an amount of work with its bound; a dash where there is nothing to compare with."""
    return "–" if found is None else f"{found.bound} {_thousands(found.cost)}".strip()


def absent_table(absent: pd.DataFrame, costs: pd.DataFrame) -> Table:
    """Return which classes no pick of how many cells holds, by strategy and budget; empty where there is none."""
    header = ("Pool", "Strategy", "Budget", "Class", "Cells")
    key = ["pool", "strategy", "budget"]
    cells = costs.groupby(key).size()
    counts = absent.groupby([*key, "absent_classes"], sort=False).size().reset_index(name="n")
    rows = [
        (
            str(r["pool"]), str(r["strategy"]), str(r["budget"]), str(r["absent_classes"]),
            f"{r['n']} of {cells[r['pool'], r['strategy'], r['budget']]}",
        )
        for r in counts.sort_values(["pool", "budget"], kind="stable").to_dict("records")
    ]  # fmt: skip
    return without_pool(header, rows)


def failure_table(failures: pd.DataFrame) -> Table:
    """Return the failed cells, those of one strategy and budget that failed alike in one row."""
    header = ("Pool", "Strategy", "Budget", "Seeds", "Reason")
    told = failures.assign(seeds=[_seeds(r) for r in failures.to_dict("records")])
    rows = [
        (str(pool), str(strategy), str(budget), ", ".join(group["seeds"]), str(reason))
        for (pool, strategy, budget, reason), group in told.groupby(
            ["pool", "strategy", "budget", "reason"], sort=False
        )
    ]
    return without_pool(header, rows)


def _seeds(row: Mapping[Hashable, Any]) -> str:
    """Return the seeds as a cell's name tells them: the training seed only where it is not 0."""
    return f"{row['selection_seed']}" + (f":{row['training_seed']}" if row["training_seed"] else "")


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u2009") if math.isfinite(value) else "–"


def harm_table(summary: Summary) -> Table:
    """Return the cells below the random median, worst first."""
    header = ("Pool", "Strategy", "Budget", "Sub-pool", "Seeds", "Dice", "Random median", "Loss")
    rows = [
        (
            pool, h.cell.strategy, str(h.cell.budget), "–" if h.cell.subpool < 0 else str(h.cell.subpool),
            f"{h.cell.selection_seed}:{h.cell.training_seed}",
            number(h.cell.score), number(h.random_median), number(h.loss),
        )
        for pool, h in summary.harmful
    ]  # fmt: skip
    return without_pool(header, rows)


def harm_counts(summary: Summary) -> Table:
    """Return how many cells of each strategy lie below the random median, most first."""
    means = summary.cell_means
    below = Counter((pool, h.cell.strategy) for pool, h in summary.harmful)
    worst = {(pool, h.cell.strategy): h.loss for pool, h in reversed(summary.harmful)}
    cells = means.groupby(["pool", "strategy"], sort=False).size()
    rows = [
        (*map(str, key), f"{below[key]} of {cells[key]}", number(worst[key]))
        for key in sorted(below, key=lambda k: (k[0], -below[k] / cells[k]))
    ]
    return without_pool(("Pool", "Strategy", "Cells below the random median", "Largest loss"), rows)
