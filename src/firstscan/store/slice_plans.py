"""A plan by slice as ``slices.csv`` for people and tools, and as a part of ``selection.json``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from firstscan.domain.slices import PlannedSlices, SlicePlan

from .plain import to_plain

COLUMNS = ("case_id", "rank", "plane", "axis", "index", "number", "position_mm", "why")


def slices_table(plan: SlicePlan) -> str:
    """Return the plan as the text of a ``slices.csv``: a row a slice, scans in rank order.

    ``axis`` is the stored axis (0 = x), ``index`` counts from 0 along it, ``number`` from 1.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case in plan:
        for index, number, position in zip(case.indices, case.numbers, case.positions_mm, strict=True):
            row = (case.case_id, case.rank, case.plane, case.axis, index, number, f"{position:g}", case.reason)
            writer.writerow(row)
    return text.getvalue()


def plan_body(plan: SlicePlan) -> dict[str, Any]:
    """Return the plan as plain data."""
    return {
        "every": plan.every,
        "slices": len(plan),
        "settings": to_plain(plan.settings),
        "cases": to_plain(plan.cases),
    }


def plan_of(body: Mapping[str, Any]) -> SlicePlan:
    """Return the plan that :func:`plan_body` wrote.  Raises KeyError or TypeError where a part is missing."""
    return SlicePlan(
        tuple(_case(row) for row in body["cases"]), int(body["every"]), MappingProxyType(dict(body["settings"]))
    )


def _case(row: Mapping[str, Any]) -> PlannedSlices:
    return PlannedSlices(
        case_id=row["case_id"],
        rank=int(row["rank"]),
        axis=int(row["axis"]),
        plane=row["plane"],
        slices=int(row["slices"]),
        indices=tuple(int(i) for i in row["indices"]),
        positions_mm=tuple(float(p) for p in row["positions_mm"]),
        reason=row["reason"],
    )
