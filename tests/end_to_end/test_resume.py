"""SIGKILL at many moments, rerun, same bytes; what was finished is not done again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK

from firstscan.cli import run

from .conftest import write_cohort

RESULTS = (
    "findings.csv",
    "training.csv",
    "features.parquet",
    "selection.csv",
    "selection.json",
    "report.html",
    "manifest.json",
)

DRIVER = '''
"""Runs the job in forked children; a child kills itself with SIGKILL at its n-th write, before or after it lands."""
import json, os, pathlib, signal, sys
sys.path.insert(0, sys.argv[1])
source, root = sys.argv[2], pathlib.Path(sys.argv[3])
import firstscan.steps.reporting.report, firstscan.steps.measuring.extract, firstscan.steps.measuring.pretrain
import firstscan.steps.main_job.select
from firstscan.cli import run

def job(out):
    return run(["select", source, "--budget", "3", "--out", str(out), "--preset", "fast", "--train-steps", "3",
                "--workers", "1", "--device", "cpu"])

def child(out, die_at, after):
    count = 0
    real = pathlib.Path.replace
    def replace(self, target):
        nonlocal count
        count += 1
        if count == die_at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(self, target)
        if count == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    pathlib.Path.replace = replace
    code = job(out)
    print(json.dumps({"writes": count}), flush=True)
    os._exit(code)

def forked(out, die_at, after):
    sys.stdout.flush(); sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        child(out, die_at, after)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

deaths, step = 0, 0
assert forked(root / "plain", 0, False) == 0
while True:  # each life gets a few writes further than the last
    step += 1
    if forked(root / "killed", 3 + step // 2, after=step % 2 == 0) == 0:
        break
    deaths += 1
    assert step < 60
print(json.dumps({"deaths": deaths}))
'''


@pytest.mark.slow
def test_killed_again_and_again_the_result_is_the_same(cohort, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(Path(__file__).parent), str(cohort), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    deaths = json.loads(done.stdout.splitlines()[-1])["deaths"]
    assert deaths >= 8
    plain, killed = tmp_path / "plain", tmp_path / "killed"
    for name in RESULTS:
        assert (plain / name).read_bytes() == (killed / name).read_bytes(), name
    assert sorted(p.name for p in (plain / "work").rglob("*.np?")) == sorted(
        p.name for p in (killed / "work").rglob("*.np?")
    )
    assert not list(killed.rglob("*.tmp"))


@pytest.mark.slow
def test_finished_cases_are_not_computed_again(cohort, tmp_path, monkeypatch):
    from firstscan.cli import run
    from firstscan.steps.measuring import extract

    out = tmp_path / "out"
    command = ["extract", str(cohort), "--out", str(out), "--preset", "fast", "--train-steps", "1", "--device", "cpu"]
    measured: list[str] = []
    real = extract.Extractor.__call__

    def counted(self, crops):
        if len(measured) == 4:
            raise KeyboardInterrupt
        measured.extend(crop.case_id for crop in crops)
        return real(self, crops)

    with monkeypatch.context() as patched:
        patched.setattr(extract.Extractor, "__call__", counted)
        assert run([*command, "--workers", "1"]) == 130
    before = {p: p.stat().st_mtime_ns for p in (out / "work").rglob("*") if p.suffix in {".npy", ".npz", ".pt"}}
    again: list[str] = []

    def listed(self, crops):
        again.extend(crop.case_id for crop in crops)
        return real(self, crops)

    monkeypatch.setattr(extract.Extractor, "__call__", listed)
    assert run([*command, "--workers", "1"]) == 0
    assert len(measured) == 4
    assert len(again) == 5
    assert not set(measured) & set(again)
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_command_killed_on_top_of_another_result_leaves_that_one_whole(tmp_path):
    """Extraction finds near-duplicates, so ``findings.csv`` changes while the manifest is still that of pretraining."""
    scans = write_cohort(tmp_path / "scans", n=6)
    twin = SimpleITK.ReadImage(str(scans / "scan_00.nii.gz"))
    SimpleITK.WriteImage(twin + 1e-3, str(scans / "scan_00_again.nii.gz"))
    options = ("--preset", "fast", "--train-steps", "2", "--workers", "1", "--device", "cpu")
    options += ("--out", str(tmp_path / "o"))
    assert run(["pretrain", str(scans), *options]) == 0
    before = (tmp_path / "o" / "findings.csv").read_bytes()
    select = ["select", str(scans), "--budget", "2", *options]
    code = f"""
import os, sys
import firstscan.steps.reporting.report as report
report.write_report = lambda *_: os._exit(9)
from firstscan.cli import run
sys.exit(run({select!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 9, done.stderr
    assert (tmp_path / "o" / "findings.csv").read_bytes() != before
    assert run(["pretrain", str(scans), *options]) == 0
    assert (tmp_path / "o" / "findings.csv").read_bytes() == before
    assert run(select) == 0
    assert b"near-duplicate" in (tmp_path / "o" / "findings.csv").read_bytes()
