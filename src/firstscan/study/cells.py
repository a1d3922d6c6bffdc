"""Plan → cells: what every strategy picks at every budget with every seed, and which trainings that asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firstscan.domain.errors import FirstscanError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import SlicePlan
from firstscan.selection import select
from firstscan.selection.slices.planning import plan_slices
from firstscan.selection.slices.settings import Slicing
from firstscan.store import identity

from .plan import CEILING, Annotation, Every, Plan, StrategyEntry

WHOLE_POOL, WHOLE = -1, "whole"
FeaturesOf = Callable[[StrategyEntry], FeatureTable]
"""Returns the feature table of the pool that an entry selects on."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One trained model of a study. ``picks`` in rank order; ``reason`` says why there are none.

    ``subpool`` numbers the resampled pool it was picked from (−1: the whole pool), ``annotation`` says what of the
    picks is annotated (``whole``, ``every 4``), and ``slices`` which slices those are. ``work`` holds the slices
    that somebody has to look at: these, or all slices of the patient in whole scans; None where that is not known.
    ``budget`` is the work of so many whole
    scans: with every 4th slice, four times as many scans are picked.
    """

    strategy: str
    budget: int
    selection_seed: int
    training_seed: int
    picks: tuple[str, ...] = ()
    reason: str = ""
    subpool: int = WHOLE_POOL
    annotation: str = WHOLE
    slices: SlicePlan | None = None
    work: SlicePlan | None = None

    @property
    def name(self) -> str:
        """``strategy:budget:selection seed:training seed``, as ``firstscan rerun`` takes it.

        In a study of sub-pools or of slices ``:sub-pool:annotation`` follows.
        """
        plain = f"{self.strategy}:{self.budget}:{self.selection_seed}:{self.training_seed}"
        return (
            plain
            if self.subpool == WHOLE_POOL and self.annotation == WHOLE
            else f"{plain}:{self.subpool}:{self.annotation}"
        )


def expand(
    plan: Plan,
    pool_ids: Sequence[str],
    features: FeaturesOf | None,
    on_cell: Callable[[str], None],
    subpools: Sequence[Sequence[str]] = (),
) -> list[Cell]:
    """Return every cell of the plan with its picks, in the plan's order; without ``features`` nothing is picked.

    A strategy that cannot pick (a budget above the pool, wrong options) gives cells without picks and with a reason.
    ``on_cell`` is called with each strategy's label once per selection. ``subpools``: the ids of each resampled pool;
    training seeds are the same in all of them.
    """
    cells: list[Cell] = []
    pools = dict(enumerate(subpools)) or {WHOLE_POOL: pool_ids}
    for number, ids in pools.items():
        for entry in plan.strategies:
            for budget in plan.budgets_for(len(ids)):
                for seed in range(plan.seeds_of(entry)):
                    for annotation in plan.annotations_of(entry):
                        cell = Cell(entry.label, budget, seed, 0, subpool=number, annotation=_named(annotation))
                        picked = _picked(cell, entry, annotation, ids, features)
                        on_cell(entry.label)
                        cells += [replace(picked, training_seed=t) for t in range(plan.training_seeds)]
    if plan.ceiling:
        everything = tuple(sorted(pool_ids))
        cells += [Cell(CEILING, len(everything), 0, t, everything) for t in range(plan.training_seeds)]
    return cells


def trainings(cells: Sequence[Cell], settings: Mapping[str, object], inputs: Mapping[str, str]) -> dict[str, Cell]:
    """Return ``{key: first cell}``: cells with the same set of picks and training seed share one training."""
    needed: dict[str, Cell] = {}
    for cell in cells:
        if cell.picks:
            needed.setdefault(training_key(cell, settings, inputs), cell)
    return needed


def training_key(cell: Cell, settings: Mapping[str, object], inputs: Mapping[str, str]) -> str:
    """Return the identity of the training that a cell needs.

    ``settings`` is all that changes a score besides picks and files: trainer, classes, tolerance. ``inputs`` are the
    fingerprints of the study's files; those of scans that are neither picked nor tested on change nothing.
    """
    mine = {f"pool {kind}{case_id}" for kind in ("", "label ") for case_id in cell.picks}
    read = {name: found for name, found in inputs.items() if name.startswith("test ") or name in mine}
    if cell.slices is None:
        return identity(sorted(cell.picks), cell.training_seed, settings, read)
    slices = sorted((case.case_id, case.axis, case.indices) for case in cell.slices)
    return identity(sorted(cell.picks), cell.training_seed, settings, read, slices)


def _named(annotation: Annotation) -> str:
    return f"every {annotation.every}" if isinstance(annotation, Every) else WHOLE


def _picked(
    cell: Cell, entry: StrategyEntry, annotation: Annotation, ids: Sequence[str], features: FeaturesOf | None
) -> Cell:
    """Return the cell with its picks and, where only slices are annotated, with these."""
    if features is None:
        return replace(cell, reason="nothing was picked")
    every = annotation.every if isinstance(annotation, Every) else 1
    seed = cell.selection_seed if cell.subpool == WHOLE_POOL else child_seed(cell.subpool, cell.selection_seed)
    try:
        table = features(entry)
        table = table if cell.subpool == WHOLE_POOL else table.only(ids)
        groups = entry.features or None
        options: dict[str, Any] = dict(entry.options)
        chosen = select(table, cell.budget * every, entry.name, seed, groups=groups, **options)
        geometries = [table.geometry_of(case_id) for case_id in chosen.case_ids]
        known = [g for g in geometries if g is not None]
        work = plan_slices(known, Slicing(every=every)) if len(known) == len(geometries) else None
        if every > 1 and work is None:
            raise UsageError("the feature table does not tell how scans are stored; extract it again to plan slices")
        return replace(cell, picks=chosen.case_ids, slices=work if every > 1 else None, work=work)
    except FirstscanError as error:
        return replace(cell, reason=str(error))


def child_seed(subpool: int, selection_seed: int) -> int:
    """Return the seed with which a strategy chooses in a sub-pool."""
    return int(np.random.SeedSequence([subpool, selection_seed]).generate_state(1)[0])
