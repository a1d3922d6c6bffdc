"""Scores → ``summary.csv``, tables and ``study.html``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from firstscan.store import atomic_write, load_json
from firstscan.study.statistics.arms import with_arms
from firstscan.study.statistics.costs import work_curves
from firstscan.study.statistics.goes_with import goes_with_dice, no_batches, with_scores
from firstscan.study.statistics.rounds import COVERAGE, begins_apart, by_rule
from firstscan.study.statistics.summary import summarise

from .drawings import curves_svg, differences_svg, work_svg
from .page import About, Background, render
from .typeset import latex, markdown

SCORES, CELLS, COSTS, BATCHES = "scores.parquet", "cells.csv", "costs.csv", "batch_properties.csv"
GOES_WITH = "goes_with_dice.csv"
PLAN, ABOUT = "plan.json", "about.json"
SUMMARY_FILES = ("summary.csv", GOES_WITH, "tables.md", "tables.tex", "curves.svg", "differences.svg", "study.html")
WORK = "work.svg"
"""Dice over the work of annotating: only of studies in which that says more than the number of labels."""
RESULT = (SCORES, CELLS, BATCHES, PLAN, ABOUT, *SUMMARY_FILES)
"""Every file of a study that its manifest vouches for; costs hold times and stand outside."""


def publish(out: Path, scores: pd.DataFrame, background: Background, batches: pd.DataFrame) -> None:
    """Write every file that sums up scores, of one study or of several, into ``out``.

    ``batches``: see :func:`firstscan.study.statistics.goes_with.batch_properties`, with their Dice.
    """
    told = background.in_rounds
    scores = by_rule(scores, told)
    asked = {"picks": background.picks, "sizes": background.sizes, "independent": background.independent}
    summary = summarise(scores, **asked)
    against = summarise(scores, **asked, reference=COVERAGE) if told and COVERAGE in set(scores["strategy"]) else None
    related = goes_with_dice(batches)
    atomic_write(out / GOES_WITH, related.to_csv(index=False, lineterminator="\n"))
    atomic_write(out / "summary.csv", summary.curves.to_csv(index=False, lineterminator="\n"))
    atomic_write(out / "tables.md", markdown(summary, background.costs, related, against))
    atomic_write(out / "tables.tex", latex(summary, background.costs, related, against))
    atomic_write(out / "curves.svg", curves_svg(summary.curves, summary.cell_means))
    atomic_write(out / "differences.svg", differences_svg(summary.curves))
    atomic_write(out / "study.html", render(summary, background, related, against))
    work = work_curves(summary.curves, background.costs)
    (out / WORK).unlink(missing_ok=True)
    if len(work):
        atomic_write(out / WORK, work_svg(work))


def written(out: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the files of ``names``, and the chart of work where there is one."""
    return (*names, WORK) if (out / WORK).is_file() else tuple(names)


def write_batches(out: Path, batches: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Write the properties of a study's batches beside their scores."""
    atomic_write(out / BATCHES, with_scores(batches, scores).to_csv(index=False, lineterminator="\n"))


def read_batches(folders: Sequence[Path]) -> pd.DataFrame:
    """Return the batches of finished studies; those of firstscan before 0.3 have none."""
    kept = [folder / BATCHES for folder in folders if (folder / BATCHES).is_file()]
    tables = [pd.read_csv(path, na_values=[""], keep_default_na=False, dtype={"picks": str}) for path in kept]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else no_batches().assign(dice=[])


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
    told = {about.name: about for about in studies}
    in_rounds = [about.name for about in studies if about.rounds]
    together = pd.concat(cells, ignore_index=True)
    apart = any(begins_apart(together.loc[together["pool"] == name, "strategy"]) for name in in_rounds)
    by_pool = by_rule(together.assign(study=together["pool"]), in_rounds)
    absent = by_pool.reindex(columns=["pool", "strategy", "budget", "absent_classes"])
    names = [about.name for about in studies]
    title = f"Study {names[0]}" if len(names) == 1 else f"Studies {', '.join(names[:-1])} and {names[-1]}"
    lacking = absent[absent["absent_classes"].fillna("") != ""]
    sizes = {
        str(pool): (told[study].pool_cases, told[study].subpool_cases, *told[study].rounds[:1])
        for pool, study in by_pool.drop_duplicates("pool")[["pool", "study"]].itertuples(index=False)
    }
    spent = with_arms(by_rule(pd.concat(costs, ignore_index=True), in_rounds))
    return Background(title, studies, spent, lacking, _picks([by_pool]), sizes, independent=not apart)


def _picks(cells: Sequence[pd.DataFrame]) -> dict[tuple[Any, ...], frozenset[str]]:
    """Return the picks of every (pool, arm, budget, sub-pool, selection seed) that was trained on."""
    return {
        (r["pool"], r["strategy"], r["budget"], r["subpool"], r["selection_seed"]): frozenset(str(r["picks"]).split())
        for table in cells
        for r in with_arms(table).to_dict("records")
        if r["picks"]
    }
