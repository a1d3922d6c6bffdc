"""Preset instant: the main job without a network, and without importing torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import firstscan as fs
from firstscan.cli import run
from firstscan.selection.geometry import typicality

BLOCKED = """
import sys


class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "monai"}:
            raise RuntimeError(f"{name} was imported")


sys.meta_path.insert(0, Refusing())
from firstscan.cli import run

sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def result(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("instant") / "out"
    command = ["select", str(cohort), "--budget", "3", "--preset", "instant", "--workers", "1", "--out", str(out)]
    done = subprocess.run([sys.executable, "-c", BLOCKED, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "No uncertainty U was measured" in " ".join(done.stdout.split())
    return out


def test_it_leaves_what_select_leaves_but_for_a_training(result: Path) -> None:
    files = set(json.loads((result / "manifest.json").read_text())["files"])
    assert files == {"findings.csv", "features.parquet", "selection.csv", "selection.json", "report.html"}
    with (result / "selection.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert all(row["uncertainty"] == "" and float(row["typicality"]) > 0 for row in rows)
    assert "No network was used" in (result / "report.html").read_text()


def test_its_features_are_three_groups_and_their_union(result: Path) -> None:
    features = fs.read_features(result)
    assert features.uncertainty is None
    assert set(features.groups) == {"appearance", "texture", "shape"}
    assert features.groups["shape"].shape == (9, 4)
    dense = dict(zip(features.case_ids, typicality(features.embeddings, 20).values, strict=True))
    for pick in fs.read_selection(result):
        assert pick.typicality == pytest.approx(dense[pick.case_id])
    assert fs.select(features, 3, "coverage").case_ids == fs.read_selection(result).case_ids
    assert len(fs.select(features, 3, "typiclust")) == 3


def test_later_steps_do_without_uncertainty(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = fs.read_selection(result).case_ids[0]
    assert run(["pick", str(result), "--budget", "3", "--out", str(tmp_path / "p")]) == 0
    assert run(["replace", str(tmp_path / "p"), first, "--why", "odd"]) == 0
    assert run(["extend", str(tmp_path / "p"), "--more", "2"]) == 0
    longer = fs.read_selection(tmp_path / "p")
    assert len(longer) == 5
    assert all(p.typicality is not None and p.uncertainty is None for p in longer)
    capsys.readouterr()
    assert run(["pick", str(result), "--budget", "3", "--strategy", "cscs", "--out", str(tmp_path / "c")]) == 2
    assert "chooses by uncertainty U" in " ".join(capsys.readouterr().err.split())


def test_what_needs_a_network_is_refused_before_a_scan_is_read(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["select", str(cohort), "--budget", "3", "--preset", "instant", "--out", str(tmp_path / "x")]
    assert run([*command, "--strategy", "cscs"]) == 2
    assert "chooses by uncertainty U" in " ".join(capsys.readouterr().err.split())
    assert run(["pretrain", str(cohort), "--preset", "instant", "--out", str(tmp_path / "x")]) == 2
    assert "there is nothing to train" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_the_same_call_gives_the_same_bytes_from_python(cohort: Path, result: Path, tmp_path: Path) -> None:
    table = fs.extract(fs.index(cohort), preset="instant", out=tmp_path / "again", workers=1)
    np.testing.assert_array_equal(table.embeddings, fs.read_features(result).embeddings)
    assert (tmp_path / "again" / "features.parquet").read_bytes() == (result / "features.parquet").read_bytes()
