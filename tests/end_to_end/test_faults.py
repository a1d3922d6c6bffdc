"""What happens around a run: a full disk, files that go or change, a second run, a lost worker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firstscan.cli import run
from firstscan.steps.measuring import pipeline, standardise
from firstscan.store import read_features

from .conftest import write_cohort

RESULTS = ("findings.csv", "training.csv", "features.parquet", "manifest.json")
OPTIONS = ("--preset", "fast", "--train-steps", "2", "--device", "cpu", "--workers", "1")


def extract(scans, out, *more):
    return run(["extract", str(scans), "--out", str(out), *OPTIONS, *more])


def results(out, names=RESULTS):
    return {name: (out / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def whole(cohort, tmp_path_factory):
    """The undisturbed result."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert extract(cohort, out) == 0
    return out


@pytest.fixture
def small_disk(tmp_path):
    """A file system that holds little, and how to give it more room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.name != "posix" or os.getuid() != 0 or mount is None:
        pytest.skip("a small disk needs root and mount")
    command = [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")

    def resize(size):
        subprocess.run([mount, "-o", f"remount,size={size}", str(place)], check=True)

    yield place, resize
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_is_said_and_once_there_is_room_the_result_is_the_same(cohort, whole, small_disk, capsys):
    place, resize = small_disk
    sizes, full = iter((*(f"{n}m" for n in (4, 6, 7, 8, 10, 12)), "200m")), 0
    while (code := extract(cohort, place / "out")) != 0:
        assert code == 3
        said = capsys.readouterr().err
        assert "The disk is full" in said
        assert "run the same command again" in said
        assert not (place / "out" / "manifest.json").exists()
        full += 1
        resize(next(sizes))
    assert full >= 3
    assert results(place / "out") == results(whole)
    assert not list(place.rglob("*.tmp"))


@pytest.mark.parametrize("fault", ["vanishes", "changes"])
def test_a_scan_that_goes_or_changes_under_way_is_an_error_and_the_next_run_is_right(
    fault, tmp_path, monkeypatch, capsys
):
    scans = write_cohort(tmp_path / "scans", n=4)
    victim, other = scans / "scan_02.nii.gz", write_cohort(tmp_path / "other", n=1, seed=9) / "scan_00.nii.gz"
    real = pipeline.standardise

    def disturbed(*arguments):
        victim.unlink() if fault == "vanishes" else shutil.copy(other, victim)
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "standardise", disturbed)
        assert extract(scans, tmp_path / "out") == 3
    said = capsys.readouterr().err
    assert "scan_02" in said
    assert "Run the same command again" in said
    assert extract(scans, tmp_path / "out") == 0
    if fault == "vanishes":
        assert read_features(tmp_path / "out").case_ids == ("scan_00", "scan_01", "scan_03")
    else:
        assert extract(scans, tmp_path / "fresh") == 0
        assert results(tmp_path / "out") == results(tmp_path / "fresh")


@pytest.mark.parametrize("fault", ["vanishes", "is cut"])
def test_a_prepared_scan_that_goes_or_is_damaged_is_prepared_again(fault, cohort, whole, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "manifest.json").unlink()
    shutil.rmtree(out / "work" / "features")
    real = standardise.CropFile.read

    def disturbed(self):
        if self.case_id == "scan_01":
            self.voxels.unlink() if fault == "vanishes" else self.voxels.write_bytes(self.voxels.read_bytes()[:-100])
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(standardise.CropFile, "read", disturbed)
        assert extract(cohort, out) == 3
    said = capsys.readouterr().err
    assert "scan_01" in said
    assert "same command again" in said
    assert extract(cohort, out) == 0
    assert results(out) == results(whole)


def test_a_damaged_shard_of_features_is_measured_again(cohort, whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "manifest.json").unlink()
    shards = list((out / "work" / "features").rglob("shard-*.parquet"))
    for shard in shards:
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    assert shards
    assert extract(cohort, out) == 0
    assert results(out) == results(whole)


def test_a_second_run_refuses_and_names_the_first(tmp_path, capsys):
    scans, out = write_cohort(tmp_path / "scans", n=4), tmp_path / "out"
    code = f"""
import sys, time
from firstscan.steps.measuring import pipeline
real = pipeline.standardise
def slow(*arguments):
    print("under way", flush=True)
    sys.stdin.readline()
    return real(*arguments)
pipeline.standardise = slow
from firstscan.cli import run
sys.exit(run({["extract", str(scans), "--out", str(out), *OPTIONS]!r}))
"""
    first = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert first.stdout.readline() == "under way\n"
    for more in ((), ("--overwrite",)):
        assert extract(scans, out, *more) == 2
        said = capsys.readouterr().err
        assert f"{out} is in use by another run (process {first.pid} on " in said
        assert "choose another --out" in said.replace("\n", " ")
    first.communicate("\n")
    assert first.returncode == 0
    assert extract(scans, out) == 0


KILLER = """
import os, pathlib, signal, sys, threading, time

def working():
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            busy = (place / "cmdline").read_bytes().startswith(b"ray::_Member.work")
            if busy and (place / "cwd").readlink() == pathlib.Path.cwd():
                return int(place.name)
        except OSError:
            continue

def kill_one():
    while (pid := working()) is None:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    killed.append(pid)

killed = []
threading.Thread(target=kill_one, daemon=True).start()
"""


@pytest.mark.slow
def test_ray_gives_the_same_bytes_and_a_killed_worker_changes_nothing(cohort, whole, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray>=2.40'")
    job = ["extract", str(cohort), "--out", str(tmp_path / "out"), *OPTIONS[:-1], "2", "--engine", "ray"]
    code = KILLER + f"from firstscan.cli import run\ncode = run({job!r})\nprint(len(killed))\nsys.exit(code)"
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "1"
    assert "Measuring scans: 9/9" in done.stderr
    assert not [line for line in done.stderr.splitlines() if "ray" in line.lower()]
    assert results(tmp_path / "out") == results(whole)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["kind"] == "extract"
    deadline = time.monotonic() + 20
    while _left(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _left(tmp_path)


def _left(folder: Path) -> list[str]:
    """Return the workers that still run where the job ran for ``folder``."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cwd").readlink() == folder:
                found.append(place.name)
        except OSError:
            continue
    return found
