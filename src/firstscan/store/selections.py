"""``selection.csv`` (and ``slices.csv``) for people and tools, ``selection.json`` for programs: the same batch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.selection import Pick, Selection

from .atomic import atomic_write
from .plain import dump_json, load_json, to_plain
from .slice_plans import plan_body, plan_of, slices_table

SCHEMA_VERSION = 2
"""2 holds a plan by slice; a batch of whole scans is written as 1, which versions before 0.3 can read."""
SLICES = "slices.csv"
COLUMNS = ("rank", "case_id", "stratum", "score", "typicality", "uncertainty", "reason", "path")
_HEADLINE = ("dcr", "dcr_pvalue", "dcr_interval", "alpha_eff", "gamma")


Paths = Mapping[str, Sequence[str]]


def write_selection(out: Path, selection: Selection, paths: Paths | None, version: str) -> None:
    """Write both files into ``out``, and ``slices.csv`` with a plan by slice; one that is there without goes.

    ``paths`` holds every file of a case by case id; the table shows the first one. None: scans have neutral names, and
    nothing says where they are.  Numbers keep every digit.
    """
    if selection.slices is None:
        (out / SLICES).unlink(missing_ok=True)
    else:
        atomic_write(out / SLICES, slices_table(selection.slices))
    atomic_write(out / "selection.json", selection_text(selection, paths, version))
    atomic_write(out / "selection.csv", selection_table(selection, paths))


def selection_text(selection: Selection, paths: Paths | None, version: str) -> str:
    """Return the text of a ``selection.json``; ``paths`` as for :func:`write_selection`."""
    body: dict[str, Any] = {
        "schema_version": 1 if selection.slices is None else SCHEMA_VERSION,
        "version": version,
        "strategy": selection.strategy,
        "seed": selection.seed,
        "budget": selection.budget,
        **{name: selection.diagnostics.get(name) for name in _HEADLINE},
        "picks": [
            {**to_plain(p)}
            if paths is None
            else {**to_plain(p), "path": _first(paths, p.case_id), "paths": list(paths.get(p.case_id, ()))}
            for p in selection
        ],
        "diagnostics": selection.diagnostics,
        "options": selection.options,
        "strata": selection.strata,
        "scores": selection.scores,
    }
    if selection.slices is not None:
        body["slices"] = plan_body(selection.slices)
    return dump_json(body)


def selection_table(selection: Selection, paths: Paths | None) -> str:
    """Return the picks as the text of a ``selection.csv``; without ``paths`` there is no such column."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS if paths is not None else [name for name in COLUMNS if name != "path"])
    for pick in selection:
        numbers = ["" if v is None else repr(float(v)) for v in (pick.score, pick.typicality, pick.uncertainty)]
        stratum = "" if pick.stratum is None else pick.stratum
        path = [] if paths is None else [_first(paths, pick.case_id)]
        writer.writerow([pick.rank, pick.case_id, stratum, *numbers, pick.reason, *path])
    return text.getvalue()


def _first(paths: Paths, case_id: str) -> str:
    return next(iter(paths.get(case_id, ())), "")


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
            slices=plan_of(body["slices"]) if body.get("slices") else None,
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} is not a selection of firstscan: {error!r} is missing or wrong.") from error


def _pick(row: Mapping[str, Any]) -> Pick:
    names = ("case_id", "rank", "stratum", "score", "typicality", "uncertainty", "reason")
    return Pick(**{name: row[name] for name in names})
