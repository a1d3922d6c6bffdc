"""One self-contained HTML page from report data: no request to any host, the same bytes for the same data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from firstscan.domain.finding import SEVERITIES, Finding, count_by_code

from . import batch_words, words
from .cards import MOST_CARDS, Card, cards, worst
from .charts.figures import MOST_NUMBERED, MOST_POINTS, audit_figure, plane_figure, pool_figure, training_figure
from .charts.gain import gain_figure
from .charts.maps import pool_map
from .charts.theme import DARK, FONT, LIGHT, chart_layout, chart_marks, stratum_style
from .charts.thumbnails import data_uri, stretched
from .data import ReportData
from .gain import curve_of, when_to_stop
from .methods.paragraph import methods
from .privacy import flat, last_part, nameless, without_folders
from .rounds import rounds_of
from .slices import advice, plan_told
from .trust import trust, warned_picks

MOST_FINDINGS = 1_000


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure's place on the page: its name, what it shows in a sentence (for those who cannot see it), its height."""

    name: str
    alternative: str
    height_px: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ranked table."""

    rank: int
    case_id: str
    stratum: int | None
    stratum_size: int
    style: tuple[str, str]
    reason: str
    icon: str
    warned: bool


def render(data: ReportData) -> str:
    """Return the report as one HTML document.

    It holds its own scripts, pictures and data, asks no host for anything, and shows no folder and (unless
    ``data.show_metadata``) no metadata of a scan.
    """
    made = cards(data)
    charts, figures, map_caption = _charts(data)
    findings = tuple(nameless(f) for f in data.findings)
    context = {
        "title": f"{words.headline(data)} – {last_part(data.source) or 'firstscan'}",
        "headline": words.headline(data),
        "provenance": words.provenance(data),
        "facts": _facts(data),
        "rows": _rows(data, made),
        "cards": made,
        "pictures_until": next((card.rank - 1 for card in made if made[0].images and not card.images), 0),
        "cards_left": max(len(data.selection) - MOST_CARDS, 0),
        "plan": plan_told(data),
        "advice": advice(data),
        "gain_sentence": when_to_stop(data.selection),
        "uncertain": data.features.uncertainty is not None,
        "verdicts": trust(data),
        "reading": words.reading(data),
        "no_plane": "no uncertainty was measured"
        if data.features.uncertainty is None
        else "this feature table holds no typicality",
        "charts": charts,
        "map_caption": map_caption,
        "has_strata": bool(data.selection.strata),
        "flagged": tuple(row for row in data.audit or () if row.flagged),
        "stated_share": words.percent(data.stated_share),
        "finding_counts": _counts(findings),
        "findings": _sorted(findings)[:MOST_FINDINGS],
        "findings_left": max(len(findings) - MOST_FINDINGS, 0),
        "severities": SEVERITIES,
        "worst": _worst(data),
        "codes": tuple(sorted({f.code for f in findings})),
        "ranks": {pick.case_id: pick.rank for pick in data.selection.picks},
        "picks_with_warnings": warned_picks(data) if findings else "",
        **_afterwards(data),
        "settings": _settings(data),
        "versions": tuple((name, str(version)) for name, version in data.versions.items()),
        "methods": methods(data),
        "words": words,
        "light": asdict(LIGHT),
        "dark": asdict(DARK),
        "font": Markup(FONT),
        "figures_json": _script_json(figures),
        "themes_json": _script_json(
            {
                name: {"layout": chart_layout(p), "marks": chart_marks(p)}
                for name, p in (("light", LIGHT), ("dark", DARK))
            }
        ),
        "plotly_js": Markup(get_plotlyjs()),
    }
    return _environment().get_template("report.html.j2").render(context)


def _afterwards(data: ReportData) -> dict[str, Any]:
    """Return what the sections on other choices, groups, review and annotation show; empty ones are left out."""
    told, stability = data.afterwards, data.stability
    handed = bool(told.handovers or told.collections)
    return {
        "overlap": batch_words.overlap_rows(data),
        "overlap_sentence": batch_words.overlap_sentence(data),
        "recurrence": batch_words.recurrence_rows(data),
        "repeats": 0 if stability is None else stability.repeats,
        "spreads": tuple((s, batch_words.spread_sentence(s, len(data.selection))) for s in told.spreads),
        "pool_size": len(data.features),
        "batch_size": len(data.selection),
        "review": batch_words.review_rows(data),
        "review_sentence": batch_words.review_sentence(data) if told.review else "",
        "annotation": batch_words.annotation_rows(data),
        "annotation_sentence": batch_words.annotation_sentence(data) if handed else "",
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("firstscan.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = words.number
    environment.filters["significant"] = words.significant
    environment.filters["sentence"] = words.sentence
    environment.filters["prose"] = _prose
    return environment


def _charts(data: ReportData) -> tuple[dict[str, Chart], dict[str, Any], str]:
    """Return the charts by name, their plotly figures as plain values, and the caption of the map."""
    layout = pool_map(data.features.embeddings, seed=data.selection.seed)
    n, b = len(data.features), len(data.selection)
    rounds = rounds_of(data)
    curve = curve_of(rounds[-1]) if rounds else None
    found: list[tuple[Chart, go.Figure | None]] = [
        (
            Chart("map", f"Map of {n:,} scans; the {b:,} picks are marked and numbered by rank.", 450),
            pool_figure(data, layout),
        ),
        (
            Chart("plane", f"Typicality against uncertainty of {n:,} scans as percentiles; the picks are marked.", 450),
            plane_figure(data),
        ),
        (
            Chart("training", "Losses of the pretext training by step, with the learning rate below.", 390),
            training_figure(data.history) if data.history else None,
        ),
        (
            Chart("gain", "Dice of held-out labelled scans by the scans trained on, and where the line leads.", 390),
            gain_figure(curve) if curve is not None else None,
        ),
        (
            Chart(
                "audit",
                "How much of each signal is explained by what should not matter, with intervals.",
                130 + 34 * len({row.covariate for row in data.audit or ()}),
            ),
            audit_figure(data.audit, data.stated_share) if data.audit else None,
        ),
    ]
    caption = layout.caption
    if n > MOST_POINTS:
        caption += f" Of the {n:,} scans {MOST_POINTS:,} are drawn: every pick, and an even spread of the others."
    if b > MOST_NUMBERED:
        caption += " With so many picks their numbers are shown on pointing at them."
    drawn = [(chart, figure) for chart, figure in found if figure is not None]
    plain = {chart.name: json.loads(figure.to_json(validate=False)) for chart, figure in drawn}
    for figure in plain.values():
        figure["layout"].pop("template", None)
    return {chart.name: chart for chart, _ in drawn}, plain, caption


def _script_json(value: object) -> Markup:
    """Return JSON that can stand in a script element whatever the texts in it hold."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _facts(data: ReportData) -> tuple[tuple[str, str], ...]:
    plan = data.selection.slices
    facts = [
        ("budget", words.count(len(data.selection), "scan")),
        *([("slices", f"{len(plan):,}")] if plan is not None else []),
        ("pool", words.count(len(data.features), "scan")),
        ("strategy", data.selection.strategy),
        ("seed", str(data.selection.seed)),
    ]
    if words.diagnostic(data, "dcr") is not None:
        facts.append(("DCR", words.number(words.diagnostic(data, "dcr"), signed=True)))
    if words.diagnostic(data, "gamma") is not None and words.uses_pacing(data):
        facts.append(("γ", words.number(words.diagnostic(data, "gamma"), digits=3)))
    return tuple(facts)


def _rows(data: ReportData, made: tuple[Card, ...]) -> tuple[Row, ...]:
    icons = {card.case_id: card.icon for card in made}
    sizes: dict[int, int] = {}
    for stratum in data.selection.strata.values():
        sizes[stratum] = sizes.get(stratum, 0) + 1
    warned = {f.case_id for f in data.findings if f.severity == "warn"}
    return tuple(
        Row(
            pick.rank,
            pick.case_id,
            pick.stratum,
            0 if pick.stratum is None else sizes.get(pick.stratum, 0),
            stratum_style(pick.stratum),
            without_folders(pick.reason),
            icons.get(pick.case_id, ""),
            pick.case_id in warned,
        )
        for pick in data.selection.picks
    )


def _counts(findings: tuple[Finding, ...]) -> tuple[tuple[str, str, int, str], ...]:
    """Return (severity, code, number, remedy of the first) for each kind of finding."""
    remedies: dict[tuple[str, str], str] = {}
    for finding in findings:
        remedies.setdefault((finding.severity, finding.code), finding.remedy)
    return tuple((*key, n, remedies[key]) for key, n in count_by_code(findings).items())


def _sorted(findings: tuple[Finding, ...]) -> list[Finding]:
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.code, f.case_id))


def _worst(data: ReportData) -> tuple[tuple[str, str, str], ...]:
    """Return (case id, picture, codes) of the most warned cases that have a picture."""
    shown = []
    for case_id in worst(data.findings, data.selection.case_ids):
        if case_id in data.thumbnails:
            codes = dict.fromkeys(f.code for f in data.findings if f.case_id == case_id and f.severity == "warn")
            shown.append((case_id, data_uri(stretched(data.thumbnails[case_id])[0], side=132), ", ".join(codes)))
    return tuple(shown)


def _settings(data: ReportData) -> tuple[tuple[str, str], ...]:
    """Return what the selection was made with, then the other settings, each once."""
    selection = data.selection
    chosen: Mapping[str, Any] = {"strategy": selection.strategy, "budget": selection.budget, "seed": selection.seed}
    options = {f"{selection.strategy}.{name}": value for name, value in selection.options.items()}
    shown = {*chosen, *selection.options}
    others = {name: value for name, value in data.settings.items() if name not in shown}
    return flat({**chosen, **options, **others})


def _prose(text: str) -> Markup:
    """Return the text escaped, with what stands between backticks as code."""
    shown = str(escape(text.replace(" %", "\u00a0%")))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", shown))
