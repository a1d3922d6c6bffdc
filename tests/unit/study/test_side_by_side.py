"""How many trainings of a study run at once, and that those of a GPU may."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstscan.domain.pool import Pool
from firstscan.steps.running.run import Run, Settings
from firstscan.store import open_workspace
from firstscan.study.run import _trained, run_job
from firstscan.study.training import Job


def job(key: str, folder: Path, device: str) -> Job:
    return Job(
        key=key,
        picks=("a",),
        training_seed=0,
        pool=Pool("x", ()),
        labels={},
        classes={"a": 1},
        segmenter="unet",
        options={"device": device},
        images=folder,
        test_labels={},
        tolerance_mm=1.0,
        folder=folder,
    )


@pytest.mark.parametrize(
    ("device", "asked", "used", "processes"),
    [("cuda", 6, 6, True), ("cuda", None, 1, False), ("cpu", None, None, True), ("cpu", 2, 2, True)],
)
def test_workers_train_side_by_side_on_one_gpu_where_they_are_asked_for(
    device, asked, used, processes, tmp_path, monkeypatch
):
    called: dict[str, object] = {}

    def cases(self: Run, work: object, items: list[tuple[str, Job]], **options: object) -> object:
        called.update(options, work=work)
        return iter([(key, {"status": "failed", "reason": "", "scores": [], "seconds": {}}) for key, _ in items])

    monkeypatch.setattr(Run, "cases", cases)
    jobs = [job("one", tmp_path, device), job("two", tmp_path, device)]
    with open_workspace(tmp_path / "o") as workspace:
        results = _trained(jobs, {"one": "1", "two": "2"}, Run(workspace, Settings(workers=asked)), [])
    assert sorted(results) == ["one", "two"]
    assert called["workers"] == used
    assert (called["work"] is run_job) == processes
    assert called["gpu"] == (device == "cuda")
