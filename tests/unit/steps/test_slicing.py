from __future__ import annotations

import csv
from dataclasses import replace as changed

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import ScanGeometry
from firstscan.imaging import write_image
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import pick, run_pick
from firstscan.steps.selecting.slicing import MINUTES
from firstscan.steps.steering.amend import extend, replace
from firstscan.store import read_manifest, verified, write_features

NOW = Settings()
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def geometry(case_id: str, slices: int) -> ScanGeometry:
    box = ((4, 59), (4, 59), (2, slices - 3))
    return ScanGeometry(case_id, (64, 64, slices), (1.0, 1.0, 5.0), UPRIGHT, (0.0, 0.0, 0.0), box)


def table(n=40, slices=24, **columns) -> FeatureTable:
    rng = np.random.default_rng(1)
    ids = tuple(f"c{i:02d}" for i in range(n))
    lengths = np.broadcast_to(slices, n)
    stored = np.array([geometry(i, int(k)).numbers for i, k in zip(ids, lengths, strict=True)])
    return FeatureTable(ids, rng.normal(size=(n, 4)), rng.random(n), covariates=columns, geometry=stored)


@pytest.fixture
def batch(tmp_path):
    write_features(tmp_path / "own.parquet", table())
    run_pick(tmp_path / "own.parquet", PickConfig(budget=4, every=4), tmp_path / "out", NOW)
    return tmp_path / "out"


def test_every_fourth_slice_of_the_picks_is_planned_and_written(batch):
    selection = fs.read_selection(batch)
    plan = selection.slices
    assert [c.case_id for c in plan] == list(selection.case_ids)
    assert [c.rank for c in plan] == [1, 2, 3, 4]
    assert (plan.every, len(plan)) == (4, 20)
    rows = list(csv.DictReader((batch / "slices.csv").read_text().splitlines()))
    assert len(rows) == 20
    first = plan.cases[0]
    assert [int(r["index"]) for r in rows[:5]] == list(first.indices)
    assert rows[0] == {
        "case_id": first.case_id, "rank": "1", "plane": "axial", "axis": "2", "index": str(first.indices[0]),
        "number": str(first.indices[0] + 1), "position_mm": f"{5 * first.indices[0]}", "why": first.reason,
    }  # fmt: skip
    manifest = read_manifest(batch)
    assert "slices.csv" in manifest.files
    assert verified(batch, manifest)


def test_what_is_written_is_what_was_planned(tmp_path):
    write_features(tmp_path / "own.parquet", table())
    config = PickConfig(slices=33, range="10%:90%", slice_axis="axial", least=2)
    made, _ = run_pick(tmp_path / "own.parquet", config, tmp_path / "out", NOW)
    read = fs.read_selection(tmp_path / "out")
    assert read.slices.cases == made.slices.cases
    assert read.slices.every == made.slices.every
    assert dict(read.slices.settings) == {**made.slices.settings, "within": [10.0, 90.0, "%"]}


def test_whole_scans_are_written_as_before_and_have_no_plan(tmp_path):
    write_features(tmp_path / "own.parquet", table())
    run_pick(tmp_path / "own.parquet", PickConfig(budget=4), tmp_path / "out", NOW)
    assert fs.read_selection(tmp_path / "out").slices is None
    assert not (tmp_path / "out" / "slices.csv").exists()
    assert '"schema_version": 1,' in (tmp_path / "out" / "selection.json").read_text()


@pytest.mark.parametrize("every", [None, 2, 4, 8])
def test_a_budget_in_slices_is_used_up_over_as_many_scans_as_every_asks_for(every):
    slices = np.random.default_rng(0).integers(16, 60, 40)
    selection = pick(table(slices=slices), PickConfig(slices=60, every=every, strategy="random"))
    assert len(selection.slices) == 60
    mean = np.mean(slices - 4) / (every or 4)
    assert len(selection) == pytest.approx(60 / mean, abs=0.51)


def test_a_budget_in_minutes_counts_scans_and_slices():
    config = PickConfig(budget=4, every=4, minutes=60, minutes_per_scan=5, minutes_per_slice=2)
    selection = pick(table(), config)
    assert len(selection) * 5 + len(selection.slices) * 2 <= 60
    assert MINUTES not in selection.features.covariates
    with pytest.raises(UsageError, match="at most 59 minutes"):
        pick(table(), config.model_copy(update={"minutes": 59}))
    less = pick(table(), PickConfig(slices=200, minutes=100, minutes_per_scan=5, minutes_per_slice=2))
    assert len(less) * 5 + len(less.slices) * 2 <= 100
    assert len(less) * 5 + len(less.slices) * 2 > 90
    with pytest.raises(UsageError, match="--minutes 3 are less than a scan takes"):
        pick(table(), PickConfig(slices=200, minutes=3))


def test_minutes_of_whole_scans_count_all_slices_of_the_patient():
    selection = pick(table(), PickConfig(budget=2, minutes=71, minutes_per_slice=1.5))
    assert selection.slices is None
    assert len(selection) * (5 + 20 * 1.5) <= 71
    with pytest.raises(UsageError, match="at most 69 minutes"):
        pick(table(), PickConfig(budget=2, minutes=69))
    with pytest.raises(UsageError, match="neither planned nor counted"):
        pick(changed(table(), geometry=None), PickConfig(budget=2, minutes=69))


def test_minutes_by_a_column_bind_as_before():
    selection = pick(table(cost=np.full(40, 10.0)), PickConfig(budget=3, every=4, minutes=30, cost_column="cost"))
    assert len(selection) == 3


def test_scans_that_cannot_be_planned_are_left_out_and_named():
    slices = np.full(40, 24)
    slices[:10] = 7
    selection = pick(table(slices=slices), PickConfig(budget=20, every=4, least=4))
    assert not {f"c{i:02d}" for i in range(10)} & set(selection.case_ids)
    refused = selection.diagnostics["slices_refused"]
    assert len(refused) == 10
    assert refused["c03"] == "the patient is in 3 of its slices, fewer than --least 4"
    with pytest.raises(UsageError, match="--include names 'c03', which no slices can be planned in"):
        pick(table(slices=slices), PickConfig(budget=20, every=4, least=4, include=("c03",)))
    with pytest.raises(DataError, match=r"only 30 scan\(s\) can be picked \(10 are excluded, too short"):
        pick(table(slices=slices), PickConfig(budget=31, every=4, least=4))


def test_requests_that_cannot_be_met_say_why():
    with pytest.raises(DataError, match=r"no slices can be planned in any of the 40 .* 120 mm long"):
        pick(table(), PickConfig(budget=4, every=4, range="300:400"))
    with pytest.raises(UsageError, match="the 40 usable scans have 800 slices in all"):
        pick(table(), PickConfig(slices=801))
    with pytest.raises(UsageError, match="do not say how the scans are stored"):
        pick(changed(table(), geometry=None), PickConfig(budget=4, every=4))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "--budget B scans, or --slices S"),
        ({"budget": 3, "slices": 9}, "--budget and --slices: one of them"),
        ({"budget": 3, "least": 2}, "--least is about slices"),
        ({"budget": 3, "range": "1:2"}, "--range is about slices"),
        ({"budget": 3, "every": 4, "range": "2"}, "--range 2: write FROM:TO"),
        ({"budget": 3, "every": 4, "slice_axis": "x"}, "--slice-axis x: choose axial"),
        ({"budget": 3, "every": 0}, "--every 0"),
        ({"slices": 0}, "--slices 0"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given, said):
    with pytest.raises(UsageError, match=said):
        PickConfig.of(**given)


def test_a_substitute_gets_a_plan_at_the_same_rank_and_the_others_keep_theirs(batch):
    before = fs.read_selection(batch)
    gone = before.case_ids[2]
    replace(batch, gone, "motion", NOW)
    after = fs.read_selection(batch)
    assert after.slices.of(gone) is None
    assert [c for c in after.slices if c.rank != 3] == [c for c in before.slices if c.rank != 3]
    new = after.slices.of(after.case_ids[2])
    assert (new.rank, new.indices) == (3, before.slices.of(gone).indices)
    assert verified(batch, read_manifest(batch))


def test_a_batch_that_is_extended_goes_on_staggering(batch):
    before = fs.read_selection(batch)
    extend(batch, 4, NOW)
    after = fs.read_selection(batch)
    assert after.slices.cases[:4] == before.slices.cases
    assert [c.case_id for c in after.slices] == list(after.case_ids)
    offsets = [max(c.indices) for c in after.slices]
    assert offsets[4:] == offsets[:4], "four scans begin at each of the four slices, and so do the next four"


def test_a_budget_in_slices_is_kept_by_a_substitute(tmp_path):
    slices = np.random.default_rng(0).integers(16, 60, 40)
    write_features(tmp_path / "own.parquet", table(slices=slices))
    run_pick(tmp_path / "own.parquet", PickConfig(slices=50), tmp_path / "out", NOW)
    replace(tmp_path / "out", fs.read_selection(tmp_path / "out").case_ids[0], "motion", NOW)
    assert len(fs.read_selection(tmp_path / "out").slices) == 50


def test_minutes_hold_for_a_substitute(tmp_path):
    slices = np.r_[np.full(30, 24), np.full(10, 200)]
    write_features(tmp_path / "own.parquet", table(slices=slices))
    run_pick(tmp_path / "own.parquet", PickConfig(budget=4, every=4, minutes=60), tmp_path / "out", NOW)
    for _ in range(3):
        replace(tmp_path / "out", fs.read_selection(tmp_path / "out").case_ids[0], "motion", NOW)
        plan = fs.read_selection(tmp_path / "out").slices
        assert 5 * 4 + 1.5 * len(plan) <= 60


def test_from_python_slices_are_planned_of_a_table_a_folder_or_the_scans_themselves(tmp_path):
    rng = np.random.default_rng(3)
    (tmp_path / "scans").mkdir()
    for i in range(4):
        voxels = np.zeros((20, 22, 12), dtype=np.float32)
        voxels[3:17, 3:19, 2:10] = 100 + rng.normal(0, 5, (14, 16, 8))
        write_image(tmp_path / "scans" / f"s{i}.nii.gz", voxels, np.diag([2.0, 2.0, 6.0, 1.0]))
    pool = fs.index(tmp_path / "scans")
    chosen = fs.select(FeatureTable(pool.case_ids, rng.normal(size=(4, 3)), rng.random(4)), 2)
    planned = fs.plan_slices(chosen, pool, every=2, workers=1)
    assert planned.picks == chosen.picks
    assert [(c.plane, c.axis, c.slices) for c in planned.slices] == [("axial", 2, 12)] * 2
    assert {i for c in planned.slices for i in c.indices} <= set(range(1, 11)), "within the patient"
    assert len(fs.plan_slices(chosen, pool, slices=5, workers=1).slices) == 5

    known = table()
    again = fs.select(known, 3)
    write_features(tmp_path / "features.parquet", known)
    assert fs.plan_slices(again, known).slices == fs.plan_slices(again, tmp_path).slices
    with pytest.raises(UsageError, match="not in the pool"):
        fs.plan_slices(again, pool)
    with pytest.raises(UsageError, match="one of them decides"):
        fs.plan_slices(again, known, every=2, slices=9)
    with pytest.raises(UsageError, match="do not say how the scans are stored"):
        fs.plan_slices(again, changed(known, geometry=None))
