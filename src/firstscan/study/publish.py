"""Scores → ``summary.csv``, tables and ``study.html``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from firstscan.store import atomic_write

from .data import StudyData
from .features import feature_seconds
from .page import Background, render
from .plan import Plan
from .summary import summarise
from .tables import latex, markdown

SUMMARY_FILES = ("summary.csv", "tables.md", "tables.tex", "study.html")


def publish(out: Path, plan: Plan, data: StudyData, scores: pd.DataFrame) -> None:
    """Write every file that sums up the scores of one study into ``out``."""
    summary = summarise(scores)
    background = Background(
        plan=plan,
        pool_cases=len(data.pool),
        test_cases=len(data.test),
        classes=dict(data.classes),
        feature_seconds=feature_seconds(out / "work"),
        costs=pd.read_csv(out / "costs.csv"),
    )
    atomic_write(out / "summary.csv", summary.curves.to_csv(index=False, lineterminator="\n"))
    atomic_write(out / "tables.md", markdown(summary))
    atomic_write(out / "tables.tex", latex(summary))
    atomic_write(out / "study.html", render(summary, background))
