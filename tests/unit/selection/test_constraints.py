from __future__ import annotations

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import Constraints, Quota, extend, replace_pick, select


@pytest.fixture
def table() -> FeatureTable:
    rng = np.random.default_rng(0)
    n = 24
    return FeatureTable(
        tuple(f"c{i:02d}" for i in range(n)),
        rng.normal(size=(n, 4)),
        rng.random(n),
        covariates={
            "patient": np.array([f"p{i // 2}" for i in range(n)]),
            "site": np.array(["north"] * 4 + ["south"] * 20),
            "minutes": np.linspace(10, 33, n),
            "batch": np.array([1.0] * 12 + [np.nan] * 12),
        },
    )


def test_an_impossible_minimum_is_named_with_what_there_is(table):
    limits = Constraints(quotas=(Quota("site", "north", minimum=5),), group_by=("patient",))
    with pytest.raises(UsageError, match=r"at least 5 more of site=north \(4 usable\)") as raised:
        select(table, 8, "cscs", constraints=limits)
    assert "patient" not in str(raised.value), "one scan per patient is not to blame"


def test_two_constraints_that_clash_are_both_named(table):
    limits = Constraints(quotas=(Quota("site", "north", minimum=3),), group_by=("patient",))
    with pytest.raises(UsageError, match=r"at most one scan per patient; at least 3 more of site=north"):
        select(table, 8, "cscs", constraints=limits)


def test_too_few_minutes_are_named(table):
    limits = Constraints(cost_column="minutes", minutes=40)
    with pytest.raises(UsageError, match=r"at most 40 minutes \(the 4 cheapest scans take 46\)"):
        select(table, 4, "cscs", constraints=limits)


def test_minutes_alone_decide_the_number_of_scans(table):
    selection = select(table, None, "cscs", constraints=Constraints(cost_column="minutes", minutes=110))
    cost = dict(zip(table.case_ids, table.covariates["minutes"], strict=True))
    assert len(selection) == 5
    assert sum(cost[c] for c in selection.case_ids) <= 110


def test_labelled_scans_count_in_quotas_groups_and_pacing(table):
    limits = Constraints(
        labelled=("c00", "c08"), group_by=("patient",), quotas=(Quota("site", "north", minimum=2, maximum=2),)
    )
    selection = select(table, 5, "cscs", constraints=limits)
    assert not {"c01", "c09"} & set(selection.case_ids), "their patients are covered"
    assert sum(c < "c04" for c in selection.case_ids) == 1
    assert selection.diagnostics["alpha_eff"] == pytest.approx(7 / np.sqrt(24))


def test_a_covered_stratum_is_not_served_again(table):
    strata = {c: i // 6 for i, c in enumerate(table.case_ids)}
    selection = select(table, 3, "cscs", constraints=Constraints(labelled=("c00",)), strata=strata)
    assert {p.stratum for p in selection} == {1, 2, 3}


def test_twins_that_must_be_included_are_both_picked():
    twins = FeatureTable(("a", "b", "c"), np.array([[1.0], [1.0], [5.0]]), np.arange(3.0))
    assert select(twins, 2, "cscs", constraints=Constraints(include=("a", "b"))).case_ids == ("a", "b")


def test_near_duplicates_form_groups_by_themselves():
    rng = np.random.default_rng(3)
    first = rng.normal(size=(10, 5))
    embeddings = np.vstack([first, first + 1e-4])
    table = FeatureTable(tuple(f"c{i:02d}" for i in range(20)), embeddings, rng.random(20))
    selection = select(table, 10, "random", constraints=Constraints(group_by=("near_duplicate",)))
    assert len({int(c[1:]) % 10 for c in selection.case_ids}) == 10


def test_groups_by_whole_floats_and_missing_values(table):
    limits = Constraints(quotas=(Quota("batch", "1", maximum=0),))
    assert all(c >= "c12" for c in select(table, 12, "random", constraints=limits).case_ids)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"exclude": ("nobody",)}, "exclude: 1 id.* nobody"),
        ({"group_by": ("hospital",)}, "no column 'hospital'; its columns: patient, site"),
        ({"quotas": (Quota("site", "west", 1),)}, "no case has site=west; the groups there are: north, south"),
        ({"cost_column": "batch", "minutes": 50.0}, "minutes above 0; not so in 12 case"),
    ],
)
def test_what_the_table_does_not_hold_is_named(table, limits, message):
    with pytest.raises(UsageError, match=message):
        select(table, 4, "cscs", constraints=Constraints(**limits))


@pytest.mark.parametrize(
    "limits",
    [
        {"include": ("a",), "exclude": ("a",)},
        {"include": ("a",), "labelled": ("a",)},
        {"minutes": 5.0},
        {"cost_column": "minutes"},
    ],
)
def test_contradictions_are_refused_at_once(limits):
    with pytest.raises(UsageError):
        Constraints(**limits)


def test_a_quota_whose_bounds_cross_is_refused():
    with pytest.raises(UsageError, match="site=north"):
        Quota("site", "north", 3, 2)


@pytest.mark.parametrize("strategy", ["random", "cscs", "kcenter"])
@pytest.mark.parametrize("count", range(3, 8))
def test_minutes_that_add_up_exactly_are_enough(strategy, count):
    """7.3 + 7.3 + 7.3 exceeds 21.9 in binary."""
    rng = np.random.default_rng(count)
    features = FeatureTable(
        tuple(f"c{i:02d}" for i in range(30)), rng.normal(size=(30, 4)), rng.random(30), None, {"m": np.full(30, 7.3)}
    )
    limits = Constraints(cost_column="m", minutes=round(7.3 * count, 1))
    assert len(select(features, count, strategy, constraints=limits)) == count
    assert len(select(features, None, strategy, constraints=limits)) == count
    with pytest.raises(UsageError, match="no batch"):
        select(features, count + 1, strategy, constraints=limits)


def test_minutes_must_be_a_number():
    with pytest.raises(UsageError, match="found NaN"):
        Constraints(cost_column="m", minutes=float("nan"))


def test_sizes_that_are_no_numbers_stop_nobody(table):
    sizes = np.array(["12", ""] * 12)
    table = FeatureTable(table.case_ids, table.embeddings, table.uncertainty, None, {"voxel_count": sizes})
    assert len(select(table, 3, "cscs")) == len(select(table, 3, "strided")) == 3


@pytest.mark.parametrize("strategy", ["cscs", "usl", "probcover", "kcenter"])
def test_half_precision_is_measured_in_single(strategy):
    rng = np.random.default_rng(0)
    ids, half, hard = (
        tuple(f"c{i:02d}" for i in range(60)),
        (rng.normal(size=(60, 768)) * 10).astype("f2"),
        rng.random(60),
    )
    picked = select(FeatureTable(ids, half, hard), 4, strategy)
    assert picked.case_ids == select(FeatureTable(ids, half.astype("f4"), hard), 4, strategy).case_ids


def test_a_minimum_on_a_group_that_is_excluded_as_a_whole_names_it(table):
    limits = Constraints(exclude=table.case_ids[:4], quotas=(Quota("site", "north", minimum=1),))
    with pytest.raises(
        UsageError, match=r"site=north.* all 4 scan\(s\) of that group are excluded \(c00, c01, c02, c03\)"
    ):
        select(table, 5, constraints=limits)


def test_a_maximum_on_a_group_that_is_excluded_as_a_whole_binds_nobody(table):
    limits = Constraints(exclude=table.case_ids[:4], quotas=(Quota("site", "north", maximum=2),))
    assert len(select(table, 5, constraints=limits)) == 5


def test_a_group_that_nobody_was_ever_in_is_still_a_mistake(table):
    limits = Constraints(exclude=table.case_ids[:4], quotas=(Quota("site", "nort", maximum=2),))
    with pytest.raises(UsageError, match="no case has site=nort"):
        select(table, 5, constraints=limits)


def test_the_last_scan_of_a_group_with_a_maximum_can_be_replaced(table):
    limits = Constraints(exclude=table.case_ids[1:4], include=("c00",), quotas=(Quota("site", "north", maximum=1),))
    selection = replace_pick(select(table, 5, constraints=limits), table, "c00", constraints=limits)
    assert "c00" not in selection.case_ids
    assert len(extend(selection, table, 2, constraints=limits)) == 7


def test_strata_with_large_numbers_survive_an_extension(table):
    far = {c: 10**9 + 5 * (i % 3) for i, c in enumerate(table.case_ids)}
    near = {c: i % 3 for i, c in enumerate(table.case_ids)}
    ours, plain = (extend(select(table, 4, "cscs", strata=s), table, 3) for s in (far, near))
    assert ours.case_ids == plain.case_ids
    assert ours.diagnostics["strata_numbers"] == [10**9, 10**9 + 5, 10**9 + 10]


def test_given_strata_and_typicality_need_no_embeddings(table):
    bare = FeatureTable(table.case_ids, np.zeros((24, 1)), table.uncertainty, np.linspace(1, 2, 24))
    strata = [i % 4 for i in range(24)]
    assert len(select(bare, 4, "cscs", strata=strata)) == 4
    with pytest.raises(UsageError, match="are the same"):
        select(bare, 4)
