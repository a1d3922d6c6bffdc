from __future__ import annotations

import json

import pytest

from firstscan.domain.errors import DataError
from firstscan.steps.running import history as logging
from firstscan.steps.running.history import Event, History, event
from firstscan.steps.running.replay import State, replay


def row(case_id, rank):
    return {
        "case_id": case_id, "rank": rank, "stratum": rank, "score": 0.5, "typicality": 1.0, "uncertainty": 0.5,
        "reason": "most typical",
    }  # fmt: skip


BEGUN = {"strategy": "cscs", "budget": 3, "picks": [row("a", 1), row("b", 2), row("c", 3)], "vetoed": {"z": "motion"}}


def told(*actions):
    """Events from (action, case id, detail) after a beginning."""
    events = [Event(1, "2026-01-01T00:00:00+00:00", "begin", None, "", BEGUN)]
    for action, case_id, detail in actions:
        events.append(Event(len(events) + 1, "2026-01-01T00:00:00+00:00", action, case_id, "why", detail))
    return events


def taken(case_id, rank, removed):
    return {"pick": row(case_id, rank), "removed": removed, "from": "same stratum"}


def test_an_empty_log_is_an_empty_state():
    assert replay(()) == State()


def test_a_beginning_brings_the_picks_and_what_was_removed_before():
    state = replay(told())
    assert state.case_ids == ("a", "b", "c") == state.exported
    assert dict(state.vetoed) == {"z": "motion"}
    assert state.last is None


def test_each_action_does_what_it_says():
    state = replay(
        told(
            ("accept", "a", {}),
            ("veto", "b", taken("d", 2, "b")),
            ("replace", "c", taken("e", 3, "c")),
            ("veto", "x", {}),
            ("pin", "e", {}),
        )
    )
    assert state.case_ids == ("a", "d", "e")
    assert state.accepted == {"a"}
    assert state.pinned == {"e"}
    assert state.held == ("a", "e")
    assert dict(state.vetoed) == {"z": "motion", "b": "why", "x": "why"}
    assert dict(state.passed) == {"c": "e"}
    assert state.unwanted == ("b", "c", "x", "z")
    assert [(r["removed"], r["substitute"], r["why"]) for r in state.replaced] == [("b", "d", "why"), ("c", "e", "why")]
    assert state.exported == ("a", "b", "c")


def test_a_pick_that_leaves_is_no_longer_accepted_or_pinned():
    state = replay(told(("accept", "b", {}), ("pin", "b", {}), ("veto", "b", taken("d", 2, "b"))))
    assert state.accepted == state.pinned == frozenset()


def test_a_pin_from_outside_takes_a_place_and_its_rival_may_come_back():
    state = replay(told(("veto", "d", {}), ("pin", "d", taken("d", 2, "b"))))
    assert state.case_ids == ("a", "d", "c")
    assert "d" not in state.vetoed
    assert state.replaced == ()
    assert "b" not in state.unwanted


def test_choosing_anew_keeps_the_wishes_of_the_moment():
    detail = {"budget": 2, "strategy": "random", "picks": [row("a", 1), row("q", 2)]}
    state = replay(told(("accept", "a", {}), ("veto", "x", {}), ("budget", None, detail), ("allow", "x", {})))
    assert state.case_ids == ("a", "q")
    assert (state.frame.budget, state.frame.strategy, state.frame.seq) == (2, "random", 4)
    assert state.frame.exclude == ("x", "z")
    assert state.frame.include == ("a",)
    assert state.accepted == {"a"}
    assert "x" not in state.vetoed


def test_undo_counts_as_never_done_and_goes_back_step_by_step():
    actions = [("accept", "a", {}), ("veto", "b", taken("d", 2, "b"))]
    assert replay(told(*actions)).last.action == "veto"
    once = replay(told(*actions, ("undo", "b", {"undoes": 3, "action": "veto"})))
    assert once.case_ids == ("a", "b", "c")
    assert once.accepted == {"a"}
    assert once.last.action == "accept"
    assert once.seq == 4
    twice = replay(told(*actions, ("undo", "b", {"undoes": 3}), ("undo", "a", {"undoes": 2})))
    assert twice.accepted == frozenset()
    assert twice.last is None


def test_undo_passes_by_an_export_but_not_a_beginning():
    exported = told(("accept", "a", {}), ("export", None, {}))
    assert replay(exported).last.action == "accept"
    again = [*exported, Event(4, "", "begin", None, "", {**BEGUN, "picks": [row("q", 1)]})]
    state = replay(again)
    assert state.last is None
    assert state.case_ids == state.exported == ("q",)


def test_an_export_names_what_the_folder_holds():
    state = replay(told(("veto", "b", taken("d", 2, "b")), ("export", None, {})))
    assert state.exported == ("a", "d", "c")


def test_an_undo_after_an_export_does_not_change_what_the_folder_holds():
    events = told(("veto", "b", taken("d", 2, "b")), ("export", None, {"picks": ["a", "d", "c"]}))
    undone = Event(4, "", "undo", "b", "", {"undoes": 2})
    state = replay([*events, undone])
    assert state.case_ids == ("a", "b", "c")
    assert state.exported == ("a", "d", "c")


def test_an_unknown_action_is_no_silence():
    with pytest.raises(DataError, match="does not know \\('dance', entry 2\\)"):
        replay(told(("dance", None, {})))


def test_events_are_written_and_read_again(tmp_path):
    log = History(tmp_path)
    first = event("review", "begin", detail={"budget": 2})
    log.append(first)
    log.append(event("review", "veto", "ü/<b>", "sh\nake", {"picks": ["ü"]}))
    again = History(tmp_path)
    assert again.events == log.events
    assert not again.cut_short
    lines = (tmp_path / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [set(json.loads(line)) for line in lines] == [
        {"seq", "time", "action", "case_id", "why", "detail", "command"}
    ] * 2
    assert json.loads(lines[1])["time"].endswith("+00:00")


def test_a_line_that_was_cut_short_was_never_done(tmp_path):
    path = tmp_path / "history.jsonl"
    log = History(tmp_path)
    for name in ("a", "b"):
        log.append(event("review", "accept", name))
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[1])):
        path.write_bytes(whole[:-cut] if cut > 1 else whole[:-1])
        again = History(tmp_path)
        assert again.cut_short
        assert [e.case_id for e in again.events] == ["a"]
        again.append(event("review", "accept", "c"))
        assert [e.case_id for e in History(tmp_path).events] == ["a", "c"]


@pytest.mark.parametrize("bad", ["{}\n", "no json\n", '{"seq": 5}\n'])
def test_a_damaged_line_is_named(tmp_path, bad):
    path = tmp_path / "history.jsonl"
    path.write_text(bad + Event(2, "", "accept", "a").line() + "\n")
    with pytest.raises(DataError, match="line 1, is no entry"):
        History(tmp_path)


def test_a_missing_line_is_named(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(Event(1, "", "accept", "a").line() + "\n" + Event(3, "", "accept", "b").line() + "\n")
    with pytest.raises(DataError, match="line 2, is entry 3: lines are missing"):
        History(tmp_path)


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    log = History(tmp_path)
    log.append(event("review", "accept", "a"))
    before = (tmp_path / "history.jsonl").read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(logging.os, "fsync", full)
        with pytest.raises(DataError, match="The disk is full"):
            log.append(event("review", "accept", "b"))
    assert (tmp_path / "history.jsonl").read_bytes() == before
    assert [e.case_id for e in log.events] == ["a"]
