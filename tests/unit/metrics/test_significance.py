"""Holm's procedure against values worked out by hand."""

import math

import pytest

from firstscan.metrics.significance import holm


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.04 × 4, 3, 2, 1 → 0.04, 0.06, 0.06, 0.06 after the running maximum."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([0.5, 0.6]) == pytest.approx((1.0, 1.0))


def test_holm_leaves_unknown_values_out_of_the_family():
    got = holm([0.01, float("nan"), 0.04])
    assert got[0] == pytest.approx(0.02)
    assert math.isnan(got[1])
    assert got[2] == pytest.approx(0.04)
