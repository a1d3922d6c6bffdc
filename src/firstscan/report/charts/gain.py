"""The learning curve so far, and where it leads."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from firstscan.report.gain import Curve

from .figures import base


def gain_figure(curve: Curve) -> go.Figure:
    """Return Dice of held-out scans by the scans trained on, each fold and their mean, drawn on to after this round."""
    figure = go.Figure()
    sizes = [curve.few, curve.many]
    for k, pair in enumerate(curve.folds.tolist(), start=1):
        figure.add_scatter(
            x=sizes, y=pair, name="parts that were held out", mode="lines+markers", showlegend=k == 1,
            legendgroup="folds", line={"width": 1, "color": "#8794a1"}, marker={"size": 5},
            hovertemplate=f"part {k}: %{{y:.3f}} with %{{x:.0f}} scans<extra></extra>",
        )  # fmt: skip
    few, many = curve.means
    slope = (many - few) / math.log(curve.many / curve.few)
    now = many + slope * math.log(curve.labelled / curve.many)
    after = curve.labelled + curve.more
    figure.add_scatter(
        x=sizes, y=[few, many], name="mean", mode="lines+markers", line={"width": 3, "color": "#4477aa"},
        hovertemplate="mean: %{y:.3f} with %{x:.0f} scans<extra></extra>",
    )  # fmt: skip
    ends = [curve.labelled, after, after, curve.labelled]
    figure.add_scatter(
        x=ends, y=[now, now + curve.gain.high, now + curve.gain.low, now], name="95 % interval of the gain",
        fill="toself", mode="lines", line={"width": 0}, fillcolor="rgba(68, 119, 170, 0.25)", hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=[curve.many, curve.labelled, after], y=[many, now, now + curve.gain.estimate], name="if it goes on",
        mode="lines+markers", line={"width": 2, "dash": "dash", "color": "#4477aa"},
        hovertemplate="if it goes on: %{y:.3f} with %{x:.0f} scans<extra></extra>",
    )  # fmt: skip
    base(figure)
    ticks = sorted({round(curve.few), round(curve.many), curve.labelled, after})
    figure.update_xaxes(type="log", title_text="labelled scans", tickvals=ticks, ticktext=[f"{n:,}" for n in ticks])
    figure.update_yaxes(title_text="Dice")
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 70, "r": 12, "t": 12, "b": 48},
    )
    return figure
