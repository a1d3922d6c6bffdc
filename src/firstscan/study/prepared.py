"""A study before it trains: fingerprints of its files, cells with their picks, and the trainings that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.imaging import fingerprint
from firstscan.segmentation.registry import segmenter
from firstscan.steps.annotating.tool_folder import all_linkable
from firstscan.steps.running.run import Run
from firstscan.store import atomic_write, dump_json, file_sha256, identity

from .cells import Cell, expand, trainings
from .data import StudyData, refuse_copies, subpools
from .features import extractor
from .material import Material, check_test, plain, test_images
from .plan import RANDOM, Plan, StrategyEntry
from .publishing.publish import PLAN
from .statistics.goes_with import batch_properties, no_batches
from .training import Job

COLUMNS = "pool columns "


FeatureSource = Callable[[Pool, StrategyEntry], FeatureTable]


def fingerprints(data: StudyData) -> dict[str, str]:
    """Return what the result depends on, by ``pool <id>``, ``test <id>``, their label maps and ``pool columns <id>``.

    Columns are what the source and its table tell of a scan: all but the modality enter features and picks alone.
    """
    found: dict[str, str] = {}
    for part, pool, labels in (("pool", data.pool, data.pool_labels), ("test", data.test, data.test_labels)):
        for case in pool:
            channels = [(c.name, c.component) for c in case.channels]
            modality = case.metadata.get("modality")  # segmenters normalise a CT in its own way
            found[f"{part} {case.case_id}"] = identity(fingerprint(case), channels, modality)
            if part == "pool":
                found[f"{COLUMNS}{case.case_id}"] = identity(dict(case.metadata))
        for case_id, path in labels.items():
            found[f"{part} label {case_id}"] = file_sha256(Path(path))
    return found


def told_plan(plan: Plan, data: StudyData, folders: Sequence[str] = ()) -> dict[str, Any]:
    """Return the plan (of it, the entries ``folders``) as results may hold it.

    Where scans have neutral names, folders and tables are told by a fingerprint; ``work/plan.json`` holds them.
    """
    told = plan.model_dump(mode="json")
    if data.pool.pseudonyms is not None:
        for entry in (told["pool"], told["test"]):
            for name in {"source", "labels", "table"} & entry.keys():
                entry[name] = entry[name] and f"sha256:{identity(entry[name])[:16]}"
    return {name: told[name] for name in folders or told}


@dataclass(frozen=True)
class Order:
    """What one call of :func:`study` was asked for."""

    plan: Plan
    data: StudyData
    features: FeatureSource | None
    only: Cell | None


@dataclass(frozen=True)
class Ground:
    """What all trainings of a study rest on.

    ``place`` holds converted scans; ``names`` leads from file names of test scans to case ids; ``fixed`` is what all
    trainings share; ``pool_linked``: scans of the pool are linked as they are stored. ``trainings`` holds results.
    """

    place: Path
    names: Mapping[str, str]
    test_labels: Mapping[str, Path]
    pool_linked: bool
    fixed: Mapping[str, Any]
    trainings: Path

    def material(self, case_ids: Sequence[str], data: StudyData, run: Run) -> Material:
        """Return scans of the pool as trainings read them, and their label maps."""
        chosen = data.pool.only(case_ids)
        place = self.place / "pool"
        return plain(chosen, data.pool_labels, place, run, "Converting the pool", linked=self.pool_linked)


@dataclass(frozen=True)
class Prepared:
    """A study before it trains: every cell with its picks, and the trainings that they ask for.

    ``needed`` maps each training's key to the first cell that it is for. ``batches`` holds the properties of what was
    picked.
    """

    ground: Ground
    cells: Sequence[Cell]
    needed: Mapping[str, Cell]
    jobs: Sequence[Job]
    batches: pd.DataFrame


@dataclass(frozen=True)
class Offered:
    """What strategies choose from: the feature table of each kind of features, the ids in them, and the sub-pools."""

    tables: Mapping[tuple[str | None, str | None], FeatureTable]
    usable: tuple[str, ...]
    parts: Sequence[tuple[str, ...]]

    def table(self, entry: StrategyEntry) -> FeatureTable:
        """Return the features that an entry chooses by."""
        return self.tables[entry.region, entry.preset]


def prepared(order: Order, run: Run, trainer: Mapping[str, Any], inputs: Mapping[str, str]) -> Prepared:
    """Bring scans and label maps into place, choose in every pool, and list the trainings."""
    data = order.data
    base = ground(order, run, trainer, inputs)
    chosen_cells, batches = _selected(order, run)
    cells = [c for c in chosen_cells if order.only is None or c.name == order.only.name]
    batches = batches if order.only is None else no_batches()
    picked = [c for c in data.pool.case_ids if any(c in cell.picks for cell in cells)]
    material = base.material(picked, data, run)
    needed = trainings(cells, base.fixed, inputs)
    jobs = [job_of(cell, key, order, base, material) for key, cell in needed.items()]
    return Prepared(base, cells, needed, jobs, batches)


def ground(order: Order, run: Run, trainer: Mapping[str, Any], inputs: Mapping[str, str]) -> Ground:
    """Keep the plan, and bring test scans into place once it is certain that each can be scored."""
    plan, data = order.plan, order.data
    workspace = run.workspace
    refuse_copies(data, inputs)
    atomic_write(workspace.out / PLAN, dump_json(told_plan(plan, data)))
    if data.pool.pseudonyms is not None:
        atomic_write(workspace.work / PLAN, dump_json(plan.model_dump(mode="json")), private=True)
    files = {name: found for name, found in inputs.items() if not name.startswith(COLUMNS)}
    place = workspace.folder("scans", identity(files))
    linked = [all_linkable(part) for part in (data.pool, data.test)]
    test = plain(data.test, data.test_labels, place / "test", run, "Converting test scans", linked=linked[1])
    check_test(test, data.classes, ignore=data.ignore, workers=run.settings.workers)
    names = test_images(test.pool, place / "imagesTs")
    fixed = {
        "config": trainer,
        "classes": dict(data.classes),
        "tolerance_mm": plan.tolerance_mm,
        "linked": linked,
        "version": __version__,
    }
    return Ground(
        place, names, {n: Path(test.labels[i]) for n, i in names.items()}, linked[0], fixed, workspace.folder("cells")
    )


def job_of(cell: Cell, key: str, order: Order, base: Ground, material: Material) -> Job:
    """Return the training that a cell asks for; ``material`` holds its picks."""
    plan, data = order.plan, order.data
    return Job(
        key=key,
        picks=cell.picks,
        training_seed=cell.training_seed,
        pool=material.pool.only(cell.picks),
        labels={c: material.labels[c] for c in cell.picks if c in material.labels},
        classes=data.classes,
        segmenter=plan.segmenter.name,
        options=plan.segmenter.options,
        images=base.place / "imagesTs",
        test_labels=base.test_labels,
        tolerance_mm=plan.tolerance_mm,
        folder=base.trainings,
        ignore=data.ignore,
        slices=cell.slices,
        work=cell.work,
    )


def _selected(order: Order, run: Run) -> tuple[list[Cell], pd.DataFrame]:
    """Extract features once for each kind of them and let every entry pick; without a trainer every cell fails.

    Returns the cells, and the properties of their batches by the features that random draws go with.
    """
    plan, data = order.plan, order.data
    try:
        segmenter(plan.segmenter.name, plan.segmenter.options).check()
    except UsageError as error:
        cells = expand(plan, data.pool.case_ids, None, lambda _: None)
        return [replace(c, picks=(), reason=str(error)) for c in cells], no_batches()
    there = offered(order, run)
    a_pool = sum(plan.seeds_of(e) * len(plan.annotations_of(e)) for e in plan.strategies)
    total = a_pool * len(plan.budgets) * max(len(there.parts), 1)
    with run.stage("Choosing", total) as progress:
        cells = expand(plan, there.usable, there.table, lambda label: progress.advance(1, label), there.parts)
    return cells, properties_of(plan, cells, there)


def offered(order: Order, run: Run) -> Offered:
    """Extract features once for each kind of them, and draw the sub-pools.

    Raises
    ------
    UsageError : features of scans that are not in the pool.  DataError : sub-pools too small for the plan.
    """
    plan, data = order.plan, order.data
    source = order.features or extractor(plan, run)
    tables: dict[tuple[str | None, str | None], FeatureTable] = {}
    for entry in plan.strategies:
        kind = (entry.region, entry.preset)
        if kind not in tables:
            tables[kind] = source(data.pool, entry)
    usable = next(iter(tables.values())).case_ids
    unknown = [c for c in usable if c not in data.pool]
    if unknown:
        raise UsageError(f"the feature table names cases that are not in the pool: {', '.join(unknown[:5])}")
    parts: list[tuple[str, ...]] = []
    if plan.pools is not None:
        largest = max(plan.budgets_for(round(plan.pools.share * len(usable))))
        parts = subpools(data.pool, usable, plan.pools, largest_budget=largest)
    return Offered(tables, usable, parts)


def properties_of(plan: Plan, cells: Sequence[Cell], there: Offered) -> pd.DataFrame:
    """Return the properties of what was picked, by the features that random draws go with."""
    told = next((e for e in plan.strategies if e.name == RANDOM), plan.strategies[0])
    return batch_properties(plan.name, cells, there.table(told), there.parts)
