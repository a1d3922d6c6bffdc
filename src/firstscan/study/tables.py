"""Summary → Markdown and LaTeX."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from firstscan.metrics.significance import PAIRS_NEEDED

from .summary import Summary

CURVES_NOTE = (
    "Intervals: bootstrap over test cases and draws, not corrected for their number. They are too narrow where a "
    "strategy has few draws, and say nothing of other draws where it has one. p: two-sided Wilcoxon signed-rank test "
    "paired by test case, Holm-adjusted over all rows; it tells whether these very picks do better on such cases, not "
    "whether other draws would."
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
        "Pool", "Budget", "Strategy", "Cells", "Dice (95 % CI)", "HD95 mm", "NSD", "− random (95 % CI)", "Percentile",
        "p (Holm)", "SD selection", "SD training", "One / both empty",
    )  # fmt: skip
    rows = [
        (
            str(r["pool"]), str(r["budget"]), str(r["strategy"]), str(r["cells"]),
            f"{number(r['dice'])} ({number(r['dice_low'])}–{number(r['dice_high'])})",
            number(r["hd95_mm"], 2), number(r["nsd"]), gain(r), number(r["percentile"], 0),
            pvalue(r["wilcoxon_p_holm"]), _deviation(r["variance_selection"]), _deviation(r["variance_training"]),
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


def verdict_table(curves: pd.DataFrame) -> Table:
    """Return, per strategy and budget, whether its interval lies above random, below it, or holds 0; best first.

    Too few test cases for a test are too few for a verdict, too: resampled, they vary less than cases do.
    """
    known = curves[curves["difference"].notna()]
    budgets = sorted(known["budget"].unique())
    rows = []
    groups = known.groupby(["pool", "strategy"], sort=False)
    for (pool, strategy), group in sorted(groups, key=lambda g: (str(g[0][0]), -float(g[1]["difference"].mean()))):
        by_budget = {r["budget"]: r for r in group.to_dict("records")}
        told = [_verdict(by_budget[b]) if b in by_budget else "–" for b in budgets]
        rows.append((str(pool), str(strategy), *told))
    return without_pool(("Pool", "Strategy", *(label_count(b) for b in budgets)), rows)


def _verdict(row: Mapping[Hashable, Any]) -> str:
    if row["cases"] < PAIRS_NEEDED:
        return f"open {number(row['difference'], sign=True)}"
    word = "better" if row["difference_low"] > 0 else "worse" if row["difference_high"] < 0 else "open"
    return f"{word} {number(row['difference'], sign=True)}"


def _deviation(variance: float) -> str:
    return number(math.sqrt(variance) if variance >= 0 else math.nan)


def without_pool(header: Sequence[str], rows: Rows) -> Table:
    """Return a table without its first column, the pool, where there is one pool only."""
    if len({row[0] for row in rows}) > 1:
        return tuple(header), rows
    return tuple(header[1:]), [row[1:] for row in rows]


def area_table(summary: Summary) -> Table:
    """Return AUBC and labels saved, best first; with mean ranks where they were tested."""
    saved = [c for c in summary.areas.columns if c.startswith("saved_at_")]
    ranks = {} if summary.ranks is None else dict(zip(summary.ranks.names, summary.ranks.mean_ranks, strict=True))
    names = [f"Labels saved at {c.removeprefix('saved_at_')}" for c in saved]
    rows = [
        (
            str(r["pool"]), str(r["strategy"]), number(r["aubc"]), *(number(r[c], 1) for c in saved),
            number(float(ranks.get(r["strategy"], math.nan)), 2),
        )
        for r in summary.areas.sort_values(["pool", "aubc"], ascending=[True, False]).to_dict("records")
    ]  # fmt: skip
    return without_pool(("Pool", "Strategy", "AUBC", *names, "Mean rank"), rows)


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


def conover_table(summary: Summary) -> Table:
    """Return Conover's Holm-adjusted p-values, strategy against strategy; empty where there was no test."""
    if summary.ranks is None:
        return (), ()
    names = summary.ranks.names
    rows = [
        (a, *("" if i == j else pvalue(float(summary.ranks.pairwise[i, j])) for j in range(len(names))))
        for i, a in enumerate(names)
    ]
    return ("", *names), rows


def harm_table(summary: Summary) -> Table:
    """Return the cells below the random median, worst first."""
    header = ("Pool", "Strategy", "Budget", "Selection seed", "Training seed", "Dice", "Random median", "Loss")
    rows = [
        (
            pool, h.cell.strategy, str(h.cell.budget), str(h.cell.selection_seed), str(h.cell.training_seed),
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


def markdown(summary: Summary, costs: pd.DataFrame | None = None) -> str:
    """Return every table as one Markdown document."""
    return "\n".join(["# Study", "", *_sections(summary, costs, _markdown_table, "## {}", "{}")]) + "\n"


def latex(summary: Summary, costs: pd.DataFrame | None = None) -> str:
    """Return every table as ``booktabs`` tables, ready for ``\\input``."""
    return "\n".join(_sections(summary, costs, _latex_table, "% {}", "% {}")) + "\n"


def _sections(
    summary: Summary, costs: pd.DataFrame | None, table: Callable[[Sequence[str], Rows], str], title: str, remark: str
) -> list[str]:
    lines: list[str] = []
    for name, note, (header, rows) in (
        ("Means, and differences to random", CURVES_NOTE, curve_table(summary.curves)),
        ("Area under the budget curve", "", area_table(summary)),
        ("Conover's post-hoc test", "", conover_table(summary)),
        ("Cells below the random median", "", harm_table(summary)),
        ("Cost and gain", "", cost_table(summary.curves, costs) if costs is not None else ((), ())),
    ):
        if rows:
            lines += [title.format(name), "", table(header, rows), ""]
            lines += [remark.format(note), ""] if note else []
    return lines


def _markdown_table(header: Sequence[str], rows: Rows) -> str:
    def escaped(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return "\n".join([escaped(header), "|" + " --- |" * len(header), *(escaped(r) for r in rows)])


_TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": r"$-$", "–": "--",
        "<": r"$<$", ">": r"$>$", "\u2009": r"\,"}  # fmt: skip


def _latex_table(header: Sequence[str], rows: Rows) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_TEX.get(ch, ch) for ch in c) for c in cells) + r" \\"

    body = "\n".join(line(r) for r in rows)
    return (
        f"\\begin{{tabular}}{{{'l' * len(header)}}}\n\\toprule\n{line(header)}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}"
    )
