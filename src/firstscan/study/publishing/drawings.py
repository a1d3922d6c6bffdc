"""The charts of a study as SVG, for papers: text as outlines, the same bytes for the same scores."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from firstscan.study.plan import CEILING, RANDOM

from .figures import by_difference, style_of
from .tables import label_count

_MARKERS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "triangle-down": "v",
    "pentagon": "p", "star": "*", "line-ew": "_",
}  # fmt: skip
_STYLE: Any = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "firstscan",
}
_WORK = {
    "slices": "annotated slices",
    "foreground_slices": "of these, slices with foreground",
    "minutes": "minutes by the cost model",
}
_WIDTH_IN, _LEGEND_IN, _HEIGHT_IN = 3.2, 1.3, 2.8


def curves_svg(curves: pd.DataFrame, cell_means: pd.DataFrame) -> bytes:
    """Return mean Dice over the budget, one panel a pool: a line a strategy, random's 5–95 percentiles as a band."""
    pools = list(dict.fromkeys(curves["pool"]))
    styles = style_of(list(dict.fromkeys(curves["strategy"])))
    with mpl.rc_context(_STYLE):
        figure, panels = _panels(len(pools))
        for axes, pool in zip(panels, pools, strict=False):
            mine = curves[curves["pool"] == pool]
            _band(axes, cell_means[(cell_means["pool"] == pool) & (cell_means["strategy"] == RANDOM)])
            for name, group in mine[mine["strategy"] != CEILING].groupby("strategy", sort=False):
                _line(axes, str(name), group.sort_values("budget"), styles[str(name)])
            for value in mine.loc[mine["strategy"] == CEILING, "dice"]:
                axes.axhline(value, color="0.5", linestyle=":", linewidth=1, label=CEILING)
            axes.set(xlabel="labels", ylabel="mean Dice", title=pool if len(pools) > 1 else "")
            axes.set_xticks(sorted(set(mine.loc[mine["strategy"] != CEILING, "budget"])))
        _legend(figure, panels)
        return _svg(figure)


def differences_svg(curves: pd.DataFrame) -> bytes:
    """Return differences to the random mean with their 95 % intervals, one panel a pool, one mark a budget."""
    known = curves[curves["difference"].notna()]
    pools = list(dict.fromkeys(known["pool"]))
    with mpl.rc_context(_STYLE):
        rows = known.groupby("pool")["strategy"].nunique().max() if len(known) else 1
        figure, panels = _panels(len(pools), height_in=0.9 + 0.26 * int(rows))
        for axes, pool in zip(panels, pools, strict=False):
            mine = known[known["pool"] == pool]
            names = by_difference(mine)[::-1]
            budgets = sorted(set(mine["budget"]))
            styles = style_of([str(b) for b in budgets])
            for i, budget in enumerate(budgets):
                shown = mine[mine["budget"] == budget]
                places = [names.index(n) + (i - (len(budgets) - 1) / 2) * 0.22 for n in shown["strategy"]]
                _marks(axes, shown, places, label_count(budget), styles[str(budget)])
            axes.axvline(0, color="0.5", linestyle=":", linewidth=1)
            axes.set_yticks(range(len(names)), names)
            axes.set(xlabel="mean Dice minus random's mean", title=pool if len(pools) > 1 else "")
        _legend(figure, panels)
        return _svg(figure)


def work_svg(work: pd.DataFrame) -> bytes:
    """Return mean Dice over slices, slices with foreground and minutes: a row of panels a pool, a line an arm."""
    pools = list(dict.fromkeys(work["pool"]))
    styles = style_of(list(dict.fromkeys(work["strategy"])))
    with mpl.rc_context(_STYLE):
        size = (_WIDTH_IN * len(_WORK) + _LEGEND_IN, _HEIGHT_IN * len(pools))
        figure = Figure(figsize=size, layout="constrained")
        grid = np.atleast_2d(figure.subplots(len(pools), len(_WORK)))
        for row, pool in zip(grid, pools, strict=True):
            for axes, (column, words) in zip(row, _WORK.items(), strict=True):
                for name, group in work[work["pool"] == pool].groupby("strategy", sort=False):
                    _line(axes, str(name), group.sort_values(column), styles[str(name)], over=column)
                axes.set(xlabel=words, ylabel="mean Dice", title=pool if len(pools) > 1 else "")
        _legend(figure, list(grid.ravel()))
        return _svg(figure)


def _panels(count: int, height_in: float = _HEIGHT_IN) -> tuple[Figure, list[Any]]:
    count = max(count, 1)  # nothing scored: an empty panel
    figure = Figure(figsize=(_WIDTH_IN * count + _LEGEND_IN, height_in), layout="constrained")
    return figure, list(np.ravel(figure.subplots(1, count)))


def _band(axes: Any, draws: pd.DataFrame) -> None:
    if len(draws):
        by_budget = draws.groupby("budget")["dice"]
        low, high = by_budget.quantile(0.05), by_budget.quantile(0.95)
        axes.fill_between(low.index, low, high, color="0.85", linewidth=0, label="random, 5–95 %")


def _line(axes: Any, name: str, group: pd.DataFrame, style: tuple[str, str], over: str = "budget") -> None:
    dash = "--" if name == RANDOM else "-"
    axes.plot(
        group[over], group["dice"], dash, color=style[0], marker=_MARKERS[style[1]], markersize=3.5, linewidth=1.1,
        label=name,
    )  # fmt: skip


def _marks(axes: Any, mine: pd.DataFrame, places: list[float], label: str, style: tuple[str, str]) -> None:
    middle = mine["difference"].to_numpy()
    spread = [middle - mine["difference_low"].to_numpy(), mine["difference_high"].to_numpy() - middle]
    axes.errorbar(
        middle, places, xerr=np.maximum(spread, 0), fmt=_MARKERS[style[1]], color=style[0], markersize=3.5,
        elinewidth=1, label=label,
    )  # fmt: skip


def _legend(figure: Figure, panels: list[Any]) -> None:
    """Put one legend beside all panels."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(entries.values(), entries.keys(), loc="outside right upper", fontsize=7)


def _svg(figure: Figure) -> bytes:
    told = io.BytesIO()
    figure.savefig(told, format="svg", metadata={"Date": None, "Creator": "firstscan"})
    return told.getvalue()
