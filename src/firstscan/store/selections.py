"""``selection.csv`` for people and tools, ``selection.json`` for programs: the same picks."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.domain.slices import PlannedSlices, SlicePlan

from .atomic import atomic_write
from .plain import dump_json, load_json, to_plain

SCHEMA_VERSION = 1
COLUMNS = ("rank", "case_id", "stratum", "score", "typicality", "uncertainty", "reason", "path")
_HEADLINE = ("dcr", "dcr_pvalue", "dcr_interval", "alpha_eff", "gamma")


def write_selection(out: Path, selection: Selection, paths: Mapping[str, Sequence[str]], version: str) -> None:
    """Write both files into ``out``.

    ``paths`` holds every file of a case by case id; the table shows the first one.  Numbers keep every digit.
    """
    body = {
        "schema_version": SCHEMA_VERSION,
        "version": version,
        "strategy": selection.strategy,
        "seed": selection.seed,
        "budget": selection.budget,
        **{name: selection.diagnostics.get(name) for name in _HEADLINE},
        "picks": [
            {**to_plain(p), "path": next(iter(paths.get(p.case_id, ())), ""), "paths": list(paths.get(p.case_id, ()))}
            for p in selection
        ],
        "diagnostics": selection.diagnostics,
        "options": selection.options,
        "strata": selection.strata,
        "scores": selection.scores,
        "slices": None if selection.slices is None else to_plain(selection.slices),
    }
    atomic_write(out / "selection.json", dump_json(body))
    atomic_write(out / "selection.csv", selection_table(selection, paths))


def selection_table(selection: Selection, paths: Mapping[str, Sequence[str]]) -> str:
    """Return the picks as the text of a ``selection.csv``."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pick in selection:
        numbers = ["" if v is None else repr(float(v)) for v in (pick.score, pick.typicality, pick.uncertainty)]
        stratum = "" if pick.stratum is None else pick.stratum
        path = next(iter(paths.get(pick.case_id, ())), "")
        writer.writerow([pick.rank, pick.case_id, stratum, *numbers, pick.reason, path])
    return text.getvalue()


def read_selection(path: str | Path) -> Selection:
    """Return the selection of a results folder, a ``selection.json``, or the one beside a ``selection.csv``.

    Raises
    ------
    UsageError : no such file.  DataError : not a selection, or written by a newer version.
    """
    file = Path(path)
    file = file / "selection.json" if file.is_dir() else file.with_suffix(".json")
    if not file.is_file():
        raise UsageError(f"No selection at {file}. Make one with: firstscan select SOURCE --budget B --out DIR")
    body = load_json(file)
    try:
        if body["schema_version"] > SCHEMA_VERSION:
            raise DataError(f"{file} was written by a newer firstscan; update firstscan to read it.")
        return Selection(
            picks=tuple(_pick(row) for row in body["picks"]),
            strategy=body["strategy"],
            seed=body["seed"],
            budget=body["budget"],
            diagnostics=MappingProxyType(body["diagnostics"]),
            options=MappingProxyType(body["options"]),
            strata=MappingProxyType(body["strata"]),
            scores=MappingProxyType(body["scores"]),
            slices=_plan(body.get("slices")),
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} is not a selection of firstscan: {error!r} is missing or wrong.") from error


def _plan(told: Mapping[str, Any] | None) -> SlicePlan | None:
    if told is None:
        return None
    names = ("case_id", "rank", "axis", "plane", "slices", "reason")
    cases = tuple(
        PlannedSlices(
            **{name: case[name] for name in names},
            indices=tuple(int(i) for i in case["indices"]),
            positions_mm=tuple(float(p) for p in case["positions_mm"]),
        )
        for case in told["cases"]
    )
    return SlicePlan(cases, told["every"], told.get("settings", {}))


def _pick(row: Mapping[str, Any]) -> Pick:
    names = ("case_id", "rank", "stratum", "score", "typicality", "uncertainty", "reason")
    return Pick(**{name: row[name] for name in names})
