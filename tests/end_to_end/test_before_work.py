"""Wrong arguments are refused before anything expensive: no scan is read, no network trained."""

from __future__ import annotations

import numpy as np
import pytest

from firstscan.cli import run
from firstscan.domain.errors import DataError
from firstscan.imaging import write_image


class ScanWasReadError(AssertionError):
    pass


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for i in range(4):
        write_image(folder / f"scan{i}.nii.gz", np.full((8, 8, 8), i, np.int16), np.eye(4))
    (tmp_path / "table.csv").write_text("case_id,site\n" + "".join(f"scan{i},{'AB'[i % 2]}\n" for i in range(4)))
    (tmp_path / "ids.txt").write_text("scan9\n")
    return folder


@pytest.fixture
def unread(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise ScanWasReadError

    for place in ("steps.measuring.check.inspect", "steps.reporting.report.read_volume", "learning.pretrain.train"):
        monkeypatch.setattr(f"firstscan.{place}", refuse, raising=False)
    monkeypatch.setattr("firstscan.steps.running.run.run_cases", refuse)
    return refuse


WRONG = {
    "an unknown strategy": ["--budget", "2", "--strategy", "nobody"],
    "an unknown option of a strategy": ["--budget", "2", "--option", "nothing=1"],
    "an unknown group of features": ["--budget", "2", "--features", "colour"],
    "no budget": [],
    "both budgets": ["--budget", "2", "--slices", "10"],
    "a budget of none": ["--budget", "0"],
    "more than there are": ["--budget", "5"],
    "an unknown scan to exclude": ["--budget", "2", "--exclude", "ids.txt"],
    "an unknown scan to include": ["--budget", "2", "--include", "ids.txt"],
    "a list that is not there": ["--budget", "2", "--labelled", "nowhere.txt"],
    "an unknown column to group by": ["--budget", "2", "--group-by", "ward"],
    "an unknown column of a quota": ["--budget", "2", "--quota", "ward=A:1-"],
    "a quota of no form": ["--budget", "2", "--quota", "site=A"],
    "an unknown column of costs": ["--budget", "2", "--minutes", "30", "--cost-column", "price"],
    "an unknown column to adjust for": ["--budget", "2", "--adjust", "price"],
    "minutes of none": ["--budget", "2", "--minutes", "0"],
    "an unknown preset": ["--budget", "2", "--preset", "slow"],
    "an unknown region": ["--budget", "2", "--region", "head"],
    "an unknown layout": ["--budget", "2", "--layout", "shelf"],
    "an unknown channel": ["--budget", "2", "--channel", "T9"],
    "an unknown finding": ["--budget", "2", "--severity", "ugly=drop"],
    "an unknown severity": ["--budget", "2", "--severity", "duplicate=bad"],
    "an unknown axis": ["--budget", "2", "--every", "2", "--slice-axis", "diagonal"],
    "a range of no form": ["--budget", "2", "--every", "2", "--range", "high"],
    "a range for whole scans": ["--budget", "2", "--range", "10:20"],
    "a checkpoint that is not there": ["--budget", "2", "--checkpoint", "nowhere.pt"],
    "a device that is not there": ["--budget", "2", "--device", "abacus"],
    "an unknown engine": ["--budget", "2", "--engine", "steam"],
    "no workers": ["--budget", "2", "--workers", "0"],
    "no steps": ["--budget", "2", "--train-steps", "0"],
    "one repeat": ["--budget", "2", "--stability", "1"],
    "a pattern of no form": ["--budget", "2", "--only", "site"],
    "a pattern that nothing fits": ["--budget", "2", "--only", "site=Z"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_select_refuses_before_a_scan_is_read(wrong, scans, tmp_path, unread, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["select", "scans", "--table", "table.csv", "--out", "out", *WRONG[wrong]]
    assert run(command) in {2, 3}
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "ScanWasReadError" not in said
    assert len(said.strip().splitlines()) <= 6


def test_a_right_command_does_read(scans, tmp_path, unread, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["select", "scans", "--budget", "2", "--out", "out"]) == 1
    assert "ScanWasReadError" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["nowhere", "empty"])
def test_train_looks_at_what_it_is_to_predict_before_it_trains(what, tmp_path, monkeypatch, capsys):
    from firstscan.segmentation.unet import segmenter

    folder = tmp_path / "Dataset001_x"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    write_image(folder / "imagesTr" / "a_0000.nii.gz", np.zeros((8, 8, 8), np.int16), np.eye(4))
    write_image(folder / "labelsTr" / "a.nii.gz", np.ones((8, 8, 8), np.uint8), np.eye(4))
    (folder / "dataset.json").write_text(
        '{"channel_names": {"0": "x"}, "labels": {"background": 0, "a": 1}, "numTraining": 1, "file_ending": ".nii.gz"}'
    )
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(segmenter.Unet, "train", lambda *_, **__: pytest.fail("it was trained"))
    command = ["train", str(folder), "--out", str(tmp_path / "model"), "--predict", str(tmp_path / what)]
    assert run(command) in {2, 3}
    assert "Traceback" not in capsys.readouterr().err


def test_scans_of_any_source_can_be_predicted(tmp_path):
    from firstscan.steps.training.train import laid_out, to_predict

    folder = tmp_path / "scans" / "deep"
    folder.mkdir(parents=True)
    write_image(folder / "a.nrrd", np.zeros((8, 8, 8), np.int16), np.eye(4))
    write_image(folder / "b.nii.gz", np.zeros((8, 8, 8), np.int16), np.eye(4))
    pool = to_predict(tmp_path / "scans", tmp_path / "model", ("x",))
    with pytest.raises(DataError, match="has 1 channel"):
        to_predict(tmp_path / "scans", tmp_path / "model", ("x", "y"))
    placed = laid_out(pool, tmp_path / "images")
    assert sorted(p.name for p in placed.iterdir()) == [f"{case_id}_0000.nii.gz" for case_id in pool.case_ids]


def test_a_quota_on_every_group():
    from firstscan.domain.features import FeatureTable
    from firstscan.selection import Constraints, Quota, select

    rng = np.random.default_rng(0)
    site = np.array(["A"] * 20 + ["B"] * 4 + ["C"] * 2)
    table = FeatureTable(
        tuple(f"c{i:02d}" for i in range(26)), rng.normal(size=(26, 3)), rng.random(26), covariates={"site": site}
    )
    quotas = (Quota("site", "*", 2), Quota("site", "A", 0, 1))
    picks = select(table, 5, "random", 1, constraints=Constraints(quotas=quotas)).case_ids
    counts = {s: sum(site[int(i[1:])] == s for i in picks) for s in "ABC"}
    assert counts["B"] >= 2
    assert counts["C"] == 2
    assert counts["A"] <= 1
