"""Studies with rounds: after a first batch, does a rule that asks a model beat a random draw?

python benchmarks/rounds.py run PLAN --out WORK                 run a plan of benchmarks/plans/rounds, or go on with it
python benchmarks/rounds.py run PLAN --subpools N --out WORK    only its first N sub-pools: what is done so far
python benchmarks/rounds.py keep PLAN --out WORK                what is there into benchmarks/results/rounds/PLAN
python benchmarks/rounds.py bring PLAN --out WORK               kept trainings and predictions back, to go on from them

Scans come from FIRSTSCAN_TEST_DATA (else ../shared/data). ``keep`` also keeps every training's result and the
measures of every prediction (trainings.jsonl.gz), so that another machine goes on where this one stopped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from firstscan.steps.running.run import Settings
from firstscan.store import atomic_write
from firstscan.study.plan import Plan, plan_of, read_plan
from firstscan.study.run import study
from results import keep as keep_results

HERE = Path(__file__).resolve().parent
PLANS = {p.stem: p for p in sorted((HERE / "plans" / "rounds").glob("*.yaml"))}
KEPT = HERE / "results" / "rounds"
LINES = "trainings.jsonl.gz"
RESULTS, PREDICTIONS = Path("work", "cells", "results"), Path("work", "predictions")


def data_folder() -> Path:
    return Path(os.environ.get("FIRSTSCAN_TEST_DATA", HERE.parents[1] / "shared" / "data")).resolve()


def first_of(plan: Plan, subpools: int | None) -> Plan:
    """Return the plan with its first sub-pools only; they are drawn the same, however many there are."""
    if subpools is None or plan.pools is None:
        return plan
    told = plan.model_dump(mode="json")
    return plan_of({**told, "pools": {**told["pools"], "draws": subpools}})


def run(name: str, work: Path, subpools: int | None, workers: int | None) -> None:
    """Run a plan from the folder of the data sets, so that its paths fit; trainings that are done are kept."""
    os.chdir(data_folder())
    plan = first_of(read_plan(PLANS[name]), subpools)
    done = study(plan, work / name, Settings(workers=workers, overwrite=True))
    print(f"{name}: {done.cells} cells, {done.failed} failed")


def keep(name: str, work: Path) -> None:
    """Keep what the study holds: its tables and figures, if it came to an end, and every training and prediction."""
    kept = KEPT / name
    keep_results(work / name, data_folder(), kept)
    lines = [_training(p) for p in sorted((work / name / RESULTS).glob("*.json"))]
    lines += [_prediction(p) for p in sorted((work / name / PREDICTIONS).glob("*.npz"))]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    atomic_write(kept / LINES, gzip.compress(content, mtime=0))
    print(f"{name}: {len(lines)} trainings and predictions")


def _training(path: Path) -> dict[str, Any]:
    return {"training": path.stem, **json.loads(path.read_text(encoding="utf-8"))}


def _prediction(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {"prediction": path.stem, **{name: file[name].tolist() for name in file.files}}


def bring(name: str, work: Path) -> None:
    """Put what was kept where the study looks for it."""
    count = 0
    for line in gzip.decompress((KEPT / name / LINES).read_bytes()).decode().splitlines():
        row = json.loads(line)
        if "training" in row:
            target = work / name / RESULTS / f"{row.pop('training')}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(target, json.dumps(row).encode())
        else:
            target = work / name / PREDICTIONS / f"{row.pop('prediction')}.npz"
            target.parent.mkdir(parents=True, exist_ok=True)
            arrays = {key: np.array(value) for key, value in row.items()}
            with target.open("wb") as file:
                np.savez(file, **arrays)
        count += 1
    print(f"{name}: {count} trainings and predictions")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("run", "keep", "bring"))
    options.add_argument("name", choices=PLANS)
    options.add_argument("--out", type=Path, default=Path("out/rounds"))
    options.add_argument("--subpools", type=int)
    options.add_argument("--workers", type=int)
    given = options.parse_args()
    work = given.out.resolve()
    if given.what == "run":
        run(given.name, work, given.subpools, given.workers)
    elif given.what == "keep":
        keep(given.name, work)
    else:
        bring(given.name, work)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
