"""Features of a study: kinds of them share what they have in common, and are those of an extraction by itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import firstscan
from firstscan.domain.errors import UsageError
from firstscan.steps.measuring import pretrain
from firstscan.steps.running.run import Run, Settings
from firstscan.store import open_workspace
from firstscan.study.data import read_data
from firstscan.study.features import extractor, feature_seconds
from firstscan.study.plan import plan_of
from firstscan.study.run import study

HERE = Settings(workers=1)


@pytest.fixture
def entries(study_world):
    both = ["strided", {"name": "strided", "label": "published", "region": "all"}]
    return study_world.content(strategies=both, preset="fast", train_steps=2, budgets=[1])


def test_regions_share_one_training_and_are_the_bytes_of_extractions_by_themselves(entries, tmp_path, monkeypatch):
    trained, real = [], pretrain.train
    monkeypatch.setattr(pretrain, "train", lambda *a, **k: trained.append(k["seed"]) or real(*a, **k))
    plan = plan_of(entries)
    with open_workspace(tmp_path / "reading") as workspace:
        pool = read_data(plan, Run(workspace, HERE)).pool
    with open_workspace(tmp_path / "o") as workspace:
        features = extractor(plan, Run(workspace, HERE))
        ours = {entry.region or "foreground": features(pool, entry) for entry in plan.strategies}
        assert len(trained) == 1
        log = [json.loads(line) for line in (workspace.work / "log.jsonl").read_text().splitlines()]
        assert [e["name"] for e in log] == ["fast-foreground", "fast-all"]
        assert set(feature_seconds(workspace.work)) == {"fast-foreground", "fast-all"}
    assert (ours["foreground"].uncertainty != ours["all"].uncertainty).any()
    for region in ours:
        alone = tmp_path / region
        firstscan.extract(pool, "fast", plan.seed, region=region, train_steps=2, out=alone, workers=1)
        for name in ("features.parquet", "training.csv", "findings.csv"):
            there = tmp_path / "o" / "work" / "features" / f"fast-{region}" / name
            assert there.read_bytes() == (alone / name).read_bytes()


def test_overwrite_reaches_the_features(entries, tmp_path):
    entries["strategies"] = ["strided"]
    study(plan_of(entries), tmp_path / "o", HERE)
    other = plan_of({**entries, "train_steps": 1})
    with pytest.raises(UsageError, match="train_steps"):
        study(other, tmp_path / "o", HERE)
    study(other, tmp_path / "o", Settings(workers=1, overwrite=True))
    rows = Path(tmp_path / "o" / "work" / "features" / "fast-foreground" / "training.csv").read_text().splitlines()
    assert len(rows) == 2


def test_an_unfinished_study_of_other_scans_is_refused_in_its_own_name(entries, tmp_path):
    plan = plan_of(entries)
    with open_workspace(tmp_path / "o") as workspace:
        run = Run(workspace, HERE)
        pool = read_data(plan, run).pool
        extractor(plan, run)(pool, plan.strategies[0])
        fewer = replace(pool, cases=pool.cases[1:])
        with pytest.raises(UsageError) as refused:
            extractor(plan, run)(fewer, plan.strategies[0])
    assert str(refused.value).startswith(f"{tmp_path / 'o'} already holds results")
    assert f"1 scan(s) no longer there: {pool.case_ids[0]}" in str(refused.value)
    assert "--overwrite" in str(refused.value)
    assert "work" not in str(refused.value).split(" already ")[0].removeprefix(str(tmp_path))
