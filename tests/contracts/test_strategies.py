"""What every strategy of the registry keeps, a third party's included."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import Candidates, Constraints, Gate, Outcome, Strategy, registry, select
from firstscan.selection.registry import BUILT_IN, merge


@dataclass(frozen=True)
class Hardest(Strategy):
    """A strategy as a third party would write it."""

    name: ClassVar[str] = "hardest"
    summary: ClassVar[str] = "the hardest scans"
    reference: ClassVar[str] = ""
    uses_uncertainty: ClassVar[bool] = True
    uses_embeddings: ClassVar[bool] = False

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        while gate.has_room():
            gate.take_best(candidates.uncertainty.astype(np.float64), "hardest scan left")
        return Outcome(scores=candidates.uncertainty)


class InstalledEntry(EntryPoint):
    """Loads from here, since pytest does not make this module importable by name."""

    def load(self):
        return Hardest


THIRD_PARTY = InstalledEntry("hardest", "some_package:Hardest", registry.ENTRY_POINT_GROUP)


@pytest.fixture(autouse=True)
def third_party(monkeypatch):
    known = {**BUILT_IN, "hardest": Hardest}
    monkeypatch.setattr(registry, "registry", lambda: known)


@pytest.fixture(params=[*BUILT_IN, "hardest"])
def strategy(request):
    return request.param


def pool(n=40, dim=6, seed=0, dtype=np.float64, **covariates) -> FeatureTable:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, dim)) * 3
    embeddings = (centres[rng.integers(4, size=n)] + rng.normal(size=(n, dim))).astype(dtype)
    ids = tuple(f"scan{i:03d}" for i in range(n))
    return FeatureTable(ids, embeddings, rng.random(n).astype(dtype), covariates=covariates)


def check(selection, budget):
    assert len(selection) == budget == selection.budget
    assert len(set(selection.case_ids)) == budget
    assert [p.rank for p in selection] == list(range(1, budget + 1))
    for pick in selection:
        assert len(pick.reason) > 5
        assert pick.stratum is None or selection.strata[pick.case_id] == pick.stratum


@pytest.mark.parametrize("budget", [1, 2, 7, 39, 40])
def test_exactly_b_distinct_cases(strategy, budget):
    check(select(pool(), budget, strategy), budget)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_seed_same_selection(strategy, dtype):
    assert select(pool(dtype=dtype), 8, strategy, seed=3) == select(pool(dtype=dtype), 8, strategy, seed=3)


def test_the_order_of_rows_does_not_matter(strategy):
    table = pool()
    shuffled = table.rows(np.random.default_rng(1).permutation(len(table)))
    assert select(table, 9, strategy) == select(shuffled, 9, strategy)


def test_duplicated_scans_are_not_picked_twice(strategy):
    table = pool(20)
    twins = FeatureTable(
        (*table.case_ids, *(f"{c}-again" for c in table.case_ids)),
        np.vstack([table.embeddings] * 2),
        np.tile(table.uncertainty, 2),
    )
    selection = select(twins, 12, strategy)
    check(selection, 12)
    assert len({c.removesuffix("-again") for c in selection.case_ids}) == 12
    check(select(twins, 30, strategy), 30)


NEED_NO_EMBEDDINGS = {"random", "strided", "hardest"}


@pytest.mark.parametrize(
    "embeddings", [np.ones((12, 3)), np.zeros((12, 3)), 1 + 1e-16 * (np.arange(36).reshape(12, 3) % 8)]
)
@pytest.mark.parametrize("budget", [1, 5])
def test_embeddings_that_are_all_the_same_are_refused_by_who_needs_them(strategy, budget, embeddings):
    table = FeatureTable(tuple(f"c{i}" for i in range(12)), embeddings, np.arange(12.0))
    check(select(table, 12, strategy), 12)  # nothing to choose
    if strategy in NEED_NO_EMBEDDINGS:
        check(select(table, budget, strategy), budget)
    else:
        with pytest.raises(UsageError, match=f"embeddings of all 12 scans are the same, so that {strategy} cannot"):
            select(table, budget, strategy)


@pytest.mark.parametrize("budget", [1, 5])
def test_one_scan_that_differs_from_its_copies_is_enough(strategy, budget):
    embeddings = np.zeros((12, 3))
    embeddings[7] = 1
    selection = select(FeatureTable(tuple(f"c{i:02d}" for i in range(12)), embeddings, np.ones(12)), budget, strategy)
    check(selection, budget)
    assert budget == 1 or "c07" in selection.case_ids


@pytest.mark.parametrize(
    ("scale", "message"), [(1e200, "distances between such numbers overflow"), (1e-200, "such numbers vanish")]
)
def test_embeddings_without_finite_distances_are_refused(strategy, scale, message):
    table = pool()
    with pytest.raises(UsageError, match=message):
        select(FeatureTable(table.case_ids, table.embeddings * scale, table.uncertainty), 3, strategy)


def test_the_scan_with_the_largest_value_is_named(strategy):
    table = pool(dtype=np.float32)
    table.embeddings[17, 2] = -3e30
    with pytest.raises(UsageError, match=r"embeddings reach 3e\+30 \(case scan017\)"):
        select(table, 3, strategy)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_unit_of_embeddings_is_free(strategy, scale):
    table = pool()
    check(select(FeatureTable(table.case_ids, table.embeddings * scale, table.uncertainty), 5, strategy), 5)


@pytest.mark.parametrize("strategy", ["cscs", "typiclust", "calr", "alps", "csal3d"])
def test_strata_may_have_any_number(strategy):
    table, plain = pool(), np.arange(40) % 4
    far = np.array([3, 70, 900, 10**9])[plain]
    given, renumbered = (select(table, 8, strategy, strata=s) for s in (plain.tolist(), far.tolist()))
    assert renumbered.case_ids == given.case_ids
    assert renumbered.strata == given.strata
    assert renumbered.diagnostics["strata_numbers"] == [3, 70, 900, 10**9]
    assert "strata_numbers" not in given.diagnostics


def test_one_dimension(strategy):
    check(select(pool(dim=1), 6, strategy), 6)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_pools(strategy, n):
    for budget in range(1, n + 1):
        check(select(pool(n), budget, strategy), budget)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    broken = pool().embeddings.copy()
    broken[3, 0] = value
    with pytest.raises(UsageError, match="scan003"):
        FeatureTable(pool().case_ids, broken, pool().uncertainty)


@pytest.mark.parametrize("budget", [0, -1, 41, None])
def test_budgets_that_make_no_sense(strategy, budget):
    with pytest.raises(UsageError, match="budget"):
        select(pool(), budget, strategy)


def test_unknown_options_name_the_valid_ones(strategy):
    with pytest.raises(UsageError, match="no option 'colour'"):
        select(pool(), 3, strategy, colour="red")


@pytest.mark.parametrize(
    ("strategy", "option", "message"),
    [
        ("cscs", {"neighbours": 0}, "cscs: neighbours must be a whole number, at least 1; found 0"),
        ("cscs", {"restarts": 0}, "restarts must be a whole number, at least 1"),
        ("typiclust", {"max_clusters": 0}, "max_clusters must be a whole number, at least 1"),
        ("csal3d", {"candidates_per_cluster": 0}, "candidates_per_cluster must be a whole number, at least 1"),
        ("calr", {"threshold": 0.0}, "threshold must be a number, above 0"),
        ("alps", {"restarts": -1}, "restarts must be a whole number, at least 1"),
        ("usl", {"momentum": 1.5}, "momentum must be a number, at least 0 and at most 1"),
        ("probcover", {"radius": -1.0}, "radius must be a number or nothing, above 0"),
        ("probcover", {"purity": float("nan")}, "purity must be a number, above 0 and at most 1; found nan"),
        ("maxherding", {"references": 0}, "references must be a whole number, at least 1"),
    ],
)
def test_what_a_parameter_must_be_is_said(strategy, option, message):
    with pytest.raises(UsageError, match=message):
        select(pool(), 3, strategy, **option)


def test_excluded_included_and_labelled(strategy):
    ids = pool().case_ids
    limits = Constraints(exclude=ids[:10], include=ids[20:22], labelled=ids[30:34])
    selection = select(pool(), 9, strategy, constraints=limits)
    check(selection, 9)
    assert set(selection.case_ids[:2]) == set(ids[20:22])
    assert not set(selection.case_ids) & {*ids[:10], *ids[30:34]}


def test_diagnostics_and_options_survive_json(strategy):
    import json

    selection = select(pool(), 5, strategy)
    for mapping in (selection.diagnostics, selection.options):
        assert json.loads(json.dumps(mapping, allow_nan=False)) == mapping


def test_third_parties_register_by_entry_point():
    known = merge(BUILT_IN, [THIRD_PARTY])
    assert known["hardest"] is Hardest
    assert list(known)[: len(BUILT_IN)] == list(BUILT_IN)


def test_a_name_taken_twice_is_refused():
    with pytest.raises(UsageError, match="registered twice"):
        merge({"hardest": Hardest}, [THIRD_PARTY])


def test_an_entry_point_that_fails_is_named():
    broken = EntryPoint("broken", "no_such_module_anywhere:Thing", registry.ENTRY_POINT_GROUP)
    with pytest.raises(UsageError, match="'broken' cannot be loaded"):
        merge(BUILT_IN, [broken])
    wrong = EntryPoint("wrong", "json:dumps", registry.ENTRY_POINT_GROUP)
    with pytest.raises(UsageError, match="not a subclass"):
        merge(BUILT_IN, [wrong])


def test_unknown_strategies_list_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown strategy 'magic'; choose one of: cscs, random"):
        select(pool(), 3, "magic")
