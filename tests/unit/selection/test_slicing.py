"""Plans by slice: even spacing, staggered offsets, and the same physical slices however a scan is stored."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstscan.domain.errors import UsageError
from firstscan.domain.slices import ScanGeometry, ignore_value, outside_ignored
from firstscan.selection.slicing import (
    Slicing,
    located,
    minutes_of,
    plan_slices,
    read_plane,
    read_range,
    scans_for,
    within_budget,
)  # fmt: skip


def scan(
    name="a",
    shape=(60, 50, 40),
    spacing=(1.0, 1.0, 3.0),
    patient=None,
    direction=(1, 0, 0, 0, 1, 0, 0, 0, 1),
    origin=(0, 0, 0),
):
    ends = patient or tuple((0, n - 1) for n in shape)
    return ScanGeometry(
        name, shape, spacing, tuple(float(d) for d in np.ravel(direction)), tuple(map(float, origin)), ends
    )


def stored(geometry, order, signs):
    """Return the same scan stored along other axes and in other directions."""
    shape = np.array(geometry.shape)[list(order)]
    spacing = np.array(geometry.spacing_mm)[list(order)]
    direction = np.reshape(geometry.direction, (3, 3))[:, list(order)] * np.array(signs)
    origin = np.array(geometry.origin_mm)
    for axis, sign in enumerate(signs):
        if sign < 0:
            origin = origin - direction[:, axis] * spacing[axis] * (shape[axis] - 1)
    ends = []
    for axis, sign in enumerate(signs):
        first, last = geometry.patient[order[axis]]
        ends.append((first, last) if sign > 0 else (shape[axis] - 1 - last, shape[axis] - 1 - first))
    return scan(
        geometry.case_id, tuple(map(int, shape)), tuple(map(float, spacing)),
        tuple((int(a), int(b)) for a, b in ends), direction, origin,
    )  # fmt: skip


@pytest.mark.parametrize("plane", [None, "axial", "coronal", "sagittal"])
def test_the_same_slices_in_all_48_ways_to_store_a_scan(plane):
    tilt = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    original = scan(patient=((5, 50), (3, 44), (4, 35)), direction=tilt, origin=(10, -20, 30))
    slicing = Slicing(every=3, plane=plane, within=read_range("20%:80%"))
    expected = plan_slices([original], slicing, first_rank=2).cases[0]
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        again = plan_slices([stored(original, order, signs)], slicing, first_rank=2).cases[0]
        assert sorted(again.positions_mm) == pytest.approx(sorted(expected.positions_mm))
        assert again.plane == expected.plane
        axis, found = located(again.plane, expected.positions_mm, stored(original, order, signs))
        assert (axis, found) == (again.axis, again.indices)


@given(every=st.integers(1, 9), scans=st.integers(1, 40), first=st.integers(0, 10), length=st.integers(12, 30))
def test_slices_are_even_inside_the_patient_and_positions_are_covered_evenly(every, scans, first, length):
    last = first + length - 1
    pool = [scan(f"c{i}", shape=(20, 20, 48), patient=((0, 19), (0, 19), (first, last))) for i in range(scans)]
    plan = plan_slices(pool, Slicing(every=every))
    hits = np.zeros(48)
    for case in plan:
        assert case.axis == 2
        assert set(np.diff(case.indices)) <= {every}
        assert first <= case.indices[0]
        assert case.indices[-1] <= last
        hits[list(case.indices)] += 1
    inside = hits[first : last + 1]
    if scans % every == 0 and every in (1, 2, 4, 8):
        assert np.ptp(inside) == 0
    assert np.ptp(inside) <= 1 + scans // every


def test_the_axis_is_the_acquired_one_or_axial():
    assert plan_slices([scan(spacing=(3.0, 1.0, 1.0))], Slicing()).cases[0].plane == "sagittal"
    assert plan_slices([scan(spacing=(1.0, 1.0, 1.0))], Slicing()).cases[0].plane == "axial"
    assert plan_slices([scan(spacing=(4.0, 4.0, 2.5))], Slicing()).cases[0].plane == "axial"
    assert plan_slices([scan()], Slicing(plane="coronal")).cases[0].axis == 1


def test_a_range_counts_from_the_top_of_the_scan():
    case = plan_slices([scan()], Slicing(every=1, within=read_range("0:30"))).cases[0]
    assert case.indices == tuple(range(30, 40))  # ten slices of 3 mm at the head, where the index is highest
    with pytest.raises(UsageError, match=r"a: no slice .* 200 to 300 mm"):
        plan_slices([scan()], Slicing(within=read_range("200:300")))


@pytest.mark.parametrize("text", ["", "20", "80:20", "10%:120%", "a:b", "10mm:20%"])
def test_ranges_that_mean_nothing_are_refused(text):
    with pytest.raises(UsageError, match="--range"):
        read_range(text)


def test_too_few_slices_are_said_by_name_and_a_minimum_is_kept():
    short = scan("short", shape=(60, 50, 5))
    assert len(plan_slices([short], Slicing(every=9, least=3)).cases[0]) == 3
    with pytest.raises(UsageError, match=r"short: 5 slice\(s\) .* --least asks for 6"):
        plan_slices([short], Slicing(least=6))
    for wrong in ({"every": 0}, {"least": 0}):
        with pytest.raises(UsageError, match="--"):
            Slicing(**wrong)
    with pytest.raises(UsageError, match="axial, coronal or sagittal"):
        read_plane("oblique")


def test_a_budget_in_slices_is_spread_over_scans_and_never_exceeded():
    pool = [scan(f"c{i:02d}") for i in range(30)]
    slicing = Slicing(every=4)
    scans = scans_for(47, pool, slicing)
    assert scans == 5
    plan = within_budget(plan_slices(pool[:scans], slicing), 47, slicing)
    assert 40 <= len(plan) <= 47
    with pytest.raises(UsageError, match="are 300"):
        scans_for(400, pool, slicing)


def test_unplanned_slices_are_ignored_and_the_rest_is_left():
    labels = np.arange(24).reshape(2, 3, 4) % 3
    kept = outside_ignored(labels, 2, (1, 3), ignore_value({"a": 1, "b": 2}))
    assert (kept[:, :, [0, 2]] == 3).all()
    assert (kept[:, :, [1, 3]] == labels[:, :, [1, 3]]).all()


def test_minutes_are_those_of_scans_and_slices():
    assert minutes_of(3, 10, per_scan=2.0, per_slice=0.5) == 11.0


def test_twenty_thousand_scans_are_planned_quickly():
    import time

    pool = [scan(f"c{i}") for i in range(20_000)]
    began = time.process_time()
    plan = plan_slices(pool, Slicing())
    assert len(plan.cases) == 20_000
    assert time.process_time() - began < 6  # a third of a second without the checks that tests switch on
