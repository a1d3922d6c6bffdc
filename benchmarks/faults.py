"""The whole job, killed with SIGKILL at random moments until it is through, again and again: nothing may change.

Every life of a job is a process with its workers in a group of its own. Half of the kills hit the whole group, as when
the power goes, half the job alone, whose workers then have to end by themselves. When a job comes through, all that it
wrote is compared with that of an undisturbed one, and the next begins in a new folder.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from _measure import machine
from firstscan.imaging import write_image

RESULTS = ("findings.csv", "training.csv", "features.parquet", "selection.csv", "selection.json", "report.html")
RESULTS += ("manifest.json",)


def cohort(folder: Path, cases: int) -> Path:
    """Write noisy ellipsoids, one of them twice, and one file that is no scan."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, s) for s in (20, 22, 18)], indexing="ij"))
    for i in range(cases):
        inside = ((grid / rng.uniform(0.5, 0.8, 3)[:, None, None, None]) ** 2).sum(axis=0) < 1
        texture = 100 + 20 * np.sin(grid[i % 3] * (2 + i)) + rng.normal(0, 1 + i, grid.shape[1:])
        voxels = np.where(inside, texture, rng.random(grid.shape[1:])).astype(np.float32)
        write_image(folder / f"scan_{i:02d}.nii.gz", voxels, np.diag([1.0, 1.0, 1.5, 1.0]))
    (folder / "copy.nii.gz").write_bytes((folder / "scan_00.nii.gz").read_bytes())
    (folder / "broken.nii.gz").write_bytes(b"not a scan")
    return folder


def begin(source: Path, out: Path, workers: int) -> int:
    """Run the job in a forked process, which is the head of a group; return its id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    os.setsid()
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    from firstscan.cli import run

    job = ["select", str(source), "--budget", "3", "--out", str(out), "--preset", "fast", "--train-steps", "6"]
    os._exit(run([*job, "--workers", str(workers), "--device", "cpu"]))


def ended(child: int, within_s: float) -> int | None:
    """Return the exit code of a process that ends in time, else None."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def kill(child: int, *, group: bool) -> None:
    os.killpg(child, signal.SIGKILL) if group else os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def same(out: Path, whole: Path) -> list[str]:
    """Return the names of the results that are not those of the undisturbed run, and of what was left behind."""
    other = [name for name in RESULTS if (out / name).read_bytes() != (whole / name).read_bytes()]
    return other + [str(path.relative_to(out)) for path in out.rglob("*.tmp")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(machine())

    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = cohort(root / "scans", given.cases)
        start = time.monotonic()
        if ended(begin(source, root / "whole", 1), 3600) != 0:
            raise SystemExit("the undisturbed run failed")
        lasted = time.monotonic() - start
        print(f"undisturbed: {lasted:.1f} s")
        kills, jobs, different, stages = 0, 0, 0, []
        while kills < given.kills:
            jobs += 1
            out, lives = root / f"job{jobs}", 0
            while True:
                lives += 1
                child = begin(source, out, 1 + jobs % 2)
                moment = draw.uniform(0, 0.8 * lasted) if kills < given.kills else 3600.0
                code = ended(child, moment)
                if code is not None:
                    break
                kill(child, group=kills % 2 == 0)
                kills += 1
                log = out / "work" / "log.jsonl"
                stages.append(log.read_text().count('"stage"') if log.exists() else 0)
            wrong = same(out, root / "whole") if code == 0 else [f"exit {code}"]
            different += bool(wrong)
            print(
                f"job {jobs}: {lives - 1} kills, then exit {code}; different: {', '.join(wrong) or 'nothing'}",
                flush=True,
            )
        print(f"{kills} kills over {jobs} jobs, stages finished in a folder when it was hit: {sorted(set(stages))}")
        print(f"jobs whose results differ from the undisturbed one's: {different}")
