"""The main job as a user runs it, on a tiny cohort."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import firstscan as fs
from firstscan.cli import run
from firstscan.imaging import read_volume, write_image

RESULTS = ("findings.csv", "training.csv", "features.parquet", "selection.csv", "selection.json", "report.html")
QUICK = ("--preset", "fast", "--train-steps", "2", "--workers", "1", "--device", "cpu")


def select(source: Path, out: Path, *more: str, budget: int = 3) -> int:
    return run(["select", str(source), "--budget", str(budget), "--out", str(out), *QUICK, *more])


def bytes_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in (*RESULTS, "manifest.json")}


@pytest.fixture(scope="module")
def result(cohort, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("result") / "out"
    assert select(cohort, out) == 0
    return out


def test_the_output_folder_holds_what_the_contract_names(result, cohort):
    with (result / "selection.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["rank", "case_id", "stratum", "score", "typicality", "uncertainty", "reason", "path"]
    assert [r["rank"] for r in rows] == ["1", "2", "3"]
    assert len({r["case_id"] for r in rows}) == 3
    assert all(Path(r["path"]).parent == cohort and Path(r["path"]).is_file() for r in rows)
    body = json.loads((result / "selection.json").read_text())
    assert [p["case_id"] for p in body["picks"]] == [r["case_id"] for r in rows]
    assert {"dcr", "dcr_pvalue", "dcr_interval", "alpha_eff", "gamma", "strategy", "seed", "version"} <= set(body)
    assert all(p["reason"] for p in body["picks"])
    manifest = json.loads((result / "manifest.json").read_text())
    assert set(manifest["files"]) == set(RESULTS)
    assert len(manifest["inputs"]) == 11
    assert manifest["inputs"]["broken"] == "left out: unreadable"
    assert "<html" in (result / "report.html").read_text()


def test_findings_name_what_was_left_out(result):
    with (result / "findings.csv").open(newline="") as file:
        found = {r["case_id"]: r for r in csv.DictReader(file) if r["severity"] == "drop"}
    assert {i: r["code"] for i, r in found.items()} == {"broken": "unreadable", "scan_copy": "duplicate"}
    assert all(r["message"] and r["remedy"] and r["path"] for r in found.values())


def test_the_files_read_back_as_the_public_objects(result):
    selection, features = fs.read_selection(result), fs.read_features(result)
    assert len(selection) == 3
    assert len(features) == 9
    assert features.embeddings.dtype == np.float32
    assert {"voxel_count", "air_share", "spacing_mm", "anisotropy", "file_type"} <= set(features.covariates)
    again = fs.select(features, budget=3, seed=42)
    assert again.case_ids == selection.case_ids


def test_the_same_command_again_changes_nothing_and_says_so(result, cohort, capsys):
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in result.iterdir() if p.is_file()}
    assert select(cohort, result) == 0
    assert "Already done" in capsys.readouterr().out
    assert before == {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in result.iterdir() if p.is_file()}


def test_other_settings_are_refused_unless_overwriting(result, cohort, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(result, out)
    assert select(cohort, out, budget=4) == 2
    message = capsys.readouterr().err
    assert "budget: 3 → 4" in message
    assert "--overwrite" in message
    assert "Choose another --out" in message
    assert bytes_of(out) == bytes_of(result)
    weights = {p: p.stat().st_mtime_ns for p in (out / "work").rglob("*.pt")}
    assert select(cohort, out, "--overwrite", budget=4) == 0
    assert len(fs.read_selection(out)) == 4
    assert weights == {p: p.stat().st_mtime_ns for p in (out / "work").rglob("*.pt")}


def test_another_folder_gives_the_same_bytes(result, cohort, tmp_path):
    assert select(cohort, tmp_path / "other") == 0
    assert bytes_of(tmp_path / "other") == bytes_of(result)


def test_a_scan_added_or_an_edited_result_is_noticed(result, cohort, tmp_path, capsys):
    scans, out = tmp_path / "scans", tmp_path / "out"
    shutil.copytree(cohort, scans)
    assert select(scans, out, "--strategy", "random") == 0
    (out / "selection.csv").write_text("mine")
    assert select(scans, out, "--strategy", "random") == 2
    assert "selection.csv was changed" in capsys.readouterr().err
    (scans / "scan_08.nii.gz").unlink()
    assert select(scans, out, "--strategy", "random") == 2
    assert "1 scan(s) no longer there: scan_08" in capsys.readouterr().err
    assert (out / "selection.csv").read_text() == "mine"


def test_lists_of_ids_are_obeyed(result, cohort, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(result, out)
    picked = fs.read_selection(result).case_ids
    (tmp_path / "veto.txt").write_text(f"# motion\n{picked[0]}\nbroken\n")
    (tmp_path / "must.csv").write_text(
        "case_id,why\nscan_05,rare\n" if picked[0] != "scan_05" else "case_id\nscan_06\n"
    )
    lists = ("--exclude", str(tmp_path / "veto.txt"), "--include", str(tmp_path / "must.csv"))
    assert select(cohort, out, "--overwrite", *lists) == 0
    again = fs.read_selection(out).case_ids
    assert picked[0] not in again
    assert again[0] in {"scan_05", "scan_06"}


def test_a_spreadsheet_beside_the_scans_gives_columns(result, cohort, tmp_path, capsys):
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    ids = fs.read_features(result).case_ids
    sheet.write_text("case_id;ward\n" + "".join(f"{i};{'B' if n < 2 else 'A'}\n" for n, i in enumerate(ids[:-1])))
    shutil.copytree(result / "work", out / "work")  # scans that were read and measured are not read again
    given = ("--table", str(sheet), "--quota", "ward=B:2")
    assert select(cohort, out, *given) == 0
    assert {"table-no-row"} <= {r["code"] for r in csv.DictReader((out / "findings.csv").read_text().splitlines())}
    assert set(ids[:2]) <= set(fs.read_selection(out).case_ids)
    assert fs.read_features(out).covariates["ward"].tolist() == ["B", "B", *["A"] * (len(ids) - 3), ""]
    capsys.readouterr()
    assert select(cohort, out, *given) == 0
    assert "Already done" in capsys.readouterr().out
    python = fs.index(cohort, table=sheet)
    assert python[ids[0]].metadata["ward"] == "B"
    assert run(["handoff", str(out), "--to", "csv", "--out", str(tmp_path / "csv")]) == 0
    sheet.write_text(sheet.read_text().replace(f"{ids[0]};B", f"{ids[0]};A"))
    assert select(cohort, out, *given) == 2
    assert f"1 scan(s) with other content: {ids[0]}" in capsys.readouterr().err


def test_the_steps_on_their_own_agree_with_the_whole(result, cohort, tmp_path, capsys):
    out = tmp_path / "steps"
    assert run(["check", str(cohort), "--out", str(out), "--workers", "1"]) == 0
    assert "11 scan(s) found, 9 usable, 2 left out" in capsys.readouterr().out
    assert run(["pretrain", str(cohort), "--out", str(out), *QUICK]) == 0
    assert (out / "weights.pt").is_file()
    assert run(["extract", str(cohort), "--out", str(out), *QUICK]) == 0
    assert (out / "features.parquet").read_bytes() == (result / "features.parquet").read_bytes()
    assert run(["pick", str(out), "--budget", "3", "--out", str(tmp_path / "picks")]) == 0
    assert fs.read_selection(tmp_path / "picks").picks == fs.read_selection(result).picks
    assert select(cohort, out) == 0
    assert bytes_of(out) == bytes_of(result)
    assert run(["check", str(cohort), "--out", str(out), "--workers", "1"]) == 0
    assert bytes_of(out) == bytes_of(result)


def test_index_lists_the_scans(cohort, tmp_path, capsys):
    assert run(["index", str(cohort), "--out", str(tmp_path / "i")]) == 0
    assert "11 scan(s) found" in capsys.readouterr().out
    with (tmp_path / "i" / "cases.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 11


def test_a_pick_is_replaced_and_the_batch_extended(result, cohort, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(result, out)
    first = fs.read_selection(out).case_ids
    assert run(["replace", str(out), first[0], "--why", "motion", "--workers", "1"]) == 0
    assert f"{first[0]} → " in capsys.readouterr().out
    assert run(["extend", str(out), "--more", "2", "--workers", "1"]) == 0
    final = fs.read_selection(out).case_ids
    assert len(set(final)) == 5
    assert first[0] not in final
    assert final[1:3] == first[1:]
    with (out / "selection.csv").open(newline="") as file:
        assert all(Path(row["path"]).is_file() for row in csv.DictReader(file))
    assert final[4] in (out / "report.html").read_text()
    assert select(cohort, out) == 0
    assert "Already done" in capsys.readouterr().out
    assert fs.read_selection(out).case_ids == final


def test_the_batch_is_handed_over_trained_on_and_scored(result, cohort, tmp_path, capsys):
    labels = tmp_path / "labels"
    labels.mkdir()
    for case_id in fs.read_selection(result).case_ids:
        volume = read_volume(fs.index(cohort)[case_id])
        write_image(labels / f"{case_id}.nii.gz", volume.foreground.astype(np.uint8), volume.affine)
    hand = ["handoff", str(result), "--to", "nnunet", "--out", str(tmp_path / "data"), "--labels", str(labels)]
    assert run(hand) == 0
    dataset = Path(capsys.readouterr().out.splitlines()[0].removeprefix("Open this: "))
    assert len(list((dataset / "imagesTr").iterdir())) == 3
    quick = ["--option", "iterations=1", "--option", "features=4", "--option", "patch=16"]
    images = ["--predict", str(dataset / "imagesTr")]
    assert run(["train", str(dataset), "--out", str(tmp_path / "m"), *quick, *images]) == 0
    assert run(["evaluate", str(tmp_path / "m" / "predictions"), str(labels), "--out", str(tmp_path / "s")]) == 0
    assert "class 1: Dice" in capsys.readouterr().out
    assert (tmp_path / "s" / "scores.csv").is_file()
    assert run(["handoff", str(result), "--to", "paint", "--out", str(tmp_path / "x")]) == 2
    assert run(["handoff", str(labels), "--to", "csv", "--out", str(tmp_path / "x")]) == 2


def test_the_report_can_be_drawn_again(result, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(result, out, ignore=shutil.ignore_patterns("history.jsonl"))  # a log that the page would show
    (out / "report.html").unlink()
    assert run(["report", str(out), "--workers", "1"]) == 0
    assert bytes_of(out) == bytes_of(result)


def test_a_checkpoint_changes_the_identity_and_the_weights_fit(cohort, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(["pretrain", str(cohort), "--out", str(first), *QUICK]) == 0
    more = ("--checkpoint", str(first / "weights.pt"))
    assert run(["pretrain", str(cohort), "--out", str(second), *QUICK, *more]) == 0
    assert (first / "weights.pt").read_bytes() != (second / "weights.pt").read_bytes()


def test_python_users_get_the_same_table(result, cohort, tmp_path):
    pool = fs.index(cohort)
    assert len(pool) == 11
    features = fs.extract(pool, preset="fast", seed=42, train_steps=2, workers=1, device="cpu", out=tmp_path / "kept")
    expected = fs.read_features(result)
    np.testing.assert_array_equal(features.embeddings, expected.embeddings)
    np.testing.assert_array_equal(features.uncertainty, expected.uncertainty)
    again = fs.extract(pool, preset="fast", seed=42, train_steps=2, workers=1, device="cpu", out=tmp_path / "kept")
    np.testing.assert_array_equal(features.embeddings, again.embeddings)


def test_nothing_but_the_output_folder_is_written(cohort, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in cohort.rglob("*")}
    assert run(["check", str(cohort), "--out", "here", "--workers", "1"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["here"]
    assert before == {p: p.stat().st_mtime_ns for p in cohort.rglob("*")}
