"""Scans that a plan by slice leaves out or cuts askew are named."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import ScanGeometry
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import pick, run_pick
from firstscan.steps.selecting.slice_findings import in_words, slice_findings
from firstscan.store import write_features

C, S = float(np.cos(0.4)), float(np.sin(0.4))
TILTED = (1.0, 0.0, 0.0, 0.0, C, -S, 0.0, S, C)
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass
class Recorder:
    said: list = field(default_factory=list)

    def start(self, stage, total): ...

    def advance(self, units=1, note=""): ...

    def finish(self, note=""): ...

    def say(self, message):
        self.said.append(message)


def table() -> FeatureTable:
    """Six scans: the first shows the patient in 3 slices, the second lies 23 degrees askew."""
    rng = np.random.default_rng(0)
    ids = tuple(f"c{i}" for i in range(6))
    stored = [
        ScanGeometry(
            case_id, (64, 64, 24), (1.0, 1.0, 5.0), TILTED if i == 1 else UPRIGHT, (0.0, 0.0, 0.0),
            ((4, 59), (4, 59), (3, 5) if i == 0 else (2, 21)),
        ).numbers
        for i, case_id in enumerate(ids)
    ]  # fmt: skip
    return FeatureTable(ids, rng.normal(size=(6, 3)), rng.random(6), geometry=np.array(stored))


def test_a_scan_that_cannot_be_planned_and_one_that_tilts_are_findings():
    features = table()
    selection = pick(features, PickConfig(budget=5, every=4, least=4))
    found = slice_findings(selection, features, {"c0": "c0.nii.gz"})
    assert [(f.code, f.severity, f.case_id, f.path) for f in found] == [
        ("slices-unplannable", "warn", "c0", "c0.nii.gz"),
        ("slices-oblique", "note", "c1", ""),
    ]
    assert "the patient is in 3 of its slices, fewer than --least 4" in found[0].message
    assert "--least" in found[0].remedy
    assert found[1].message.startswith("it is tilted 23° to the axial plane: the planned slices are stored ones")
    assert (found[1].measured, found[1].threshold) == (22.9, 10.0)
    assert selection.slices.of("c1").reason.endswith("tilted 23° to the axial plane")


def test_whole_scans_have_nothing_to_say():
    features = table()
    assert slice_findings(pick(features, PickConfig(budget=3)), features) == ()


def test_a_range_outside_of_some_scans_names_them():
    features = table()
    lower = features.geometry.copy()
    lower[2, 22:24] = (20, 23)
    features = replace(features, geometry=lower)
    selection = pick(features, PickConfig(budget=3, every=2, range="30:100"))
    (first, *_) = slice_findings(selection, features)
    assert first.case_id == "c2"
    assert "0 slice(s) of the patient lie 30 to 100 mm from the top of the scan, which is 120 mm long" in first.message


def test_pick_says_it_in_one_line_a_kind(tmp_path):
    features = table()
    write_features(tmp_path / "own.parquet", features)
    recorder = Recorder()
    config = PickConfig(budget=5, every=4, least=4)
    run_pick(tmp_path / "own.parquet", config, tmp_path / "out", Settings(progress=recorder))
    notes = [line for line in recorder.said if line.startswith("Note: ")]
    assert [line.partition(",")[0] for line in notes] == [
        "Note: 1 scan(s) with slices-unplannable",
        "Note: 1 scan(s) with slices-oblique",
    ]
    assert in_words(()) == []
