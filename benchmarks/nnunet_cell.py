"""Full nnU-Net cells of a study on a processor: hippocampus, 1 and 3 labels, the short trainer.

Run: python benchmarks/nnunet_cell.py [--out FOLDER] [--every K] [--budgets B …] [--kill SECONDS]
(FIRSTSCAN_NNUNET names nnU-Net's environment; --every K labels every K-th slice of K times as many scans)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from _measure import machine
from firstscan.domain.errors import UsageError
from firstscan.segmentation.nnunet.segmenter import NnUnet

DATA = Path(os.environ.get("FIRSTSCAN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
EVERY = 5
PLAN = """
name: nnunet_cell
pool: {{source: {folder}/images, labels: {folder}/labels}}
test: {{fraction: 0.15, seed: 2026}}
classes: {{anterior: 1, posterior: 2}}
budgets: {budgets}
strategies: [cscs]
selection_seeds: {{default: 1}}
preset: fast
train_steps: 20
annotation: [{annotation}]
segmenter: {{name: nnunet, trainer: short, epochs: {epochs}, iterations: {iterations}{mirroring}, device: cpu}}
"""


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--out", type=Path, help="folder of the study; default: a temporary one")
    told.add_argument("--kill", type=float, metavar="S", help="kill the study S seconds into a training and resume it")
    told.add_argument("--epochs", type=int, default=10, help="epochs; the short trainer's own are 10")
    told.add_argument("--iterations", type=int, default=25, help="steps an epoch; the short trainer's own are 25")
    told.add_argument("--every", type=int, default=1, metavar="K", help="label every K-th slice only; default: whole")
    told.add_argument("--budgets", type=int, nargs="+", default=[1, 3], metavar="B", help="work of B whole scans each")
    told.add_argument("--no-mirroring", action="store_true", help="predict each scan once, not mirrored eight ways")
    options = told.parse_args()
    try:
        NnUnet().check()
    except UsageError as error:
        print(error)
        return
    if not (DATA / "hippocampus").is_dir():
        print(f"no hippocampus scans below {DATA}: set FIRSTSCAN_TEST_DATA")
        return
    with tempfile.TemporaryDirectory(prefix="nnunet-cell-") as scratch:
        annotation = "whole" if options.every == 1 else f"{{every: {options.every}}}"
        plan = PLAN.format(
            folder=scratch,
            epochs=options.epochs,
            iterations=options.iterations,
            budgets=options.budgets,
            annotation=annotation,
            mirroring=", mirroring: false" if options.no_mirroring else "",
        )
        measure(Path(scratch), plan, options.out or Path(scratch) / "study", options.kill)


def measure(scratch: Path, content: str, out: Path, kill_after: float | None) -> None:
    for part in ("images", "labels"):
        (scratch / part).mkdir()
        for path in sorted((DATA / "hippocampus" / part).glob("*.nii.gz"))[::EVERY]:
            (scratch / part / path.name).symlink_to(path)
    plan = scratch / "plan.yaml"
    plan.write_text(content)
    command = [str(Path(sys.executable).with_name("firstscan")), "study", str(plan), "--out", str(out)]
    print(machine())
    print("\n".join(line for line in content.splitlines() if line.startswith(("annotation", "segmenter"))))
    if kill_after is not None:
        print(f"killed in epoch {kill_in_training(command, out, kill_after)} of a training, and started again")
    began = time.perf_counter()
    subprocess.run(command, check=True)
    print(f"study: {time.perf_counter() - began:.0f} s wall")
    tell(out)


def kill_in_training(command: list[str], out: Path, after_s: float) -> int:
    """Start the study, end it the hard way some seconds after its first nnU-Net epoch; return the epoch reached."""
    with subprocess.Popen(command) as process:
        while not logs(out) or "Epoch 1" not in logs(out)[0].read_text():
            if process.poll() is not None:
                raise SystemExit("the study ended before it could be killed")
            time.sleep(1)
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
    return epochs(logs(out)[0])[-1]


def logs(out: Path) -> list[Path]:
    return sorted(out.glob("work/cells/scratch/*/model/nnunet.log"))


def epochs(log: Path) -> list[int]:
    return [int(n) for n in re.findall(r"Epoch (\d+)", log.read_text())]


def tell(out: Path) -> None:
    """Print what was picked, what it scored, what it took, and which versions did it."""
    scores, cells = pd.read_parquet(out / "scores.parquet"), pd.read_csv(out / "cells.csv", keep_default_na=False)
    costs = pd.read_csv(out / "costs.csv")
    for cell, cost in zip(cells.to_dict("records"), costs.to_dict("records"), strict=True):
        mine = scores[(scores["budget"] == cell["budget"]) & (scores["status"] == "ok")]
        by_class = mine.groupby("class")[["dice", "hd95_mm", "nsd"]].mean().round(3).to_dict("index")
        print(
            f"{cell['strategy']}, {cell['budget']} label(s): {cell['status']} {cell['reason']}; picks {cell['picks']}"
        )
        if cell["status"] != "ok":
            continue
        print(
            f"  annotated: {cell['annotation']}, {cost['slices']:.0f} slices of {cost['cases']} scan(s), "
            f"{cost['foreground_slices']:.0f} of them with foreground; the rest is ignored"
            if cell["annotation"] != "whole"
            else f"  annotated: whole, {cost['slices']:.0f} slices of {cost['cases']} scan(s)"
        )
        print(f"  {mine['case_id'].nunique()} test scans; {json.dumps(by_class)}")
        print(
            f"  trained in {cost['train_s']:.0f} s, predicted in {cost['predict_s']:.0f} s, all {cost['all_s']:.0f} s"
        )
    print(json.dumps(json.loads((out / "about.json").read_text())["versions"], sort_keys=True))


if __name__ == "__main__":
    main()
