"""Plan → results: features once, one training for each set of picks, every cell a recorded row."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.execution import check_engine, engine_session
from firstscan.segmentation.registry import resolved, segmenter
from firstscan.steps.running.results import finished, guard
from firstscan.steps.running.run import Run, Settings
from firstscan.store import atomic_write, dump_json, open_workspace, write_manifest
from firstscan.store.manifest import NAME as MANIFEST

from .cells import Cell, training_key
from .data import StudyData, read_data
from .features import check_queries, check_strategies, feature_seconds
from .plan import Plan
from .prepared import FeatureSource, Order, fingerprints, prepared, told_plan
from .publishing.page import About
from .publishing.publish import (
    ABOUT,
    CELLS,
    RESULT,
    SCORES,
    background_of,
    publish,
    read_batches,
    write_batches,
    written,
)
from .publishing.sentences import beforehand
from .records import KEYS, write_tables
from .rounds.running import rounds
from .table import read_scores, score_rows, write_scores
from .training import Done, Job, read_result, title, trained, without_picks
from .versions import versions


@dataclass(frozen=True)
class Studied:
    """A finished study: its folder, its scores, and how many cells failed."""

    out: Path
    scores: pd.DataFrame
    cells: int
    failed: int


def study(
    plan: Plan, out: Path, settings: Settings, features: FeatureSource | None = None, *, only: Cell | None = None
) -> Studied:
    """Run a plan to its end, or resume it; a finished training is never repeated, a failed one is tried again.

    ``features(pool, entry)`` replaces extraction: it returns the feature table of the pool. ``only``: of all cells, do
    the one with this name and these seeds.

    Raises
    ------
    UsageError : a plan that cannot be run, or ``out`` holds another study.  DataError : the data cannot serve.
    """
    began = time.perf_counter()
    trainer = segmenter(plan.segmenter.name, plan.segmenter.options)
    check_strategies(plan)
    check_queries(plan)
    check_engine(settings.engine)
    config = {**plan.model_dump(mode="json"), "segmenter": resolved(trainer)}
    if only is not None:
        config["only"] = only.name
    with open_workspace(out) as workspace, engine_session(settings.engine):
        run = Run(workspace, settings)
        data = read_data(plan, run)
        if data.pool.pseudonyms is not None:
            config |= told_plan(plan, data, folders=("pool", "test"))
        inputs = fingerprints(data)
        workspace.log("start", kind="study", version=__version__, seconds=round(time.perf_counter() - began, 3))
        manifest = guard(out, "study", config, overwrite=settings.overwrite)
        if not finished(out, manifest, "study", inputs) or _unsettled(out):
            (out / MANIFEST).unlink(missing_ok=True)
            _run(Order(plan, data, features, only), run, resolved(trainer), inputs)
            write_manifest(
                out, kind="study", version=__version__, config=config, inputs=inputs, files=written(out, RESULT)
            )
        workspace.log("end", kind="study", seconds=round(time.perf_counter() - began, 3))
    scores = read_scores(out / SCORES)
    cells = scores.drop_duplicates(list(KEYS))
    return Studied(out, scores, len(cells), int((cells["status"] == "failed").sum()))


def pending(plan: Plan, out: Path, settings: Settings) -> list[Job]:
    """Extract features, let every strategy pick, and return the trainings that have no result yet.

    They can be run elsewhere: where :attr:`Job.result` is written as :func:`run_job` writes it, the study counts it as
    done. Such a result tells in ``device`` what it ran on.

    Raises
    ------
    UsageError, DataError : see :func:`study`.
    """
    if plan.rounds is not None:
        raise UsageError("a plan with rounds has no list of trainings: later ones depend on what earlier ones predict")
    trainer = segmenter(plan.segmenter.name, plan.segmenter.options)
    with open_workspace(out) as workspace, engine_session(settings.engine):
        run = Run(workspace, settings)
        data = read_data(plan, run)
        ready = prepared(Order(plan, data, None, None), run, resolved(trainer), fingerprints(data))
    return [job for job in ready.jobs if read_result(job.result) is None]


def _run(order: Order, run: Run, trainer: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Do the work of a study and write every file but the manifest."""
    plan, data = order.plan, order.data
    if plan.rounds is None:
        told, names, batches = _budgets(order, run, trainer, inputs)
    else:
        told, names, batches = rounds(order, run, trainer, inputs)
    out = run.workspace.out
    write_scores(out / SCORES, score_rows(plan.name, told, names))
    write_tables(out, told)
    write_batches(out, batches, read_scores(out / SCORES))
    atomic_write(out / ABOUT, dump_json(_about(plan, data, run, brought=order.features is not None)))
    publish(out, read_scores(out / SCORES), background_of([out]), read_batches([out]))


def _budgets(order: Order, run: Run, trainer: Mapping[str, Any], inputs: Mapping[str, str]) -> Done:
    """Let every entry pick at every budget, and train on all that."""
    ready = prepared(order, run, trainer, inputs)
    done = sum(read_result(job.result) is not None for job in ready.jobs)
    run.settings.progress.say(beforehand(order.plan, len(ready.jobs), done))
    sees = [Path(p.source) for p in (order.data.pool, order.data.test)]
    results = trained(ready.jobs, {k: title(c) for k, c in ready.needed.items()}, run, sees)
    told = [
        (c, results[training_key(c, ready.ground.fixed, inputs)] if c.picks else without_picks(c)) for c in ready.cells
    ]
    return told, ready.ground.names, ready.batches


def _about(plan: Plan, data: StudyData, run: Run, *, brought: bool) -> About:
    trainer = segmenter(plan.segmenter.name, plan.segmenter.options)
    return About(
        name=plan.name,
        segmenter=resolved(trainer),
        preset=plan.preset,
        pool_cases=len(data.pool),
        test_cases=len(data.test),
        classes=dict(data.classes),
        tolerance_mm=plan.tolerance_mm,
        ceiling=plan.ceiling,
        brought=brought,
        work=feature_seconds(run.workspace.work),
        versions=versions(trainer),
        subpool_cases=round(plan.pools.share * len(data.pool)) if plan.pools is not None else 0,
        rounds=plan.rounds or (),
        restart=plan.restart if plan.rounds else "",
    )


def _unsettled(out: Path) -> bool:
    """Tell whether a finished study lacks a file, or a cell of it failed: what stopped it may have passed since."""
    if not all((out / name).is_file() for name in RESULT):
        return True
    return bool((pd.read_csv(out / CELLS)["status"] == "failed").any())


def run_plan_file(path: Path, out: Path, settings: Settings) -> Studied:
    """Run the plan in a YAML file; what ``firstscan study`` does.

    Raises
    ------
    UsageError, DataError : see :func:`study` and :func:`firstscan.study.plan.read_plan`.
    """
    from .plan import read_plan

    result = study(read_plan(path), out, settings)
    if result.failed == result.cells:
        reasons = result.scores.loc[result.scores["status"] == "failed", "reason"].value_counts()
        raise DataError(f"all {result.cells} cells failed; most often: {reasons.index[0]}")
    return result
