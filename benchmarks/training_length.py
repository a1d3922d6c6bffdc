"""How long a small U-Net must be trained: Dice of random batches over training steps, whole scans and every 4th slice.

python benchmarks/training_length.py DATASET… --out WORK [--steps 150 300 600 1200] [--subpools 6]

DATASET: hippocampus, head_neck_ct, left_atrium or cardiac, laid out by ``evidence.py pools --out WORK``. The
development half serves, the work is that of three whole scans, one random draw a sub-pool; the batches are the same at
every length. Finished trainings are kept, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from _measure import machine
from firstscan.steps.running.run import Settings
from firstscan.study.plan import Plan, plan_of, read_plan
from firstscan.study.run import study

HERE = Path(__file__).resolve().parent
STEPS = (150, 300, 600, 1200)
ANNOTATIONS = ("whole", "every 4")


def at_length(dataset: str, steps: int, subpools: int) -> Plan:
    """Return the plan of one length: that of the development half, random only."""
    plan = read_plan(HERE / "plans" / "evidence" / f"{dataset}-development.yaml").model_dump(mode="json")
    options = {**plan["segmenter"]["options"], "iterations": steps}
    return plan_of(
        plan
        | {
            "name": f"{dataset}-{steps}-steps",
            "pools": {**plan["pools"], "draws": subpools},
            "random_draws": 1,
            "budgets": [3],
            "strategies": [{"name": "random", "annotation": ["whole", {"every": 4}]}],
            "segmenter": {"name": "unet", "options": options},
        }
    )


def dice_of(dataset: str, steps: int, subpools: int, work: Path, workers: int) -> dict[str, np.ndarray]:
    """Run one length and return the mean Dice of each sub-pool's batch, by annotation."""
    os.chdir(work / "data")
    plan = at_length(dataset, steps, subpools)
    done = study(plan, work / "length" / plan.name, Settings(workers=workers))
    found = done.scores.groupby(["annotation", "subpool"])["dice"].mean()
    return {a: found[a].to_numpy() for a in ANNOTATIONS}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("datasets", nargs="+")
    options.add_argument("--out", type=Path, default=Path("out/evidence"))
    options.add_argument("--steps", type=int, nargs="+", default=STEPS)
    options.add_argument("--subpools", type=int, default=6)
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    work = given.out.resolve()
    print(machine())
    for dataset in given.datasets:
        print(f"\n{dataset}: mean Dice of {given.subpools} random batches, the work of 3 scans (standard error)")
        for steps in given.steps:
            dice = dice_of(dataset, steps, given.subpools, work, given.workers)
            whole, sliced = (dice[a] for a in ANNOTATIONS)
            gain = sliced - whole
            print(
                f"{steps:6d} steps   whole {_told(whole)}   every 4th {_told(sliced)}   difference {_told(gain)}",
                flush=True,
            )
    return 0


def _told(values: np.ndarray) -> str:
    return f"{values.mean():+.3f} ({values.std(ddof=1) / len(values) ** 0.5:.3f})"


if __name__ == "__main__":
    raise SystemExit(main())
