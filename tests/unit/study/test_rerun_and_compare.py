"""One cell again, several studies together, and a study whose trainer is not installed."""

import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from firstscan.domain.errors import UsageError
from firstscan.segmentation.nnunet.segmenter import NnUnet
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.running.run import Settings
from firstscan.study.plan import plan_of
from firstscan.study.publishing.compare import compare
from firstscan.study.rerun import rerun
from firstscan.study.run import study

HERE = Settings(workers=1)


@pytest.fixture
def finished(study_world, tmp_path):
    content = study_world.content(budgets=[2], strategies=["random", "strided"], selection_seeds={"default": 2})
    study(plan_of({**content, "name": "first"}), tmp_path / "first", HERE, study_world.features)
    return tmp_path / "first"


def test_a_cell_again_gives_the_same_numbers_or_says_what_differs(study_world, finished, tmp_path):
    again = rerun(finished, "random:2:1", tmp_path / "again", HERE, features=study_world.features)
    assert again.same
    assert again.lines[1:] == ("Picks: the same", "Scores: all 6 the same, to the last digit")
    assert len(pd.read_csv(tmp_path / "again" / "cells.csv")) == 1
    about = json.loads((finished / "about.json").read_text())
    about["versions"]["torch"] = "1.0"
    (finished / "about.json").write_text(json.dumps(about))
    scores = pd.read_parquet(finished / "scores.parquet")
    scores["dice"] = scores["dice"] + 0.001
    scores.to_parquet(finished / "scores.parquet")
    other = rerun(finished, "random:2:1:0", tmp_path / "again", HERE, features=study_world.features)
    assert not other.same
    told = "\n".join(other.lines)
    assert "largest difference of one score 0.001" in told
    assert "Scans and label maps: the same" in told
    assert "torch: 1.0 → " in told


def test_cells_and_plans_that_do_not_fit_are_refused(study_world, finished, tmp_path):
    with pytest.raises(UsageError, match=r"no cell 'random:3:0'.*for example random:2:0"):
        rerun(finished, "random:3:0", tmp_path / "again", HERE)
    with pytest.raises(UsageError, match="no finished study"):
        rerun(tmp_path, "random:2:0", tmp_path / "again", HERE)
    plan = json.loads((finished / "plan.json").read_text()) | {"seed": 7}
    (tmp_path / "other.yaml").write_text(json.dumps(plan))
    with pytest.raises(UsageError, match="seed: 42 → 7"):
        rerun(finished, "random:2:0", tmp_path / "again", HERE, plan=tmp_path / "other.yaml")


def test_studies_of_two_pools_share_one_page(finished, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    for path in finished.iterdir():
        if path.is_file():
            (second / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="two of the studies are called first"):
        compare([finished, second], tmp_path / "both", HERE)
    about = json.loads((second / "about.json").read_text()) | {"name": "second"}
    (second / "about.json").write_text(json.dumps(about))
    pd.read_parquet(second / "scores.parquet").assign(pool="second").to_parquet(second / "scores.parquet")
    page = compare([finished, second], tmp_path / "both", HERE)
    assert "Studies first and second" in page.read_text()
    assert set(pd.read_csv(tmp_path / "both" / "summary.csv")["pool"]) == {"first", "second"}
    compare([finished, second], tmp_path / "both", HERE)
    with pytest.raises(UsageError, match="at least two"):
        compare([finished], tmp_path / "both", HERE)


def test_without_nnunet_every_cell_fails_at_once_and_is_tried_again(study_world, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FIRSTSCAN_NNUNET", raising=False)
    content = study_world.content(budgets=[1], strategies=["strided"], segmenter={"name": "nnunet"}, ceiling=True)

    def never(pool, entry):
        raise AssertionError("features are not needed")

    done = study(plan_of(content), tmp_path / "o", HERE, never)
    assert (done.cells, done.failed) == (2, 2)
    assert done.scores["reason"].str.contains("nnU-Net is not installed").all()
    monkeypatch.setattr(NnUnet, "check", lambda self: None)
    monkeypatch.setattr(
        NnUnet, "train", lambda self, *_, **__: Unet(iterations=1, features=4, patch=16).train(*_, **__)
    )
    monkeypatch.setattr(NnUnet, "predict", lambda self, *_, **__: Unet(features=4, patch=16).predict(*_, **__))
    assert study(plan_of(content), tmp_path / "o", HERE, study_world.features).failed == 0


def test_scans_of_another_format_are_converted_once_with_their_labels(study_world, tmp_path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        for path in sorted((study_world.cohort / part).iterdir()):
            image = sitk.Flip(sitk.ReadImage(str(path)), [True, False, False])
            sitk.WriteImage(image, str(tmp_path / part / path.name.replace(".nii.gz", ".nrrd")))
    content = study_world.content(budgets=[2], strategies=["strided"])
    content["pool"] = {"source": str(tmp_path / "images"), "labels": str(tmp_path / "labels")}
    done = study(plan_of(content), tmp_path / "o", HERE, study_world.features)
    assert done.failed == 0
    assert np.isfinite(done.scores["dice"]).all()
    scans = tmp_path / "o" / "work" / "scans"
    folders = {p.parent.name: sorted(q.name for q in p.iterdir()) for p in scans.glob("*/pool/*")}
    assert folders == {"pool": ["image_0000.nii.gz", "label.nii.gz"]}
