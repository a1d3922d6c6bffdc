"""What is gathered for the report around a batch: from features, settings and logs."""

from __future__ import annotations

import numpy as np
import pytest

import firstscan as fs
from firstscan.selection import replace_pick
from firstscan.steps.reporting import context as module
from firstscan.steps.reporting.context import afterwards, other_choices, spreads
from firstscan.steps.running.carried import note
from firstscan.steps.running.config import PickConfig
from firstscan.steps.running.history import History, event
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.selecting.pick import pick
from firstscan.store import open_workspace, write_selection

NOW = Settings(workers=1)
IDS = tuple(f"c{i:02d}" for i in range(40))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    site = np.array(["Elm" if i % 4 == 0 else "Oak" if i % 4 == 1 else "Ash" for i in range(40)])
    patient = np.array([f"p{i // 2}" for i in range(40)])
    return fs.FeatureTable(
        IDS, rng.normal(size=(40, 6)), rng.random(40), rng.random(40), {"site": site, "patient": patient}
    )


def test_other_strategies_obey_the_same_conditions_and_are_asked_once(table, tmp_path, monkeypatch):
    config = PickConfig(budget=4, strategy="cscs", exclude=("c00", "c01"), group_by=("patient",))
    selection = pick(table, config)
    with open_workspace(tmp_path / "out") as workspace:
        run = Run(workspace, NOW)
        found = other_choices(run, selection, table, config)
        assert [o.strategy for o in found] == sorted({*module.QUICK, *module.SLOWER} - {"cscs"})
        for other in found:
            assert len(set(other.case_ids)) == 4
            assert not {"c00", "c01"} & set(other.case_ids)
            assert len({int(i[1:]) // 2 for i in other.case_ids}) == 4
        monkeypatch.setattr(module, "choose", None)
        replaced = replace_pick(selection, table, selection.case_ids[0])
        assert other_choices(run, replaced, table, config) == found
        monkeypatch.undo()
        asked = PickConfig(budget=4, exclude=("c02",))
        assert other_choices(run, selection, table, asked) != found


def test_a_strategy_that_cannot_keep_the_conditions_says_so(table, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise fs.UsageError("cannot hold")

    monkeypatch.setattr(module, "choose", refuse)
    with open_workspace(tmp_path / "out") as workspace:
        found = other_choices(Run(workspace, NOW), pick(table, PickConfig(budget=2)), table, PickConfig(budget=2))
    assert {(o.case_ids, o.why_not) for o in found} == {((), "cannot hold")}


def test_large_pools_are_compared_with_quick_strategies_or_not_at_all(table, tmp_path, monkeypatch):
    selection = pick(table, PickConfig(budget=2))
    with open_workspace(tmp_path / "out") as workspace:
        monkeypatch.setattr(module, "MOST_SLOWER", 39)
        found = other_choices(Run(workspace, NOW), selection, table, PickConfig(budget=2))
        assert [o.strategy for o in found] == sorted(module.QUICK)
        monkeypatch.setattr(module, "MOST_QUICK", 39)
        assert other_choices(Run(workspace, NOW), selection, table, PickConfig(budget=2)) == ()


def test_groups_hold_values_only_where_they_were_named_or_may_be_shown(table):
    config = PickConfig(budget=8, group_by=("patient",), quota=("site=Elm:3-5", "site=Oak:1"))
    selection = pick(table, config)
    patient, site = spreads(selection, table, config, show_values=False)
    assert (patient.column, patient.groups, patient.reached, patient.rows, patient.once) == ("patient", 20, 8, (), True)
    assert [(r.group, r.pool, r.asked) for r in site.rows] == [
        ("Elm", 10, "3 to 5"),
        ("Oak", 10, "at least 1"),
        ("1 other group", 20, ""),
    ]
    assert sum(r.picks for r in site.rows) == 8
    assert 3 <= site.rows[0].picks <= 5
    plain = PickConfig(budget=8)
    assert spreads(selection, table, plain, show_values=False) == ()
    (shown,) = spreads(selection, table, plain, show_values=True)
    assert [r.group for r in shown.rows] == ["Ash", "Elm", "Oak"]


def test_the_history_is_told(table, tmp_path):
    out = tmp_path / "out"
    with open_workspace(out) as workspace:
        run = Run(workspace, NOW)
        selection = pick(table, PickConfig(budget=2))
        write_selection(out, selection, {}, "0")
        empty = afterwards(run, selection, table, {}, show_values=False)
        assert (empty.others, empty.spreads, empty.handovers, empty.collections, empty.review) == ((), (), (), (), ())
        note(out, NOW.progress, "handoff", target="slicer", folder="x", readers={"": ["c00"]})
        note(out, NOW.progress, "collect", folder="y", handoffs=["x"], labelled=["c00"])
        detail = {"from": 8, "picks": [{}, {}], "pick": {"case_id": "c02", "rank": 1}, "file": "history/0.json"}
        History(out).append(event("review", "budget", detail=detail))
        History(out).append(event("review", "veto", "c01", "motion"))
        found = afterwards(run, selection, table, {}, show_values=False)
    assert [(h.target, h.folder, dict(h.readers)) for h in found.handovers] == [("slicer", "x", {"": ("c00",)})]
    assert [(c.folder, c.labelled) for c in found.collections] == [("y", ("c00",))]
    assert [(e.action, e.case_id, e.why, e.detail) for e in found.review] == [
        ("budget", "", "", "from: 8, picks: 2 of them, pick: c02"),
        ("veto", "c01", "motion", ""),
    ]


def test_results_that_are_gone_do_not_stop_a_hand_off(tmp_path):
    said = []

    class Ear:
        def say(self, message):
            said.append(message)

        def start(self, stage, total): ...

        def advance(self, units=1, note=""): ...

        def finish(self, note=""): ...

    note(tmp_path / "gone", Ear(), "handoff")
    assert "its report will not show this" in said[0]
