"""Charts as plotly figures: pure functions from data to figure, without colours that depend on the scheme."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from firstscan.domain.arrays import Float
from firstscan.report.cards import percentiles
from firstscan.report.data import ReportData, SignalCorrelation, TrainingRow
from firstscan.report.words import GUESSING_LOSS, SIGNALS, explains, percent, significant

from .maps import PoolMap, drawn
from .theme import FONT, stratum_style

MOST_POINTS = 5_000
MOST_NUMBERED = 60
MOST_COLOURED = 30
MOST_STEPS = 1_000
LOSSES = (
    ("loss", "sum", None, "solid"),
    ("rotation", "rotation", "#ee6677", "solid"),
    ("inpainting", "inpainting", "#4477aa", "solid"),
    ("consistency", "consistency", "#228833", "solid"),
)


def pool_figure(data: ReportData, pool_map: PoolMap) -> go.Figure:
    """Return the map of the pool: a point a scan, coloured by stratum, the picks numbered by rank."""
    figure = _scatter(data, pool_map.xy)
    bare = {"showticklabels": False, "ticks": "", "zeroline": False, "showgrid": False, "mirror": True}
    figure.update_xaxes(**bare)
    figure.update_yaxes(scaleanchor="x", **bare)
    figure.update_layout(margin={"l": 2, "r": 2, "t": 12, "b": 2})
    return figure


def plane_figure(data: ReportData) -> go.Figure | None:
    """Return the plane of typicality and uncertainty as percentiles, or None where one of them is lacking.

    Only a few strata are coloured here: many, mixed over the plane, would be mere noise around the picks.
    """
    if data.features.typicality is None or data.features.uncertainty is None:
        return None
    xy = np.column_stack([percentiles(data.features.typicality), percentiles(data.features.uncertainty)])
    figure = _scatter(data, xy, coloured=len(set(data.selection.strata.values())) <= MOST_COLOURED)
    figure.update_xaxes(title_text="unusual  ←  <b>typicality</b>  →  typical", **_PERCENT)
    figure.update_yaxes(title_text="easy  ←  <b>uncertainty</b>  →  hard", **_PERCENT)
    for line in ({"x0": 50, "x1": 50, "y0": 0, "y1": 100}, {"y0": 50, "y1": 50, "x0": 0, "x1": 100}):
        figure.add_shape(type="line", layer="below", line={"width": 1, "dash": "dot", "color": "#8794a1"}, **line)
    return figure


_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
_PERCENT = {"range": [-4, 104], "tickvals": [0, 25, 50, 75, 100], "zeroline": False}


def training_figure(history: Sequence[TrainingRow]) -> go.Figure:
    """Return the losses of the pretext training on a logarithmic axis, above the learning rate."""
    rows = [history[i] for i in np.unique(np.linspace(0, len(history) - 1, MOST_STEPS).astype(int))]
    steps = [row.step for row in rows]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.06)
    for name, label, colour, dash in LOSSES:
        values = [_significant(getattr(row, name)) for row in rows]
        line: dict[str, Any] = {"width": 3 if colour is None else 2, "dash": dash}
        if colour is not None:
            line["color"] = colour
        figure.add_scatter(
            x=steps, y=values, name=label, mode="lines", line=line, meta={"role": "quiet"} if colour is None else None,
            hovertemplate=f"{label}: %{{y:.3g}}<extra></extra>", row=1, col=1,
        )  # fmt: skip
    figure.add_scatter(
        x=[steps[0], steps[-1]], y=[GUESSING_LOSS] * 2, name="rotation, if guessed", mode="lines", hoverinfo="skip",
        line={"width": 1.5, "dash": "dot", "color": "#ee6677"}, row=1, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=steps, y=[row.learning_rate for row in rows], name="learning rate (below)", mode="lines",
        line={"width": 1.5, "dash": "dash"}, meta={"role": "quiet"},
        hovertemplate="learning rate: %{y:.2g}<extra></extra>", row=2, col=1,
    )  # fmt: skip
    base(figure)
    top = float(f"{max(row.learning_rate for row in rows):.1g}") or 1.0
    figure.update_layout(
        hovermode="x unified",
        margin={"l": 70, "r": 12, "t": 12, "b": 48},
        legend=_LEGEND,
        showlegend=True,
    )
    figure.update_yaxes(type="log", title_text="loss", dtick=1, minor={"showgrid": False}, row=1, col=1)
    figure.update_yaxes(tickvals=[0, top], ticktext=["0", f"{top:g}"], range=[0, 1.1 * top], row=2, col=1)
    figure.update_xaxes(title_text="training step", row=2, col=1)
    return figure


def audit_figure(rows: Sequence[SignalCorrelation], stated_share: float = 0.1) -> go.Figure:
    """Return how many percent of each signal every column explains that should not matter, with intervals."""
    figure = go.Figure()
    covariates = list(dict.fromkeys(row.covariate for row in rows))
    signals = sorted({row.signal for row in rows}, key=lambda s: (s not in SIGNALS, s))
    for i, signal in enumerate(signals):
        mine = [row for row in rows if row.signal == signal]
        shift = (i - (len(signals) - 1) / 2) * 0.5 / max(len(signals), 1)
        colour, symbol = stratum_style(i)
        figure.add_scatter(
            x=[100 * row.share for row in mine],
            y=[covariates.index(row.covariate) + shift for row in mine],
            error_x={
                "type": "data", "symmetric": False, "thickness": 2, "width": 0, "color": colour,
                "array": [100 * max(row.high - row.share, 0) for row in mine],
                "arrayminus": [100 * max(row.share - row.low, 0) for row in mine],
            },
            mode="markers", name=html.escape(signal, quote=False),
            marker={
                "size": 10, "color": colour, "line": {"width": 2, "color": colour},
                "symbol": [symbol if row.flagged else f"{symbol}-open" for row in mine],
            },
            hovertext=[html.escape(f"{explains(row)}, {percent(row.low)} to {percent(row.high)}", quote=False)
                       for row in mine],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    base(figure)
    figure.update_layout(showlegend=True, margin={"l": 12, "r": 12, "t": 12, "b": 48}, legend=_LEGEND)
    figure.add_shape(
        type="line", layer="below", x0=100 * stated_share, x1=100 * stated_share, y0=0, y1=1, yref="paper",
        line={"width": 1, "dash": "dot", "color": "#8794a1"},
    )  # fmt: skip
    figure.update_xaxes(
        range=[-1, 101], title_text="share of the signal explained, %", tickvals=[0, 10, 25, 50, 75, 100]
    )
    figure.update_yaxes(
        tickvals=list(range(len(covariates))),
        ticktext=[html.escape(name, quote=False) for name in covariates],
        automargin=True, range=[len(covariates) - 0.5, -0.5], showgrid=False, zeroline=False,
    )  # fmt: skip
    return figure


def _scatter(data: ReportData, xy: Float[np.ndarray, "case 2"], *, coloured: bool = True) -> go.Figure:
    """Return the pool as points with the picks on top; the same in the map and in the plane.

    A last, invisible trace catches the pointer for the picks, which else would yield to points that they cover.
    """
    ids = data.features.case_ids
    row = {case_id: i for i, case_id in enumerate(ids)}
    picked = np.zeros(len(ids), dtype=bool)
    picked[[row[case_id] for case_id in data.selection.case_ids]] = True
    shown = np.flatnonzero(drawn(len(ids), picked, MOST_POINTS) & ~picked)
    styles = [stratum_style(data.selection.strata.get(ids[i]) if coloured else None) for i in shown]
    figure = go.Figure()
    figure.add_scatter(
        x=np.round(xy[shown, 0], 4), y=np.round(xy[shown, 1], 4), mode="markers", name="scans",
        marker={
            "size": 8 if len(shown) <= 400 else 6 if len(shown) <= 1_500 else 4, "opacity": 0.85,
            "color": [colour for colour, _ in styles], "symbol": [symbol for _, symbol in styles],
        },
        **_hover(data, shown),
    )  # fmt: skip
    picks = np.array([row[case_id] for case_id in data.selection.case_ids], dtype=np.intp)
    numbered = len(picks) <= MOST_NUMBERED
    figure.add_scatter(
        x=np.round(xy[picks, 0], 4), y=np.round(xy[picks, 1], 4), name="picks", meta={"role": "pick"},
        mode="markers+text" if numbered else "markers",
        text=[str(pick.rank) for pick in data.selection.picks] if numbered else None,
        textposition="middle center", textfont={"size": 10.5, "weight": 700},
        marker={
            "size": 20 if numbered else 9,
            "line": {
                "width": 3 if numbered else 2,
                "color": [stratum_style(pick.stratum)[0] for pick in data.selection.picks],
            },
        },
        hoverinfo="skip",
    )  # fmt: skip
    figure.add_scatter(
        x=np.round(xy[picks, 0], 4), y=np.round(xy[picks, 1], 4), mode="markers", name="pick", meta={"role": "target"},
        marker={"size": 44 if numbered else 18, "opacity": 0}, **_hover(data, picks, picks=True),
    )  # fmt: skip
    return base(figure)


def _hover(data: ReportData, index: np.ndarray, *, picks: bool = False) -> dict[str, Any]:
    t, u = data.features.typicality, data.features.uncertainty
    t_rank, u_rank = (None if signal is None else percentiles(signal) for signal in (t, u))
    rows = []
    for n, i in enumerate(index):
        case_id = data.features.case_ids[i]
        stratum = data.selection.strata.get(case_id)
        lines = [f"<b>{html.escape(_short(case_id), quote=False)}</b>"]
        if picks:
            pick = data.selection.picks[n]
            lines[0] = f"<b>{pick.rank}.</b> {lines[0]}"
            stratum = pick.stratum if stratum is None else stratum
        if stratum is not None:
            lines.append(f"stratum {stratum}")
        if t is not None and t_rank is not None:
            lines.append(f"typicality {significant(float(t[i]))} (percentile {t_rank[i]:.0f})")
        if u is not None and u_rank is not None:
            lines.append(f"uncertainty {significant(float(u[i]))} (percentile {u_rank[i]:.0f})")
        rows.append("<br>".join(lines))
    return {"hovertext": rows, "hovertemplate": "%{hovertext}<extra></extra>"}


def _short(case_id: str, most: int = 60) -> str:
    return case_id if len(case_id) <= most else f"{case_id[: most - 1]}…"


def _significant(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None


def base(figure: go.Figure) -> go.Figure:
    """Set what all charts share; colours are set in the browser, by the scheme."""
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
        margin={"l": 56, "r": 12, "t": 12, "b": 52},
        autosize=True,
        modebar={"bgcolor": "rgba(0,0,0,0)"},
        hoverlabel={"font": {"family": FONT, "size": 13}, "align": "left"},
    )
    figure.update_xaxes(showline=True, ticks="outside", ticklen=4, title_standoff=10)
    figure.update_yaxes(showline=True, ticks="outside", ticklen=4, title_standoff=8)
    return figure
