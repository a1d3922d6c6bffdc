"""Select → hand off → draw → collect → train → extend → hand off the rest → collect it all, as typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import firstscan as fs
from firstscan.cli import run
from firstscan.imaging import read_array, write_image

QUICK = ("--preset", "fast", "--train-steps", "2", "--workers", "1", "--device", "cpu")
UNET = ("--option", "iterations=2", "--option", "features=4", "--option", "patch=16")


def draw(folder: Path, images: Path) -> None:
    """Mark what is bright, where 3D Slicer's user would save it."""
    for pick in json.loads((folder / "handoff.json").read_text())["picks"]:
        voxels, affine = read_array(images / f"{pick['case_id']}.nii.gz")
        write_image(folder / "segmentations" / f"{pick['name']}.seg.nrrd", (voxels > 50).astype("uint8"), affine)


def test_the_loop_closes(cohort, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def firstscan(*words: str) -> str:
        assert run([*words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    said = firstscan("select", str(cohort), "--budget", "3", "--out", "batch", *QUICK)
    assert "Next: firstscan handoff batch --to TOOL --out FOLDER" in said
    first = fs.read_selection("batch").case_ids
    manifest, selection = Path("batch/manifest.json").read_bytes(), Path("batch/selection.json").read_bytes()

    said = firstscan("handoff", "batch", "--to", "slicer", "--out", "for-slicer", "--classes", "bright=1")
    assert "When it is annotated: firstscan collect for-slicer --out FOLDER" in said
    assert run(["collect", "for-slicer", "--out", "early"]) == 3
    assert "label-missing" in capsys.readouterr().out
    draw(Path("for-slicer"), cohort)
    said = firstscan("collect", "for-slicer", "--out", "labels", "--workers", "1")
    assert "3 of 3 scans are labelled." in said
    assert "class bright = 1: in 3 scan(s)" in said
    assert "Next: firstscan train labels --out model" in said
    assert (Path("batch/manifest.json").read_bytes(), Path("batch/selection.json").read_bytes()) == (
        manifest,
        selection,
    )

    said = firstscan("train", "labels", "--out", "model", *UNET)
    assert Path("model/model/unet.pt").is_file()
    assert f"firstscan extend {tmp_path / 'batch'} --more 5 --labelled labels/labelled.csv" in said

    said = firstscan("extend", "batch", "--more", "2", "--labelled", "labels/labelled.csv", "--workers", "1")
    assert "--without labels/labelled.csv" in said
    assert fs.read_selection("batch").case_ids[:3] == first
    firstscan("handoff", "batch", "--to", "slicer", "--out", "second", "--without", "labels/labelled.csv")
    draw(Path("second"), cohort)
    firstscan("collect", "for-slicer", "second", "--out", "all", "--classes", "bright=1", "--workers", "1")
    with Path("all/labelled.csv").open(newline="") as file:
        assert [(r["case_id"], r["rank"]) for r in csv.DictReader(file)] == [
            (case_id, str(i)) for i, case_id in enumerate(fs.read_selection("batch").case_ids, 1)
        ]
    log = [json.loads(line)["action"] for line in Path("batch/history.jsonl").read_text().splitlines()]
    changes = [action for action in log if action not in {"handoff", "collect"}]
    assert changes == ["chosen", "added", "done"]
    assert [a for a in log if a not in changes] == ["handoff", "collect", "collect", "handoff", "collect"]

    firstscan("report", "batch", "--workers", "1")
    page = Path("batch/report.html").read_text(encoding="utf-8")
    assert 'id="annotation"' in page
    assert "for-slicer" in page


def test_a_batch_picked_from_another_folder_s_features_is_handed_off_too(cohort, tmp_path, capsys):
    out = tmp_path / "features"
    assert run(["extract", str(cohort), "--out", str(out), *QUICK]) == 0
    assert run(["pick", str(out), "--budget", "2", "--out", str(tmp_path / "draft")]) == 0
    assert run(["handoff", str(tmp_path / "draft"), "--to", "csv", "--out", str(tmp_path / "csv")]) == 0
    table = out / "features.parquet"
    alone = tmp_path / "alone.parquet"
    alone.write_bytes(table.read_bytes())
    assert run(["pick", str(alone), "--budget", "2", "--out", str(tmp_path / "bare")]) == 0
    capsys.readouterr()
    assert run(["handoff", str(tmp_path / "bare"), "--to", "csv", "--out", str(tmp_path / "x")]) == 2
    assert "does not say where the scans are" in capsys.readouterr().err


@pytest.fixture(scope="module")
def results(cohort, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("refused") / "batch"
    assert run(["select", str(cohort), "--budget", "2", "--out", str(out), *QUICK]) == 0
    return out


@pytest.mark.parametrize("words", [["--readers", "9"], ["--overlap", "1"], ["--readers", "0"], ["--classes", "a"]])
def test_a_hand_off_that_cannot_be_is_refused_before_anything_is_written(results, tmp_path, capsys, words):
    assert run(["handoff", str(results), "--to", "csv", "--out", str(tmp_path / "x"), *words]) == 2
    assert words[0] in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
