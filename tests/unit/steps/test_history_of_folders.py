"""Folders whose history is missing, older, damaged, elsewhere, or written by several at once."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.execution import Silent
from firstscan.steps.reporting.written import current
from firstscan.steps.running.carried import note
from firstscan.steps.running.config import PickConfig
from firstscan.steps.running.history import NAME, History, event
from firstscan.steps.running.replay import replay
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import run_pick
from firstscan.steps.steering.amend import extend, replace
from firstscan.store import read_manifest, to_plain, verified, write_features
from firstscan.store import read_selection as read_files

NOW = Settings()
LONG = "x" * 200
NAMES = (LONG, "<script>alert(1)</script>", "סריקה-אחת", *(f"c{i:02d}" for i in range(27)))


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def batch(tmp_path):
    rng = np.random.default_rng(1)
    write_features(tmp_path / "own.parquet", FeatureTable(NAMES, rng.normal(size=(30, 4)), rng.random(30)))
    run_pick(tmp_path / "own.parquet", PickConfig(budget=5, include=NAMES[:3]), tmp_path / "out", NOW)
    return tmp_path / "out"


def older(batch, *events, handoffs=()):
    """Make the folder one of the version before: its reviews and hand-offs in logs of their own."""
    first = json.loads((batch / NAME).read_text().splitlines()[0])
    (batch / "review").mkdir()
    shutil.copyfile(batch / "selection.json", batch / "review" / "selection-0001.json")
    detail = {k: first["detail"][k] for k in ("strategy", "budget", "seed", "vetoed", "picks")}
    rows = [
        {"seq": 1, "time": "2026-01-01T00:00:00+00:00", "action": "begin", "case_id": None, "why": "", "detail": detail}
    ]
    for action, case_id, why, more in events:
        rows.append({"seq": len(rows) + 1, "time": f"2026-01-01T00:00:0{len(rows)}+00:00", "action": action,
                     "case_id": case_id, "why": why, "detail": more})  # fmt: skip
    (batch / "review.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (batch / "handoffs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in handoffs))
    (batch / NAME).unlink()
    shutil.rmtree(batch / "history")


def swap(batch, rank=4):
    picks, free = fs.read_selection(batch).picks, [n for n in NAMES if n not in fs.read_selection(batch).case_ids]
    old = picks[rank - 1]
    new = {**to_plain(old), "case_id": free[0], "reason": f"replaces {old.case_id} (motion)"}
    return (
        old.case_id,
        free[0],
        ("veto", old.case_id, "motion", {"pick": new, "removed": old.case_id, "from": "whole pool"}),
    )


def test_a_folder_without_logs_begins_with_the_batch_it_holds(batch):
    (batch / NAME).unlink()
    shutil.rmtree(batch / "history")
    before = fs.read_selection(batch)
    longer = extend(batch, 2, NOW)
    assert longer.case_ids[:5] == before.case_ids
    assert [e.action for e in History(batch).events] == ["begin", "added", "done"]


def test_open_decisions_of_an_older_review_are_carried_over_and_count(batch):
    gone, new, veto = swap(batch)
    given = {
        "time": "2026-01-01T00:00:00+00:00",
        "action": "handoff",
        "target": "csv",
        "folder": "g",
        "readers": {"": [gone]},
    }
    older(batch, veto, ("accept", new, "", {}), ("undo", new, "", {"undoes": 3, "action": "accept"}), handoffs=[given])
    said = Said()
    extend(batch, 1, Settings(progress=said))
    assert any("not exported counts now" in line for line in said.lines)
    actions = [e.action for e in History(batch).events]
    assert actions == ["begin", "handoff", "veto", "accept", "undo", "note", "added", "done"]
    assert gone not in fs.read_selection(batch).case_ids
    assert new in fs.read_selection(batch).case_ids
    assert History(batch).events[4].detail["undoes"] == 4
    assert verified(batch, read_manifest(batch))


def test_a_handoff_of_an_older_folder_sees_its_open_decisions(batch):
    gone, new, veto = swap(batch)
    older(batch, veto)
    assert gone not in current(batch, NOW).case_ids
    assert new in read_files(batch).case_ids


def test_what_an_older_review_resized_and_never_exported_is_told(batch):
    picks = [to_plain(p) for p in fs.read_selection(batch).picks[:3]]
    older(batch, ("budget", None, "", {"budget": 3, "strategy": "cscs", "picks": picks}))
    said = Said()
    extend(batch, 1, Settings(progress=said))
    assert len(fs.read_selection(batch)) == 6
    assert any("(3 scans) and never exported it: it is dropped" in line for line in said.lines)


def test_a_batch_that_an_older_version_changed_afterwards_is_taken_as_it_is(batch):
    gone, _new, veto = swap(batch)
    older(batch, veto)
    body = json.loads((batch / "selection.json").read_text())
    (batch / "selection.json").write_text(json.dumps({**body, "seed": 7}))
    said = Said()
    extend(batch, 1, Settings(progress=said))
    assert fs.read_selection(batch).case_ids[:5] == tuple(p["case_id"] for p in body["picks"])
    assert any(f"and in the batch: {gone}" in line for line in said.lines)


def test_a_half_written_last_line_does_not_count_and_is_replaced(batch):
    first = fs.read_selection(batch)
    with (batch / NAME).open("ab") as file:
        file.write(b'{"seq": 2, "time": "20')
    assert fs.read_selection(batch).picks == first.picks
    replace(batch, LONG, "motion", NOW)
    assert [e.action for e in History(batch).events] == ["chosen", "replaced", "done"]
    assert LONG not in fs.read_selection(batch).case_ids


def test_a_damaged_history_is_named_and_moving_it_away_begins_a_new_one(batch):
    before = fs.read_selection(batch)
    (batch / NAME).write_text("no entry\n")
    with pytest.raises(DataError, match=r"history.jsonl, line 1, is no entry .* move it away"):
        extend(batch, 1, NOW)
    with pytest.raises(DataError, match="line 1"):
        fs.read_selection(batch)
    (batch / NAME).rename(batch / "old")
    assert extend(batch, 1, NOW).case_ids[:5] == before.case_ids


def test_names_of_any_kind_go_through_the_history(batch):
    for name in NAMES[:3]:
        assert name not in replace(batch, name, f"why {name}", NOW).case_ids
    state = replay(History(batch).events)
    assert {i: state.vetoed[i] for i in NAMES[:3]} == {i: f"why {i}" for i in NAMES[:3]}
    assert not set(NAMES[:3]) & set(extend(batch, 22, NOW).case_ids)


def test_a_folder_that_was_moved_goes_on(batch, tmp_path):
    replace(batch, LONG, "motion", NOW)
    moved = tmp_path / "other machine" / "batch"
    moved.parent.mkdir()
    batch.rename(moved)
    (tmp_path / "own.parquet").unlink()
    assert str(tmp_path) not in (moved / NAME).read_text()
    assert LONG not in extend(moved, 2, NOW).case_ids


def test_several_write_at_once_and_every_entry_has_its_number(batch):
    def write(name):
        history = History(batch)
        for i in range(20):
            history.append(event("handoff", "handoff", detail={"folder": f"{name}{i}"}))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = History(batch).events
    assert [e.seq for e in events] == list(range(1, 62))
    assert len({e.detail["folder"] for e in events[1:]}) == 60


def test_a_results_folder_that_is_gone_is_said_and_no_failure(tmp_path):
    said = Said()
    note(tmp_path / "gone", said, "handoff", folder="x")
    assert "cannot be written" in said.lines[0]
    assert not (tmp_path / "gone").exists()


def test_an_action_of_a_newer_version_is_no_silence(batch):
    History(batch).append(event("dance", "dance"))
    with pytest.raises(DataError, match=r"does not know \('dance', entry 2\): update firstscan"):
        extend(batch, 1, NOW)


def test_a_lost_batch_file_is_named_where_the_files_do_not_hold_it(batch):
    before = (batch / "selection.json").read_bytes()
    replace(batch, LONG, "motion", NOW)
    (batch / "selection.json").write_bytes(before)
    shutil.rmtree(batch / "history")
    with pytest.raises((DataError, UsageError), match=r"has lost the file history/.*Bring it back, or move"):
        extend(batch, 1, NOW)
