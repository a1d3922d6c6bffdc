"""Colours of the page and of its charts, for paper and for dark screens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif"
STRATUM_COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#44bb99", "#9988dd", "#8a7f72",
)  # fmt: skip
"""Paul Tol's bright scheme and four more, for light and for dark; beyond ten, and without colour, shapes tell apart."""
STRATUM_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon", "star")
NO_STRATUM = "#7f8c9b"


@dataclass(frozen=True, slots=True)
class Palette:
    """CSS colours: text, quieter text, page, panels, hairlines, links, and the three verdicts."""

    ink: str
    muted: str
    paper: str
    panel: str
    line: str
    accent: str
    good: str
    caution: str
    bad: str


LIGHT = Palette(
    ink="#16202a",
    muted="#566472",
    paper="#ffffff",
    panel="#f5f7f9",
    line="#d9dfe5",
    accent="#1f5f99",
    good="#1d7a46",
    caution="#8a5a00",
    bad="#b3261e",
)
DARK = Palette(
    ink="#e8edf2",
    muted="#9eabb8",
    paper="#12171d",
    panel="#1a2129",
    line="#303a45",
    accent="#84bdf0",
    good="#6fce97",
    caution="#e6b455",
    bad="#ff8a80",
)


def stratum_style(stratum: int | None) -> tuple[str, str]:
    """Return the colour and the marker symbol of a stratum: colours first, then another shape."""
    if stratum is None or stratum < 0:
        return NO_STRATUM, STRATUM_SYMBOLS[0]
    shape, colour = divmod(stratum, len(STRATUM_COLOURS))
    return STRATUM_COLOURS[colour], STRATUM_SYMBOLS[shape % len(STRATUM_SYMBOLS)]


def chart_layout(palette: Palette) -> dict[str, Any]:
    """Return the colours of a chart's layout as dotted plotly keys, to be set at once when the scheme changes."""
    axes = {
        f"{axis}.{key}": colour
        for axis in ("xaxis", "yaxis")
        for key, colour in (
            ("gridcolor", palette.line),
            ("linecolor", palette.line),
            ("zerolinecolor", palette.line),
            ("tickcolor", palette.line),
        )
    }
    return {
        **axes,
        "font.color": palette.ink,
        "hoverlabel.bgcolor": palette.panel,
        "hoverlabel.bordercolor": palette.line,
        "hoverlabel.font.color": palette.ink,
        "legend.font.color": palette.ink,
        "modebar.color": palette.muted,
        "modebar.activecolor": palette.accent,
    }


def chart_marks(palette: Palette) -> dict[str, dict[str, str]]:
    """Return per role of a trace the dotted plotly keys to set when the scheme changes."""
    return {
        "pick": {"marker.color": palette.ink, "textfont.color": palette.paper},
        "quiet": {"line.color": palette.muted},
    }
