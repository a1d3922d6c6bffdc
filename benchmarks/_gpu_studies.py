"""Parts c to e of gpu.py: what needs scans. Agreement of two presets, relation to Dice, and cells of studies."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _gpu_network import preset_of, steps_per_second

if TYPE_CHECKING:
    from firstscan.domain.features import FeatureTable
    from gpu import Bench

HERE = Path(__file__).resolve().parent
STORED = HERE / "results" / "evidence" / "hippocampus-confirmation" / "batch_properties.csv"
EVIDENCE = HERE / "plans" / "evidence" / "hippocampus-confirmation.yaml"
STEPS = 3000
NNUNET = {"name": "nnunet", "trainer": "short", "epochs": 10, "iterations": 50, "device": "cuda", "workers": 4}


def part_c(bench: Bench) -> None:
    """Train fast and paper on hippocampus, and hold U and T of both against each other and against stored Dice."""
    from scipy.stats import spearmanr

    import firstscan as fs
    from firstscan.selection.geometry.neighbours import typicality

    scans = scans_of(bench) / "images"
    pool = fs.index(scans)
    tables: dict[str, FeatureTable] = {}
    for name, preset, steps, seed in _trainings(bench):
        began = time.perf_counter()
        folder = bench.work / name.replace(" ", "-")
        workers = 1 if bench.toy else None
        tables[name] = fs.extract(
            pool, preset=preset, seed=seed, train_steps=steps, out=folder, device=bench.device, workers=workers
        )
        bench.keep(name, scans=len(tables[name]), seconds=time.perf_counter() - began, **_stages(folder))
    (reference, first), *others = tables.items()
    typical = {name: typicality(table.embeddings).values for name, table in tables.items()}
    for name, table in others:
        bench.keep(
            f"Spearman of {reference} and {name}",
            U=float(spearmanr(first.uncertainty, table.uncertainty)[0]),
            T=float(spearmanr(typical[reference], typical[name])[0]),
        )
    batches = stored_batches(bench, first.case_ids)
    bench.say(f"  {len(batches)} random batches with the Dice of a unet each; properties in the pool of all scans")
    for name, table in tables.items():
        for what, found in goes_with(table, batches).items():
            bench.keep(f"{what} by {name} with Dice", **found)


def _trainings(bench: Bench) -> Iterator[tuple[str, str, int | None, int]]:
    """Yield name, preset, steps and seed of every training; of paper as many steps as the time allows."""
    if bench.toy:  # the paper's network is tried in parts a and b
        yield from (("fast", "fast", 2, 1), ("fast, 4 steps, in place of paper", "fast", 4, 2))
        return
    yield "fast", "fast", None, 1
    yield "fast, another seed", "fast", None, 2
    rate = steps_per_second(bench, preset_of(bench, "paper"), 10)["a_second"]
    steps = min(STEPS, int(0.75 * bench.left_s * rate))
    if steps < STEPS:
        bench.say(f"  {rate:.1f} steps a second: there is time for {steps} of {STEPS} steps")
    yield f"paper, {steps} steps", "paper", steps, 1


def stored_batches(bench: Bench, case_ids: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the random batches of the committed evidence, of which all picks are in the pool; in toy size made up."""
    if bench.toy:
        rng = np.random.default_rng(0)
        return [
            {
                "picks": rng.choice(case_ids, 2, replace=False).tolist(),
                "dice": float(rng.random()),
                "budget": ("whole", 2),
                "subpool": i % 2,
                "draw": i,
            }
            for i in range(16)
        ]
    known = set(case_ids)
    with STORED.open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["strategy"] == "random" and r["dice"]]
    found = [
        {
            "picks": row["picks"].split(),
            "dice": float(row["dice"]),
            "budget": (row["annotation"], row["budget"]),
            "subpool": row["subpool"],
            "draw": row["selection_seed"],
        }
        for row in rows
    ]
    kept = [batch for batch in found if known.issuperset(batch["picks"])]
    if not kept:
        bench.leave_out("no stored batch is of these scans")
    return kept


def goes_with(table: FeatureTable, batches: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return how mean U and T of picks, and how well they cover the pool, go with Dice: ρ, its interval, p."""
    from firstscan.metrics.association import Draws, coded, relation
    from firstscan.selection.groups import joined
    from firstscan.selection.trust.properties import PoolView

    view = PoolView(joined(table, ["embedding"]).table.embeddings)
    row_of = {case_id: i for i, case_id in enumerate(table.case_ids)}
    rows = [np.array([row_of[c] for c in batch["picks"]]) for batch in batches]
    seen = [view.of(at) for at in rows]
    values = {
        "U of picks": np.array([float(table.uncertainty[at].mean()) for at in rows]),
        "T of picks": np.array([one.typicality for one in seen]),
        "distance of the pool to its nearest pick": np.array([one.coverage for one in seen]),
    }
    draws = Draws(
        subpool=coded([b["subpool"] for b in batches]),
        draw=coded([b["draw"] for b in batches]),
        budget=coded([b["budget"] for b in batches]),
        picks=coded([frozenset(b["picks"]) for b in batches]),
    )
    dice = np.array([b["dice"] for b in batches])
    found = {name: relation(given, dice, draws) for name, given in values.items()}
    return {
        name: {"rho": r.rho, "low": r.low, "high": r.high, "p": r.pvalue, "batches": r.distinct}
        for name, r in found.items()
        if r is not None
    }


def part_d(bench: Bench) -> None:
    """Run random cells of the evidence study, one training at a time and several side by side, and compare Dice."""
    results = {}
    cores = len(os.sched_getaffinity(0))
    side_by_side = 1 if bench.toy else min(8, cores)  # in toy size, workers would take longer to begin than to train
    for name, workers, pools in (("alone", 1, 2), ("side by side", side_by_side, 2 if bench.toy else 8)):
        out = bench.work / f"unet-{name.replace(' ', '-')}"
        seconds, results[name] = run_study(bench, unet_plan(bench, pools), out, workers)
        found = results[name]
        bench.keep(
            f"unet cells {name}, --workers {workers}",
            trainings=len(found),
            failed=sum(r["status"] != "ok" for r in found.values()),
            trainings_a_minute=60 * len(found) / seconds,
            seconds_of_training=float(np.mean([r["seconds"].get("train", np.nan) for r in found.values()])),
            seconds_of_a_cell=float(np.mean([r["seconds"].get("all", np.nan) for r in found.values()])),
            dice=float(np.mean([s["dice"] for r in found.values() for s in r["scores"]])),
        )
    one, many = results.values()
    both = sorted(one.keys() & many.keys())
    same = all(one[k]["scores"] == many[k]["scores"] for k in both)
    bench.keep("the same trainings alone and side by side", trainings=len(both), same_scores=same)


def unet_plan(bench: Bench, pools: int) -> Any:
    """Return the confirmation plan of the evidence with random batches only, on this device."""
    from firstscan.study.plan import plan_of, read_plan

    plan = read_plan(EVIDENCE).model_dump(mode="json")
    scans = scans_of(bench)
    options = {**plan["segmenter"]["options"], "device": bench.device}
    source = {"source": str(scans / "images"), "labels": str(scans / "labels")}
    told = {
        "pool": {**plan["pool"], **source},
        "pools": {**plan["pools"], "draws": 2 if bench.toy else 12, "disjoint": False},
        "random_draws": 1,
        "budgets": [3],
        "strategies": [{"name": "random", "annotation": ["whole", {"every": 4}]}],
        "preset": "instant",
        "segmenter": {"name": "unet", "options": options},
    }
    if bench.toy:
        told["pool"] |= {"part": "all"}
        told |= {"budgets": [1], "segmenter": {"name": "unet", "options": {**options, "iterations": 3, "patch": 16}}}
        told["strategies"] = ["random"]
    else:
        told["pools"]["draws"] = pools
    return plan_of(plan | told)


def part_e(bench: Bench) -> None:
    """Run nnU-Net with a short schedule on what random, the default and cscs pick, and on every 4th slice."""
    from firstscan.domain.errors import UsageError
    from firstscan.segmentation.nnunet.segmenter import NnUnet
    from firstscan.selection.registry import DEFAULT_STRATEGY
    from firstscan.study.plan import plan_of

    scans = scans_of(bench)
    plan = plan_of(
        {
            "name": "nnunet",
            "pool": {"source": str(scans / "images"), "labels": str(scans / "labels")},
            "test": {"fraction": 0.1, "seed": 15},
            "classes": {"anterior": 1, "posterior": 2},
            "budgets": [3],
            "strategies": [
                {"name": "random", "annotation": ["whole", {"every": 4}]},
                {"name": DEFAULT_STRATEGY, "annotation": ["whole"]},
                {"name": "cscs", "annotation": ["whole"]},
            ],
            "selection_seeds": {"random": 1, "default": 1},
            "preset": "fast",
            "segmenter": NNUNET,
        }
    )
    try:
        NnUnet().check()
    except UsageError as error:
        bench.leave_out(f"nnU-Net is not installed here ({error})")
    if bench.toy:
        bench.leave_out("on a processor a cell takes minutes: benchmarks/nnunet_cell.py measures one")
    seconds, results = run_study(bench, plan, bench.work / "nnunet", 1)
    for result in results.values():
        bench.keep(
            "nnU-Net cell",
            status=result["status"],
            reason=result["reason"],
            dice=float(np.mean([s["dice"] for s in result["scores"]] or [np.nan])),
            seconds=result["seconds"].get("all", float("nan")),
        )
    bench.keep("nnU-Net cells", seconds=seconds)


def run_study(bench: Bench, plan: Any, out: Path, workers: int) -> tuple[float, dict[str, dict[str, Any]]]:
    """Run a plan as ``firstscan study`` does; return the seconds of its trainings, and their results by key."""
    from firstscan.steps.running.run import Settings
    from firstscan.study.run import study

    with _in(bench.work):
        study(plan, out, Settings(workers=workers, device=bench.device))
    found = {p.stem: json.loads(p.read_text()) for p in (out / "work" / "cells" / "results").glob("*.json")}
    log = [json.loads(line) for line in (out / "work" / "log.jsonl").read_text().splitlines()]
    seconds = next(row["seconds"] for row in log if row.get("name") == "Training models")
    return seconds, found


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _stages(folder: Path) -> dict[str, float]:
    """Return the seconds of each stage of an extraction, by its name."""
    rows = [json.loads(line) for line in (folder / "work" / "log.jsonl").read_text().splitlines()]
    return {str(r["name"]).lower(): r["seconds"] for r in rows if r["event"] == "stage"}


def scans_of(bench: Bench) -> Path:
    """Return the folder of hippocampus scans and labels; in toy size a few made-up ones."""
    folder = bench.data / "hippocampus"
    if not bench.toy:
        if not (folder / "images").is_dir():
            bench.leave_out(f"there are no hippocampus scans below {bench.data}")
        return folder
    folder = bench.work / "toy"
    if not folder.exists():
        _make(folder, 8)
    return folder


def _make(folder: Path, count: int) -> None:
    """Write scans of two touching boxes in noise, which differ in place and size, and their label maps."""
    import nibabel as nib

    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        labels = np.zeros((24, 32, 24), np.uint8)
        at = rng.integers(3, 8, 3)
        ends = at + rng.integers(8, 14, 3)
        middle = int(at[1] + ends[1]) // 2
        for value, (low, high) in enumerate(pairwise((int(at[1]), middle, int(ends[1]))), start=1):
            labels[at[0] : ends[0], low:high, at[2] : ends[2]] = value
        voxels = 100 + 60 * labels + rng.normal(0, 8, labels.shape)
        for part, values in (("images", voxels.astype(np.float32)), ("labels", labels)):
            nib.save(nib.Nifti1Image(values, np.eye(4)), folder / part / f"hippocampus_{i:03d}.nii.gz")
