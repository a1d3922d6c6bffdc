"""A review of a batch that is planned by slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import ScanGeometry
from firstscan.review.scene import state_told
from firstscan.review.session import Request, Session
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import run_pick
from firstscan.steps.steering.review import held
from firstscan.store import write_features

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def planned(tmp_path) -> Path:
    rng = np.random.default_rng(1)
    ids = tuple(f"c{i:02d}" for i in range(30))
    box = ((0, 39), (0, 39), (2, 21))
    stored = [ScanGeometry(i, (40, 40, 24), (1.0, 1.0, 5.0), UPRIGHT, (0.0, 0.0, 0.0), box).numbers for i in ids]
    table = FeatureTable(ids, rng.normal(size=(30, 4)), rng.random(30), geometry=np.array(stored))
    write_features(tmp_path / "own.parquet", table)
    run_pick(tmp_path / "own.parquet", PickConfig(budget=4, every=4), tmp_path / "out", Settings())
    return tmp_path / "out"


def test_the_page_is_told_the_planned_slices_from_the_top(planned):
    before = fs.read_selection(planned).slices
    with held(planned, Settings()) as opened:
        session = Session(opened)
        told = [pick["slices"] for pick in state_told(session, session.state)["picks"]]
    assert [slices["index"] for slices in told] == [sorted(case.indices, reverse=True) for case in before]
    assert told[0]["top"] == [23 - index for index in told[0]["index"]]
    assert told[0]["mm"] == sorted(before.cases[0].positions_mm, reverse=True)
    assert (told[0]["plane"], told[0]["of"]) == ("axial", 24)


def test_a_substitute_has_slices_at_once_and_an_export_writes_those(planned):
    before = fs.read_selection(planned).slices
    with held(planned, Settings()) as opened:
        session = Session(opened)
        session.act(Request("veto", session.state.case_ids[1], "motion"))
        shown = session.selection(session.state).slices
        assert [case.case_id for case in shown] == list(session.state.case_ids)
        assert shown.cases[1].indices == before.cases[1].indices, "of the same size, at the same rank"
        tried = session.tried(6, "random").slices
        assert [case.rank for case in tried] == [1, 2, 3, 4, 5, 6]
        session.act(Request("export"))
    assert fs.read_selection(planned).slices.cases == shown.cases


def test_whole_scans_have_no_slices_on_the_page(session):
    assert {pick["slices"] for pick in state_told(session, session.state)["picks"]} == {None}
