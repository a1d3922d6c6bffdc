"""Plan → results: features once, one training for each set of picks, every cell a recorded row."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from firstscan._version import __version__
from firstscan.domain.errors import DataError
from firstscan.execution import Progress, check_engine, engine_session
from firstscan.segmentation.registry import resolved, segmenter
from firstscan.steps.running.results import finished, guard
from firstscan.steps.running.run import Run, Settings
from firstscan.store import atomic_write, dump_json, open_workspace, write_manifest
from firstscan.store.manifest import NAME as MANIFEST

from .cells import Cell, training_key
from .data import StudyData, read_data
from .features import check_strategies, feature_seconds
from .plan import Plan
from .prepared import FeatureSource, Order, fingerprints, prepared, told_plan
from .publishing.page import About
from .publishing.publish import ABOUT, CELLS, RESULT, SCORES, background_of, publish, read_batches, write_batches
from .publishing.sentences import beforehand
from .publishing.tables import label_count
from .records import KEYS, write_tables
from .table import read_scores, score_rows, write_scores
from .training import Job, read_result, run_job
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
            write_manifest(out, kind="study", version=__version__, config=config, inputs=inputs, files=RESULT)
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
    trainer = segmenter(plan.segmenter.name, plan.segmenter.options)
    with open_workspace(out) as workspace, engine_session(settings.engine):
        run = Run(workspace, settings)
        data = read_data(plan, run)
        ready = prepared(Order(plan, data, None, None), run, resolved(trainer), fingerprints(data))
    return [job for job in ready.jobs if read_result(job.result) is None]


def _run(order: Order, run: Run, trainer: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
    """Do the work of a study and write every file but the manifest."""
    plan, data = order.plan, order.data
    ready = prepared(order, run, trainer, inputs)
    done = sum(read_result(job.result) is not None for job in ready.jobs)
    run.settings.progress.say(beforehand(plan, len(ready.jobs), done))
    sees = [Path(p.source) for p in (data.pool, data.test)]
    results = _trained(ready.jobs, {k: _title(c) for k, c in ready.needed.items()}, run, sees)
    told = [(c, results[training_key(c, ready.fixed, inputs)] if c.picks else _without_picks(c)) for c in ready.cells]
    out = run.workspace.out
    write_scores(out / SCORES, score_rows(plan.name, told, ready.names))
    write_tables(out, told)
    write_batches(out, ready.batches, read_scores(out / SCORES))
    atomic_write(out / ABOUT, dump_json(_about(plan, data, run, brought=order.features is not None)))
    publish(out, read_scores(out / SCORES), background_of([out]), read_batches([out]))


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
    )


def _unsettled(out: Path) -> bool:
    """Tell whether a finished study lacks a file, or a cell of it failed: what stopped it may have passed since."""
    if not all((out / name).is_file() for name in RESULT):
        return True
    return bool((pd.read_csv(out / CELLS)["status"] == "failed").any())


def _trained(
    jobs: Sequence[Job], titles: Mapping[str, str], run: Run, sees: Sequence[Path]
) -> dict[str, dict[str, Any]]:
    """Return the result of every job, training only what is missing; workers must see the paths in ``sees``."""
    results = {job.key: found for job in jobs if (found := read_result(job.result)) is not None}
    missing = [(job.key, job) for job in jobs if job.key not in results]
    missing.sort(key=lambda item: -len(item[1].picks))  # the longest first, so that at the end no worker waits for long
    alone = bool(jobs) and segmenter(jobs[0].segmenter, jobs[0].options).fills_machine
    workers = run.settings.workers or (1 if alone and run.settings.engine == "local" else None)
    with run.stage("Training models", len(jobs)) as progress:
        progress.advance(len(results), "done before" if results else "")
        here = workers == 1 and run.settings.engine == "local"
        work = _relayed(progress) if here else run_job
        for key, result in run.cases(work, missing, gpu=_on_gpu(jobs), workers=workers, sees=sees):
            if isinstance(result, Exception):
                result = {"status": "failed", "reason": str(result), "scores": [], "seconds": {}}  # noqa: PLW2901
            results[key] = result
            if result["status"] == "ok":
                mean = sum(s["dice"] if isinstance(s, dict) else s.dice for s in result["scores"])
                progress.advance(1, f"{titles[key]}: Dice {mean / max(len(result['scores']), 1):.3f}")
                if absent := result.get("absent_classes"):
                    progress.say(
                        f"{titles[key]}: no pick holds {', '.join(absent)}, which no model can learn from them"
                    )
            else:
                progress.say(f"{titles[key]} failed: {result['reason']}")
                progress.advance(1)
    fresh = {job.key: read_result(job.result) for job in jobs}
    return {key: fresh[key] or result for key, result in results.items()}


def _on_gpu(jobs: Sequence[Job]) -> bool:
    """Tell whether the plan's segmenter trains on a GPU, which a worker of a cluster then has to itself."""
    return bool(jobs) and str(jobs[0].options.get("device", "cpu")).startswith("cuda")


def _relayed(progress: Progress) -> Callable[[Job], dict[str, Any]]:
    """Return :func:`run_job` telling how far the training at hand is."""

    def work(job: Job) -> dict[str, Any]:
        return run_job(job, lambda done, total, note: progress.advance(0, f"{done}/{total} {note}"))

    return work


def _title(cell: Cell) -> str:
    return f"{cell.strategy}, {label_count(cell.budget)}"


def _without_picks(cell: Cell) -> dict[str, Any]:
    return {"status": "failed", "reason": cell.reason or "no picks", "scores": [], "seconds": {}}


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
