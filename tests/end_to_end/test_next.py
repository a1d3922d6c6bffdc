"""Select → label → next → hand off predictions → correct → collect, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import firstscan as fs
from firstscan.cli import run
from firstscan.imaging import read_array, write_image
from firstscan.segmentation.grids import read_labels, write_labels

QUICK = ("--preset", "fast", "--train-steps", "2", "--workers", "1", "--device", "cpu")


def test_a_round_with_a_model(cohort, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def firstscan(*words: str) -> str:
        assert run([*words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    firstscan("select", str(cohort), "--budget", "3", "--out", "batch", *QUICK)
    first = fs.read_selection("batch").case_ids
    Path("labels").mkdir()
    for case_id in first:
        voxels, affine = read_array(cohort / f"{case_id}.nii.gz")
        write_image(f"labels/{case_id}.nii.gz", (voxels > 50).astype("uint8"), affine)
    asked = ("next", "batch", "--labels", "labels", "--more", "2", "--members", "1", "--steps", "5", "--workers", "1")
    said = firstscan(*asked)
    assert "Next: firstscan handoff batch --to TOOL --prelabel" in said
    grown = fs.read_selection("batch")
    assert grown.case_ids[:3] == first
    assert len(grown) == 5
    page = Path("batch/report.html").read_text(encoding="utf-8")
    assert "The first 3 were chosen without any label" in page
    assert "No label was used" not in page
    held = {p.name: p.read_bytes() for p in Path("batch").iterdir() if p.is_file()}
    assert "Already done" in firstscan(*asked)
    assert held == {p.name: p.read_bytes() for p in Path("batch").iterdir() if p.is_file()}

    Path("done.txt").write_text("\n".join(first))
    out = ("--to", "itksnap", "--prelabel", "--without", "done.txt", "--out", "second")
    assert "2 label map(s) are predictions to correct" in firstscan("handoff", "batch", *out).replace("\n", " ")
    picks = json.loads(Path("second/handoff.json").read_text())["picks"]
    given = Path("second") / picks[0]["given"]
    values, grid = read_labels(given)
    write_labels(np.where(np.arange(values.shape[0])[:, None, None] == 10, 1, values), grid, given)
    said = firstscan("collect", "second", "--out", "corrected", "--workers", "1")
    assert "1 × prediction-untouched" in said
    assert "Predictions of 2 scan(s) came back" in said
    assert "1 of 2 scans are labelled" in said
