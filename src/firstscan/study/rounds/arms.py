"""What goes on in a plan with rounds: every way from a first batch on, and what each has picked so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from firstscan.domain.errors import DataError, FirstscanError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.selection.gating.constraints import Constraints
from firstscan.selection.queries.measures import CaseMeasures
from firstscan.selection.queries.registry import asks_a_model, rule_class
from firstscan.selection.queries.rounds import next_round
from firstscan.store import identity
from firstscan.study.cells import WHOLE_POOL, Cell, annotation_name, every_of, first_batch, training_key, with_picks
from firstscan.study.plan import JOIN, Annotation, Plan, QueryEntry, StrategyEntry


@dataclass(frozen=True)
class Arm:
    """One way through the rounds of a sub-pool: who chooses the first batch, and which rule goes on from it.

    ``first_seed`` is the selection seed of the first batch, ``seed`` that of the arm; ``ids`` are the scans it chooses
    from.
    """

    entry: StrategyEntry
    query: QueryEntry
    annotation: Annotation
    subpool: int
    first_seed: int
    seed: int
    ids: tuple[str, ...]

    @property
    def asks(self) -> bool:
        """Whether its rule is shown what a model predicts."""
        return asks_a_model(rule_class(self.query.name))

    def cell(self, round_: int, budget: int) -> Cell:
        """Return the cell of one of its rounds, from 1, without picks."""
        name, told = f"{self.entry.label}{JOIN}{self.query.label}", annotation_name(self.annotation)
        return Cell(name, budget, self.seed, 0, subpool=self.subpool, annotation=told, round=round_)

    @property
    def beginning(self) -> tuple[Any, ...]:
        """What tells first batches apart: arms that begin alike share them, and all that is trained on them."""
        return self.subpool, self.entry.label, self.first_seed, annotation_name(self.annotation)


@dataclass(frozen=True)
class Standing:
    """Where an arm stands after a round: its cell, the batch behind it, and the keys of its trainings by seed.

    ``selection`` is None where it could not go on; the cell then says why.
    """

    arm: Arm
    cell: Cell
    selection: Selection | None
    keys: Mapping[int, str]

    @cached_property
    def open_ids(self) -> tuple[str, ...]:
        """The scans that can still be picked."""
        taken = set(self.cell.picks)
        return tuple(c for c in self.arm.ids if c not in taken)


def arms_of(plan: Plan, ids: Sequence[str], subpool: int) -> list[Arm]:
    """Return every arm of a sub-pool, in the order of the plan."""
    return [
        Arm(entry, query, annotation, subpool, first, first * plan.draws_of(query) + draw, tuple(ids))
        for entry in plan.strategies
        for query in plan.queries
        for first in range(plan.seeds_of(entry))
        for draw in range(plan.draws_of(query))
        for annotation in plan.annotations_of(entry)
    ]


def seeds_of(plan: Plan, arm: Arm, round_: int) -> range:
    """Return the training seeds that a round of an arm needs: those that are scored, and those that a rule asks.

    Where training goes on from weights, what is asked next has to have been trained before, too.
    """
    rounds = len(plan.rounds or ())
    asked = arm.asks and round_ < rounds
    return range(max(plan.training_seeds, plan.members) if asked else plan.training_seeds)


def begun(plan: Plan, arm: Arm, table: FeatureTable) -> Standing:
    """Return where an arm stands after its first batch, before that is trained on."""
    empty = arm.cell(1, plan.budgets_for(len(arm.ids))[0])
    try:
        chosen = first_batch(replace(empty, selection_seed=arm.first_seed), arm.entry, arm.annotation, table)
        return Standing(arm, with_picks(empty, chosen, table, arm.annotation), chosen, {})
    except FirstscanError as error:
        return Standing(arm, replace(empty, reason=str(error)), None, {})


def continued(
    plan: Plan,
    before: Standing,
    table: FeatureTable,
    measures: Mapping[str, CaseMeasures],
    unusable: Sequence[str] = (),
) -> Standing:
    """Return where an arm stands after another round, before that is trained on.

    Parameters
    ----------
    measures : what is predicted of the scans that are open; empty for rules that ask no model.
    unusable : scans that could not be predicted.
    """
    arm, round_ = before.arm, before.cell.round + 1
    empty = arm.cell(round_, plan.budgets_for(len(arm.ids))[round_ - 1])
    if before.selection is None:
        return Standing(arm, replace(empty, reason=before.cell.reason), None, {})
    rounds = plan.rounds or ()
    options: dict[str, Any] = dict(arm.query.options)
    try:
        chosen = next_round(
            before.selection,
            table,
            measures,
            rounds[round_ - 1] * every_of(arm.annotation),
            arm.query.name,
            seed=_seed(arm, round_),
            constraints=Constraints(exclude=tuple(unusable)),
            groups=arm.query.features or None,
            **options,
        )
        return Standing(arm, with_picks(empty, chosen, table, arm.annotation), chosen, {})
    except FirstscanError as error:
        return Standing(arm, replace(empty, reason=f"round {round_}: {error}"), None, {})


def stopped(standing: Standing, reason: str) -> Standing:
    """Return the standing of an arm that cannot go on after its round."""
    return replace(standing, cell=replace(standing.cell, reason=reason), selection=None)


def with_keys(
    plan: Plan, standing: Standing, before: Standing | None, settings: Mapping[str, object], inputs: Mapping[str, str]
) -> Standing:
    """Return the standing with the identity of each training that its round needs.

    Trainings that begin anew are those of a study without rounds: the same picks give the same key. One that begins
    with weights depends on how those were trained, too.
    """
    if not standing.cell.picks:
        return standing
    keys = {}
    for seed in seeds_of(plan, standing.arm, standing.cell.round):
        key = training_key(replace(standing.cell, training_seed=seed), settings, inputs)
        if plan.restart == "warm" and before is not None:
            key = identity(key, "from", before.keys[seed])
        keys[seed] = key
    return replace(standing, keys=keys)


def check_rounds(plan: Plan, pools: Sequence[Sequence[str]]) -> None:
    """Refuse rounds that no pool has scans for.

    Raises
    ------
    DataError : names how many are asked for, and how many there are.
    """
    every = max(every_of(a) for entry in plan.strategies for a in plan.annotations_of(entry))
    wanted, least = sum(plan.rounds or ()) * every, min(map(len, pools))
    if wanted > least:
        sliced = f" (annotation every {every} takes {every} times as many)" if every > 1 else ""
        raise DataError(
            f"rounds {list(plan.rounds or ())} pick {wanted} scans in all{sliced}, and there are {least} to choose "
            "from. Shorten the rounds, or raise pools.share"
        )


def _seed(arm: Arm, round_: int) -> int:
    told = [arm.subpool - WHOLE_POOL, arm.first_seed, arm.seed, round_]
    return int(np.random.SeedSequence(told).generate_state(1)[0])
