from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstscan.domain.slices import ScanGeometry
from firstscan.selection.slices.planning import located, plan_slices, share_slices
from firstscan.selection.slices.settings import Slicing

ORIENTATIONS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]


def scan(name: str, slices: int, first: int, last: int, spacing: float = 3.0) -> ScanGeometry:
    """An axial scan whose patient lies from stored slice ``first`` to ``last``."""
    upright = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    box = ((2, 37), (3, 36), (first, last))
    return ScanGeometry(name, (40, 40, slices), (1.0, 1.0, spacing), upright, (-20.0, -20.0, -100.0), box)


def rotated(angles: tuple[float, float, float], shape: tuple[int, int, int], spacing: tuple[float, ...]):
    """A scan whose axes are turned against the patient's by ``angles`` (radians)."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [i for i in range(3) if i != axis]
        step = np.eye(3)
        step[a, a] = step[b, b] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        turn = turn @ step
    patient = tuple((1, n - 2) for n in shape)
    return ScanGeometry("a", shape, spacing, tuple(turn.ravel().tolist()), (10.0, -20.0, 30.0), patient)


def stored_as(scan: ScanGeometry, order: tuple[int, ...], flips: tuple[int, ...]) -> ScanGeometry:
    """The same scan with its axes in another order, some of them running the other way."""
    cosines = np.reshape(scan.direction, (3, 3)).copy()
    origin, box = np.array(scan.origin_mm), [list(pair) for pair in scan.patient]
    for axis, flip in enumerate(flips):
        if flip < 0:
            n = scan.shape[axis]
            origin = origin + cosines[:, axis] * scan.spacing_mm[axis] * (n - 1)
            cosines[:, axis] *= -1
            box[axis] = [n - 1 - box[axis][1], n - 1 - box[axis][0]]
    pick = lambda values: tuple(values[a] for a in order)  # noqa: E731
    return ScanGeometry(
        scan.case_id, pick(scan.shape), pick(scan.spacing_mm), tuple(cosines[:, list(order)].ravel().tolist()),
        tuple(origin.tolist()), tuple(tuple(box[a]) for a in order),
    )  # fmt: skip


def physical(scan: ScanGeometry, planned) -> list[tuple[float, ...]]:
    """The two ends of a diagonal of every planned slice in LPS mm, in an order that storage cannot change."""
    cosines = np.reshape(scan.direction, (3, 3)) * np.array(scan.spacing_mm)
    middles = []
    for index in planned.indices:
        place = (np.array(scan.shape) - 1) / 2
        place[planned.axis] = index
        middles.append(tuple((np.array(scan.origin_mm) + cosines @ place).round(6) + 0.0))
    return sorted(middles)


def same(a: list[tuple[float, ...]], b: list[tuple[float, ...]]) -> bool:
    return len(a) == len(b) and np.allclose(a, b, atol=1e-5)


angle = st.floats(-0.78, 0.78)
spacings = st.tuples(*[st.sampled_from([0.5, 0.9, 1.0, 1.05, 3.0])] * 3)


@settings(deadline=None, max_examples=30)
@given(
    angles=st.tuples(angle, angle, angle),
    spacing=spacings,
    shape=st.tuples(*[st.integers(8, 30)] * 3),
    every=st.integers(1, 6),
    rank=st.integers(1, 9),
    plane=st.sampled_from([None, "axial", "coronal", "sagittal"]),
    within=st.sampled_from([None, (10.0, 90.0, "%"), (2.0, 7.0, "mm")]),
)
def test_the_same_slices_are_planned_however_a_scan_is_stored(angles, spacing, shape, every, rank, plane, within):
    scan = rotated(angles, shape, spacing)
    slicing = Slicing(every=every, plane=plane, within=within)
    [first] = plan_slices([scan], slicing, ranks=[rank])
    [shared] = share_slices([scan], 3, slicing, ranks=[rank])
    for order, flips in ORIENTATIONS:
        other = stored_as(scan, order, flips)
        [again] = plan_slices([other], slicing, ranks=[rank])
        assert again.plane == first.plane
        assert same(physical(scan, first), physical(other, again))
        assert np.allclose(sorted(first.positions_mm), sorted(again.positions_mm), atol=1e-3)
        assert list(again.indices) == sorted(set(again.indices))
        assert located(first.plane, first.positions_mm, other) == (again.axis, again.indices)
        assert same(physical(scan, shared), physical(other, share_slices([other], 3, slicing, ranks=[rank]).cases[0]))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_axes_half_way_between_two_of_the_patients_are_named_alike_however_stored(plane):
    scan = rotated((np.pi / 4, 0.0, 0.0), (20, 24, 28), (1.0, 1.0, 1.0))
    expected = physical(scan, plan_slices([scan], Slicing(plane=plane)).cases[0])
    for order, flips in ORIENTATIONS:
        other = stored_as(scan, order, flips)
        assert same(expected, physical(other, plan_slices([other], Slicing(plane=plane)).cases[0]))


@given(every=st.integers(1, 12), lengths=st.lists(st.integers(24, 80), min_size=12, max_size=60))
def test_scans_in_a_row_begin_at_every_slice_in_turn(every, lengths):
    scans = [scan(f"c{i}", n + 10, 5, n + 4) for i, n in enumerate(lengths)]
    plan = plan_slices(scans, Slicing(every=every))
    offsets = [s.patient[2][1] - max(c.indices) for s, c in zip(scans, plan, strict=True)]
    assert all(0 <= o < every for o in offsets)
    for start in range(0, len(scans) - every + 1, every):
        assert sorted(offsets[start : start + every]) == list(range(every))


@settings(deadline=None)
@given(every=st.integers(2, 8), n=st.integers(1, 5), length=st.integers(20, 60))
def test_over_a_batch_positions_along_the_body_are_covered_evenly(every, n, length):
    scans = [scan(f"c{i}", length, 0, length - 1) for i in range(n * every)]
    planned = np.concatenate([c.indices for c in plan_slices(scans, Slicing(every=every))])
    assert (np.bincount(planned, minlength=length) == n).all(), "each slice of the body is annotated equally often"


@settings(deadline=None)
@given(
    boxes=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20),
    least=st.integers(1, 4),
    every=st.integers(1, 9),
    data=st.data(),
)
def test_slices_lie_in_the_patient_are_as_many_as_asked_for_and_evenly_apart(boxes, least, every, data):
    scans = [scan(f"c{i}", a + n + b, a, a + n - 1) for i, (n, a, b) in enumerate(boxes) if n >= least]
    if not scans:
        return
    slicing = Slicing(every=every, least=least)
    room = sum(s.patient[2][1] - s.patient[2][0] + 1 for s in scans)
    wanted = data.draw(st.integers(least * len(scans), room + 10))
    shared = share_slices(scans, wanted, slicing)
    assert len(shared) == min(wanted, room)
    for plan, slack in ((plan_slices(scans, slicing), 0), (shared, 1)):
        for s, case in zip(scans, plan, strict=True):
            assert len(case) >= least
            assert s.patient[2][0] <= min(case.indices)
            assert max(case.indices) <= s.patient[2][1]
            gaps = np.diff(case.indices)
            assert gaps.size == 0 or gaps.max() - gaps.min() <= slack
