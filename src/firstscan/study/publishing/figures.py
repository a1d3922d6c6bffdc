"""Charts of a study, without colours that depend on the scheme (the page sets those in the browser)."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from firstscan.report.charts.theme import FONT, stratum_style
from firstscan.study.plan import CEILING, RANDOM
from firstscan.study.statistics.goes_with import WORDS

from .tables import label_count

_BAND = "rgba(127, 140, 155, 0.22)"
_GREY = "#7f8c9b"
_FEW = 6


def style_of(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a marker by strategy; random is always grey."""
    others = [n for n in names if n not in {RANDOM, CEILING}]
    return {RANDOM: (_GREY, "circle"), CEILING: (_GREY, "line-ew")} | {
        n: stratum_style(i) for i, n in enumerate(others)
    }


def by_difference(known: pd.DataFrame) -> list[str]:
    """Return the strategies by their mean difference to random over the budgets, best first."""
    means = known.groupby("strategy", sort=False)["difference"].mean()
    return [str(n) for n in means.sort_values(ascending=False, kind="stable").index]


def curve_figure(curves: pd.DataFrame, cell_means: pd.DataFrame) -> go.Figure:
    """Return mean Dice over the budget for one pool: each strategy a line, random a band of its 5–95 percentiles.

    Intervals are drawn for few strategies only; those of many would hide the lines, and the differences show them.
    """
    figure = go.Figure()
    names = list(dict.fromkeys(curves["strategy"]))
    styles = style_of(names)
    random = cell_means[cell_means["strategy"] == RANDOM].groupby("budget")["dice"]
    if len(random):
        low, high = random.quantile(0.05), random.quantile(0.95)
        budgets = [int(str(b)) for b in low.index]
        figure.add_scatter(
            x=[*budgets, *budgets[::-1]], y=_rounded([*high, *low[::-1]]), fill="toself", fillcolor=_BAND, mode="lines",
            line={"width": 0}, name="random, 5–95 %", hoverinfo="skip",
        )  # fmt: skip
    shown = [n for n in names if n != CEILING]
    for name in shown:
        mine = curves[curves["strategy"] == name].sort_values("budget")
        colour, symbol = styles[name]
        error = {
            "type": "data", "symmetric": False, "thickness": 1.2, "width": 0, "color": colour,
            "array": _rounded(mine["dice_high"] - mine["dice"]),
            "arrayminus": _rounded(mine["dice"] - mine["dice_low"]),
        }  # fmt: skip
        figure.add_scatter(
            x=mine["budget"].tolist(), y=_rounded(mine["dice"]), name=html.escape(name), mode="lines+markers",
            line={"color": colour, "width": 2, "dash": "dash" if name == RANDOM else "solid"},
            marker={"symbol": symbol, "size": 8, "color": colour},
            error_y=error if len(shown) <= _FEW else None,
            hovertemplate=f"{html.escape(name)}: %{{y:.3f}} at %{{x}}<extra></extra>",
        )  # fmt: skip
    ceiling = curves[curves["strategy"] == CEILING]
    if len(ceiling):
        value = round(float(ceiling["dice"].iloc[0]), 4)
        figure.add_hline(y=value, line={"dash": "dot", "width": 1.5, "color": _GREY})
        figure.add_annotation(x=1, xref="paper", xanchor="right", y=value, yanchor="bottom", showarrow=False,
                              text=f"all {int(ceiling['budget'].iloc[0])} labels: {value:.3f}")  # fmt: skip
    _base(figure)
    figure.update_xaxes(
        title_text="labels", tickvals=sorted({int(b) for b in curves.loc[curves["strategy"] != CEILING, "budget"]})
    )
    figure.update_yaxes(title_text="mean Dice")
    return figure


def difference_figure(curves: pd.DataFrame) -> go.Figure:
    """Return differences to the random mean with their 95 % intervals for one pool, one mark a budget."""
    figure = go.Figure()
    known = curves[np.isfinite(curves["difference"])]
    names = by_difference(known)[::-1]
    budgets = sorted({int(b) for b in known["budget"]})
    for i, budget in enumerate(budgets):
        mine = known[known["budget"] == budget]
        colour, symbol = stratum_style(i)
        shift = (i - (len(budgets) - 1) / 2) * 0.22
        figure.add_scatter(
            x=_rounded(mine["difference"]), y=[names.index(n) + shift for n in mine["strategy"]], mode="markers",
            name=label_count(budget), marker={"symbol": symbol, "color": colour, "size": 9},
            error_x={
                "type": "data", "symmetric": False, "thickness": 2, "width": 0, "color": colour,
                "array": _rounded(mine["difference_high"] - mine["difference"]),
                "arrayminus": _rounded(mine["difference"] - mine["difference_low"]),
            },
            customdata=[[html.escape(n)] for n in mine["strategy"]],
            hovertemplate="%{customdata[0]}: %{x:+.3f}<extra></extra>",
        )  # fmt: skip
    _base(figure)
    figure.add_vline(x=0, line={"width": 1, "dash": "dot", "color": _GREY})
    figure.update_xaxes(title_text="mean Dice minus random's mean")
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[html.escape(n) for n in names], automargin=True, showgrid=False,
        zeroline=False,
    )  # fmt: skip
    return figure


def work_figure(work: pd.DataFrame, kind: str) -> go.Figure:
    """Return mean Dice over the work of annotating (``slices`` or ``minutes``) for one pool, a line an arm."""
    figure = go.Figure()
    names = list(dict.fromkeys(work["strategy"]))
    styles = style_of(names)
    for name in names:
        mine = work[work["strategy"] == name].sort_values(kind)
        colour, symbol = styles[name]
        figure.add_scatter(
            x=[round(float(v), 1) for v in mine[kind]], y=_rounded(mine["dice"]), name=html.escape(name),
            mode="lines+markers", marker={"symbol": symbol, "size": 8, "color": colour},
            line={"color": colour, "width": 2, "dash": "dash" if name == RANDOM else "solid"},
            customdata=[label_count(b) for b in mine["budget"]],
            hovertemplate=f"{html.escape(name)}: %{{y:.3f}} with %{{x:.0f}} {kind}, work of %{{customdata}}"
            "<extra></extra>",
        )  # fmt: skip
    _base(figure)
    figure.update_xaxes(title_text="annotated slices" if kind == "slices" else "minutes by the cost model")
    figure.update_yaxes(title_text="mean Dice", title_standoff=14, automargin=True)
    return figure


def percentile_figure(curves: pd.DataFrame) -> go.Figure:
    """Return each strategy's percentile among the random draws, by budget, for one pool."""
    figure = go.Figure()
    known = curves[np.isfinite(curves["percentile"])]
    names = by_difference(known)
    budgets = sorted({int(b) for b in known["budget"]})
    grid = known.pivot_table(index="strategy", columns="budget", values="percentile").reindex(names)
    values = grid.to_numpy(dtype=float)
    figure.add_heatmap(
        z=np.round(values, 1).tolist(), x=[label_count(b) for b in budgets], y=[html.escape(n) for n in names],
        zmin=0, zmax=100, colorscale=[[0, "#b2182b"], [0.5, "#b8b8b8"], [1, "#2166ac"]], showscale=False,
        text=[["" if math.isnan(v) else f"{v:.0f}" for v in row] for row in values], texttemplate="%{text}",
        textfont={"color": "#ffffff"}, hovertemplate="%{y}, %{x}: percentile %{z:.0f}<extra></extra>", xgap=2, ygap=2,
    )  # fmt: skip
    _base(figure)
    figure.update_layout(showlegend=False, margin_t=34)  # room for plotly's buttons
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_xaxes(showgrid=False)
    return figure


def relation_figure(related: pd.DataFrame) -> go.Figure:
    """Return ρ of every property with Dice and its 95 % interval for one pool, one mark a group of features."""
    figure = go.Figure()
    known = related[np.isfinite(related["rho"])]
    names = list(dict.fromkeys(known["property"]))[::-1]
    groups = list(dict.fromkeys(known["group"]))
    for i, group in enumerate(groups):
        mine = known[known["group"] == group]
        colour, symbol = stratum_style(i)
        shift = ((len(groups) - 1) / 2 - i) * 0.8 / max(len(groups), 1) if group else 0.0
        high, low = mine["high"].fillna(mine["rho"]), mine["low"].fillna(mine["rho"])
        figure.add_scatter(
            x=_rounded(mine["rho"]), y=[names.index(n) + shift for n in mine["property"]], mode="markers",
            name=html.escape(group) or "no features", marker={"symbol": symbol, "color": colour, "size": 8},
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.5, "width": 0, "color": colour,
                "array": _rounded(high - mine["rho"]), "arrayminus": _rounded(mine["rho"] - low),
            },
            customdata=[[html.escape(WORDS[str(n)])] for n in mine["property"]],
            hovertemplate="%{customdata[0]}: ρ %{x:+.2f}<extra>" + html.escape(group) + "</extra>",
        )  # fmt: skip
    _base(figure)
    figure.add_vline(x=0, line={"width": 1, "dash": "dot", "color": _GREY})
    figure.update_xaxes(title_text="rank correlation with Dice")
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[html.escape(WORDS[str(n)]) for n in names], automargin=True,
        showgrid=False, zeroline=False,
    )  # fmt: skip
    return figure


def _rounded(values: Sequence[float] | pd.Series) -> list[float]:
    return [round(float(v), 5) for v in values]


def _base(figure: go.Figure) -> None:
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 60, "r": 12, "t": 12, "b": 52},
        autosize=True,
        modebar={"bgcolor": "rgba(0,0,0,0)"},
        hoverlabel={"font": {"family": FONT, "size": 13}, "align": "left"},
    )
    figure.update_xaxes(showline=True, ticks="outside", ticklen=4, title_standoff=10)
    figure.update_yaxes(showline=True, ticks="outside", ticklen=4, title_standoff=8)
