"""A batch → the slices of it to annotate, and what annotating costs where nobody says otherwise."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.domain.slices import PlannedSlices, ScanGeometry, SlicePlan
from firstscan.selection.slicing import Slicing, plan_slices, scans_for, slice_counts, within_budget
from firstscan.store import atomic_write

from .config import PickConfig

SLICES = "slices.csv"
COST = "annotation_minutes"
COLUMNS = ("case_id", "rank", "plane", "axis", "index", "number", "position_mm", "why")
ADVICE = (
    "Tip: for the same number of slices, every 4th slice of four times as many scans trained a better network in our "
    "runs on four data sets (+0.02 to +0.08 Dice with a small U-Net; docs/results.md): --budget {scans} --every 4. A "
    "slice by itself takes longer to draw than one beside a drawn one; that is not in these numbers."
)


def geometries_of(features: FeatureTable) -> list[ScanGeometry]:
    """Return how every scan of the table is stored.  Raises DataError where the table does not tell."""
    if features.geometry is None:
        raise DataError(
            "The features do not tell how the scans are stored, which planning slices needs: they were measured by "
            "firstscan 0.2 or elsewhere. Run firstscan extract again."
        )
    return [ScanGeometry.of(case_id, row) for case_id, row in zip(features.case_ids, features.geometry, strict=True)]


def scans_to_pick(config: PickConfig, geometries: list[ScanGeometry]) -> int:
    """Return how many scans the budget is: as said, or as many as the slices are spread over.

    Raises
    ------
    UsageError : more slices than the pool has.
    """
    if config.budget is not None:
        return config.budget
    return scans_for(config.slices or 0, geometries, config.sliced or Slicing())


def with_costs(features: FeatureTable, config: PickConfig) -> tuple[FeatureTable, PickConfig]:
    """Return table and settings with the minutes that each scan takes, where a budget in minutes names no column."""
    if config.minutes is None or config.cost_column is not None:
        return features, config
    slices = slice_counts(geometries_of(features), config.sliced or Slicing(every=1))
    cost = config.minutes_per_scan + config.minutes_per_slice * slices
    covariates = {**features.covariates, COST: np.asarray(cost, dtype=np.float64)}
    return replace(features, covariates=covariates), config.model_copy(update={"cost_column": COST})


def planned(selection: Selection, features: FeatureTable, config: PickConfig) -> Selection:
    """Return the selection with its plan by slice; scans that were planned before at their rank keep their slices.

    Raises
    ------
    UsageError : a scan in which slices cannot be planned as asked for.  DataError : see :func:`geometries_of`.
    """
    slicing = config.sliced
    if slicing is None:
        return selection
    known = {g.case_id: g for g in geometries_of(features.only(selection.case_ids))}
    before = {} if selection.slices is None else {(c.case_id, c.rank): c for c in selection.slices}
    cases: list[PlannedSlices] = []
    for pick in selection:
        kept = before.get((pick.case_id, pick.rank))
        cases += [kept] if kept else plan_slices([known[pick.case_id]], slicing, first_rank=pick.rank).cases
    plan = SlicePlan(tuple(cases), slicing.every)
    if config.slices is not None and len(selection) == selection.budget and not before:
        plan = within_budget(plan, config.slices, slicing)
    return replace(selection, slices=plan)


def write_slices(out: Path, plan: SlicePlan | None) -> tuple[str, ...]:
    """Write ``slices.csv`` into ``out`` where there is a plan; return the names of the files written."""
    if plan is None:
        return ()
    atomic_write(out / SLICES, slices_table(plan))
    return (SLICES,)


def slices_table(plan: SlicePlan) -> str:
    """Return the plan as CSV, a row a slice, scans in rank order."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for case in plan:
        for index, number, position in zip(case.indices, case.numbers, case.positions_mm, strict=True):
            why = case.reason
            writer.writerow((case.case_id, case.rank, case.plane, case.axis, index, number, repr(position), why))
    return text.getvalue()


def told(plan: SlicePlan) -> str:
    """Say in a sentence what there is to annotate."""
    planes = sorted({case.plane for case in plan})
    return f"{len(plan)} {' and '.join(planes)} slices in {len(plan.cases)} scans"


def advice(selection: Selection, pool: int) -> str:
    """Return which plan to take for as much work in a pool of so many scans; empty where slices are planned already."""
    scans = min(4 * len(selection), pool)
    return "" if selection.slices is not None or scans <= len(selection) else ADVICE.format(scans=scans)
