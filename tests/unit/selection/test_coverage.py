"""Strategy coverage and the combination of feature groups."""

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import Constraints, extend, replace_pick, select
from firstscan.selection.geometry.medoids import swapped
from firstscan.selection.groups import combine


def pool(n=60, seed=0, **groups):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(5, 4)) * 6
    x = centres[np.arange(n) % 5] + rng.normal(size=(n, 4))
    ids = tuple(f"c{i:03d}" for i in range(n))
    return FeatureTable(ids, x, rng.random(n), groups={k: np.asarray(v) for k, v in groups.items()})


def cost(table, case_ids):
    rows = [table.case_ids.index(c) for c in case_ids]
    return np.linalg.norm(table.embeddings[:, None] - table.embeddings[None, rows], axis=2).min(axis=1).mean()


@pytest.mark.parametrize("budget", [1, 3, 5, 9])
def test_no_random_batch_and_no_single_exchange_covers_better(budget):
    table = pool()
    chosen = select(table, budget, "coverage").case_ids
    best = cost(table, chosen)
    assert best <= min(cost(table, select(table, budget, "random", seed=s).case_ids) for s in range(20)) + 1e-9
    for leaves in chosen:
        kept = [c for c in chosen if c != leaves]
        assert all(best <= cost(table, [*kept, comes]) + 1e-9 for comes in table.case_ids if comes not in chosen)


def test_the_first_of_a_batch_are_a_good_smaller_one_and_reasons_count_scans():
    table = pool()
    selection = select(table, 5, "coverage")
    assert {int(c[1:]) % 5 for c in selection.case_ids} == set(range(5))  # one of each group
    assert all(p.reason.startswith("stands for 12 scans of the pool") for p in selection)
    assert selection.diagnostics["coverage"] == pytest.approx(cost(table, selection.case_ids))


def test_labelled_scans_cover_their_group_and_an_extension_goes_elsewhere():
    table = pool()
    first = select(table, 3, "coverage")
    longer = extend(first, table, 2)
    assert {int(c[1:]) % 5 for c in longer.case_ids} == set(range(5))
    substitute = replace_pick(first, table, first.case_ids[0], why="motion").picks[0]
    assert int(substitute.case_id[1:]) % 5 == int(first.case_ids[0][1:]) % 5


def test_constraints_hold():
    table = pool()
    limits = Constraints(include=("c000",), exclude=("c001", "c002"))
    chosen = select(table, 4, "coverage", constraints=limits).case_ids
    assert chosen[0] == "c000"
    assert not {"c001", "c002"} & set(chosen)


def test_exchanges_stop_at_an_optimum_and_keep_free_rows_only():
    x = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    distances = np.abs(x - x.T)
    free = np.array([True, True, True, True, False, True])
    assert 4 not in swapped(distances, [0, 1], np.full(6, 99.0), free)
    assert sorted(swapped(distances, [0, 1], np.full(6, 99.0), np.ones(6, dtype=bool))) == [1, 4]


def test_a_large_pool_is_covered_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 6))
    table = FeatureTable(tuple(f"c{i:04d}" for i in range(5000)), x, rng.random(5000))
    selection = select(table, 20, "coverage", references=500)
    assert len(set(selection.case_ids)) == 20
    assert cost(table, selection.case_ids) < cost(table, select(table, 20, "random").case_ids)


def test_groups_weigh_alike_whatever_their_scale_and_size():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(60, 3)), rng.normal(size=(60, 200))
    table = pool(a=a, b=b)
    joined = combine(table, ("a", "b")).table.embeddings
    assert joined.shape == (60, 3 + 8)
    spreads = [(part**2).sum(axis=1).mean() for part in (joined[:, :3], joined[:, 3:])]
    assert spreads == pytest.approx([1.0, 1.0])
    again = combine(pool(a=1000 * a + 7, b=b), ("a", "b")).table.embeddings
    np.testing.assert_allclose(again, joined, atol=1e-8)


def test_a_constant_group_is_left_out_and_said():
    table = pool(flat=np.ones((60, 2)), a=np.random.default_rng(0).normal(size=(60, 2)))
    selection = select(table, 3, "coverage", groups=("flat", "a"))
    assert selection.diagnostics["features"] == ["a"]
    assert selection.diagnostics["features_constant"] == ["flat"]
    with pytest.raises(UsageError, match="the same in all 60 scans"):
        select(table, 3, "coverage", groups=("flat",))


def test_groups_that_are_not_there_are_named():
    with pytest.raises(UsageError, match=r"no feature group 'texture'; there are: embedding"):
        select(pool(), 3, groups=("texture",))
    with pytest.raises(UsageError, match="each group once"):
        select(pool(), 3, groups=("embedding", "embedding"))


def test_a_strategy_sees_its_own_groups_as_far_as_the_table_has_them():
    rng = np.random.default_rng(3)
    with_shape = pool(shape=rng.normal(size=(60, 2)))
    assert select(with_shape, 4, "coverage").diagnostics["features"] == ["shape"]
    assert "features" not in select(with_shape, 4, "cscs").diagnostics
    rows = select(with_shape, 4, "kcenter", groups=("shape",))
    assert rows.diagnostics["features"] == ["shape"]
