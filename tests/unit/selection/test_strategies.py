"""What each strategy promises, checked against the plain form of its rule."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import describe, select, strategies
from firstscan.selection.geometry import nearest_of_other_group, standardise, unit_length


def pool(n=60, dim=5, seed=0, **covariates) -> FeatureTable:
    rng = np.random.default_rng(seed)
    return FeatureTable(
        tuple(f"c{i:02d}" for i in range(n)), rng.normal(size=(n, dim)), rng.random(n), covariates=covariates
    )


def rows(selection) -> list[int]:
    return [int(c[1:]) for c in selection.case_ids]


def test_every_strategy_is_described():
    assert tuple(describe()) == strategies()
    assert all(len(line) > 20 for line in describe().values())


def test_strided_takes_the_middle_of_each_stretch_by_size():
    sizes = np.random.default_rng(1).permutation(60).astype(float)
    selection = select(pool(foreground_ml=sizes), 6, "strided")
    assert sorted(sizes[rows(selection)]) == [5, 15, 25, 35, 45, 55]
    assert selection.diagnostics["ordered_by"] == "size"
    assert select(pool(), 6, "strided").diagnostics["ordered_by"] == "case id"


def test_kcenter_spreads_further_than_random():
    table = pool()

    def reach(picks):
        gaps = np.linalg.norm(table.embeddings[:, None] - table.embeddings[picks], axis=2)
        return gaps.min(axis=1).max()

    far = reach(rows(select(table, 8, "kcenter")))
    assert far < np.mean([reach(rows(select(table, 8, "random", seed=s))) for s in range(10)])


@pytest.mark.parametrize("weighted", [False, True])
def test_maxherding_is_the_plain_greedy_search(weighted):
    table = pool(seed=3)
    x = unit_length(standardise(table.embeddings))
    kernel = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2) / 2)
    weights = np.maximum(table.uncertainty.argsort().argsort() / 59, 0.01) if weighted else np.ones(60)
    reached, picks = np.zeros(60), []
    for _ in range(10):
        gains = np.maximum(kernel - reached, 0) @ weights
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        reached = np.maximum(reached, kernel[picks[-1]])
    selection = select(table, 10, "maxherding", weighted=weighted)
    assert rows(selection) == picks
    assert selection.diagnostics["coverage"] == pytest.approx((weights @ reached) / weights.sum(), rel=1e-5)


def test_maxherding_refuses_a_kernel_that_does_not_fit(monkeypatch):
    monkeypatch.setattr(import_module("firstscan.selection.strategies.maxherding"), "LARGEST_KERNEL_BYTES", 100)
    with pytest.raises(UsageError, match="kernel of 60 cases with 60 references"):
        select(pool(), 3, "maxherding")


def test_probcover_chooses_the_largest_radius_that_is_pure_enough():
    rng = np.random.default_rng(0)
    x = np.vstack([rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 40])
    table = FeatureTable(tuple(f"c{i:02d}" for i in range(60)), x, rng.random(60))
    selection = select(table, 2, "probcover", purity=1.0)
    groups = np.repeat([0, 1], 30)
    assert selection.diagnostics["radius"] == pytest.approx(nearest_of_other_group(x, groups).min())
    assert selection.diagnostics["coverage"] == 1.0
    assert {r // 30 for r in rows(selection)} == {0, 1}


def test_probcover_given_a_radius_says_so():
    found = select(pool(), 3, "probcover", radius=1.5).diagnostics
    assert found["radius_given"] is True
    assert 0 < found["coverage"] < 1


@pytest.mark.parametrize("strategy", ["csal3d", "calr"])
def test_pools_whose_pairs_do_not_fit_are_refused(strategy, monkeypatch):
    monkeypatch.setattr(import_module(f"firstscan.selection.strategies.{strategy}"), "LARGEST_POOL", 50)
    with pytest.raises(UsageError, match=r"60 cases; give at most 50 cases"):
        select(pool(), 3, strategy)
    given = {c: i % 4 for i, c in enumerate(pool().case_ids)}
    assert len(select(pool(), 3, strategy, strata=given)) == 3


def test_usl_keeps_picks_apart():
    table = pool(seed=5)
    near = rows(select(table, 6, "usl", weight=0.0))
    apart = rows(select(table, 6, "usl", weight=50.0))

    def closest(picks):
        x = unit_length(table.embeddings)[picks]
        return (np.linalg.norm(x[:, None] - x[None], axis=2) + 9 * np.eye(len(picks))).min()

    assert closest(apart) > closest(near)


class TestCscs:
    def test_thin_strata_are_filled_or_scored(self):
        strata = [0] * 29 + [1] * 29 + [2, 2]
        filled = select(pool(), 3, "cscs", strata=strata)
        scored = select(pool(), 3, "cscs", strata=strata, thin_strata="score")
        assert {p.stratum for p in scored} == {0, 1, 2}
        assert filled.diagnostics["thin_strata"] == [2]
        assert scored.diagnostics["thin_strata"] == []
        assert "stratum too small to rank (2 scans)" in filled.picks[2].reason
        others = sorted(set(filled.scores) - set(filled.case_ids[:2]), key=lambda c: -filled.scores[c])
        assert filled.case_ids[2] == others[0], "the best remaining scan of the whole pool"

    def test_the_largest_stratum_comes_first(self):
        selection = select(pool(), 3, "cscs", strata=[0] * 10 + [1] * 30 + [2] * 20)
        assert [p.stratum for p in selection] == [1, 2, 0]

    def test_reasons_are_true(self):
        table = pool()
        selection = select(table, 4, "cscs", strata=[i % 4 for i in range(60)])
        for pick in selection:
            members = [i for i in range(60) if i % 4 == pick.stratum]
            harder = np.mean(table.uncertainty[members] < pick.uncertainty) * 15 / 14
            text = "the hardest of them" if harder == 1 else f"harder than {int(100 * harder + 1e-9)} % of them"
            assert pick.reason.endswith(f"15 scans in stratum {pick.stratum}, {text}")

    def test_gamma_decides_between_typical_and_hard(self):
        table = pool()
        typical = select(table, 1, "cscs", gamma_bounds=(0.0, 0.0)).picks[0]
        hard = select(table, 1, "cscs", gamma_bounds=(1.0, 1.0)).picks[0]
        assert hard.uncertainty == table.uncertainty.max()
        assert typical.typicality > hard.typicality
        assert typical.reason.startswith("most typical of 60 scans in stratum 0")

    @pytest.mark.parametrize("bounds", [(0.7, 0.3), (-0.1, 0.5), (0.5, 1.5)])
    def test_bounds_that_cross_are_refused(self, bounds):
        with pytest.raises(UsageError, match="gamma_bounds"):
            select(pool(), 3, "cscs", gamma_bounds=bounds)

    def test_lists_serve_as_bounds(self):
        assert select(pool(), 3, "cscs", gamma_bounds=[0.4, 0.6]).options["gamma_bounds"] == [0.4, 0.6]

    def test_strata_must_name_every_case(self):
        with pytest.raises(UsageError, match="59 values for 60 cases"):
            select(pool(), 3, "cscs", strata=[0] * 59)
        with pytest.raises(UsageError, match="no value for 59 case"):
            select(pool(), 3, "cscs", strata={"c00": 0})
        with pytest.raises(UsageError, match="whole numbers from 0"):
            select(pool(), 3, "cscs", strata=[-1] * 60)

    def test_given_strata_follow_their_rows(self):
        table = pool()
        order = np.random.default_rng(0).permutation(60)
        strata = np.arange(60) % 5
        assert select(table, 5, "cscs", strata=strata) == select(table.rows(order), 5, "cscs", strata=strata[order])
