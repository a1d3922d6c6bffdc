"""What the page is told: the pool once, and the state after every action; rows stand for scans, to keep it small."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from firstscan.domain.arrays import PerCase
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.report.cards import percentiles
from firstscan.report.charts import theme
from firstscan.report.charts.maps import PoolMap
from firstscan.report.privacy import without_folders
from firstscan.report.slices import from_top
from firstscan.selection import describe
from firstscan.steps.running.history import Event
from firstscan.steps.running.replay import ANEW, WHOLE, State
from firstscan.store import to_plain

from .handing import targets_told
from .session import Session

MOST_CATEGORIES = 40
NO_STRATUM = -1


def pool_told(session: Session, layout: PoolMap) -> dict[str, Any]:
    """Return what does not change during a review: every scan's place, signals, columns and findings."""
    held, table = session.held, session.chooser.table
    typicality = session.chooser.density.values
    return {
        "name": held.out.absolute().name,
        "out": shlex.quote(str(held.out.absolute())),
        "pictures": held.story is not None,
        "ids": list(table.case_ids),
        "x": np.round(layout.xy[:, 0], 4).tolist(),
        "y": np.round(layout.xy[:, 1], 4).tolist(),
        "map_caption": layout.caption,
        "typicality": _signal(typicality),
        "uncertainty": None if table.uncertainty is None else _signal(table.uncertainty),
        "columns": columns(table),
        "findings": _findings(session),
        "closed": {session.rows[i]: why for i, why in held.closed.items() if i in session.rows},
        "strategies": describe(),
        "colours": theme.STRATUM_COLOURS,
        "symbols": theme.STRATUM_SYMBOLS,
        "no_stratum": theme.NO_STRATUM,
        "undo_words": UNDO_WORDS,
        "handoff": targets_told(session),
    }


def state_told(session: Session, state: State) -> dict[str, Any]:
    """Return where the review stands."""
    full = session.selection(state)
    rows = session.rows
    fewest, most = session.bounds(state)
    return {
        **batch_told(session, full),
        "seq": state.seq,
        "vetoed": {rows[i]: why for i, why in state.vetoed.items() if i in rows},
        "passed": {rows[i]: rows[by] for i, by in state.passed.items() if i in rows and by in rows},
        "accepted": [rows[i] for i in state.case_ids if i in state.accepted],
        "pinned": [rows[i] for i in state.case_ids if i in state.pinned],
        "fewest": fewest,
        "most": most,
        "changed": state.case_ids != state.exported,
        "undo": None if state.last is None else sentence(state.last),
    }


def batch_told(session: Session, selection: Selection) -> dict[str, Any]:
    """Return a batch: its picks, and the stratum of every scan."""
    rows = session.rows
    found = selection.diagnostics
    planned = _planned(session, selection)
    return {
        "strategy": selection.strategy,
        "budget": len(selection),
        "dcr": to_plain(found.get("dcr")),
        "gamma": to_plain(found.get("gamma")),
        "picks": [
            {"row": rows[p.case_id], "rank": p.rank, "stratum": p.stratum, "score": to_plain(p.score),
             "reason": without_folders(p.reason), "slices": planned.get(p.case_id)}
            for p in selection
        ],
        "strata": _strata(selection, session.chooser.table.case_ids),
    }  # fmt: skip


def _planned(session: Session, selection: Selection) -> dict[str, dict[str, Any]]:
    """Return the planned slices of each pick, from the top of the scan: place there, stored index, number, mm."""
    plan = selection.slices
    if plan is None:
        return {}
    told = {}
    for case, places in zip(plan, from_top(plan, session.held.batch.features), strict=True):
        rows = sorted(zip(places, case.indices, case.positions_mm, strict=True))
        told[case.case_id] = {
            "plane": case.plane,
            "of": case.slices,
            "top": [place for place, _, _ in rows],
            "index": [index for _, index, _ in rows],
            "mm": [position for _, _, position in rows],
        }
    return told


def log_told(events: Sequence[Event], most: int = 200) -> list[dict[str, Any]]:
    """Return the latest actions, newest first, as sentences; what was undone says so."""
    undone = {int(e.detail["undoes"]) for e in events if e.action == "undo"}
    return [
        {"seq": e.seq, "time": e.time, "what": sentence(e), "why": e.why, "undone": e.seq in undone}
        for e in reversed(events[-most:])
    ]


UNDO_WORDS: Mapping[str, str] = {
    "begin": "taken up",
    "chosen": "chosen", "replaced": "a pick replaced", "added": "scans added", "round": "next round",
    "accept": "accepted", "unaccept": "acceptance withdrawn from", "veto": "vetoed",
    "allow": "allowed again", "replace": "replaced", "pin": "pinned", "unpin": "pin taken off", "undo": "undone",
    "export": "exported", "budget": "batch resized", "strategy": "strategy changed",
}  # fmt: skip


def sentence(event: Event) -> str:
    """Return an action in words."""
    word = UNDO_WORDS.get(event.action, event.action)
    detail = event.detail
    if event.action in ANEW:
        return f"{word}: {detail['budget']} scans by {detail['strategy']}"
    if event.action in WHOLE:
        return f"{word}: {len(detail['picks'])} scans by {detail['strategy']} (firstscan {event.command})"
    if event.action == "export":
        return f"{word} {len(detail['picks'])} scans"
    if event.action == "undo":
        return f"{word}: {UNDO_WORDS.get(str(detail['action']), detail['action'])} {event.case_id or ''}".rstrip()
    if "pick" in detail and event.action == "pin":
        return f"{word} {event.case_id}, in the place of {detail['removed']}"
    if "pick" in detail:
        return f"{word} {event.case_id} by {detail['pick']['case_id']}" if event.action == "replace" else (
            f"{word} {event.case_id}; {detail['pick']['case_id']} takes its place"
        )  # fmt: skip
    return f"{word} {event.case_id}"


def columns(table: FeatureTable) -> list[dict[str, Any]]:
    """Return the covariates that can tell scans apart: categories, numbers, or text with many values."""
    told = []
    for name, values in table.covariates.items():
        if values.dtype.kind in "fiu" and len(np.unique(values[np.isfinite(values)])) > 1:
            told.append({"name": name, "kind": "number", "values": [_digits(v) for v in values.tolist()]})
        elif values.dtype.kind in "bUSO":
            texts = np.array([str(v) for v in values.tolist()])
            names, codes = np.unique(texts, return_inverse=True)
            if len(names) > 1:
                kind = "category" if len(names) <= MOST_CATEGORIES else "text"
                told.append({"name": name, "kind": kind, "names": names.tolist(), "values": codes.tolist()})
    return told


def css_variables() -> str:
    """Return the report's colours and font as a style sheet, for light and for dark screens."""
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in asdict(p).items()) for p in (theme.LIGHT, theme.DARK)
    )
    return (
        f":root {{ color-scheme: light dark; --font: {theme.FONT}; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


def _signal(values: PerCase) -> dict[str, Any]:
    return {
        "percentile": np.round(percentiles(values), 1).tolist(),
        "value": [_digits(v) for v in np.asarray(values, dtype=np.float64).tolist()],
    }


def _digits(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def _findings(session: Session) -> dict[int, list[str]]:
    told: dict[int, list[str]] = {}
    for finding in session.held.findings:
        if finding.case_id in session.rows and finding.severity == "warn":
            message = without_folders(finding.message, known=finding.path)
            told.setdefault(session.rows[finding.case_id], []).append(f"{finding.code}: {message}")
    return told


def _strata(selection: Selection, case_ids: Sequence[str]) -> list[int]:
    return [selection.strata.get(i, NO_STRATUM) for i in case_ids] if selection.strata else []
