"""Scores → ``summary.csv``, tables and ``study.html``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from firstscan.store import atomic_write, load_json

from .drawings import curves_svg, differences_svg
from .page import About, Background, render
from .summary import summarise
from .tables import latex, markdown

SCORES, CELLS, COSTS = "scores.parquet", "cells.csv", "costs.csv"
PLAN, ABOUT = "plan.json", "about.json"
SUMMARY_FILES = ("summary.csv", "tables.md", "tables.tex", "curves.svg", "differences.svg", "study.html")
RESULT = (SCORES, CELLS, PLAN, ABOUT, *SUMMARY_FILES)
"""Every file of a study that its manifest vouches for; costs hold times and stand outside."""


def publish(out: Path, scores: pd.DataFrame, background: Background) -> None:
    """Write every file that sums up scores, of one study or of several, into ``out``."""
    summary = summarise(scores)
    atomic_write(out / "summary.csv", summary.curves.to_csv(index=False, lineterminator="\n"))
    atomic_write(out / "tables.md", markdown(summary, background.costs))
    atomic_write(out / "tables.tex", latex(summary, background.costs))
    atomic_write(out / "curves.svg", curves_svg(summary.curves, summary.cell_means))
    atomic_write(out / "differences.svg", differences_svg(summary.curves))
    atomic_write(out / "study.html", render(summary, background))


def background_of(folders: Sequence[Path]) -> Background:
    """Read what pages tell of finished studies besides their scores."""
    studies = tuple(About(**load_json(folder / ABOUT)) for folder in folders)
    costs = [
        pd.read_csv(folder / COSTS, na_values=[""], keep_default_na=False).assign(pool=about.name)
        for folder, about in zip(folders, studies, strict=True)
    ]
    cells = [
        pd.read_csv(folder / CELLS, dtype={"absent_classes": str}, keep_default_na=False).assign(pool=about.name)
        for folder, about in zip(folders, studies, strict=True)
    ]
    absent = pd.concat(cells, ignore_index=True).reindex(columns=["pool", "strategy", "budget", "absent_classes"])
    names = [about.name for about in studies]
    title = f"Study {names[0]}" if len(names) == 1 else f"Studies {', '.join(names[:-1])} and {names[-1]}"
    lacking = absent[absent["absent_classes"].fillna("") != ""]
    return Background(title, studies, pd.concat(costs, ignore_index=True), lacking)
