"""The plan by slice: what it asks for, where its slices lie, and what to say for and against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import ScanGeometry, SlicePlan
from firstscan.selection.slices.evidence import RUNS, Compared
from firstscan.selection.slices.planning import MINUTES_PER_SCAN, MINUTES_PER_SLICE, minutes_of, ordinal
from firstscan.selection.slices.settings import EVERY, Slicing, slicing_of
from firstscan.selection.slices.stacks import Stacks, stacks_of

from .data import ReportData
from .privacy import without_folders
from .words import count, number

STRIPS = 200
"""Picks whose slices are drawn."""
_WIDTH, _THICK, _THIN = 1000.0, 5.0, 1.5


@dataclass(frozen=True, slots=True)
class Strip:
    """The slices of one pick: marks from the top (0) to the bottom (1000) of the scan, and where they may lie."""

    rank: int
    case_id: str
    plane: str
    planned: int
    slices: int
    numbers: str
    reason: str
    marks: tuple[float, ...]
    thickness: float
    band: tuple[float, float]
    """Start and length of the part that slices were planned in."""


@dataclass(frozen=True)
class PlanTold:
    """The section on slices: a sentence, a strip a pick, and the slices of all picks laid over each other."""

    sentence: str
    strips: tuple[Strip, ...]
    together: tuple[float, ...]
    more: int


def plan_told(data: ReportData) -> PlanTold | None:
    """Return what the page says of a plan by slice; None for whole scans."""
    plan = data.selection.slices
    if plan is None:
        return None
    stacks = _stacks(data, plan)
    strips, together = [], []
    for row, (case, rows) in enumerate(zip(plan.cases, from_top(plan, data.features), strict=True)):
        n = case.slices
        first, last = (0, n - 1) if stacks is None else (int(stacks.first[row]), int(stacks.last[row]))
        together += [_WIDTH * (i - first + 0.5) / max(last - first + 1, 1) for i in rows]
        if row < STRIPS:
            strips.append(
                Strip(
                    rank=case.rank,
                    case_id=case.case_id,
                    plane=case.plane,
                    planned=len(case),
                    slices=n,
                    numbers=", ".join(map(str, case.indices)),
                    reason=without_folders(case.reason),
                    marks=tuple(round(_WIDTH * (i + 0.5) / n, 2) for i in sorted(rows)),
                    thickness=min(max(0.6 * _WIDTH / n, _THIN), _THICK),
                    band=(round(_WIDTH * first / n, 2), round(_WIDTH * (last - first + 1) / n, 2)),
                )
            )
    drawn = tuple(round(place, 2) for place in sorted(together))
    return PlanTold(plan_sentence(data), tuple(strips), drawn, max(len(plan.cases) - STRIPS, 0))


def from_top(plan: SlicePlan, features: FeatureTable) -> list[list[int]]:
    """Return for each scan its planned slices counted from 0 at the top, in the order of ``indices``."""
    stacks = _stacks_of([case.case_id for case in plan], features, slicing_of(plan))
    counted = []
    for row, case in enumerate(plan.cases):
        turned = _turned(case.positions_mm) if stacks is None else bool(stacks.turned[row])
        counted.append([case.slices - 1 - i if turned else i for i in case.indices])
    return counted


def plan_sentence(data: ReportData) -> str:
    """Return what is asked for in all, and what it is taken to cost; empty for whole scans."""
    plan = data.selection.slices
    if plan is None:
        return ""
    planes = sorted({case.plane for case in plan})
    minutes = _minutes(plan, len(plan.cases), len(plan))
    about = "about " * (plan.settings.get("slices") is not None)
    spread = "all slices" if plan.every == 1 else f"{about}every {ordinal(plan.every)}"
    return (
        f"{count(len(plan), f'{planes[0]} slice' if len(planes) == 1 else 'slice')} of "
        f"{count(len(plan.cases), 'scan')}, {spread} where the patient is"
        f"{' and the range says' if plan.settings.get('within') else ''}: about {_duration(minutes)} at "
        f"{_costs(plan)[0]:g} min a scan and {_costs(plan)[1]:g} min a slice."
    )


def advice(data: ReportData, runs: Sequence[Compared] = RUNS) -> tuple[str, ...]:
    """Return which plan to take for the work of this batch, and how far runs of firstscan support that.

    Two sentences or three: the other way to spend as many slices, what was measured, and what was not. Empty where
    nothing is known of the slices.
    """
    other = _other_way(data)
    return (other, support(runs, _work(data))) if other else ()


def in_short(data: ReportData, runs: Sequence[Compared] = RUNS) -> tuple[str, ...]:
    """Return the plan, the other way to spend as many slices, and what supports either, for a terminal."""
    other = _other_way(data).replace("`", "")
    if not runs:
        known = "No committed run of firstscan has compared the two yet; what speaks for either is in the report."
    else:
        mean = sum(run.difference for run in runs) / len(runs)
        known = (
            f"For as many slices, every {ordinal(runs[0].every)} slice of more scans gained {_signed(mean)} Dice over "
            f"whole ones in our runs ({count(len(runs), 'collection')}, a small network); where that holds, and where "
            "it is not known, is in the report."
        )
    return tuple(line for line in (plan_sentence(data), f"{other} {known}" if other else "") if line)


def support(runs: Sequence[Compared] = RUNS, work: float | None = None) -> str:
    """Return what committed runs say of plans by slice, and where they say nothing.

    ``work`` is how many whole scans a batch's slices make.
    """
    limits = (
        "Minutes are by the cost model: an isolated slice takes longer than one beside a slice that is done; set "
        "`--minutes-per-scan` and `--minutes-per-slice` to your own."
    )
    if not runs:
        return (
            "Slices of one scan resemble each other, so as many slices of more scans show a network more of the pool; "
            "studies of others found that it mostly helps, but no committed run of firstscan supports it yet, for any "
            f"organ or network. {limits}"
        )
    told = "; ".join(
        f"{run.collection}, every {ordinal(run.every)}: {_signed(run.difference)} Dice "
        f"({_signed(run.low)} to {_signed(run.high)}, {run.subpools} sub-pools, {run.segmenter})"
        for run in runs
    )
    works = sorted({n for run in runs for n in run.whole_scans})
    beyond = work is not None and not works[0] - 0.5 <= work <= works[-1] + 0.5
    this = f" This batch is the work of {work:.0f} and lies outside of that." if work is not None and beyond else ""
    return (
        "Measured against whole scans, random ones on both sides, at equal numbers of slices and for the work of "
        f"{works[0]} to {works[-1]} whole scans: {told}.{this} Other organs, networks and amounts of work were not "
        f"measured. {limits}"
    )


def _work(data: ReportData) -> float | None:
    """Return how many whole scans the slices of a batch make; None where that is not known."""
    plan, picks = data.selection.slices, len(data.selection)
    stacks = _stacks(data, plan)
    if plan is None or stacks is None:
        return float(picks)
    return len(plan) * picks / max(int(stacks.room.sum()), 1)


def _other_way(data: ReportData) -> str:
    """Return how many whole scans the planned slices make, or how many scans the slices of whole ones would reach."""
    plan, picks = data.selection.slices, len(data.selection)
    stacks = _stacks(data, plan)
    if stacks is None or not picks:
        return ""
    room = int(stacks.room.sum())
    if plan is not None:
        whole = max(1, round(len(plan) * picks / room))
        minutes = (_minutes(plan, picks, len(plan)), _minutes(plan, whole, len(plan)))
        return (
            f"As many slices are those of {count(whole, 'whole scan')} ({_duration(minutes[1])} instead of "
            f"{_duration(minutes[0])}): `--budget {whole}` without `--every`."
        )
    scans = min(picks * EVERY, len(data.features))
    every = round(scans / picks)
    if every < 2:
        return ""
    minutes = (_minutes(None, picks, room), _minutes(None, scans, room))
    return (
        f"These {count(picks, 'whole scan')} are {count(room, 'slice')} of the patient, about {_duration(minutes[0])}. "
        f"As many slices of {scans} scans, every {ordinal(every)} of each, take about "
        f"{_duration(minutes[1])}: `--slices {room}` instead of `--budget {picks}`."
    )


def _stacks(data: ReportData, plan: SlicePlan | None) -> Stacks | None:
    return _stacks_of(data.selection.case_ids, data.features, None if plan is None else slicing_of(plan))


def _stacks_of(case_ids: Sequence[str], features: FeatureTable, slicing: Slicing | None) -> Stacks | None:
    """Return how scans are sliced; None where the features do not tell how they are stored."""
    if features.geometry is None:
        return None
    row = {case_id: i for i, case_id in enumerate(features.case_ids)}
    scans = [ScanGeometry.of(case_id, features.geometry[row[case_id]].tolist()) for case_id in case_ids]
    return stacks_of(scans, slicing.plane, slicing.within) if slicing else stacks_of(scans, None, None)


def _turned(positions_mm: Sequence[float]) -> bool:
    """Tell whether slices are stored from the bottom to the top: RAS grows towards the head, the front, the right."""
    return len(positions_mm) > 1 and positions_mm[-1] > positions_mm[0]


def _costs(plan: SlicePlan | None) -> tuple[float, float]:
    told = {} if plan is None else plan.settings
    return (
        float(str(told.get("minutes_per_scan", MINUTES_PER_SCAN))),
        float(str(told.get("minutes_per_slice", MINUTES_PER_SLICE))),
    )


def _minutes(plan: SlicePlan | None, scans: int, slices: int) -> float:
    per_scan, per_slice = _costs(plan)
    return minutes_of(scans, slices, per_scan=per_scan, per_slice=per_slice)


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _signed(value: float) -> str:
    return number(value, signed=True, digits=3)
