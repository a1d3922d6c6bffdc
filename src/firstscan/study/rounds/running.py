"""The rounds of a study: choose, train, predict the rest, choose again, some sub-pools at a time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstscan.domain.features import FeatureTable
from firstscan.execution import usable_cores
from firstscan.segmentation.registry import segmenter
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.selection.queries.measures import CaseMeasures
from firstscan.steps.running.run import Run
from firstscan.steps.training.predictions import ByModel, measured_pool
from firstscan.store import CaseCache, identity
from firstscan.study.cells import WHOLE_POOL, Cell
from firstscan.study.material import Material
from firstscan.study.plan import CEILING, Plan
from firstscan.study.prepared import Ground, Offered, Order, ground, job_of, offered, properties_of
from firstscan.study.publishing.sentences import beforehand
from firstscan.study.training import Done, Job, title, trained, without_picks

from .arms import Arm, Standing, arms_of, begun, check_rounds, continued, seeds_of, stopped, with_keys

Results = dict[str, dict[str, Any]]


def rounds(order: Order, run: Run, trainer: Mapping[str, Any], inputs: Mapping[str, str]) -> Done:
    """Do every round of a plan; what was trained and predicted before is used again.

    Some sub-pools are brought to their end before others begin, so that an interrupted study holds whole ones.

    Raises
    ------
    DataError : more scans asked for than a sub-pool has.  UsageError : the trainer cannot run.
    """
    plan = order.plan
    segmenter(plan.segmenter.name, plan.segmenter.options).check()
    base = ground(order, run, trainer, inputs)
    there = offered(order, run)
    pools = dict(enumerate(there.parts)) or {WHOLE_POOL: there.usable}
    check_rounds(plan, list(pools.values()))
    arms = {number: arms_of(plan, ids, number) for number, ids in pools.items()}
    run.progress.say(beforehand(plan, most_trainings(plan, [a for own in arms.values() for a in own]), 0))
    material = base.material(there.usable, order.data, run)
    work = _Work(order, run, base, there, material, inputs)
    told: list[tuple[Cell, Mapping[str, Any]]] = []
    together = run.settings.workers or (usable_cores() if run.settings.engine == "local" else len(pools))
    numbers = list(pools)
    for at in range(0, len(numbers), together):
        some = numbers[at : at + together]
        where = "" if plan.pools is None else f", sub-pools {some[0] + 1} to {some[-1] + 1} of {len(numbers)}"
        told += work.through([a for n in some for a in arms[n]], where)
    told += work.ceiling()
    if plan.restart == "cold" and all(result["status"] == "ok" for _, result in told):
        shutil.rmtree(base.trainings / "models", ignore_errors=True)
    return told, base.names, properties_of(plan, [c for c, _ in told], there)


def most_trainings(plan: Plan, arms: Sequence[Arm]) -> int:
    """Return how many trainings a plan takes at most: arms that pick the same scans share theirs."""
    later = sum(len(seeds_of(plan, a, r)) for a in arms for r in range(2, len(plan.rounds or ()) + 1))
    first: dict[tuple[Any, ...], int] = {}
    for arm in arms:
        first[arm.beginning] = max(first.get(arm.beginning, 0), len(seeds_of(plan, arm, 1)))
    return later + sum(first.values()) + plan.ceiling * plan.training_seeds


@dataclass(frozen=True)
class _Work:
    """What all rounds of a study need."""

    order: Order
    run: Run
    base: Ground
    there: Offered
    material: Material
    inputs: Mapping[str, str]

    @property
    def plan(self) -> Plan:
        return self.order.plan

    def through(self, arms: Sequence[Arm], where: str) -> list[tuple[Cell, Mapping[str, Any]]]:
        """Bring some arms through all rounds; return every cell with its result, an arm's rounds together."""
        plan = self.plan
        standing = self._begun(arms)
        before: list[Standing | None] = [None] * len(arms)
        told: list[list[tuple[Cell, Mapping[str, Any]]]] = [[] for _ in arms]
        for number in range(1, len(plan.rounds or ()) + 1):
            if number > 1:
                before, standing = list(standing), self._continued(standing)
            standing = [
                with_keys(plan, s, b, self.base.fixed, self.inputs) for s, b in zip(standing, before, strict=True)
            ]
            results = self._trained(standing, before, f"Training round {number}{where}")
            for own, now in zip(told, standing, strict=True):
                own += [
                    (replace(now.cell, training_seed=t), results[now.keys[t]] if now.keys else without_picks(now.cell))
                    for t in range(plan.training_seeds)
                ]
            standing = [self._usable(s, results) for s in standing]
        return [row for own in told for row in own]

    def ceiling(self) -> list[tuple[Cell, Mapping[str, Any]]]:
        """Train on the whole pool, where the plan asks for it."""
        if not self.plan.ceiling:
            return []
        everything = tuple(sorted(self.there.usable))
        arm = Arm(self.plan.strategies[0], self.plan.queries[0], "whole", WHOLE_POOL, 0, 0, everything)
        cell = Cell(CEILING, len(everything), 0, 0, everything, round=len(self.plan.rounds or ()))
        cold = replace(self, order=replace(self.order, plan=self.plan.model_copy(update={"restart": "cold"})))
        standing = with_keys(cold.plan, Standing(arm, cell, None, {}), None, self.base.fixed, self.inputs)
        results = cold._trained([standing], [None], "Training on the whole pool")
        return [(replace(cell, training_seed=t), results[key]) for t, key in standing.keys.items()]

    def _begun(self, arms: Sequence[Arm]) -> list[Standing]:
        """Choose every first batch once; arms that begin alike share it."""
        found: dict[tuple[Any, ...], Standing] = {}
        standing = []
        for arm in arms:
            if arm.beginning not in found:
                found[arm.beginning] = begun(self.plan, arm, self._table(arm))
            first = found[arm.beginning]
            cell = replace(first.cell, strategy=arm.cell(1, 0).strategy, selection_seed=arm.seed)
            standing.append(Standing(arm, cell, first.selection, {}))
        return standing

    def _continued(self, standing: Sequence[Standing]) -> list[Standing]:
        """Let every rule choose; an ensemble predicts once for all rules that ask it."""
        seen: dict[tuple[Any, ...], tuple[Mapping[str, CaseMeasures], tuple[str, ...]]] = {}
        going = []
        for now in standing:
            measures: Mapping[str, CaseMeasures] = {}
            unusable: tuple[str, ...] = ()
            if now.arm.asks and now.selection is not None:
                asked = (self._ensemble(now), now.open_ids)
                if asked not in seen:
                    found, failed = measured_pool(self.run, self._source(now), now.open_ids)
                    for finding in failed:
                        self.run.progress.say(f"{finding.case_id}: {finding.message}; it is not offered")
                    seen[asked] = found, tuple(f.case_id for f in failed if f.case_id)
                measures, unusable = seen[asked]
            going.append(continued(self.plan, now, self._table(now.arm), measures, unusable))
        return going

    def _trained(self, standing: Sequence[Standing], before: Sequence[Standing | None], stage: str) -> Results:
        """Train what the round needs; the same picks, seed and weights to begin with are trained on once."""
        jobs: dict[str, Job] = {}
        titles: dict[str, str] = {}
        for now, earlier in zip(standing, before, strict=True):
            keep = self._keeps(now)
            for seed, key in now.keys.items():
                job = job_of(replace(now.cell, training_seed=seed), key, self.order, self.base, self.material)
                start = job.folder / "models" / earlier.keys[seed] if self._warm and earlier is not None else None
                kept = keep(seed) or (key in jobs and jobs[key].keep_model)
                jobs[key] = replace(job, keep_model=kept, start=start)
                titles.setdefault(key, title(now.cell))
        sees = [Path(p.source) for p in (self.order.data.pool, self.order.data.test)]
        return trained(list(jobs.values()), titles, self.run, sees, stage)

    @property
    def _warm(self) -> bool:
        return self.plan.restart == "warm"

    def _keeps(self, now: Standing) -> Any:
        """Return which seeds leave their network: those that are asked next, or that training goes on from."""
        last = now.cell.round == len(self.plan.rounds or ())
        if last or not now.keys:
            return lambda _seed: False
        if self._warm:
            return lambda _seed: True
        asked = now.arm.asks and not self._is_measured(now)
        return lambda seed: asked and seed < self.plan.members

    def _usable(self, now: Standing, results: Results) -> Standing:
        """Return the standing, stopped where a network that is needed next could not be trained."""
        if now.selection is None:
            return now
        needed = list(now.keys) if self._warm else list(range(self.plan.members)) if now.arm.asks else []
        failed = [results[now.keys[s]] for s in needed if s in now.keys and results[now.keys[s]]["status"] != "ok"]
        return stopped(now, f"round {now.cell.round} was not trained: {failed[0]['reason']}") if failed else now

    def _ensemble(self, now: Standing) -> str:
        return identity([now.keys[m] for m in range(self.plan.members)])

    def _source(self, now: Standing) -> ByModel:
        plan, data = self.plan, self.order.data
        models = self.base.trainings / "models"
        settings = segmenter(plan.segmenter.name, plan.segmenter.options)
        if not isinstance(settings, Unet):
            raise TypeError(f"{plan.segmenter.name} has no networks that can be asked")
        return ByModel(
            models=tuple(models / now.keys[m] for m in range(plan.members)),
            settings=settings,
            pool=data.pool,
            as_stored=self.base.pool_linked,
            classes=data.classes,
            contents={c: self.inputs[f"pool {c}"] for c in data.pool.case_ids},
            networks=self._ensemble(now),
        )

    def _is_measured(self, now: Standing) -> bool:
        cache = CaseCache(self.run.workspace.folder("predictions"))
        keys = self._source(now).keys(now.open_ids)
        return all(cache.path(case_id, key, ".npz").is_file() for case_id, key in keys.items())

    def _table(self, arm: Arm) -> FeatureTable:
        table = self.there.table(arm.entry)
        return table if arm.subpool == WHOLE_POOL else table.only(arm.ids)
