"""Which slices a model is least sure of, by hand-written numbers."""

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.slices import ScanGeometry
from firstscan.selection.queries.measures import MEASURES, CaseMeasures, measured
from firstscan.selection.slices.planning import Slicing, plan_slices
from firstscan.selection.slices.unsure import least_sure, moved, profiles

LPS = np.eye(3)
SHAPE = (2, 3, 4)


def scan(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), shape=(5, 5, 12), patient=((0, 4), (0, 4), (0, 11))):
    return ScanGeometry("a", shape, (1.0, 1.0, 3.0), tuple(map(float, direction)), (0.0, 0.0, 0.0), patient)


def test_sums_and_means_of_a_slice_count_the_region_from_the_top():
    values, region = np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool)
    values[0, :, 1] = (1, 2, 9)
    region[0, :2, 1] = True
    x, y, z = profiles([values], region, LPS)
    assert x[0].tolist() == [[3, 0], [1.5, 0]]
    assert y[0].tolist() == [[1, 2, 0], [1, 2, 0]]
    assert z[0].tolist() == [[0, 0, 3, 0], [0, 0, 1.5, 0]]  # stored from the feet: the head is last


def test_a_scan_that_is_stored_otherwise_has_the_same_profiles():
    rng = np.random.default_rng(0)
    values, region = rng.random(SHAPE), rng.random(SHAPE) > 0.4
    whole = profiles([values], region, LPS)
    turned = profiles([values[:, :, ::-1]], region[:, :, ::-1], np.diag([1.0, 1.0, -1.0]))
    swapped = profiles([values.transpose(2, 0, 1)], region.transpose(2, 0, 1), LPS[:, [2, 0, 1]])
    for a, b, c in zip(whole, turned, swapped, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
        np.testing.assert_allclose(a, c, rtol=1e-6)


def test_measures_keep_a_profile_of_every_axis():
    p = np.full((2, 4, 4, 4), 0.1)
    p[1, :, :, 2] = 0.6
    p[0] = 1 - p[1]
    found = measured([p], LPS)
    margin = found.slices[2][MEASURES.index("margin")]
    # the marked slice and both beside it count; 16 voxels each, margin 1 - |0.6 - 0.4| and 1 - |0.9 - 0.1|
    np.testing.assert_allclose(margin, [[0.2 * 16, 0.8 * 16, 0.2 * 16, 0], [0.2, 0.8, 0.2, 0]], rtol=1e-6)
    kept = CaseMeasures.of_arrays(found.as_arrays())
    assert [a.tolist() for a in kept.slices] == [a.tolist() for a in found.slices]
    assert measured([p]).slices is None
    assert CaseMeasures.of_arrays(measured([p]).as_arrays()).slices is None


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ([0, 9, 8, 7, 0, 0, 5, 0], 2, [1, 3]),  # two apart: the 8 beside the 9 waits
        ([0, 9, 8, 7, 0, 0, 5, 0], 1, [1]),
        ([1, 1, 1, 1], 4, [0, 1, 2, 3]),
        ([0, 0, 9, 9, 9, 0], 3, [2, 3, 4]),
        ([5, 0, 0, 0, 0, 0, 0, 4], 3, [0, 1, 7]),  # ties: the one nearer to the top
    ],
)
def test_the_least_sure_slices_do_not_lie_together(values, count, expected):
    assert least_sure(np.array(values, dtype=float), count) == expected


def test_a_plan_keeps_its_numbers_and_moves_its_slices():
    plan = plan_slices([scan()], Slicing(every=4))
    assert len(plan) == 3
    values = np.zeros(12)
    values[[0, 4, 5, 9]] = (3, 9, 8, 5)
    case = moved(plan, [scan()], [values], "entropy").cases[0]
    assert case.indices == (2, 7, 11)  # from the head: 0, 4, 9
    assert case.positions_mm == (6.0, 21.0, 33.0)
    assert "least sure of by entropy" in case.reason


def test_values_at_another_spacing_are_brought_to_the_slices_and_the_range_is_kept():
    short = scan(patient=((0, 4), (0, 4), (6, 11)))
    plan = plan_slices([short], Slicing(every=3))
    case = moved(plan, [short], [np.array([0.0, 0.0, 0.0, 9.0])], "margin").cases[0]
    assert all(6 <= i <= 11 for i in case.indices)
    even = plan_slices([scan()], Slicing(every=12))
    assert moved(even, [scan()], [np.array([0.0, 0.0, 9.0, 0.0])], "margin").cases[0].indices == (4,)


def test_numbers_that_are_missing_are_refused():
    plan = plan_slices([scan()], Slicing(every=4))
    for values in (np.zeros(0), np.full(12, np.nan)):
        with pytest.raises(UsageError, match="a: how unsure the model is of its slices is not known"):
            moved(plan, [scan()], [values], "entropy")
