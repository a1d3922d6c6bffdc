"""Whether preset fast ranks scans as preset paper does: Spearman of U and of T between both on hippocampus scans.

python benchmarks/agreement.py --scans 40 --paper-steps 20

Scans: the folder that FIRSTSCAN_TEST_DATA names, else ../shared/data. On a CPU the paper's training has to be cut
short (``--paper-steps``, of 10,000), and a network that has hardly learnt agrees with nothing: read the number with
the steps that stand beside it. Each preset is also compared with itself under another seed (``--seeds 1`` leaves that
out): no agreement between two presets can be expected to be better than that. And ``fast`` after as few steps as
``paper`` was given is compared with both: what so short a training costs, whatever the preset, and whether both rank
alike when they have learnt equally little. ``--without-paper`` prints only what takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from scipy.stats import spearmanr

import firstscan as fs
from _measure import firstscan, machine
from firstscan.selection.geometry.neighbours import typicality

DATA = Path(os.environ.get("FIRSTSCAN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def measured(scans: Path, out: Path, preset: str, steps: int | None, seed: int) -> fs.FeatureTable:
    """Train and measure, and say how long it took."""
    steps_given = () if steps is None else ("--train-steps", steps)
    job = firstscan("extract", scans, "--preset", preset, *steps_given, "--seed", seed, "--out", out)
    print(f"preset {preset}, seed {seed}: {job}", flush=True)
    return fs.read_features(out)


def compared(one: fs.FeatureTable, other: fs.FeatureTable) -> str:
    """Return Spearman's ρ of U and T as words; both tables hold the same cases in the same order."""
    if one.case_ids != other.case_ids:
        raise SystemExit("the two runs kept different scans")
    by_u = spearmanr(one.uncertainty, other.uncertainty)[0]
    by_t = spearmanr(typicality(one.embeddings).values, typicality(other.embeddings).values)[0]
    return f"Spearman U {by_u:+.3f}, T {by_t:+.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=40, help="how many scans, every N-th by name")
    parser.add_argument("--paper-steps", type=int, default=20, help="training steps of preset paper")
    parser.add_argument("--seeds", type=int, choices=(1, 2), default=2, help="trainings of each preset")
    parser.add_argument("--without-paper", action="store_true", help="leave out the hour that preset paper takes")
    given = parser.parse_args()
    print(machine())
    files = sorted((DATA / "hippocampus" / "images").glob("*.nii.gz"))
    if not files:
        parser.exit(0, f"no hippocampus scans under {DATA}: set FIRSTSCAN_TEST_DATA\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = folder / "scans"
        scans.mkdir()
        for file in files[:: max(1, len(files) // given.scans)][: given.scans]:
            shutil.copy(file, scans)
        seeds = range(1, given.seeds + 1)
        fast = [measured(scans, folder / f"fast{seed}", "fast", None, seed) for seed in seeds]
        short = measured(scans, folder / "short", "fast", given.paper_steps, 1)
        after = f"after {given.paper_steps} steps"
        if given.seeds > 1:
            print("fast, two seeds    ", compared(*fast[:2]), flush=True)
        print(f"fast against fast {after}", compared(fast[0], short), flush=True)
        if given.without_paper:
            parser.exit()
        paper = [measured(scans, folder / f"paper{seed}", "paper", given.paper_steps, seed) for seed in seeds]
        if given.seeds > 1:
            print(f"paper {after}, two seeds", compared(*paper[:2]))
        print(f"fast against paper {after}", compared(fast[0], paper[0]))
        print(f"fast against paper, both {after}", compared(short, paper[0]))
