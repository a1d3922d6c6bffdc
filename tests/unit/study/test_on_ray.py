"""The trainings of a study on Ray, one worker of which is killed: the scores of a study that ran here."""

import json
import os
import subprocess
import sys

import pytest

from firstscan.steps.running.run import Settings
from firstscan.study.plan import plan_of
from firstscan.study.run import study

PROGRAM = """
import json, os, signal, sys, threading, time
from pathlib import Path
import numpy as np
from firstscan.domain.features import FeatureTable
from firstscan.steps.running.run import Settings
from firstscan.study.plan import plan_of
from firstscan.study.run import study

def features(pool, entry):
    rng = np.random.default_rng(0)
    return FeatureTable(pool.case_ids, rng.normal(size=(len(pool), 4)), rng.random(len(pool)))

out, killed = Path(sys.argv[2]), []

def kill_one():
    while not killed:
        scratch = out / "work" / "cells" / "scratch"
        if scratch.is_dir() and any(scratch.iterdir()):
            for place in Path("/proc").glob("[0-9]*"):
                try:
                    if (place / "cmdline").read_bytes().startswith(b"ray::_Member.work"):
                        if Path(os.readlink(place / "cwd")) == Path.cwd():
                            os.kill(int(place.name), signal.SIGKILL)
                            killed.append(place.name)
                            break
                except OSError:
                    continue
        time.sleep(0.01)

threading.Thread(target=kill_one, daemon=True).start()
done = study(plan_of(json.loads(sys.argv[1])), out, Settings(workers=2, engine="ray"), features)
print(json.dumps([done.cells, done.failed, len(killed)]))
"""


@pytest.mark.slow
def test_cells_run_on_ray_and_a_lost_worker_costs_nothing(study_world, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray>=2.40'")
    content = study_world.content(strategies=["random", "strided"], budgets=[1, 50], selection_seeds={"default": 3})
    study(plan_of(content), tmp_path / "here", Settings(workers=1), study_world.features)
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(content), str(tmp_path / "ray")],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    cells, failed, killed = json.loads(done.stdout)
    assert (cells, killed) == (12, 1)
    assert failed == 6  # a budget above the pool is a recorded failure
    for name in ("scores.parquet", "cells.csv"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()
