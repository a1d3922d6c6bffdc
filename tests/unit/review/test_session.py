from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.report.charts.maps import pool_map
from firstscan.review.scene import pool_told
from firstscan.review.session import ANOTHER, Request, Session, StaleError, UnknownNameError
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import pick, run_pick
from firstscan.steps.steering.amend import extend
from firstscan.steps.steering.amend import replace as replace_on_the_command_line
from firstscan.steps.steering.review import held
from firstscan.store import read_manifest, to_plain, verified, write_features

NOW = Settings()


def act(session, action, case_id=None, **more):
    return session.act(Request(action, case_id, **more))


def outside(session):
    taken = {*session.state.case_ids, *session.state.unwanted, *session.held.closed}
    return next(i for i in session.rows if i not in taken)


def test_a_review_begins_with_the_batch_and_says_so(results, session):
    assert session.state.case_ids == fs.read_selection(results).case_ids
    assert [e.action for e in session.events] == ["begin"]
    assert (results / "review" / "selection-0001.json").read_bytes() == (results / "selection.json").read_bytes()


def test_replace_is_the_one_of_the_command_line(results):
    with held(results, NOW) as opened:
        session = Session(opened)
        gone = session.state.case_ids[1]
        steered = act(session, "replace", gone)
    assert dict(steered.passed) == {gone: steered.case_ids[1]}
    assert replace_on_the_command_line(results, gone, "motion", NOW).case_ids == steered.case_ids


def test_a_veto_brings_the_substitute_and_needs_a_reason(session):
    gone = session.state.case_ids[0]
    with pytest.raises(UsageError, match="needs a reason"):
        act(session, "veto", gone, why="  ")
    state = act(session, "veto", gone, why="motion")
    assert gone not in state.case_ids
    assert len(set(state.case_ids)) == 4
    assert state.picks[0].reason.startswith(f"replaces {gone} (motion)")
    with pytest.raises(UsageError, match="is vetoed already: motion"):
        act(session, "veto", gone, why="again")


def test_vetoed_scans_stay_out_of_every_later_batch(session):
    unwanted = [session.state.case_ids[0], outside(session)]
    for case_id in unwanted:
        act(session, "veto", case_id, why="motion")
    for budget in (2, 10, 26):
        state = act(session, "budget", budget=budget)
        assert len(state.case_ids) == budget
        assert not set(unwanted) & set(state.case_ids)
    with pytest.raises(UsageError, match="can hold 1 to 26 scans; found 27"):
        act(session, "budget", budget=27)
    act(session, "allow", unwanted[1])
    assert session.bounds(session.state) == (1, 27)


def test_accepted_and_pinned_scans_stay(session):
    kept, pinned = session.state.case_ids[2], outside(session)
    reason = session.state.pick(kept).reason
    act(session, "accept", kept)
    state = act(session, "pin", pinned)
    assert len(state.case_ids) == 4
    assert {kept, pinned} <= set(state.case_ids)
    for request in (Request("budget", budget=2), Request("strategy", strategy="random"), Request("budget", budget=9)):
        state = session.act(request)
        assert {kept, pinned} <= set(state.case_ids)
        assert state.pick(kept).reason == reason
        assert state.pick(pinned).reason.startswith("pinned in the review, in the place of")
    assert session.strategy(state) == "random"
    with pytest.raises(UsageError, match="can hold 2 to"):
        act(session, "budget", budget=1)


def test_a_pin_takes_the_place_of_its_own_stratum(session):
    strata = session.selection(session.state).strata
    wanted = next(
        i for i in session.rows if strata.get(i) == session.state.picks[1].stratum and not session.state.pick(i)
    )
    if wanted in session.held.closed:
        pytest.fail("choose another seed: the scan is closed")
    before = session.state.case_ids
    state = act(session, "pin", wanted)
    assert [a for a, b in zip(before, state.case_ids, strict=True) if a != b] == [before[1]]


def test_what_the_settings_close_cannot_be_pinned(session):
    with pytest.raises(UsageError, match="it is excluded in the settings"):
        act(session, "pin", "c28")
    with pytest.raises(UsageError, match="it is labelled in the settings"):
        act(session, "pin", "c29")


def test_a_full_batch_of_held_scans_takes_no_pin(session):
    for case_id in session.state.case_ids:
        act(session, "accept", case_id)
    with pytest.raises(UsageError, match="every pick is accepted or pinned"):
        act(session, "pin", outside(session))


def test_a_batch_of_another_size_is_that_of_pick(session):
    config = PickConfig(budget=7, exclude=("c28",), labelled=("c29",))
    expected = pick(session.held.batch.features, config)
    state = act(session, "budget", budget=7)
    assert state.picks == expected.picks
    full = session.selection(state)
    assert full.strata == expected.strata
    assert full.scores == expected.scores
    told, history = dict(full.diagnostics), full.diagnostics["history"]
    assert to_plain(told | {"history": 0}) == to_plain({**expected.diagnostics, "history": 0})
    assert [entry["action"] for entry in history] == ["chosen", "chosen again"]
    assert history[1]["picks"] == list(expected.case_ids)
    back = act(session, "budget", budget=4)
    assert back.picks == session.held.batch.selection.picks


def test_undo_takes_back_one_by_one(session):
    first = session.state
    act(session, "veto", first.case_ids[0], why="motion")
    act(session, "budget", budget=6)
    act(session, "accept", session.state.case_ids[0])
    for _ in range(3):
        state = act(session, "undo")
    assert state.picks == first.picks
    assert (state.vetoed, state.accepted) == (first.vetoed, first.accepted)
    with pytest.raises(UsageError, match="nothing to undo"):
        act(session, "undo")
    assert [e.action for e in session.events].count("undo") == 3


def test_a_restart_finds_everything(results):
    with held(results, NOW) as opened:
        session = Session(opened)
        act(session, "accept", session.state.case_ids[0])
        act(session, "veto", session.state.case_ids[1], why="motion")
        act(session, "budget", budget=6)
        act(session, "replace", session.state.case_ids[3])
        before, full = session.state, session.selection(session.state)
    with held(results, NOW) as opened:
        again = Session(opened)
        assert again.state == before
        assert again.selection(again.state) == full
        assert again.notes == []
        assert len(again.events) == 5
        assert act(again, "replace", again.state.case_ids[3]).case_ids != before.case_ids


def test_an_export_becomes_the_selection_and_can_be_taken_up_again(results):
    original = (results / "selection.json").read_bytes()
    before = fs.read_selection(results)
    with held(results, NOW) as opened:
        session = Session(opened)
        act(session, "veto", before.case_ids[0], why="motion")
        passed = session.state.case_ids[1]
        act(session, "replace", passed)
        state = act(session, "export")
        full = session.selection(state)
        assert state.exported == state.case_ids
        assert act(session, "undo").case_ids[1] == passed
        act(session, "replace", passed)
    exported = fs.read_selection(results)
    assert exported.picks == state.picks
    assert exported.diagnostics["replacements"] == full.diagnostics["replacements"]
    assert exported.diagnostics["vetoed"] == {before.case_ids[0]: "motion", passed: ANOTHER}
    manifest = read_manifest(results)
    assert verified(results, manifest)
    change = {"review": 4, "before": list(before.case_ids), "after": list(exported.case_ids)}
    assert manifest.config["amendments"] == [change]
    assert (results / "review" / "selection-0001.json").read_bytes() == original
    longer = extend(results, 20, NOW)
    assert not {before.case_ids[0], passed} & set(longer.case_ids)
    with held(results, NOW) as opened:
        again = Session(opened)
        assert again.state.case_ids == longer.case_ids
        assert "changed outside of this page" in again.notes[0]
        assert again.state.vetoed.keys() >= {before.case_ids[0]}


def test_vetoes_after_a_resize_hold_for_extend_too(results):
    with held(results, NOW) as opened:
        session = Session(opened)
        gone = session.state.case_ids[0]
        act(session, "veto", gone, why="motion")
        act(session, "budget", budget=5)
        act(session, "export")
    assert "replacements" not in fs.read_selection(results).diagnostics
    assert gone not in extend(results, 22, NOW).case_ids


def test_a_change_elsewhere_is_noticed(session):
    old = session.state.seq
    act(session, "accept", session.state.case_ids[0], seq=old)
    with pytest.raises(StaleError, match="changed in another window"):
        act(session, "accept", session.state.case_ids[1], seq=old)
    assert len(session.state.accepted) == 1


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "nobody", ""])
def test_unknown_names(session, name):
    with pytest.raises(UnknownNameError):
        act(session, "accept", name)
    with pytest.raises(UnknownNameError):
        act(session, name)
    with pytest.raises(UnknownNameError):
        session.tried(3, name)


def test_what_cannot_be_done_changes_nothing(session):
    absent = outside(session)
    for request in (
        Request("accept", absent),
        Request("replace", absent),
        Request("unpin", absent),
        Request("allow", absent),
    ):
        with pytest.raises(UsageError):
            session.act(request)
    with pytest.raises(UnknownNameError, match="needs a scan"):
        act(session, "veto", why="motion")
    assert [e.action for e in session.events] == ["begin"]


def test_constraints_hold_for_a_pin(tmp_path, make_results):
    out = make_results(tmp_path / "grouped" / "out", budget=3, group_by=("site",), labelled=(), exclude=())
    with held(out, NOW) as opened:
        session = Session(opened)
        sites = dict(zip(session.rows, session.chooser.table.covariates["site"], strict=True))
        wanted = outside(session)
        rival = next(i for i in session.state.case_ids if sites[i] == sites[wanted])
        state = act(session, "pin", wanted)
        assert rival not in state.case_ids
        assert len({sites[i] for i in state.case_ids}) == 3
        act(session, "accept", next(i for i in state.case_ids if i != wanted))
        other = next(i for i in session.rows if sites[i] == sites[wanted] and i != wanted)
        with pytest.raises(UsageError, match="leave no place for it"):
            act(session, "pin", other)


def test_a_second_run_is_refused_and_names_the_first(results, session):
    with pytest.raises(UsageError, match=r"is in use by .*process"), held(results, NOW):
        pass
    with pytest.raises(UsageError, match="is in use by another run"):
        replace_on_the_command_line(results, session.state.case_ids[0], "motion", NOW)


def test_a_folder_without_results(tmp_path):
    with pytest.raises(UsageError, match="not a results folder"), held(tmp_path / "none", NOW):
        pass
    with pytest.raises(UsageError, match="holds no finished selection"), held(tmp_path, NOW):
        pass
    assert not (tmp_path / "work").exists()


def test_a_failed_export_is_not_in_the_log(results, session, monkeypatch):
    before = (results / "selection.json").read_bytes()

    def full(*_args, **_options):
        raise DataError("The disk is full")

    act(session, "veto", session.state.case_ids[0], why="motion")
    monkeypatch.setattr("firstscan.steps.steering.amend.write_manifest", full)
    with pytest.raises(DataError, match="full"):
        act(session, "export")
    assert [e.action for e in session.events] == ["begin", "veto"]
    assert (results / "selection.json").read_bytes() == before


def test_the_same_picks_chosen_otherwise_are_a_new_beginning(results, session):
    selection = json.loads((results / "selection.json").read_text())
    (results / "selection.json").write_text(json.dumps({**selection, "seed": 7}))
    again = Session(session.held)
    assert [e.action for e in again.events] == ["begin", "begin"]


def test_a_lost_copy_of_the_first_batch_is_a_new_beginning_and_says_what_is_back(results, session):
    gone = session.state.case_ids[0]
    act(session, "veto", gone, why="motion")
    shutil.rmtree(results / "review")
    again = Session(session.held)
    assert again.state.case_ids == fs.read_selection(results).case_ids
    assert again.notes[0].endswith(f"vetoed before, and in it again: {gone}")


def test_where_no_substitute_is_left_the_way_out_is_said(session):
    act(session, "budget", budget=28)
    with pytest.raises(UsageError, match=r"no scan is left that could replace .* make the batch smaller first"):
        act(session, "veto", session.state.case_ids[0], why="motion")
    assert not session.state.vetoed


def test_annotated_picks_stay_when_the_batch_is_resized(results):
    first = fs.read_selection(results).case_ids[:2]
    extend(results, 2, NOW, labelled=first)
    with held(results, NOW) as opened:
        session = Session(opened)
        act(session, "accept", first[0])
        fewest, most = session.bounds(session.state)
        assert fewest == 2
        state = act(session, "budget", budget=5)
        assert len(state.case_ids) == 5
        assert set(first) <= set(state.case_ids)
        assert len(session.tried(most, "cscs").case_ids) == most


def test_without_uncertainty_the_page_is_told_of_none(tmp_path):
    rng = np.random.default_rng(0)
    ids = tuple(f"c{i:02d}" for i in range(12))
    write_features(tmp_path / "own.parquet", FeatureTable(ids, rng.normal(size=(12, 3)), None))
    run_pick(tmp_path / "own.parquet", PickConfig.of(budget=3), tmp_path / "out", Settings())
    with held(tmp_path / "out", Settings()) as opened:
        session = Session(opened)
        told = pool_told(session, pool_map(session.chooser.table.embeddings, seed=42))
        state = act(session, "replace", session.state.case_ids[0])
        with pytest.raises(UsageError, match="chooses by uncertainty U"):
            act(session, "strategy", strategy="cscs")
    assert len(state.case_ids) == 3
    assert told["uncertainty"] is None
    assert len(told["typicality"]["percentile"]) == 12
