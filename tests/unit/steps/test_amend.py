from __future__ import annotations

import json

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import run_pick
from firstscan.steps.steering import amend
from firstscan.steps.steering.amend import extend, replace
from firstscan.store import in_place, open_workspace, read_manifest, verified, write_features

NOW = Settings()


@pytest.fixture
def batch(tmp_path):
    rng = np.random.default_rng(1)
    ids = tuple(f"c{i:02d}" for i in range(30))
    write_features(tmp_path / "own.parquet", FeatureTable(ids, rng.normal(size=(30, 4)), rng.random(30)))
    run_pick(tmp_path / "own.parquet", PickConfig(budget=4, exclude=("c00", "c01")), tmp_path / "out", NOW)
    return tmp_path / "out"


def test_a_pick_is_replaced_once_and_does_not_come_back(batch):
    before = fs.read_selection(batch)
    gone = before.case_ids[1]
    after = replace(batch, gone, "motion", NOW)
    assert fs.read_selection(batch).picks == after.picks
    assert gone not in after.case_ids
    assert [p.case_id for p in after if p.rank != 2] == [p.case_id for p in before if p.rank != 2]
    assert after.diagnostics["replacements"][0]["why"] == "motion"
    manifest = read_manifest(batch)
    assert verified(batch, manifest)
    assert manifest.config["amendments"] == [{"replace": gone, "why": "motion"}]
    with pytest.raises(UsageError, match="is not among the picks"):
        replace(batch, gone, "again", NOW)
    longer = extend(batch, 20, NOW)
    assert gone not in longer.case_ids
    assert longer.case_ids[:4] == after.case_ids
    assert len(set(longer.case_ids)) == 24
    assert not {"c00", "c01"} & set(longer.case_ids)
    assert [p.rank for p in longer] == list(range(1, 25))


def test_scans_labelled_elsewhere_are_never_added_from_then_on(batch):
    first = fs.read_selection(batch)
    elsewhere = tuple(i for i in (f"c{i:02d}" for i in range(30)) if i not in first.case_ids)[:20]
    longer = extend(batch, 2, NOW, labelled=[*first.case_ids, *elsewhere])
    assert longer.case_ids[:4] == first.case_ids
    assert not set(elsewhere) & set(longer.case_ids)
    assert read_manifest(batch).config["amendments"][0]["labelled"] == [*first.case_ids, *elsewhere]
    swapped = replace(batch, longer.case_ids[-1], "motion", NOW)
    again = extend(batch, 1, NOW, labelled=[longer.case_ids[-1]])
    assert not set(elsewhere) & {*swapped.case_ids, *again.case_ids}
    assert longer.case_ids[-1] not in again.case_ids
    with pytest.raises(UsageError, match=r"--labelled names 1 case\(s\) that are not in the pool: nobody"):
        extend(batch, 1, NOW, labelled=["nobody"])


def test_what_cannot_be_amended(tmp_path, batch):
    with pytest.raises(UsageError, match="not a results folder"):
        extend(tmp_path / "none", 1, NOW)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no finished selection"):
        extend(tmp_path / "empty", 1, NOW)
    before = {p.name: p.read_bytes() for p in batch.iterdir() if p.is_file()}
    with pytest.raises(DataError, match="--more 25: only 24"):
        extend(batch, 25, NOW)
    with pytest.raises(UsageError, match="--more 0: at least 1"):
        extend(batch, 0, NOW)
    assert before == {p.name: p.read_bytes() for p in batch.iterdir() if p.is_file()}


def test_a_change_that_is_cut_short_leaves_the_old_result(batch, monkeypatch):
    before = {p.name: p.read_bytes() for p in batch.iterdir() if p.is_file()}

    class Killed(BaseException):
        pass

    real = amend.write_selection

    def dying(out, selection, paths, version):
        real(out, selection, paths, version)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(amend, "write_selection", dying)
        patched.setattr(in_place, "roll_back", lambda out: False)  # as SIGKILL would: nobody tidies up
        with pytest.raises(Killed):
            extend(batch, 1, NOW)
    assert (batch / "selection.csv").read_bytes() != before["selection.csv"]
    with open_workspace(batch):
        pass
    assert before == {p.name: p.read_bytes() for p in batch.iterdir() if p.is_file()}
    assert not list((batch / "work").glob("before*"))


def test_an_error_while_writing_rolls_back(batch, monkeypatch):
    before = {p.name: p.read_bytes() for p in batch.iterdir() if p.is_file()}

    def broken(*_args, **_options):
        raise OSError("no")

    monkeypatch.setattr(amend, "write_manifest", broken)
    with pytest.raises(OSError, match="no"):
        extend(batch, 1, NOW)
    assert before == {p.name: p.read_bytes() for p in batch.iterdir() if p.is_file()}


def test_an_extension_that_nobody_was_told_of_is_not_made_twice(batch):
    first = extend(batch, 3, NOW)
    change = batch / "work" / amend.UNDER_WAY
    assert not change.exists()
    change.write_text(
        json.dumps({"change": {"extend": 3}, "number": 1})
    )  # as a run leaves it that is killed at its end
    assert extend(batch, 3, NOW).case_ids == first.case_ids
    assert len(fs.read_selection(batch)) == 7
    change.write_text(json.dumps({"change": {"extend": 3}, "number": 2}))  # killed before anything was changed
    assert len(extend(batch, 3, NOW)) == 10
    assert len(extend(batch, 3, NOW)) == 13


def test_a_batch_knows_how_it_came_about_and_its_kept_picks_say_so(batch):
    before = fs.read_selection(batch)
    replace(batch, before.case_ids[0], "motion", NOW)
    extend(batch, 2, NOW, labelled=["c05"] if "c05" not in before.case_ids else ["c06"])
    after = fs.read_selection(batch)
    chosen, swapped, added = after.diagnostics["history"]
    assert (chosen["action"], chosen["picks"], chosen["pool"]) == ("chosen", list(before.case_ids), 30)
    assert (swapped["action"], swapped["removed"], swapped["why"]) == ("replaced", before.case_ids[0], "motion")
    assert swapped["substitute"] == after.case_ids[0]
    assert (added["action"], added["picks"]) == ("added", list(after.case_ids[-2:]))
    assert added["labelled"] == 5
    assert after.picks[0].reason.startswith(f"replaces {before.case_ids[0]} (motion)")
    assert after.picks[1].reason == f"kept from the first choice of 4, then: {before.picks[1].reason}"
    assert not after.picks[-1].reason.startswith("kept")
    again = extend(batch, 1, NOW)
    assert again.picks[1].reason == after.picks[1].reason
