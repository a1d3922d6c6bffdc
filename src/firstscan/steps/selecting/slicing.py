"""Settings and measured geometry → a batch planned by slice."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.domain.slices import PlannedSlices, ScanGeometry, SlicePlan
from firstscan.selection.slices.planning import (
    minutes_of,
    most_slices,
    plan_slices,
    scans_for,
    share_slices,
    slice_counts,
    unplannable,
)
from firstscan.selection.slices.settings import Slicing, slicing_of
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.results import SLICES
from firstscan.store import atomic_write
from firstscan.store.slice_plans import slices_table

MINUTES = "annotation_minutes"
"""The column that holds what the planned slices of each scan are taken to cost."""
NO_GEOMETRY = (
    "slices can be neither planned nor counted: these features do not say how the scans are stored (they come from "
    "another program, or from firstscan before 0.3). Run firstscan select or firstscan extract on the scans, or take "
    "whole scans and a --cost-column"
)


@dataclass(frozen=True, eq=False)
class Settled:
    """A request with its number of scans decided.

    ``config`` holds that as ``budget``, leaves out scans that no slices can be planned in (``refused``: why, by case
    id), and names the column of minutes; ``columns`` are the covariates with that column.
    """

    config: PickConfig
    columns: Mapping[str, np.ndarray]
    refused: Mapping[str, str]


def settle(
    config: PickConfig,
    case_ids: Sequence[str],
    columns: Mapping[str, np.ndarray],
    geometry: np.ndarray | None,
    left_out: Collection[str] = (),
) -> Settled:
    """Decide how many scans a batch holds, which of them can be planned, and what they cost.

    A batch of whole scans stays as it is, but for its minutes where no column gives them.

    Parameters
    ----------
    geometry : (case, 24) how scans are stored, as in a feature table.
    left_out : ids that are not usable and may be named in lists.

    Raises
    ------
    UsageError : no geometry, more slices than there are, an included scan that cannot be planned.
    DataError : no scan can be planned.
    """
    slicing = config.slicing
    if slicing is None and not _by_the_model(config):
        return Settled(config, columns, {})
    if geometry is None:
        raise UsageError(NO_GEOMETRY)
    if slicing is None:
        return Settled(*_costed(config, geometry, columns, Slicing(every=1)), {})
    refused = unplannable(case_ids, geometry, slicing)
    _require_planned(config, refused, len(case_ids))
    settled, columns = _costed(config, geometry, columns, slicing)
    excluded = {*config.exclude, *config.labelled, *refused, *left_out}
    exclude = (*config.exclude, *(i for i in refused if i not in {*config.exclude, *config.labelled}))
    budget = config.budget
    if budget is None:
        budget = _scans(config, geometry[[i not in excluded for i in case_ids]], slicing)
    return Settled(settled.model_copy(update={"budget": budget, "exclude": exclude}), columns, refused)


def _costed(
    config: PickConfig, scans: np.ndarray, columns: Mapping[str, np.ndarray], slicing: Slicing
) -> tuple[PickConfig, Mapping[str, np.ndarray]]:
    """Return settings and columns in which minutes without a column of their own are those of the planned slices."""
    if not _by_the_model(config):
        return config, columns
    most = np.maximum(most_slices(scans, slicing), 1)
    minutes = config.minutes_per_scan + config.minutes_per_slice * most
    return config.model_copy(update={"cost_column": MINUTES}), {**columns, MINUTES: minutes.astype(np.float64)}


def as_chosen(config: PickConfig, used: FeatureTable, selection: Selection) -> tuple[PickConfig, FeatureTable]:
    """Return settings and features as a batch was chosen by: with what its plan by slice leaves out and costs."""
    if selection.slices is None and not _by_the_model(config):
        return config, used
    sized = config.model_copy(update={"budget": len(selection)})
    asked = settle(sized, used.case_ids, used.covariates, used.geometry)
    limits = {"exclude": asked.config.exclude, "cost_column": asked.config.cost_column}
    return config.model_copy(update=limits), replace(used, covariates=asked.columns)


def _by_the_model(config: PickConfig) -> bool:
    """Tell whether minutes are limited and no column says what a scan takes."""
    return config.minutes is not None and config.cost_column is None


def planned(selection: Selection, features: FeatureTable, config: PickConfig, refused: Mapping[str, str]) -> Selection:
    """Return the selection with the slices of its picks, and what was left out for them among its diagnostics."""
    if config.slicing is None:
        return selection
    plan = laid(geometries(features, selection.case_ids), config)
    told = {"slices_refused": dict(sorted(refused.items()))} if refused else {}
    return replace(selection, slices=plan, diagnostics={**selection.diagnostics, **told})


def laid(scans: Sequence[ScanGeometry], config: PickConfig) -> SlicePlan:
    """Return the plan that settings ask for, of scans in rank order."""
    slicing = config.slicing or Slicing()
    if config.slices is None:
        plan = plan_slices(scans, slicing)
    else:
        plan = share_slices(scans, _affordable(config, len(scans)), slicing)
    costs = {"minutes_per_scan": config.minutes_per_scan, "minutes_per_slice": config.minutes_per_slice}
    return replace(plan, settings={**plan.settings, **costs})


def replanned(selection: Selection, before: SlicePlan | None, features: FeatureTable) -> Selection:
    """Return a changed batch with its plan: scans that had one keep it, the others get theirs.

    What is left of a budget in slices goes to substitutes; scans that are added get slices as far apart as the others'.
    """
    if before is None:
        return replace(selection, slices=None)
    slicing = slicing_of(before)
    ranks = {pick.case_id: pick.rank for pick in selection}
    kept = {case.case_id: case for case in before if case.case_id in ranks}
    new = [pick.case_id for pick in selection if pick.case_id not in kept]
    made: dict[str, PlannedSlices] = {}
    if new:
        scans, numbers = geometries(features, new), [ranks[i] for i in new]
        budget, used = before.settings.get("slices"), sum(len(case) for case in kept.values())
        left = int(str(budget)) - used if budget is not None else 0
        if len(kept) < len(before.cases) and left >= slicing.least * len(new):
            plan = share_slices(scans, left, slicing, ranks=numbers)
        else:
            plan = plan_slices(scans, replace(slicing, every=before.every), ranks=numbers)
        made = {case.case_id: case for case in plan}
    cases = [replace(made.get(i) or kept[i], rank=ranks[i]) for i in selection.case_ids]
    return replace(selection, slices=replace(before, cases=tuple(cases)))


def geometries(features: FeatureTable, case_ids: Sequence[str]) -> list[ScanGeometry]:
    """Return how scans are stored.  Raises UsageError where the table does not tell."""
    if features.geometry is None:
        raise UsageError(NO_GEOMETRY)
    row = {case_id: i for i, case_id in enumerate(features.case_ids)}
    return [ScanGeometry.of(case_id, features.geometry[row[case_id]].tolist()) for case_id in case_ids]


def _require_planned(config: PickConfig, refused: Mapping[str, str], scans: int) -> None:
    wanted = next((i for i in config.include if i in refused), None)
    if wanted is not None:
        raise UsageError(f"--include names {wanted!r}, which no slices can be planned in: {refused[wanted]}")
    if scans and len(refused) == scans:
        case_id, why = next(iter(refused.items()))
        raise DataError(f"no slices can be planned in any of the {scans} scan(s). {case_id}: {why}")


def _scans(config: PickConfig, scans: np.ndarray, slicing: Slicing) -> int:
    """Return how many scans a budget in slices is spread over, and a limit in minutes allows."""
    if not len(scans):
        raise DataError(
            "no scan is left to plan slices in. Shorten the lists of excluded and labelled scans, or add scans"
        )
    found = scans_for(config.slices or 1, scans, slicing)
    if config.minutes is None or not _by_the_model(config):
        return found
    mean = config.minutes_per_scan + config.minutes_per_slice * float(slice_counts(scans, slicing).mean())
    fit = int(config.minutes / mean)
    if fit < 1:
        raise UsageError(
            f"--minutes {config.minutes:g} are less than a scan takes on average ({mean:.0f}); raise the limit, or "
            "plan fewer slices of a scan with a larger --every"
        )
    return min(found, fit)


def _affordable(config: PickConfig, scans: int) -> int:
    """Return the budget in slices, or what a limit in minutes leaves of it."""
    budget = config.slices or 0
    if config.minutes is None or config.cost_column not in {None, MINUTES}:
        return budget
    left = config.minutes - minutes_of(scans, 0, per_scan=config.minutes_per_scan)
    return min(budget, math.floor(left / config.minutes_per_slice + 1e-6))


def write_slices(out: Path, plan: SlicePlan | None) -> None:
    """Write ``slices.csv`` into ``out`` where there is a plan."""
    if plan is not None:
        atomic_write(out / SLICES, slices_table(plan))
