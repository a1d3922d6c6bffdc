"""``study.html``: one self-contained page, for screens light and dark and for paper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from firstscan.report.theme import DARK, FONT, LIGHT, chart_layout, chart_marks

from .figures import curve_figure, difference_figure, percentile_figure
from .plan import RANDOM, Plan
from .summary import Summary
from .tables import area_table, conover_table, curve_table, harm_table, number, pvalue


@dataclass(frozen=True)
class Background:
    """What a page tells besides scores: the plan, the size of both sets, the classes, and what everything cost."""

    plan: Plan
    pool_cases: int
    test_cases: int
    classes: Mapping[str, int]
    feature_seconds: Mapping[str, float]
    costs: pd.DataFrame


def render(summary: Summary, background: Background) -> str:
    """Return the page as one HTML document that asks no host for anything."""
    pools = list(dict.fromkeys(summary.curves["pool"])) if len(summary.curves) else []
    figures: dict[str, go.Figure] = {}
    for i, pool in enumerate(pools):
        mine = summary.curves[summary.curves["pool"] == pool]
        means = summary.cell_means[summary.cell_means["pool"] == pool]
        figures[f"curve-{i}"] = curve_figure(mine, means)
        if mine["difference"].notna().any():
            figures[f"difference-{i}"] = difference_figure(mine)
            figures[f"percentile-{i}"] = percentile_figure(mine)
    header, rows = curve_table(summary.curves) if len(summary.curves) else ((), ())
    context = {
        "title": f"Study {background.plan.name}",
        "summary": summary,
        "plan": background.plan,
        "background": background,
        "pools": pools,
        "charts": {name: _height(name, figure) for name, figure in figures.items()},
        "verdicts": _verdicts(summary),
        "curves": (header, rows),
        "areas": area_table(summary) if len(summary.areas) else ((), ()),
        "conover": conover_table(summary),
        "harms": harm_table(summary),
        "costs": _costs(background.costs),
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


@cache
def _environment() -> Environment:
    loader = ChoiceLoader(
        [PackageLoader("firstscan.study", "templates"), PackageLoader("firstscan.report", "templates")]
    )
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _script(value: Any) -> Markup:
    """Return JSON that cannot end a script element, whatever a label holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _height(name: str, figure: go.Figure) -> dict[str, Any]:
    rows = len({str(y) for trace in figure.data for y in (trace.y if trace.y is not None else ())})
    heights = {"curve": 460, "difference": 120 + 16 * rows, "percentile": 100 + 34 * rows}
    kind = name.split("-", maxsplit=1)[0]
    words = {
        "curve": "Mean Dice over the number of labels, one line a strategy, random draws as a band",
        "difference": "Difference to the random mean with its 95 % interval, by strategy and budget",
        "percentile": "Percentile of each strategy among the random draws, by budget",
    }
    return {"height_px": heights[kind], "alternative": words[kind]}


def _verdicts(summary: Summary) -> list[str]:
    """Say in plain words, per strategy, where it stands against random."""
    told = []
    for (pool, strategy), group in summary.curves.groupby(["pool", "strategy"], sort=False):
        known = group.dropna(subset=["difference"]).sort_values("budget")
        if strategy == RANDOM or not len(known):
            continue
        better = known[known["difference_low"] > 0]["budget"].tolist()
        worse = known[known["difference_high"] < 0]["budget"].tolist()
        open_ = [b for b in known["budget"] if b not in {*better, *worse}]
        parts = []
        for words, budgets in (
            ("better than random at", better),
            ("worse than random at", worse),
            ("not told apart from random at", open_),
        ):
            if budgets:
                parts.append(f"{words} {', '.join(str(b) for b in budgets)} labels")
        told.append(f"{pool}, {strategy}: {'; '.join(parts)}.")
    return told


def _costs(costs: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return one row a strategy and budget: annotation effort and seconds, as means over cells."""
    grouped = costs.groupby(["strategy", "budget"], sort=False)[
        ["cases", "foreground_voxels", "train_s", "predict_s"]
    ].mean()
    return [
        (
            str(key[0]),
            str(key[1]),
            number(r["cases"], 0),
            number(r["foreground_voxels"], 0),
            number(r["train_s"], 1),
            number(r["predict_s"], 1),
        )
        for key, r in ((k, dict(row)) for k, row in grouped.iterrows())
        if isinstance(key, tuple)
    ]
