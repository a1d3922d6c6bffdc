"""Tables of a study as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from firstscan.study.statistics.costs import work_curves
from firstscan.study.statistics.goes_with import in_words
from firstscan.study.statistics.rounds import COVERAGE
from firstscan.study.statistics.summary import Summary

from .tables import (
    CURVES_NOTE,
    Rows,
    across_table,
    area_table,
    cost_table,
    curve_table,
    goes_with_table,
    harm_table,
    verdict_table,
    work_table,
)

_TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": r"$-$", "–": "--",
        "<": r"$<$", "ρ": r"$\rho$", "’": "'", ">": r"$>$", "\u2009": r"\,"}  # fmt: skip


def markdown(
    summary: Summary,
    costs: pd.DataFrame | None = None,
    related: pd.DataFrame | None = None,
    against: Summary | None = None,
) -> str:
    """Return every table as one Markdown document."""
    lines = _sections(summary, costs, related, against, style=(_markdown_table, "## {}", "{}"))
    return "\n".join(["# Study", "", *lines]) + "\n"


def latex(
    summary: Summary,
    costs: pd.DataFrame | None = None,
    related: pd.DataFrame | None = None,
    against: Summary | None = None,
) -> str:
    """Return every table as ``booktabs`` tables, ready for ``\\input``."""
    return "\n".join(_sections(summary, costs, related, against, style=(_latex_table, "% {}", "% {}"))) + "\n"


def _sections(
    summary: Summary,
    costs: pd.DataFrame | None,
    related: pd.DataFrame | None,
    against: Summary | None,
    *,
    style: tuple[Callable[[Sequence[str], Rows], str], str, str],
) -> list[str]:
    """Return the lines of all tables that hold something; ``style``: how a table, a title and a remark are written."""
    table, title, remark = style
    lines: list[str] = []
    for name, note, (header, rows) in (
        ("Differences to random over all budgets", "", verdict_table(summary)),
        (
            "Differences to coverage over all rounds but the first", "",
            verdict_table(against, COVERAGE) if against is not None else ((), ()),
        ),
        ("Over several pools", "", across_table(summary)),
        ("Means, and differences to random", CURVES_NOTE, curve_table(summary.curves)),
        (
            ("What goes with Dice", in_words(related), goes_with_table(related))
            if related is not None
            else ("", "", ((), ()))
        ),
        ("Area under the budget curve", "", area_table(summary)),
        ("Cells below the random median by more than 0.005", "", harm_table(summary)),
        (
            "Dice and the work of annotating", "",
            work_table(work_curves(summary.curves, costs)) if costs is not None else ((), ()),
        ),
        ("Cost and gain", "", cost_table(summary.curves, costs) if costs is not None else ((), ())),
    ):  # fmt: skip
        if rows:
            lines += [title.format(name), "", table(header, rows), ""]
            lines += [remark.format(note), ""] if note else []
    return lines


def _markdown_table(header: Sequence[str], rows: Rows) -> str:
    def escaped(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return "\n".join([escaped(header), "|" + " --- |" * len(header), *(escaped(r) for r in rows)])


def _latex_table(header: Sequence[str], rows: Rows) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_TEX.get(ch, ch) for ch in c) for c in cells) + r" \\"

    body = "\n".join(line(r) for r in rows)
    return (
        f"\\begin{{tabular}}{{{'l' * len(header)}}}\n\\toprule\n{line(header)}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}"
    )
