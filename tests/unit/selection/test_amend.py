from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import Constraints, Quota, extend, replace_pick, select
from firstscan.selection.geometry import typicality
from firstscan.selection.registry import BUILT_IN
from firstscan.selection.signals import composite_score


@pytest.fixture(scope="module")
def table() -> FeatureTable:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(4, 6)) * 5
    return FeatureTable(
        tuple(f"c{i:02d}" for i in range(60)),
        centres[np.arange(60) % 4] + rng.normal(size=(60, 6)),
        rng.random(60),
        rng.random(60),
        {"patient": np.array([f"p{i // 3}" for i in range(60)]), "minutes": np.full(60, 10.0)},
    )


def test_the_substitute_is_the_next_best_of_its_stratum(table):
    selection = select(table, 4, "cscs")
    old = selection.picks[1]
    changed = replace_pick(selection, table, old.case_id, why="metal artefacts")
    new = changed.picks[1]
    members = [i for i, c in enumerate(table.case_ids) if selection.strata[c] == old.stratum and c != old.case_id]
    score = composite_score(table.typicality[members], table.uncertainty[members], selection.diagnostics["gamma"])
    assert new.case_id == table.case_ids[members[int(np.argmax(score))]]
    assert (new.rank, new.stratum) == (2, old.stratum)
    assert "metal artefacts" in new.reason
    assert [p for p in changed if p.rank != 2] == [p for p in selection if p.rank != 2]
    assert changed.diagnostics["replacements"] == [
        {
            "rank": 2,
            "removed": old.case_id,
            "why": "metal artefacts",
            "substitute": new.case_id,
            "from": "same stratum",
        }
    ]


def test_a_replaced_scan_never_comes_back(table):
    selection = select(table, 4, "cscs")
    seen = set(selection.case_ids)
    for _ in range(20):
        selection = replace_pick(selection, table, selection.picks[0].case_id)
        assert selection.picks[0].case_id not in seen
        seen.add(selection.picks[0].case_id)
    assert {r["from"] for r in selection.diagnostics["replacements"]} == {"same stratum", "whole pool"}
    later = extend(selection, table, 5)
    gone = {r["removed"] for r in selection.diagnostics["replacements"]}
    assert not gone & set(later.case_ids)
    assert later.diagnostics["replacements"] == selection.diagnostics["replacements"]


@pytest.mark.parametrize("strategy", BUILT_IN)
def test_every_strategy_can_be_amended(table, strategy):
    selection = select(table, 5, strategy)
    changed = replace_pick(selection, table, selection.case_ids[2])
    assert len(set(changed.case_ids)) == 5
    longer = extend(changed, table, 6)
    assert longer.case_ids[:5] == changed.case_ids
    assert len(set(longer.case_ids)) == longer.budget == 11
    assert [p.rank for p in longer] == list(range(1, 12))


def test_constraints_hold_for_the_substitute_and_the_extension(table):
    limits = Constraints(group_by=("patient",), cost_column="minutes", minutes=40)
    selection = select(table, 4, "cscs", constraints=limits)
    changed = replace_pick(selection, table, selection.case_ids[0], constraints=limits)
    longer = extend(changed, table, 4, constraints=limits)
    patient = dict(zip(table.case_ids, table.covariates["patient"], strict=True))
    assert len({patient[c] for c in longer.case_ids}) == 8
    with pytest.raises(UsageError, match="no batch"):
        replace_pick(selection, table, selection.case_ids[0], constraints=replace(limits, minutes=39.0))


def test_an_extension_counts_all_annotations(table):
    longer = extend(select(table, 4, "cscs"), table, 3)
    assert longer.diagnostics["alpha_eff"] == pytest.approx(7 / np.sqrt(60))
    assert longer.diagnostics["extended_from"] == 4


def test_given_strata_survive_an_extension(table):
    strata = {c: i % 6 for i, c in enumerate(table.case_ids)}
    longer = extend(select(table, 3, "cscs", strata=strata), table, 3)
    assert {p.stratum for p in longer} == set(range(6))


def test_only_picks_can_be_replaced(table):
    with pytest.raises(UsageError, match="nobody is not among the picks"):
        replace_pick(select(table, 3, "cscs"), table, "nobody")


def test_a_scan_that_came_back_counts_as_annotated_for_the_groups(table):
    batch = select(table, 4, "cscs", constraints=Constraints(group_by=("patient",)))
    returned, *_, other = batch.case_ids
    log = [{"rank": 1, "removed": returned, "why": "", "substitute": "c00", "from": "whole pool"}]
    batch = replace(batch, diagnostics={**batch.diagnostics, "replacements": log})
    patient = dict(zip(table.case_ids, table.covariates["patient"], strict=True))
    elsewhere = [c for c in table.case_ids if patient[c] != patient[returned]]
    only = [c for c in table.case_ids if patient[c] == patient[returned]]
    left_out = tuple(c for c in elsewhere if c not in batch.case_ids)
    with pytest.raises(UsageError):  # nothing is left but scans of the patient who is in the batch
        replace_pick(batch, table, other, constraints=Constraints(group_by=("patient",), exclude=left_out))
    assert len(only) == 3


def test_an_extended_batch_with_minutes_can_be_amended(table):
    limits = Constraints(cost_column="minutes", minutes=40)
    longer = extend(select(table, 4, "cscs", constraints=limits), table, 4, constraints=limits)
    for old in (longer.case_ids[0], longer.case_ids[-1]):
        assert old not in replace_pick(longer, table, old, constraints=limits).case_ids


def test_the_substitute_is_measured_as_the_selection_was(table):
    bare = replace(table, typicality=None)
    selection = select(bare, 4, "cscs", neighbours=2)
    for old in selection:
        changed = replace_pick(selection, bare, old.case_id)
        new = next(p for p in changed if p.rank == old.rank)
        dense = typicality(np.delete(bare.embeddings, bare.case_ids.index(old.case_id), axis=0), 2).values
        left = [c for c in bare.case_ids if c != old.case_id]
        assert new.typicality == pytest.approx(dense[left.index(new.case_id)])
        alike = [i for i, c in enumerate(left) if selection.strata[c] == old.stratum and c not in selection.case_ids]
        hard = np.array([bare.uncertainty[bare.case_ids.index(left[i])] for i in alike])
        score = composite_score(dense[alike], hard, selection.diagnostics["gamma"])
        assert new.case_id == left[alike[int(np.argmax(score))]]


def test_a_twin_of_an_annotated_scan_is_better_than_none():
    features = FeatureTable(
        ("a", "lab", "twin", "x"),
        np.array([[0.0], [1.0], [1.0], [2.0]]),
        np.array([0.4, 0.2, 0.2, 0.3]),
        None,
        {"site": np.array(["A", "A", "A", "B"])},
    )
    limits = Constraints(labelled=("lab",), quotas=(Quota("site", "B", 0, 0),))
    selection = select(features, 1, "cscs", constraints=replace(limits, include=("a",)))
    assert replace_pick(selection, features, "a", constraints=limits).case_ids == ("twin",)
