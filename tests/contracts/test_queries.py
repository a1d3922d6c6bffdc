"""What every query rule of the registry keeps, a third party's included."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import Candidates, Constraints, Gate, Outcome, Quota, select
from firstscan.selection.amend import extend, replace_pick
from firstscan.selection.queries import registry
from firstscan.selection.queries.measures import AGGREGATES, MEASURES, CaseMeasures
from firstscan.selection.queries.protocol import Query
from firstscan.selection.queries.registry import BUILT_IN, DEFAULT_RULE
from firstscan.selection.queries.rounds import next_round

NEED_NOTHING_PREDICTED = {"random", "coverage", "vaal"}


@dataclass(frozen=True)
class Smallest(Query):
    """A rule as a third party would write it."""

    name: ClassVar[str] = "smallest"
    summary: ClassVar[str] = "the scans of smallest entropy"
    reference: ClassVar[str] = ""
    uses_embeddings: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        values = self.measures(candidates).of("entropy", "top")
        while gate.has_room():
            gate.take_best(-values, "the surest scan left")
        return Outcome(scores=-values)


@pytest.fixture(autouse=True)
def third_party(monkeypatch):
    known = {**BUILT_IN, "smallest": Smallest}
    monkeypatch.setattr(registry, "registry", lambda: known)


@pytest.fixture(params=[*BUILT_IN, "smallest"])
def rule(request):
    return request.param


def pool(n=40, dim=6, seed=0, **covariates) -> FeatureTable:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, dim)) * 3
    embeddings = centres[rng.integers(4, size=n)] + rng.normal(size=(n, dim))
    return FeatureTable(tuple(f"scan{i:03d}" for i in range(n)), embeddings, rng.random(n), covariates=covariates)


def predictions(case_ids, seed=0, classes=3, members=3) -> dict[str, CaseMeasures]:
    rng = np.random.default_rng(seed)
    return {
        case_id: CaseMeasures(
            rng.random((len(MEASURES), len(AGGREGATES))),
            rng.random(classes),
            rng.integers(1, 50, classes),
            rng.normal(size=(classes, classes)),
            members,
        )
        for case_id in sorted(case_ids)
    }


def first_batch(table: FeatureTable, budget=4):
    return select(table, budget, "random")


def grown(table, rule, more, found=None, start=None, **options):
    before = first_batch(table) if start is None else start
    found = predictions(table.case_ids) if found is None else found
    return before, next_round(before, table, found, more, rule, **options)


@pytest.mark.parametrize("more", [1, 7, 36])
def test_the_earlier_picks_stay_and_exactly_as_many_as_asked_for_are_added(rule, more):
    before, after = grown(pool(), rule, more)
    assert after.picks[:4] == before.picks
    assert len(after) == len(set(after.case_ids)) == after.budget == 4 + more
    assert [p.rank for p in after] == list(range(1, 5 + more))
    assert all(len(p.reason) > 5 for p in after)
    assert after.strategy == before.strategy
    told = after.diagnostics["rounds"]
    assert len(told) == 1
    assert told[0]["picks"] == list(after.case_ids[4:])
    assert told[0]["rule"] == rule
    assert (told[0]["members"], told[0]["predicted"], told[0]["covered"]) == (3, 36, 4)


def test_same_seed_same_picks_and_the_order_of_rows_does_not_matter(rule):
    table = pool()
    shuffled = table.rows(np.random.default_rng(1).permutation(len(table)))
    start = first_batch(table)
    once, again, other = (grown(t, rule, 6, start=start, seed=3)[1] for t in (table, table, shuffled))
    assert once == again == other


def test_no_scan_is_labelled_yet(rule):
    table = pool()
    empty = replace(first_batch(table), picks=(), budget=0)
    _, after = grown(table, rule, 5, start=empty)
    assert len(set(after.case_ids)) == 5


def test_constraints_are_obeyed(rule):
    site = np.array(["a", "b"] * 20)
    patient = np.repeat(np.arange(20), 2)
    table = pool(site=site, patient=patient)
    limits = Constraints(
        exclude=("scan010",), labelled=("scan020",), group_by=("patient",), quotas=(Quota("site", "a", 0, 8),)
    )
    before = select(table, 4, "random", constraints=replace(limits, labelled=()))
    _, after = grown(table, rule, 5, start=before, constraints=limits)
    added = after.case_ids[4:]
    assert not {"scan010", "scan020", "scan021"} & set(added)
    rows = [table.case_ids.index(c) for c in (*after.case_ids, "scan020")]
    assert len(set(patient[rows])) == len(rows)
    assert (site[rows] == "a").sum() <= 8


def test_duplicated_scans_are_not_picked_twice(rule):
    table = pool(12)
    twins = FeatureTable(
        (*table.case_ids, *(f"{c}-again" for c in table.case_ids)),
        np.vstack([table.embeddings] * 2),
        np.tile(table.uncertainty, 2),
    )
    _, after = grown(twins, rule, 5, start=select(twins, 3, "random"))
    assert len({c.removesuffix("-again") for c in after.case_ids}) == 8


def test_predictions_that_are_all_the_same_still_make_a_batch(rule):
    table = pool()
    same = CaseMeasures(np.zeros((3, 4)), np.zeros(2), np.array([9, 0]), np.zeros((2, 2)), 2)
    _, after = grown(table, rule, 6, dict.fromkeys(table.case_ids, same))
    assert len(set(after.case_ids)) == 10
    assert after.diagnostics["rounds"][0]["nothing_predicted"] == sorted(set(table.case_ids) - set(after.case_ids[:4]))


def test_what_is_told_survives_json(rule):
    _, after = grown(pool(), rule, 5)
    for mapping in (after.diagnostics, after.options):
        assert json.loads(json.dumps(mapping, allow_nan=False)) == mapping


def test_a_second_round_a_replacement_and_an_extension_follow(rule):
    table = pool()
    _, once = grown(table, rule, 3)
    twice = next_round(once, table, predictions(table.case_ids, seed=1), 3, rule, seed=9)
    assert [e["rule"] for e in twice.diagnostics["rounds"]] == [rule, rule]
    assert len(set(twice.case_ids)) == 10
    gone = twice.case_ids[5]
    replaced = replace_pick(twice, table, gone)
    assert gone not in replaced.case_ids
    longer = extend(replaced, table, 2)
    assert len(longer) == 12
    assert longer.diagnostics["rounds"] == twice.diagnostics["rounds"]


def test_a_scan_without_a_prediction_is_named():
    table = pool()
    found = predictions(table.case_ids)
    missing = next(c for c in table.case_ids if c not in first_batch(table).case_ids)
    del found[missing]
    with pytest.raises(UsageError, match=f"1 scan.s. that could be picked have no prediction: {missing}"):
        grown(table, "entropy", 3, found)


def test_before_a_model_there_is_nothing_to_ask(rule):
    if rule in NEED_NOTHING_PREDICTED:
        return
    candidates = Candidates(pool().embeddings, pool().uncertainty, 3, 0)
    gate = Gate(np.zeros(40, dtype=bool), 3, np.arange(40))
    with pytest.raises(UsageError, match="needs predictions of the pool"):
        BUILT_IN.get(rule, Smallest)()(candidates, gate)


def test_an_ensemble_of_one_cannot_disagree():
    table = pool()
    with pytest.raises(UsageError, match=r"needs at least 2 predictions of each scan; there is 1. Train more members"):
        grown(table, "bald", 3, predictions(table.case_ids, members=1))


def test_different_numbers_of_classes_are_refused(rule):
    table = pool()
    found = predictions(table.case_ids) | predictions(["scan039"], classes=2)
    start = replace(first_batch(table), picks=tuple(p for p in first_batch(table) if p.case_id != "scan039"))
    with pytest.raises(DataError, match="different numbers of classes: scan039 has 2"):
        grown(table, rule, 3, found, start)


@pytest.mark.parametrize("more", [0, 37])
def test_more_than_is_left_is_refused(rule, more):
    with pytest.raises(UsageError, match="budget must lie in 1 … 36"):
        grown(pool(), rule, more)


@pytest.mark.parametrize(
    ("rule", "option", "message"),
    [
        ("power-entropy", {"power": 0.0}, "power must be a number, above 0"),
        ("clasp", {"stratified": 1.5}, "stratified must be a number, at least 0 and at most 1"),
        ("quire", {"weight": -1.0}, "weight must be a number"),
        ("vaal", {"penalty": 0.0}, "penalty must be a number, above 0"),
        ("stochastic", {"batches": 0}, "batches must be a whole number, at least 1"),
        ("curriculum", {"last": 2.0}, "last must be a number"),
        ("cscs", {"gamma_bounds": (0.9, 0.1)}, "gamma_bounds must rise"),
        ("margin", {"colour": "red"}, "strategy 'margin' has no option 'colour'"),
    ],
)
def test_what_a_parameter_must_be_is_said(rule, option, message):
    with pytest.raises(UsageError, match=message):
        grown(pool(), rule, 3, **option)


def test_unknown_rules_list_the_known_ones():
    with pytest.raises(UsageError, match="unknown rule 'magic'; choose one of: herding, random"):
        grown(pool(), "magic", 3)
    assert DEFAULT_RULE in BUILT_IN
