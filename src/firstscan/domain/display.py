"""How nouns show themselves in a notebook: plain HTML and SVG, made with numpy and the standard library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np

from .arrays import Float
from .features import FeatureTable

MOST_ROWS = 30
MOST_POINTS = 1_500
SIDE_PX, MARGIN_PX = 300, 16
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#44bb99", "#9988dd", "#8a7f72")
"""Paul Tol's bright scheme and four more, told apart on white and on black."""


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]], total: int) -> str:
    """Return an HTML table of the first rows, every text escaped, with a line on how many more there are."""
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(_text(value))}</td>" for value in row) + "</tr>"
        for row in _first(rows)
    )
    more = f"<p>… and {total - MOST_ROWS:,} more</p>" if total > MOST_ROWS else ""
    return f"<p><b>{escape(caption)}</b></p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def pool_map(features: FeatureTable, ranks: Mapping[str, int], strata: Mapping[str, int]) -> str:
    """Return the pool as a small SVG map: its first two principal components, the picks numbered by rank.

    Colour is the stratum. Of a large pool an even spread of scans is drawn, and every pick.
    """
    rows = _drawn(features.case_ids, ranks)
    xy = _plane(features.embeddings[rows])
    points, picks = [], []
    for (x, y), row in zip(xy, rows, strict=True):
        case_id = features.case_ids[row]
        stratum = strata.get(case_id)
        colour = "#7f8c9b" if stratum is None else COLOURS[stratum % len(COLOURS)]
        rank = ranks.get(case_id)
        name = escape(case_id if rank is None else f"{rank}. {case_id}")
        where = f"cx='{x:.1f}' cy='{y:.1f}'"
        if rank is None:
            points.append(f"<circle {where} r='3' fill='{colour}' opacity='0.7'><title>{name}</title></circle>")
        else:
            picks.append(
                f"<g><title>{name}</title><circle {where} r='9' fill='#16202a' stroke='{colour}' stroke-width='3'/>"
                f"<text x='{x:.1f}' y='{y + 3.5:.1f}' text-anchor='middle' fill='#fff' font-size='10'>{rank}</text></g>"
            )
    size = f"width='{SIDE_PX}' height='{SIDE_PX}' viewBox='0 0 {SIDE_PX} {SIDE_PX}'"
    label = f"Map of {len(features):,} scans; the {len(picks):,} picks are numbered by rank"
    return f"<svg {size} role='img' aria-label='{label}' font-family='sans-serif'>{''.join((*points, *picks))}</svg>"


def _drawn(case_ids: Sequence[str], ranks: Mapping[str, int]) -> list[int]:
    others = [i for i, case_id in enumerate(case_ids) if case_id not in ranks]
    room = max(MOST_POINTS - len(ranks), 0)
    if len(others) > room:
        others = [others[i] for i in np.linspace(0, len(others) - 1, room).astype(int)]
    return sorted([*others, *(i for i, case_id in enumerate(case_ids) if case_id in ranks)])


def _plane(embeddings: Float[np.ndarray, "case dim"]) -> Float[np.ndarray, "case 2"]:
    """Return the first two principal components of standardised columns, in pixels; the middle where there is none."""
    z = np.asarray(embeddings, dtype=np.float64)
    spread = z.std(axis=0)
    z = (z - z.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    _, axes = np.linalg.eigh(z.T @ z)
    xy = z @ axes[:, ::-1][:, :2]
    xy = np.pad(xy, ((0, 0), (0, 2 - xy.shape[1])))
    xy = xy * np.where((xy**3).sum(axis=0) < 0, -1.0, 1.0)  # an axis has no sign of its own
    largest = float(np.abs(xy).max(initial=0.0))
    half = SIDE_PX / 2
    placed: np.ndarray = half + xy * np.array([1.0, -1.0]) * ((half - MARGIN_PX) / largest if largest > 0 else 0.0)
    return placed


def _first(rows: Iterable[Sequence[object]]) -> list[Sequence[object]]:
    return [row for row, _ in zip(rows, range(MOST_ROWS), strict=False)]


def _text(value: object) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
