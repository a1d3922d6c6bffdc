"""nnU-Net as a program: what is called, with which environment, and what is said when it fails."""

import json
import os
from pathlib import Path

import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.segmentation.nnunet import program
from firstscan.segmentation.nnunet.segmenter import NnUnet
from firstscan.segmentation.registry import resolved, segmenter


def test_trains_on_all_picks_in_one_split_and_predicts(raw_dataset, tmp_path, fake):
    notes = []
    settings = NnUnet(trainer="paper", epochs=2, iterations=3)
    settings.train(raw_dataset.folder, tmp_path / "m", seed=7, progress=lambda d, n, m: notes.append((d, n, m)))
    settings.predict(tmp_path / "m", raw_dataset.folder / "imagesTs", tmp_path / "p")
    plan, train, predict = fake()
    assert plan[0] == "nnUNetv2_plan_and_preprocess"
    assert "--verify_dataset_integrity" in plan[1]
    assert train[1] == ["1", "3d_fullres", "0", "-tr", "FirstscanTrainerPaper", "-device", "cpu"]
    assert {k: train[2][k] for k in ("FIRSTSCAN_SEED", "FIRSTSCAN_EPOCHS", "FIRSTSCAN_ITERATIONS")} == {
        "FIRSTSCAN_SEED": "7", "FIRSTSCAN_EPOCHS": "2", "FIRSTSCAN_ITERATIONS": "3",
    }  # fmt: skip
    assert train[2]["nnUNet_compile"] == "0"
    assert train[2]["nnUNet_n_proc_DA"] == "0"
    assert (tmp_path / "m" / "raw" / "Dataset001_Picks" / "dataset.json").exists()
    split = json.loads((tmp_path / "m" / "preprocessed" / "Dataset001_Picks" / "splits_final.json").read_text())
    assert split == [{"train": ["a", "b"], "val": ["a", "b"]}]
    assert (1, 2, "epoch 1, loss 0.5") in notes
    assert (2, 2, "epoch 2, loss 0.4") in notes
    assert predict[0] == "nnUNetv2_predict"
    assert "-chk" not in predict[1]
    assert (tmp_path / "p" / "a.nii.gz").exists()


def test_the_environment_is_set_for_the_call_only(raw_dataset, tmp_path, fake):
    NnUnet(epochs=2).train(raw_dataset.folder, tmp_path / "m", seed=0)
    assert not [k for k in os.environ if k.startswith("nnUNet_")]


def test_an_interrupted_training_continues_and_a_finished_one_is_left_alone(raw_dataset, tmp_path, fake):
    settings = NnUnet(epochs=2)
    settings.train(raw_dataset.folder, tmp_path / "m", seed=0)
    settings.train(raw_dataset.folder, tmp_path / "m", seed=0)
    assert [c[0] for c in fake()] == ["nnUNetv2_plan_and_preprocess", "nnUNetv2_train"]
    (tmp_path / "m" / "trained.json").unlink()
    settings.train(raw_dataset.folder, tmp_path / "m", seed=0)
    assert [c[0] for c in fake()][2:] == ["nnUNetv2_train"]
    assert fake()[-1][1][-1] == "--c"


def test_a_failure_quotes_its_reason_and_names_the_log(raw_dataset, tmp_path, fake):
    fake.mode.write_text("nnUNetv2_train")
    with pytest.raises(DataError, match=r"nnUNetv2_train failed with exit code 1: RuntimeError: it broke.*nnunet\.log"):
        NnUnet().train(raw_dataset.folder, tmp_path / "m", seed=0)
    assert "doing things" in (tmp_path / "m" / "nnunet.log").read_text()
    assert not (tmp_path / "m" / "trained.json").exists()


def test_a_full_disk_is_said_in_plain_words():
    last = ("x", "OSError: [Errno 28] No space left on device")
    assert "disk is full" in program._failure("nnUNetv2_train", 1, last, Path("log"))
    assert "ended by signal 9" in program._failure("nnUNetv2_train", -9, ("x",), Path("log"))


def test_scans_without_a_prediction_are_named(raw_dataset, tmp_path, fake):
    settings = NnUnet()
    settings.train(raw_dataset.folder, tmp_path / "m", seed=0)
    fake.mode.write_text("lazy")
    with pytest.raises(DataError, match=r"2 scan\(s\): a, b"):
        settings.predict(tmp_path / "m", raw_dataset.folder / "imagesTs", tmp_path / "p")


def test_predicting_without_training_says_so(tmp_path):
    with pytest.raises(DataError, match="firstscan train"):
        NnUnet().predict(tmp_path, tmp_path, tmp_path)


@pytest.mark.parametrize("told", [True, False])
def test_no_nnunet_says_how_to_get_it(raw_dataset, tmp_path, monkeypatch, told):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FIRSTSCAN_NNUNET", raising=False)
    where = str(tmp_path) if told else ""
    with pytest.raises(UsageError, match=r"not installed.*pip install nnunetv2.*FIRSTSCAN_NNUNET"):
        NnUnet(folder=where).train(raw_dataset.folder, tmp_path / "m", seed=0)


@pytest.mark.parametrize("version", ["1.7.1", "2.0", "2.8.1", "unknown"])
def test_a_version_without_ignored_labels_is_refused_before_anything_runs(raw_dataset, tmp_path, fake, version):
    python = tmp_path / "bin" / "python"
    python.write_text(f"#!/bin/sh\necho nnunetv2 {version}\n")
    python.chmod(0o755)
    if version != "1.7.1":
        NnUnet().check()
        return
    for call in (NnUnet().check, lambda: NnUnet().train(raw_dataset.folder, tmp_path / "m", seed=0)):
        with pytest.raises(UsageError, match=r"nnU-Net 1\.7\.1 in .* too old: .*ignore.*2\.0 or newer"):
            call()
    assert not (tmp_path / "calls.jsonl").exists()
    assert not (tmp_path / "m").exists()


def test_the_first_nnunet_is_called_too_old_and_not_missing(tmp_path, monkeypatch):
    program = tmp_path / "nnUNet_train"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("FIRSTSCAN_NNUNET", str(tmp_path))
    with pytest.raises(UsageError, match=r"nnU-Net 1 in .* is too old"):
        NnUnet().check()


def test_where_it_runs_is_no_part_of_its_identity():
    one = segmenter("nnunet", {"trainer": "short", "device": "cuda", "workers": 4, "folder": "x"})
    assert resolved(one) == resolved(segmenter("nnunet", {"trainer": "short"}))
    assert resolved(one)["trainer"] == "short"
    assert NnUnet(trainer="nnUNetTrainer_5epochs").trainer_class == "nnUNetTrainer_5epochs"
