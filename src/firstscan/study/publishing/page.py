"""``study.html``: one self-contained page, for screens light and dark and for paper."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from firstscan.report.charts.theme import DARK, FONT, LIGHT, chart_layout, chart_marks
from firstscan.study.plan import CEILING, RANDOM
from firstscan.study.statistics.costs import KINDS, work_curves
from firstscan.study.statistics.goes_with import in_words
from firstscan.study.statistics.rounds import COVERAGE
from firstscan.study.statistics.summary import Summary

from .figures import curve_figure, difference_figure, percentile_figure, relation_figure, work_figure
from .sentences import headlines, limit, rounds_told, work_sentences
from .tables import (
    CURVES_NOTE,
    absent_table,
    across_table,
    area_table,
    cost_table,
    curve_table,
    failure_table,
    goes_with_table,
    harm_counts,
    harm_table,
    number,
    pvalue,
    verdict_table,
    work_table,
)


@dataclass(frozen=True)
class About:
    """What a study is besides its scores.

    ``work``: seconds of checking, pretraining and extraction by kind of features;
    ``brought``: the features came from the caller, so what they were learned on is not known here; ``rounds``: how many
    scans each adds, empty where there are none.
    """

    name: str
    segmenter: Mapping[str, Any]
    preset: str
    pool_cases: int
    test_cases: int
    classes: Mapping[str, int]
    tolerance_mm: float
    ceiling: bool
    brought: bool
    work: Mapping[str, float]
    versions: Mapping[str, str]
    subpool_cases: int = 0
    rounds: Sequence[int] = ()
    restart: str = ""


@dataclass(frozen=True)
class Background:
    """What a page tells besides scores: each study of it, and what every cell cost (``pool`` is the study's name).

    ``absent``: the cells whose picks lack a class, with a column ``absent_classes``. ``picks`` of (pool, arm, budget,
    sub-pool, selection seed); ``sizes``: of each pool, as in :class:`firstscan.study.statistics.arms.Sizes`;
    ``independent``: whether pools hold different scans.
    """

    title: str
    studies: tuple[About, ...]
    costs: pd.DataFrame
    absent: pd.DataFrame
    picks: Mapping[tuple[Any, ...], frozenset[str]] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    independent: bool = True

    @property
    def in_rounds(self) -> list[str]:
        """The names of the studies with rounds."""
        return [about.name for about in self.studies if about.rounds]


def render(summary: Summary, background: Background, related: pd.DataFrame, against: Summary | None = None) -> str:
    """Return the page as one HTML document that asks no host for anything.

    ``related``: see :func:`firstscan.study.statistics.goes_with.goes_with_dice`. ``against``: of a study with
    rounds, the same rules against coverage.
    """
    pools = list(dict.fromkeys(summary.curves["pool"])) if len(summary.curves) else []
    work = work_curves(summary.curves, background.costs)
    figures: dict[str, go.Figure] = {}
    for i, pool in enumerate(pools):
        mine = summary.curves[summary.curves["pool"] == pool]
        means = summary.cell_means[summary.cell_means["pool"] == pool]
        figures[f"curve-{i}"] = curve_figure(mine, means)
        if mine["difference"].notna().any():
            figures[f"difference-{i}"] = difference_figure(mine)
            figures[f"percentile-{i}"] = percentile_figure(mine)
        theirs = related[(related["pool"] == pool) & related["rho"].notna()]
        if len(theirs):
            figures[f"relation-{i}"] = relation_figure(theirs)
        spent = work[work["pool"] == pool]
        figures |= {f"{kind}-{i}": work_figure(spent, kind) for kind in KINDS if len(spent)}
    context = {
        "title": background.title,
        "summary": summary,
        "studies": background.studies,
        "strategies": _strategies(background.costs),
        "draws": _draws(summary),
        "headlines": headlines(summary),
        "work_sentences": work_sentences(work),
        "limits": [limit(name, design) for name, design in summary.designs.items()],
        "cells": len(background.costs),
        "compared": _compared(summary),
        "rounds": [
            rounds_told(about.name, about.rounds, about.restart) for about in background.studies if about.rounds
        ],
        "pools": pools,
        "charts": {name: _height(name, figure) for name, figure in figures.items()},
        "tables": {
            "verdicts": verdict_table(summary),
            "against": None if against is None else verdict_table(against, COVERAGE),
            "across": across_table(summary),
            "curves": curve_table(summary.curves),
            "curves_note": CURVES_NOTE,
            "areas": area_table(summary),
            "goes_with": goes_with_table(related),
            "goes_with_note": in_words(related),
            "work": work_table(work),
            "harm_counts": harm_counts(summary),
            "harms": harm_table(summary),
            "failures": failure_table(summary.failures),
            "absent": absent_table(background.absent, background.costs),
            "costs": cost_table(summary.curves, background.costs),
        },
        "number": number,
        "pvalue": pvalue,
        "light": asdict(LIGHT),
        "dark": asdict(DARK),
        "font": Markup(FONT),
        "figures_json": _script({name: json.loads(figure.to_json()) for name, figure in figures.items()}),
        "themes_json": _script(
            {
                name: {"layout": chart_layout(p), "marks": chart_marks(p)}
                for name, p in (("light", LIGHT), ("dark", DARK))
            }
        ),
        "plotly_js": Markup(get_plotlyjs()),
    }
    return _environment().get_template("study.html.j2").render(context)


def _strategies(costs: pd.DataFrame) -> int:
    """Return how many entries of the plan, the ceiling aside, were asked to pick."""
    return len(set(costs["strategy"]) - {CEILING})


def _compared(summary: Summary) -> int:
    """Return how many cells can lie below random's median."""
    means = summary.cell_means
    shared = means["pool"].map({name: design.shared for name, design in summary.designs.items()})
    return int((~means["strategy"].isin([RANDOM, CEILING]) & (means["budget"] > shared)).sum())


def _draws(summary: Summary) -> int:
    """Return the fewest random draws that any budget was compared with."""
    random = summary.curves[summary.curves["strategy"] == RANDOM]
    return int(random["distinct"].min()) if len(random) else 0


@cache
def _environment() -> Environment:
    loader = ChoiceLoader(
        [PackageLoader("firstscan.study.publishing", "templates"), PackageLoader("firstscan.report", "templates")]
    )
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _script(value: Any) -> Markup:
    """Return JSON that cannot end a script element, whatever a label holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _height(name: str, figure: go.Figure) -> dict[str, Any]:
    rows = len({str(y) for trace in figure.data for y in (trace.y if trace.y is not None else ())})
    heights = {
        "curve": 460,
        "slices": 360,
        "minutes": 360,
        "difference": 120 + 16 * rows,
        "percentile": 122 + 34 * rows,
        "relation": 140 + 13 * rows,
    }
    kind = name.split("-", maxsplit=1)[0]
    words = {
        "curve": "Mean Dice over the number of labels, one line a strategy, random draws as a band",
        "slices": "Mean Dice over the number of annotated slices, one line a strategy and what is annotated",
        "minutes": "Mean Dice over the minutes of annotating, one line a strategy and what is annotated",
        "difference": "Difference to the random mean with its 95 % interval, by strategy and budget",
        "percentile": "Percentile of each strategy among the random draws, by budget",
        "relation": "Rank correlation of properties of random batches with Dice, by feature group, with 95 % intervals",
    }
    return {"height_px": heights[kind], "alternative": words[kind]}
