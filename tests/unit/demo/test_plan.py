"""What the cohort holds, before any voxel exists."""

from __future__ import annotations

import numpy as np
import pytest

from firstscan.demo.plan import child_rng, plan
from firstscan.demo.sites import SITES
from firstscan.domain.errors import UsageError


def test_forty_cases_of_which_thirty_eight_are_usable():
    cases = plan(40, seed=42)
    assert len({c.case_id for c in cases}) == len(cases) == 40
    assert [c.fault for c in cases if c.fault != "none"] == ["truncated", "duplicate"]
    assert {site.name: sum(c.site == site for c in cases) for site in SITES} == dict.fromkeys(
        ("aster", "birch", "cedar", "dune"), 10
    )
    assert {c.image.split(".", 1)[1] for c in cases} == {"nii.gz", "nrrd", "mha"}


def test_every_site_has_two_hard_cases_and_none_of_them_is_faulty():
    cases = plan(40, seed=42)
    for site in SITES:
        assert sum(c.motion > 0 for c in cases if c.site == site) == 2
    assert all(c.fault == "none" for c in cases if c.motion > 0)


@pytest.mark.parametrize("seed", range(5))
def test_air_tells_neither_the_site_nor_the_difficulty(seed):
    cases = [c for c in plan(40, seed=seed) if c.fault == "none"]
    air = np.array([c.air for c in cases])
    hard = np.array([c.motion > 0 for c in cases])
    assert air[hard].mean() == pytest.approx(air[~hard].mean(), abs=0.07)
    for site in SITES:
        of_site = [c.air for c in cases if c.site == site]
        assert np.mean(of_site) == pytest.approx(air.mean(), abs=0.1)
        assert min(of_site) < 0.25 < 0.75 < max(of_site)


def test_the_duplicate_belongs_to_the_patient_of_its_original():
    cases = {c.case_id: c for c in plan(40, seed=1)}
    copy = next(c for c in cases.values() if c.fault == "duplicate")
    assert cases[copy.copy_of].patient == copy.patient
    assert cases[copy.copy_of].fault == "none"
    assert cases[copy.copy_of].image.split(".")[-1] == copy.image.split(".")[-1]


def test_some_patients_were_scanned_at_two_sites():
    cases = [c for c in plan(40, seed=42) if c.fault == "none"]
    twice = [c.patient for c in cases if sum(o.patient == c.patient for o in cases) > 1]
    assert len(twice) == 4


def test_a_plan_repeats_for_a_seed_and_changes_with_it():
    assert plan(40, seed=7) == plan(40, seed=7)
    assert plan(40, seed=7) != plan(40, seed=8)


@pytest.mark.parametrize("n", [8, 9, 11, 12, 23, 41, 100])
def test_other_sizes_hold_the_same_kinds_of_case(n):
    cases = plan(n, seed=3)
    assert len({c.case_id for c in cases}) == n
    assert sum(c.fault != "none" for c in cases) == 2
    assert all(0 <= c.air <= 1 for c in cases)


def test_fewer_than_two_cases_a_site_is_refused():
    with pytest.raises(UsageError, match="at least 8 cases"):
        plan(7, seed=0)


def test_child_generators_depend_on_every_name():
    draws = {child_rng(*key).integers(2**60) for key in ((1, "a", "b"), (1, "a", "c"), (2, "a", "b"), (1, "a"))}
    assert len(draws) == 4
    assert child_rng(1, "a").integers(2**60) == child_rng(1, "a").integers(2**60)
