"""Summary → Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from .summary import Summary

Rows = Sequence[Sequence[str]]


def number(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """Return a number as people read it; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", "−")


def pvalue(value: float) -> str:
    """Return a p-value: three digits, or a bound below 0.001."""
    if not math.isfinite(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def curve_table(curves: pd.DataFrame) -> tuple[tuple[str, ...], Rows]:
    """Return the main table: one row a pool, budget and strategy, best mean first."""
    header = (
        "Pool", "Budget", "Strategy", "Cells", "Dice (95 % CI)", "HD95 mm", "NSD", "− random (95 % CI)", "Percentile",
        "p (Holm)", "SD selection", "SD training",
    )  # fmt: skip
    rows = []
    for r in curves.sort_values(["pool", "budget", "dice"], ascending=[True, True, False]).to_dict("records"):
        known = math.isfinite(r["difference"])
        interval = f"{number(r['difference_low'], sign=True)} to {number(r['difference_high'], sign=True)}"
        rows.append(
            (
                str(r["pool"]), str(r["budget"]), str(r["strategy"]), str(r["cells"]),
                f"{number(r['dice'])} ({number(r['dice_low'])}–{number(r['dice_high'])})",
                number(r["hd95_mm"], 2), number(r["nsd"]),
                f"{number(r['difference'], sign=True)} ({interval})" if known else "–",
                number(r["percentile"], 0), pvalue(r["wilcoxon_p_holm"]),
                number(math.sqrt(r["variance_selection"]) if r["variance_selection"] >= 0 else math.nan),
                number(math.sqrt(r["variance_training"]) if r["variance_training"] >= 0 else math.nan),
            )
        )  # fmt: skip
    return header, rows


def area_table(summary: Summary) -> tuple[tuple[str, ...], Rows]:
    """Return AUBC and labels saved, best first; with mean ranks where they were tested."""
    saved = [c for c in summary.areas.columns if c.startswith("saved_at_")]
    ranks = {} if summary.ranks is None else dict(zip(summary.ranks.names, summary.ranks.mean_ranks, strict=True))
    header = (
        "Pool",
        "Strategy",
        "AUBC",
        *(f"Labels saved at {c.removeprefix('saved_at_')}" for c in saved),
        "Mean rank",
    )
    rows = [
        (
            str(r["pool"]), str(r["strategy"]), number(r["aubc"]), *(number(r[c], 1) for c in saved),
            number(float(ranks.get(r["strategy"], math.nan)), 2),
        )
        for r in summary.areas.sort_values(["pool", "aubc"], ascending=[True, False]).to_dict("records")
    ]  # fmt: skip
    return header, rows


def conover_table(summary: Summary) -> tuple[tuple[str, ...], Rows]:
    """Return Conover's Holm-adjusted p-values, strategy against strategy; empty where there was no test."""
    if summary.ranks is None:
        return (), ()
    names = summary.ranks.names
    rows = [
        (a, *("" if i == j else pvalue(float(summary.ranks.pairwise[i, j])) for j in range(len(names))))
        for i, a in enumerate(names)
    ]
    return ("", *names), rows


def harm_table(summary: Summary) -> tuple[tuple[str, ...], Rows]:
    """Return the cells below the random median, worst first."""
    header = ("Pool", "Strategy", "Budget", "Selection seed", "Training seed", "Dice", "Random median", "Loss")
    rows = [
        (
            pool, h.cell.strategy, str(h.cell.budget), str(h.cell.selection_seed), str(h.cell.training_seed),
            number(h.cell.score), number(h.random_median), number(h.loss),
        )
        for pool, h in summary.harmful
    ]  # fmt: skip
    return header, rows


def markdown(summary: Summary) -> str:
    """Return every table as one Markdown document."""
    parts = ["# Study", "", *_sections(summary, _markdown_table)]
    return "\n".join(parts) + "\n"


def latex(summary: Summary) -> str:
    """Return every table as ``booktabs`` tables, ready for ``\\input``."""
    return "\n".join(_sections(summary, _latex_table, title=lambda t: f"% {t}")) + "\n"


def _sections(
    summary: Summary,
    table: Callable[[Sequence[str], Rows], str],
    title: Callable[[str], str] = lambda t: f"## {t}",
) -> list[str]:
    lines: list[str] = []
    for name, (header, rows) in (
        ("Means, and differences to random", curve_table(summary.curves)),
        ("Area under the budget curve", area_table(summary)),
        ("Conover's post-hoc test", conover_table(summary)),
        ("Cells below the random median", harm_table(summary)),
    ):
        if rows:
            lines += [title(name), "", table(header, rows), ""]
    return lines


def _markdown_table(header: Sequence[str], rows: Rows) -> str:
    def escaped(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return "\n".join([escaped(header), "|" + " --- |" * len(header), *(escaped(r) for r in rows)])


_TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": r"$-$", "–": "--",
        "<": r"$<$", ">": r"$>$"}  # fmt: skip


def _latex_table(header: Sequence[str], rows: Rows) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_TEX.get(ch, ch) for ch in c) for c in cells) + r" \\"

    body = "\n".join(line(r) for r in rows)
    return (
        f"\\begin{{tabular}}{{{'l' * len(header)}}}\n\\toprule\n{line(header)}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}"
    )
