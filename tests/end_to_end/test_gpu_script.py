"""benchmarks/gpu.py: all of it in toy size, and how it keeps its time, goes on, and says what it leaves out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    return gpu


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "gpu.jsonl").read_text().splitlines()]


def told(out: Path, part: str) -> list[str]:
    return [row["what"] for row in rows(out) if row["part"] == part]


@pytest.mark.slow
def test_every_part_runs_in_toy_size(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--toy", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": "/nowhere"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {p: told(tmp_path, p)[-1] for p in "abcde"} == {**dict.fromkeys("abcd", "done"), "e": "left out"}
    assert "nnU-Net is not installed here" in done.stdout
    found = {row["what"]: row for row in rows(tmp_path)}
    for name in ("fast", "paper"):
        same = found[f"{name}, 2 random crops, against the CPU"]
        assert (same["same_bytes_again"], same["largest_relative_difference_of_U"]) == (True, 0.0)
        assert found[f"{name}, 1 training steps"]["same_bytes_again"]
    assert found["training steps a second, ours"]["against_reference"] > 0
    assert found["the same trainings alone and side by side"] == {
        "part": "d",
        "what": "the same trainings alone and side by side",
        "trainings": 2,
        "same_scores": True,
    }
    assert -1 <= found["U of picks by fast with Dice"]["rho"] <= 1
    assert (tmp_path / "gpu.txt").read_text() == done.stdout


def quick(script, monkeypatch, **parts) -> None:
    """Put functions in place of the parts."""
    home = ModuleType("parts")
    for name, function in parts.items():
        setattr(home, f"part_{name}", function)
    monkeypatch.setattr(script, "PARTS", {name: script.Part(name, home, 30, 0.05) for name in parts})


def fails(bench) -> None:
    raise ValueError("no such kernel")


def test_a_part_that_breaks_costs_no_other_and_one_that_is_done_is_not_done_again(
    script, monkeypatch, tmp_path, capsys
):
    quick(script, monkeypatch, a=fails, b=lambda bench: bench.keep("speed", a_second=2.0))
    assert script.main(["--toy", "--out", str(tmp_path)]) == 1
    assert told(tmp_path, "a") == ["failed"]
    assert told(tmp_path, "b") == ["speed", "done"]
    assert "no such kernel" in capsys.readouterr().out
    quick(script, monkeypatch, a=lambda bench: None, b=fails)
    assert script.main(["--toy", "--out", str(tmp_path)]) == 0
    assert told(tmp_path, "a") == ["failed", "done"]
    assert script.main(["--toy", "--out", str(tmp_path), "--parts", "b"]) == 1


def test_a_part_ends_with_its_time_and_the_next_says_that_none_is_left(script, monkeypatch, tmp_path):
    def long(bench) -> None:
        bench.keep("first")
        try:
            time.sleep(60)
        except Exception:  # what a part calls may catch everything that is an error
            bench.keep("caught")

    quick(script, monkeypatch, a=long, b=lambda bench: None)
    began = time.monotonic()
    assert script.main(["--toy", "--out", str(tmp_path), "--seconds", "0.5"]) == 0
    assert time.monotonic() - began < 20
    assert told(tmp_path, "a") == ["first", "cut short"]
    assert told(tmp_path, "b") == ["left out"]


def test_a_package_that_is_missing_leaves_its_part_out(script, monkeypatch, tmp_path):
    def needs(bench) -> None:
        import a_package_of_nobody  # noqa: F401

    quick(script, monkeypatch, c=needs)
    assert script.main(["--toy", "--out", str(tmp_path)]) == 0
    assert rows(tmp_path)[-1]["because"] == "the package a_package_of_nobody is not installed"


def test_what_is_packed_stays_below_the_limit(script, monkeypatch, tmp_path, capsys):
    scans = tmp_path / "data" / "hippocampus" / "images"
    scans.mkdir(parents=True)
    (scans / "a.nii.gz").write_bytes(b"scan")
    given = ["--pack", str(tmp_path / "pack"), "--data", str(tmp_path / "data")]
    assert script.main(given) == 0
    assert (tmp_path / "pack" / "hippocampus" / "images" / "a.nii.gz").read_bytes() == b"scan"
    monkeypatch.setattr(script, "LARGEST_PACK", 3)
    with pytest.raises(SystemExit, match="name fewer packages"):
        script.main(given)


def test_without_a_gpu_it_does_nothing_and_says_so(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script.torch.cuda, "is_available", lambda: False)
    assert script.main(["--out", str(tmp_path / "out")]) == 0
    assert "torch sees none here" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
