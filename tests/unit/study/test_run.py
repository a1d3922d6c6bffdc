import json
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from firstscan.domain.errors import UsageError
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.running.run import Run, Settings
from firstscan.store import open_workspace, read_manifest, verified
from firstscan.study.plan import CEILING, plan_of
from firstscan.study.run import study

HERE = Settings(workers=1)


@dataclass
class Recorder:
    stages: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    said: list = field(default_factory=list)

    def start(self, stage, total):
        self.stages.append((stage, total))

    def advance(self, units=1, note=""):
        self.notes.append((units, note))

    def finish(self, note=""):
        pass

    def say(self, message):
        self.said.append(message)


@pytest.fixture
def trained(monkeypatch):
    """Count trainings."""
    calls = []
    original = Unet.train

    def train(self, dataset, model, **kwargs):
        calls.append(dataset)
        return original(self, dataset, model, **kwargs)

    monkeypatch.setattr(Unet, "train", train)
    return calls


def test_every_cell_is_a_recorded_row(study_world, tmp_path, trained):
    plan = plan_of(study_world.content(ceiling=True))
    recorder = Recorder()
    result = study(plan, tmp_path / "o", Settings(workers=1, progress=recorder), study_world.features)
    scores = result.scores
    assert (result.cells, result.failed) == (2 * (3 + 1 + 1) + 1, 0)
    assert {"strategy", "budget", "selection_seed", "training_seed", "case_id", "class", "dice", "hd95_mm", "nsd",
            "status"} <= set(scores.columns)  # fmt: skip
    assert scores.groupby(["strategy", "budget", "selection_seed"]).size().unique().tolist() == [3 * 2]
    assert scores[scores["strategy"] == CEILING]["budget"].unique().tolist() == [6]
    assert np.isfinite(scores[["dice", "hd95_mm", "nsd"]].to_numpy()).all()
    cells = pd.read_csv(tmp_path / "o" / "cells.csv")
    assert len(trained) == len({tuple(sorted(p.split())) for p in cells["picks"]})
    assert ("Training models", len(trained)) in recorder.stages
    assert sum(units for units, note in recorder.notes if ": Dice " in note) == len(trained)
    assert not any((tmp_path / "o" / "work" / "cells" / "scratch").iterdir())
    manifest = read_manifest(tmp_path / "o")
    assert manifest.kind == "study"
    assert verified(tmp_path / "o", manifest)
    page = (tmp_path / "o" / "study.html").read_text()
    assert "http://" not in page.split("<script")[0]
    for word in ("Against random", "Harm", "Cost", "kcenter", "percentile-0", "features were brought along"):
        assert word in page
    for name in ("curves.svg", "differences.svg"):
        assert (tmp_path / "o" / name).read_bytes().startswith(b"<?xml")


def test_test_cases_are_never_offered_to_features_or_strategies(study_world, tmp_path):
    seen = []

    def features(pool, entry):
        seen.extend(pool.case_ids)
        return study_world.features(pool, entry)

    result = study(plan_of(study_world.content()), tmp_path / "o", HERE, features)
    picks = set(" ".join(pd.read_csv(tmp_path / "o" / "cells.csv")["picks"]).split())
    assert not set(result.scores["case_id"]) & (set(seen) | picks)


def test_a_rerun_does_nothing_and_another_plan_is_refused(study_world, tmp_path, trained):
    plan = plan_of(study_world.content())
    study(plan, tmp_path / "o", HERE, study_world.features)
    before, n = (tmp_path / "o" / "scores.parquet").read_bytes(), len(trained)
    study(plan, tmp_path / "o", HERE, study_world.features)
    assert len(trained) == n
    assert (tmp_path / "o" / "scores.parquet").read_bytes() == before
    with pytest.raises(UsageError, match="budgets"):
        study(plan_of(study_world.content(budgets=[1])), tmp_path / "o", HERE, study_world.features)


def test_an_interrupted_study_repeats_no_finished_training_and_ends_the_same(
    study_world, tmp_path, trained, monkeypatch
):
    plan = plan_of(study_world.content())
    study(plan, tmp_path / "whole", HERE, study_world.features)
    total = len(trained)
    trained.clear()
    counting = Unet.train

    def stop(self, dataset, model, **kwargs):
        if len(trained) == 2:
            raise KeyboardInterrupt
        return counting(self, dataset, model, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Unet, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            study(plan, tmp_path / "cut", HERE, study_world.features)
    assert not (tmp_path / "cut" / "manifest.json").exists()
    study(plan, tmp_path / "cut", HERE, study_world.features)
    assert len(trained) == total
    assert (tmp_path / "cut" / "scores.parquet").read_bytes() == (tmp_path / "whole" / "scores.parquet").read_bytes()


def test_missing_labels_and_impossible_budgets_are_recorded_failures(study_world, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    plan = plan_of(study_world.content(budgets=[1, 50]))
    for path in sorted((study_world.cohort / "labels").iterdir()):
        (labels / path.name).write_bytes(path.read_bytes())
    from firstscan.study.data import read_data

    with open_workspace(tmp_path / "w") as workspace:
        pool_ids = read_data(plan, Run(workspace, Settings(workers=1))).pool.case_ids
    for case_id in pool_ids[:4]:
        (labels / f"{case_id}.nii.gz").unlink()
    content = study_world.content(budgets=[1, 50])
    content["pool"]["labels"] = str(labels)
    recorder = Recorder()
    result = study(plan_of(content), tmp_path / "o", Settings(workers=1, progress=recorder), study_world.features)
    failures = result.scores[result.scores["status"] == "failed"]
    assert result.failed == len(failures) > 5
    reasons = " ".join(failures["reason"])
    assert "have no label map" in reasons
    assert "budget must lie in 1 … 6" in reasons
    assert any("failed" in line for line in recorder.said)
    assert "have no label map" in (tmp_path / "o" / "study.html").read_text()


def test_failed_cells_are_tried_again(study_world, tmp_path, monkeypatch):
    plan = plan_of(study_world.content(strategies=["strided"], budgets=[1]))

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Unet, "train", full)
        first = study(plan, tmp_path / "o", HERE, study_world.features)
    assert first.failed == 1
    assert "disk is full" in first.scores["reason"].iloc[0]
    assert "disk is full" in (tmp_path / "o" / "study.html").read_text()
    assert study(plan, tmp_path / "o", HERE, study_world.features).failed == 0


def test_the_longest_trainings_come_first(study_world, tmp_path, monkeypatch):
    sizes, real = [], Unet.train

    def train(self, dataset, model, **kwargs):
        sizes.append(sum(1 for _ in (dataset / "labelsTr").iterdir()))
        return real(self, dataset, model, **kwargs)

    monkeypatch.setattr(Unet, "train", train)
    study(
        plan_of(study_world.content(strategies=["strided"], ceiling=True)), tmp_path / "o", HERE, study_world.features
    )
    assert sizes == [6, 2, 1]


def test_the_log_tells_where_the_time_of_a_study_went(study_world, tmp_path):
    study(plan_of(study_world.content(strategies=["strided"], budgets=[1])), tmp_path / "o", HERE, study_world.features)
    log = [json.loads(line) for line in (tmp_path / "o" / "work" / "log.jsonl").read_text().splitlines()]
    assert [e["event"] for e in log] == ["start", "stage", "stage", "end"]
    assert log[-1]["seconds"] >= sum(e["seconds"] for e in log[1:3])
    (result,) = (tmp_path / "o" / "work" / "cells" / "results").glob("*.json")
    seconds = json.loads(result.read_text())["seconds"]
    assert set(seconds) == {"load", "train", "predict", "score", "all"}
    assert seconds["all"] >= seconds["load"] + seconds["train"]


def test_two_processes_give_the_same_bytes(study_world, tmp_path):
    plan = plan_of(study_world.content(budgets=[1]))
    study(plan, tmp_path / "one", HERE, study_world.features)
    study(plan, tmp_path / "two", Settings(workers=2), study_world.features)
    assert (tmp_path / "one" / "scores.parquet").read_bytes() == (tmp_path / "two" / "scores.parquet").read_bytes()


def test_the_plan_is_kept_as_data(study_world, tmp_path):
    plan = plan_of(study_world.content(strategies=["strided"], budgets=[1]))
    study(plan, tmp_path / "o", HERE, study_world.features)
    assert plan_of(json.loads((tmp_path / "o" / "plan.json").read_text())) == plan


def test_wrong_names_are_refused_before_any_work(study_world, tmp_path):
    for change in ({"strategies": ["nope"]}, {"segmenter": {"name": "vnet"}}, {"segmenter": {"name": "unet", "x": 1}}):
        with pytest.raises(UsageError):
            study(plan_of(study_world.content(**change)), tmp_path / "o", HERE, study_world.features)
    assert not (tmp_path / "o").exists()


def test_a_test_scan_in_the_pool_is_refused(study_world, tmp_path):
    content = study_world.content(
        test={"source": str(study_world.cohort / "images"), "labels": str(study_world.cohort / "labels")}
    )
    with pytest.raises(UsageError, match="in the pool as well"):
        study(plan_of(content), tmp_path / "o", HERE, study_world.features)
