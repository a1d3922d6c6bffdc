from __future__ import annotations

import os

import numpy as np
import pytest

from firstscan.domain.errors import DataError
from firstscan.domain.finding import Finding
from firstscan.execution import WorkerDied
from firstscan.imaging import write_image
from firstscan.steps.measuring import check as step
from firstscan.steps.measuring.index import found, index
from firstscan.steps.measuring.standardise import standardise
from firstscan.steps.running.config import CheckConfig, IndexConfig
from firstscan.steps.running.run import Run, Settings
from firstscan.store import open_workspace


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        voxels = np.zeros((14, 12, 10), np.float32)
        voxels[2:-2, 2:-2, 2:-2] = 100 + rng.random((10, 8, 6))
        write_image(folder / f"s{i}.nii.gz", voxels, np.eye(4))
    return folder


@pytest.fixture
def run(tmp_path):
    with open_workspace(tmp_path / "out") as workspace:
        yield Run(workspace, Settings(workers=1))


def checked(scans, run, **settings):
    return step.check(index(IndexConfig(source=str(scans))), CheckConfig(**settings), run)


def test_only_changed_scans_are_read_again(scans, run, monkeypatch):
    read: list[str] = []
    real = step.inspect

    def counted(case, **options):
        read.append(case.case_id)
        return real(case, **options)

    monkeypatch.setattr(step, "inspect", counted)
    first = checked(scans, run)
    assert len(first.pool) == 4
    assert checked(scans, run) == first
    assert read == ["s0", "s1", "s2", "s3"]
    os.utime(scans / "s1.nii.gz", ns=(1, 1))
    again = checked(scans, run)
    assert read == ["s0", "s1", "s2", "s3", "s1"]
    assert again.fingerprints == first.fingerprints
    for path in (run.workspace.work / "summaries").glob("s2*"):
        path.write_text('{"summary": {}}')
    assert checked(scans, run).fingerprints == first.fingerprints
    assert read[-1] == "s2"


def test_a_new_column_of_a_table_reads_no_scan_again_and_is_another_input(scans, run, tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    table.write_text("case_id,site\n" + "".join(f"s{i},N\n" for i in range(4)))

    def with_table():
        return step.check(index(IndexConfig(source=str(scans), table=table)), CheckConfig(), run)

    plain = checked(scans, run)
    monkeypatch.setattr(step, "inspect", None)
    joined = with_table()
    assert joined.fingerprints == plain.fingerprints
    assert joined.inputs.keys() == plain.inputs.keys()
    assert not set(joined.inputs.values()) & set(plain.inputs.values())
    table.write_text(table.read_text().replace("s2,N", "s2,S"))
    assert {i for i, v in with_table().inputs.items() if v != joined.inputs[i]} == {"s2"}


def test_duplicates_and_odd_channels_are_dropped(scans, run):
    (scans / "s9.nii.gz").write_bytes((scans / "s0.nii.gz").read_bytes())
    for number in range(2):
        voxels = np.random.default_rng(number).random((12, 12, 12), np.float32)
        write_image(scans / f"multi_{number:04d}.nii.gz", voxels, np.eye(4))
        write_image(scans / f"second_{number:04d}.nii.gz", voxels + 1, np.eye(4))
    result = checked(scans, run)
    assert {f.case_id: f.code for f in result.pool.findings if f.severity == "drop"} == {
        "s9": "duplicate",
        "multi": "channel-count",
        "second": "channel-count",
    }
    assert result.pool.case_ids == ("s0", "s1", "s2", "s3")
    assert found(result.pool) == 7
    assert set(result.summaries) == set(result.pool.case_ids)


def test_a_reader_that_dies_is_a_finding_and_a_defect_is_not(scans, run, monkeypatch):
    def dying(self, function, items, **_):
        for case_id, _item in items:
            yield case_id, WorkerDied("died")

    monkeypatch.setattr(Run, "cases", dying)
    result = checked(scans, run)
    assert {f.code for f in result.pool.findings} == {"crashed-reader"}
    with pytest.raises(DataError, match=r"None of the 4 scan\(s\).*4 crashed-reader"):
        step.require_usable(result, 4, run.workspace.out / "findings.csv")

    def defect(self, function, items, **_):
        yield items[0][0], ZeroDivisionError("x")

    monkeypatch.setattr(Run, "cases", defect)
    os.utime(scans / "s1.nii.gz", ns=(2, 2))
    with pytest.raises(ZeroDivisionError):
        checked(scans, run)


def test_a_file_that_changes_or_vanishes_after_the_check_stops_the_run(scans, run):
    result = checked(scans, run)
    original = (scans / "s1.nii.gz").read_bytes()
    os.utime(scans / "s1.nii.gz", ns=(3, 3))
    with pytest.raises(DataError, match=r"s1 .*changed while it was read.*same command again"):
        standardise(result, 16, run)
    (scans / "s1.nii.gz").unlink()
    with pytest.raises(DataError, match=r"s1 could be read a moment ago.*same command again"):
        standardise(result, 16, run)
    (scans / "s1.nii.gz").write_bytes(original)
    crops = standardise(checked(scans, run), 16, run)
    assert len(crops) == 4
    assert crops[1].case_id == "s1"
    assert crops[1].voxels.shape == (1, 16, 16, 16)


def test_results_hold_for_one_set_of_scans(scans, run):
    first = standardise(checked(scans, run), 16, run)
    assert standardise(checked(scans, run), 16, run).keys == first.keys
    assert standardise(checked(scans, run), 24, run).keys != first.keys


def test_findings_travel_through_the_cache(scans, run):
    (scans / "bad.nii.gz").write_bytes(b"nothing")
    first, second = checked(scans, run), checked(scans, run)
    assert isinstance(second.pool.findings[0], Finding)
    assert first.pool.findings == second.pool.findings


def test_the_policy_decides_without_reading_again_but_never_keeps_what_cannot_be_read(scans, run, monkeypatch):
    (scans / "s9.nii.gz").write_bytes((scans / "s0.nii.gz").read_bytes())
    (scans / "bad.nii.gz").write_bytes(b"nothing")
    assert checked(scans, run).pool.case_ids == ("s0", "s1", "s2", "s3")

    def nothing_to_read(self, function, items, **_):
        assert [case_id for case_id, _item in items] == []
        return iter(())

    monkeypatch.setattr(Run, "cases", nothing_to_read)
    kept = checked(scans, run, severity={"duplicate": "warn", "unreadable": "note"})
    assert kept.pool.case_ids == ("s0", "s1", "s2", "s3", "s9")
    assert {(f.case_id, f.code, f.severity) for f in kept.pool.findings} >= {
        ("s9", "duplicate", "warn"),
        ("bad", "unreadable", "drop"),
    }
