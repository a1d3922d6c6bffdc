"""A study that is killed again and again ends with the same scores as one left alone."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from firstscan.domain.features import FeatureTable
from firstscan.steps.running.run import Settings
from firstscan.study.plan import plan_of
from firstscan.study.run import study

def features(pool, entry):
    rng = np.random.default_rng(0)
    return FeatureTable(pool.case_ids, rng.normal(size=(len(pool), 4)), rng.random(len(pool)))

study(plan_of(json.loads(sys.argv[1])), Path(sys.argv[2]), Settings(workers=1), features)
"""


@pytest.mark.slow
def test_five_kills_at_random_moments_change_nothing(study_world, tmp_path):
    plan, log = json.dumps(study_world.content()), tmp_path / "log"

    def start(out):
        with log.open("a") as file:
            return subprocess.Popen([sys.executable, "-c", PROGRAM, plan, str(out)], stderr=file)

    began = time.monotonic()
    whole = start(tmp_path / "whole")
    assert whole.wait() == 0, log.read_text()
    lasted = time.monotonic() - began
    moments = random.Random(0)
    for _ in range(5):
        process = start(tmp_path / "cut")
        try:
            process.wait(timeout=moments.uniform(0.3, 0.95) * lasted)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    last = start(tmp_path / "cut")
    assert last.wait() == 0, log.read_text()
    assert (tmp_path / "cut" / "scores.parquet").read_bytes() == (tmp_path / "whole" / "scores.parquet").read_bytes()
