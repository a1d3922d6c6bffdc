"""A round whose new picks are planned by slice: how many scans, which can be planned, and which of their slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Selection
from firstscan.domain.slices import SlicePlan
from firstscan.selection.queries.measures import MEASURES, CaseMeasures
from firstscan.selection.slices.planning import plan_slices, scans_for, share_slices, slicing_of, unplannable
from firstscan.selection.slices.unsure import SLICE_AGGREGATES, moved, plane_rows
from firstscan.steps.selecting.slicing import NO_GEOMETRY, WHOLE, geometries
from firstscan.steps.steering.amend import Batch

from .next_config import NextConfig


def scans_to_add(config: NextConfig, batch: Batch, left: Sequence[str]) -> tuple[int, tuple[Finding, ...]]:
    """Return how many scans a round adds, and a finding for each scan that no slices can be planned in.

    Raises
    ------
    UsageError : slices are asked for, and the features do not say how scans are stored, or the batch has other planes.
    DataError : slices can be planned in no scan that is left.
    """
    slicing = config.slicing
    if slicing is None:
        return config.more or 0, ()
    if batch.features.geometry is None:
        raise UsageError(NO_GEOMETRY)
    before = batch.selection.slices
    if before is not None and (slicing_of(before).plane, slicing_of(before).within) != (slicing.plane, slicing.within):
        raise UsageError(
            "the batch is planned with another --slice-axis or --range; give the same ones, so that all slices of a "
            "batch can be told together"
        )
    scans = geometries(batch.features, left)
    refused = unplannable(left, scans, slicing)
    if left and len(refused) == len(left):
        case_id, why = next(iter(refused.items()))
        raise DataError(f"no slices can be planned in any of the {len(left)} scan(s) left. {case_id}: {why}")
    findings = tuple(
        Finding(
            "slices-unplannable",
            "warn",
            case_id,
            f"no slices can be planned in it, and it was not offered for picking: {why}",
            "lower --least or widen --range to have it offered",
        )
        for case_id, why in sorted(refused.items())
    )
    usable = [scan for scan in scans if scan.case_id not in refused]
    return config.more or scans_for(config.slices or 1, usable, slicing), findings


def with_plan(
    selection: Selection, batch: Batch, config: NextConfig, measures: Mapping[str, CaseMeasures]
) -> Selection:
    """Return a grown batch with a plan of its new picks; earlier ones keep theirs, or are annotated whole.

    Raises
    ------
    UsageError : a budget of fewer slices than the picks need, or no slice measures for ``slices_by``.
    """
    slicing = config.slicing
    if slicing is None:
        return selection
    earlier = frozenset(batch.selection.case_ids)
    picks = [pick for pick in selection if pick.case_id not in earlier]
    scans, ranks = geometries(batch.features, [p.case_id for p in picks]), [p.rank for p in picks]
    if config.slices is None:
        plan = plan_slices(scans, slicing, ranks=ranks)
    else:
        plan = share_slices(scans, config.slices, slicing, ranks=ranks)
    if config.slices_by != "even":
        rows = zip(plan, plane_rows(plan), strict=True)
        values = [_profile(measures, case.case_id, row, config) for case, row in rows]
        plan = moved(plan, scans, values, config.slices_by)
    return replace(selection, slices=_joined(batch.selection, plan, config))


def _profile(measures: Mapping[str, CaseMeasures], case_id: str, row: int, config: NextConfig) -> np.ndarray:
    found = measures[case_id].slices
    if found is None:
        raise UsageError(f"{case_id}: how unsure the model is of its slices was not measured; leave --slices-by out")
    return np.asarray(
        found[row][MEASURES.index(config.slices_by), SLICE_AGGREGATES.index(config.slice_aggregate)],  # type: ignore[arg-type]
        dtype=np.float64,
    )


def _joined(before: Selection, plan: SlicePlan, config: NextConfig) -> SlicePlan:
    kept = before.slices.cases if before.slices is not None else ()
    old = dict(before.slices.settings) if before.slices is not None else {}
    planned = {case.case_id for case in kept}
    whole = [i for i in before.case_ids if i not in planned]
    settings = {
        **plan.settings,
        "minutes_per_scan": config.minutes_per_scan,
        "minutes_per_slice": config.minutes_per_slice,
        **({WHOLE: whole} if whole else {}),
    }
    if "slices" in old or "slices" in settings:
        settings["slices"] = sum(len(case) for case in kept) + len(plan)
    if config.slices_by != "even":
        settings["slices_by"] = config.slices_by
    return SlicePlan((*kept, *plan.cases), plan.every, settings)
