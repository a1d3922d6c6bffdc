"""The committed evidence: sub-pools of four data sets, development and confirmation halves, and plans by slice.

python benchmarks/evidence.py pools --out WORK       lay out the data sets below WORK/data
python benchmarks/evidence.py run PLAN --out WORK    run one plan of benchmarks/plans/evidence, or go on with it
python benchmarks/evidence.py export PLAN… --out WORK --to FOLDER    trainings that are missing, for another machine
python benchmarks/evidence.py bring FILE… --out WORK                 results of such a machine back into the studies
python benchmarks/evidence.py together --out WORK    compare the confirmation runs, and keep all in benchmarks/results

Left atrium and cardiac scans are mirrors of challenge data: --mirrors names the folder that holds la2018 and acdc_ed,
each with images and labels. All else comes from FIRSTSCAN_TEST_DATA (else ../shared/data).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from pathlib import Path

import numpy as np

from firstscan.segmentation.grids import Grid, read_channels, read_labels, write_labels
from firstscan.steps.running.run import Settings
from firstscan.store import atomic_write
from firstscan.study.plan import read_plan
from firstscan.study.publishing.compare import compare
from firstscan.study.run import pending, study
from results import keep

HERE = Path(__file__).resolve().parent
PLANS = {p.stem: p for p in sorted((HERE / "plans" / "evidence").glob("*.yaml"))}
LINKED = {"hippocampus": "hippocampus", "head_neck_ct": "head_neck_ct", "fetal_brain": "fetal_brain"}
MIRRORED = {"left_atrium": "la2018", "cardiac": "acdc_ed"}
HALVED = ("left_atrium",)


def lay_out(work: Path, mirrors: Path | None) -> None:
    """Put every data set into ``work/data``: links, and the left atrium at half its resolution (2 mm)."""
    data = Path(os.environ.get("FIRSTSCAN_TEST_DATA", HERE.parents[1] / "shared" / "data")).resolve()
    sources = {name: data / folder for name, folder in LINKED.items()}
    if mirrors is not None:
        sources |= {name: mirrors.resolve() / folder for name, folder in MIRRORED.items()}
    for name, source in sources.items():
        target = work / "data" / name
        if target.exists():
            continue
        if name in HALVED:
            halve(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source, target_is_directory=True)
        print(f"{name}: {len(list((target / 'images').glob('*.nii.gz')))} scans")


def halve(source: Path, target: Path) -> None:
    """Write scans as means of 2×2×2 voxels in 8 bits, and label maps by majority of each 2×2×2 (of two classes)."""
    for part in ("images", "labels"):
        (target / part).mkdir(parents=True)
    for path in sorted((source / "images").glob("*.nii.gz")):
        voxels, grid = read_channels([path])
        labels = read_labels(source / "labels" / path.name)[0]
        even = tuple(slice(n // 2 * 2) for n in labels.shape)
        low, high = np.percentile(voxels, (0.1, 99.9))
        means = _blocks(voxels[0][even])
        small = np.clip((means - low) / max(high - low, 1e-6) * 255, 0, 255).round().astype(np.int32)
        half = tuple(n // 2 for n in labels.shape)
        spacing = tuple(2 * s for s in grid.spacing_mm)
        placed = Grid(
            half,
            spacing,
            tuple(o + s / 2 for o, s in zip(grid.origin_mm, grid.spacing_mm, strict=True)),
            grid.direction,
        )
        write_labels(small, placed, target / "images" / path.name)
        write_labels(
            (_blocks(labels[even].astype(np.float64)) >= 0.5).astype(np.int32), placed, target / "labels" / path.name
        )


def _blocks(values: np.ndarray) -> np.ndarray:
    x, y, z = (n // 2 for n in values.shape)
    return values.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))


def run(name: str, work: Path, workers: int | None) -> None:
    """Run a plan from the folder of the data sets, so that its paths fit."""
    os.chdir(work / "data")
    done = study(read_plan(PLANS[name]), work / "studies" / name, Settings(workers=workers))
    print(f"{name}: {done.cells} cells, {done.failed} failed")


def export(names: list[str], work: Path, to: Path, workers: int | None) -> None:
    """Write the missing trainings of some plans, and the scans and label maps that they read, as arrays.

    Scans are stored in 8 bits between their 0.1 and 99.9 percentiles.
    """
    os.chdir(work / "data")
    to.mkdir(parents=True, exist_ok=True)
    for name in names:
        plan = read_plan(PLANS[name])
        jobs = pending(plan, work / "studies" / name, Settings(workers=workers))
        print(f"{name}: {len(jobs)} trainings")
        told = [
            {
                "key": job.key,
                "picks": list(job.picks),
                "seed": job.training_seed,
                "slices": None if job.slices is None else {c.case_id: [c.axis, list(c.indices)] for c in job.slices},
                "work": None if job.work is None else {c.case_id: [c.axis, list(c.indices)] for c in job.work},
            }
            for job in jobs
        ]
        if not jobs:
            continue
        first = jobs[0]
        tests = {test: str(first.images / f"{test}_0000.nii.gz") for test in first.test_labels}
        about = {
            "plan": name,
            "segmenter": dict(first.options),
            "classes": dict(first.classes),
            "tests": list(tests),
            "jobs": told,
        }
        atomic_write(to / f"{name}.json", json.dumps(about).encode())
        scans = {case.case_id: (case.path, job.labels[case.case_id]) for job in jobs for case in job.pool}
        scans |= {f"test {t}": (path, str(first.test_labels[t])) for t, path in tests.items()}
        _pack(scans, to / f"{name}.npz")


def _pack(scans: dict[str, tuple[str, str]], path: Path) -> None:
    arrays: dict[str, np.ndarray] = {}
    for name, (image, label) in scans.items():
        voxels, grid = read_channels([Path(image)])
        low, high = np.percentile(voxels, (0.1, 99.9))
        small = np.clip((voxels[0] - low) / max(high - low, 1e-6) * 255, 0, 255).round().astype(np.uint8)
        arrays[f"{name}|image"] = small
        arrays[f"{name}|label"] = read_labels(Path(label))[0].astype(np.uint8)
        arrays[f"{name}|spacing"] = np.array(grid.spacing_mm)
    np.savez_compressed(path, **arrays)


def bring(files: list[Path], work: Path) -> None:
    """Put the results in ``files`` (one JSON line a training) where their studies look for them.

    Those of a confirmation run count for the wider design as well, whose first sub-pools are the same.
    """
    for file in files:
        count = 0
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for line in content.decode().splitlines():
            row = json.loads(line)
            plan, key = row.pop("plan"), row.pop("key")
            for name in {plan, plan.replace("-confirmation", "-wider")}:
                target = work / "studies" / name / "work" / "cells" / "results" / f"{key}.json"
                target.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(target, json.dumps(row).encode())
            count += 1
        print(f"{file.name}: {count} results")


def together(work: Path) -> None:
    """Compare the confirmation runs and copy what they found to benchmarks/results/evidence."""
    names = [name for name in PLANS if name.endswith("-confirmation")]
    folders = [work / "studies" / name for name in names]
    compare(folders, work / "together", Settings(overwrite=True))
    for name, folder in [*zip(names, folders, strict=True), ("together", work / "together")]:
        keep(folder, work / "data", HERE / "results" / "evidence" / name)
        (HERE / "results" / "evidence" / name / "machine.txt").unlink()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("pools", "run", "export", "bring", "together"))
    options.add_argument("names", nargs="*")
    options.add_argument("--out", type=Path, default=Path("out/evidence"))
    options.add_argument("--to", type=Path, default=Path("out/evidence/export"))
    options.add_argument("--mirrors", type=Path)
    options.add_argument("--workers", type=int)
    given = options.parse_args()
    work, to = given.out.resolve(), given.to.resolve()
    if given.what == "pools":
        lay_out(work, given.mirrors)
    elif given.what == "run":
        for name in given.names:
            run(name, work, given.workers)
    elif given.what == "export":
        export(given.names, work, to, given.workers)
    elif given.what == "together":
        together(work)
    else:
        bring([Path(name).resolve() for name in given.names], work)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
