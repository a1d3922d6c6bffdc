"""How extraction scales with workers, locally and on Ray, and what handing a case to a worker costs, in one run.

The 40 scans of the demo, ten times over with other noise: 380 usable crops, measured by the step that users run, with a
network that was not trained (its arithmetic is the same). Ratios hold the time in which workers start apart: "at work"
is from the first result to the last.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from _measure import family_seconds, machine
from firstscan.execution import engine_session, run_cases
from firstscan.learning import PRESETS
from firstscan.learning.network import Network
from firstscan.learning.weights import save_weights
from firstscan.steps.main_job.demo import make_cohort
from firstscan.steps.measuring.check import Checked, check
from firstscan.steps.measuring.extract import extract
from firstscan.steps.measuring.index import index
from firstscan.steps.measuring.pretrain import Learned
from firstscan.steps.measuring.standardise import CropFiles, standardise
from firstscan.steps.running.config import CheckConfig, IndexConfig, PretrainConfig
from firstscan.steps.running.run import Run, Settings
from firstscan.store import CaseCache, file_sha256, open_workspace, stream_features

PRESET = PRESETS["fast"]


@dataclass
class Clock:
    """A progress that notes when the results came."""

    moments: list[float] = field(default_factory=list)

    def start(self, stage: str, total: int) -> None:
        del stage, total
        self.moments = [time.perf_counter()]

    def advance(self, units: int = 1, note: str = "") -> None:
        del note
        if units:
            self.moments.append(time.perf_counter())

    def finish(self, note: str = "") -> None: ...

    def say(self, message: str) -> None: ...


@contextmanager
def opened(folder: Path, **settings: object) -> Iterator[Run]:
    with open_workspace(folder) as workspace:
        yield Run(workspace, Settings(device="cpu", **settings))  # type: ignore[arg-type]


def pool(folder: Path, times: int) -> tuple[Checked, CropFiles]:
    """Return the demo's usable scans ``times`` times, each time with other noise, checked and as crops."""
    with opened(folder) as run:
        make_cohort(folder / "cohort", run)
        checked = check(index(IndexConfig.of(source=str(folder / "cohort" / "images"))), CheckConfig(), run)
        crops = standardise(checked, PRESET.size, run)
        cache = CaseCache(run.workspace.folder("repeated"))
    cases, summaries, files, keys = [], {}, [], {}
    for n in range(times):
        for i, case in enumerate(checked.pool):
            name = f"{n:02d}-{case.case_id}"
            crop, rng = crops[i], np.random.default_rng([n, i])
            noise = rng.standard_normal(crop.voxels.shape, dtype=np.float32)
            keys[name] = hashlib.sha256(name.encode()).hexdigest()[:16]
            files.append((cache.path(name, keys[name], ".npy"), cache.path(name, keys[name], ".mask.npy")))
            cache.write_array(files[-1][0], crop.voxels + 0.05 * noise)
            cache.write_array(files[-1][1], crop.foreground)
            cases.append(replace(case, case_id=name))
            summaries[name] = replace(checked.summaries[case.case_id], case_id=name)
    repeated = replace(checked.pool, cases=tuple(cases), findings=())
    return Checked(repeated, summaries, {}), CropFiles(
        tuple(summaries), tuple(files), keys, crops.spacing_mm, ("image",)
    )


def measured(
    folder: Path, checked: Checked, crops: CropFiles, weights: Path, **how: object
) -> tuple[float, float, str]:
    """Return the seconds of the stage, those at work a case, and the SHA-256 of the table."""
    clock = Clock()
    learned = Learned(weights, file_sha256(weights), (), "steps", PRESET)
    engine = str(how["engine"])
    with engine_session(engine), opened(folder, progress=clock, **how) as run:
        if engine == "ray":  # a cluster that is there already, as for a later step of the same command
            list(run.cases(abs, [("a", 1)]))
        found = extract(crops, learned, checked, PretrainConfig(), run, region="foreground")
        whole = time.perf_counter() - clock.moments[0]
        first, last = clock.moments[2], clock.moments[-1]
        table = folder / "features.parquet"
        stream_features(table, found.case_ids, found.rows.read(), covariates=found.covariates)
    return whole, (last - first) / (len(crops) - 1), file_sha256(table)


def overhead(cases: int) -> None:
    """Print what a case costs where there is nothing to do, apart from starting workers."""
    items = [(str(i), i) for i in range(cases)]
    print(f"\nhanding over {cases} cases of no work (from the first result to the last)")
    for engine, workers in (("local", 1), ("local", 2), ("ray", 1), ("ray", 2)):
        with engine_session(engine):
            results = run_cases(abs, items, engine=engine, workers=workers)
            next(results)
            start, before = time.perf_counter(), family_seconds(os.getpid())
            for n, _ in enumerate(results, start=2):
                if n == cases:  # before workers end, and what they used with them
                    took = 1e3 * (time.perf_counter() - start) / (cases - 1)
                    used = 1e3 * (family_seconds(os.getpid()) - before) / (cases - 1)
        print(f"  {engine:5} {workers} worker(s): {took:6.3f} ms a case, {used:6.3f} ms of processor", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="how often the demo's scans are repeated")
    parser.add_argument("--cases", type=int, default=2000, help="cases of no work to hand over")
    given = parser.parse_args()
    print(machine())
    overhead(given.cases)
    with tempfile.TemporaryDirectory() as name:
        checked, crops = pool(Path(name) / "pool", given.times)
        torch.manual_seed(0)
        weights = Path(name) / "weights.pt"
        save_weights(Network(PRESET.encoder, 1), weights)
        print(f"\nextraction of {len(crops)} crops of {PRESET.size}³, preset {PRESET.name}, on the CPU")
        seen: dict[tuple[str, int], tuple[float, float, str]] = {}
        for engine, workers in (("ray", 1), ("ray", 2), ("local", 1), ("local", 2)):
            out = Path(name) / f"{engine}-{workers}"
            seen[engine, workers] = found = measured(out, checked, crops, weights, engine=engine, workers=workers)
            whole, work, _ = seen[engine, 1]
            ratios = f"{whole / found[0]:.2f} × in all, {work / found[1]:.2f} × at work"
            times = f"{found[0]:7.1f} s, {1e3 * found[1]:6.1f} ms a case at work"
            print(f"  {engine:5} {workers} worker(s): {times}; against one worker {ratios}", flush=True)
        print(f"  tables equal to the byte: {len({digest for _, _, digest in seen.values()}) == 1}")
