"""The main job from cold, again, and killed: time, memory, and whether its signals follow what they should not.

python benchmarks/main_job.py                   the demo cohort, then the 200 hippocampus scans
python benchmarks/main_job.py --only demo       one of them
python benchmarks/main_job.py --only instant    preset instant against fast on the 200 scans, and its measures a scan
python benchmarks/main_job.py --seeds 42 1 2    the signals under several seeds

Scans: the folder that FIRSTSCAN_TEST_DATA names, else ../shared/data.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import firstscan as fs
from _measure import firstscan, machine
from firstscan.domain.volume import Crop
from firstscan.imaging import read_array
from firstscan.imaging.measures import appearance, texture
from firstscan.selection.geometry.neighbours import typicality

DATA = Path(os.environ.get("FIRSTSCAN_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def followed(out: Path, what: str, against: np.ndarray | None = None) -> str:
    """Return Spearman's correlation of U and of T with a covariate of the table, or with ``against``, as a line."""
    features = fs.read_features(out)
    selection = fs.read_selection(out)
    density = typicality(features.embeddings)
    values = features.covariates[what].astype(float) if against is None else against
    u, t = (spearmanr(signal, values)[0] for signal in (features.uncertainty, density.values))
    return f"Spearman with {what}: U {u:+.3f}, T {t:+.3f} (DCR {selection.diagnostics['dcr']:+.3f})"


def labelled_air(out: Path) -> np.ndarray:
    """Return the true share of air in every file of the demo: what its label map calls background."""
    labels = [out / "cohort" / "labels" / f"{case_id}.nii.gz" for case_id in fs.read_features(out).case_ids]
    return np.array([float((read_array(path)[0] == 0).mean()) for path in labels])


def demo(folder: Path) -> None:
    out = folder / "demo"
    print("firstscan demo         ", firstscan("demo", "--out", out))
    print("  the same again       ", firstscan("demo", "--out", out))
    print("  ", followed(out, "share of air by the labels", labelled_air(out)))
    print("  ", followed(out, "air_share"), "as measured, where ghosts of motion are no air")


def hippocampus(folder: Path, seeds: list[int]) -> None:
    scans = DATA / "hippocampus" / "images"
    if not scans.is_dir():
        print(f"no hippocampus scans at {scans}: set FIRSTSCAN_TEST_DATA")
        return
    for seed in seeds:
        out = folder / f"hippocampus{seed}"
        job = ("select", scans, "--budget", 10, "--preset", "fast", "--seed", seed, "--out", out)
        print(f"200 hippocampus, seed {seed}", firstscan(*job))
        print("  the same again       ", firstscan(*job))
        print("  ", followed(out, "voxel_count"))
    killed(scans, folder / "killed", folder / f"hippocampus{seeds[0]}", seeds[0])


def instant(folder: Path) -> None:
    """Time the preset without a network against ``fast`` in the same run, both from cold, and its measures by scan."""
    scans = DATA / "hippocampus" / "images"
    if not scans.is_dir():
        print(f"no hippocampus scans at {scans}: set FIRSTSCAN_TEST_DATA")
        return
    times = {}
    for preset in ("instant", "fast", "instant"):
        out = folder / f"{preset}{len(times)}"
        found = firstscan("select", scans, "--budget", 10, "--preset", preset, "--out", out)
        times[preset] = min(found, times.get(preset, found), key=lambda m: m.wall_s)
        print(f"200 hippocampus, preset {preset:<8}", found)
    wall, cpu = (getattr(times["instant"], what) / getattr(times["fast"], what) for what in ("wall_s", "cpu_s"))
    print(f"  instant takes {wall:.2f} of the time of fast, {cpu:.2f} of its processor time")
    crops = [Crop("x", np.load(f), np.load(f.with_suffix(".mask.npy")), 1.0) for f in _crops(folder / "instant0")]
    began = time.process_time()
    for crop in crops:
        appearance(crop)
        texture(crop)
    spent = (time.process_time() - began) / len(crops)
    print(f"  appearance and texture: {1000 * spent:.1f} ms of one core a scan, {len(crops)} scans at 48³")


def _crops(out: Path) -> list[Path]:
    return [f for f in sorted((out / "work" / "crops").rglob("*.npy")) if not f.name.endswith(".mask.npy")]


def killed(scans: Path, out: Path, whole: Path, seed: int) -> None:
    """Kill the job again and again, each time later, and compare what it ends with."""
    command = [str(Path(sys.executable).with_name("firstscan")), "select", str(scans), "--budget", "10"]
    command += ["--preset", "fast", "--seed", str(seed), "--out", str(out)]
    times, after_s = 0, 4.0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            code = process.wait(after_s)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            times, after_s = times + 1, after_s * 1.6
            time.sleep(0.5)
    same = [(out / f).read_bytes() == (whole / f).read_bytes() for f in ("features.parquet", "selection.csv")]
    print(f"  killed {times} times, then exit {code}: features identical {same[0]}, picks identical {same[1]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["demo", "hippocampus", "instant"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        if given.only in {None, "demo"}:
            demo(Path(name))
        if given.only in {None, "instant"}:
            instant(Path(name))
        if given.only in {None, "hippocampus"}:
            hippocampus(Path(name), given.seeds)
