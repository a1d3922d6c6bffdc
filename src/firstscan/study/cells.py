"""Plan → cells: what every strategy picks at every budget with every seed, and which trainings that asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firstscan.domain.errors import FirstscanError
from firstscan.domain.features import FeatureTable
from firstscan.selection import select
from firstscan.store import identity

from .plan import CEILING, Plan, StrategyEntry

FeaturesOf = Callable[[StrategyEntry], FeatureTable]
"""Returns the feature table of the pool that an entry selects on."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One trained model of a study. ``picks`` in rank order; ``reason`` says why there are none."""

    strategy: str
    budget: int
    selection_seed: int
    training_seed: int
    picks: tuple[str, ...] = ()
    reason: str = ""

    @property
    def name(self) -> str:
        """``strategy:budget:selection seed:training seed``, as ``firstscan rerun`` takes it."""
        return f"{self.strategy}:{self.budget}:{self.selection_seed}:{self.training_seed}"


def expand(
    plan: Plan, pool_ids: Sequence[str], features: FeaturesOf | None, on_cell: Callable[[str], None]
) -> list[Cell]:
    """Return every cell of the plan with its picks, in the plan's order; without ``features`` nothing is picked.

    A strategy that cannot pick (a budget above the pool, wrong options) gives cells without picks and with a reason.
    ``on_cell`` is called with each strategy's label once per selection.
    """
    cells: list[Cell] = []
    for entry in plan.strategies:
        for budget in plan.budgets_for(len(pool_ids)):
            for seed in range(plan.seeds_of(entry)):
                picks, reason = _pick(entry, budget, seed, features) if features else ((), "nothing was picked")
                on_cell(entry.label)
                cells += [
                    Cell(entry.label, budget, seed, training, picks, reason) for training in range(plan.training_seeds)
                ]
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
    return identity(sorted(cell.picks), cell.training_seed, settings, read)


def _pick(entry: StrategyEntry, budget: int, seed: int, features: FeaturesOf) -> tuple[tuple[str, ...], str]:
    try:
        options: dict[str, Any] = dict(entry.options)
        return select(features(entry), budget, entry.name, seed, **options).case_ids, ""
    except FirstscanError as error:
        return (), str(error)
