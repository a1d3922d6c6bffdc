"""What more scans are expected to gain, by hand."""

import math

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.metrics.learning_curve import expected_gain


def test_a_line_over_the_logarithm_is_drawn_on():
    # from 3 to 6 scans: one doubling, +0.03, +0.05, +0.04, +0.08 in four folds: mean 0.05, s = 0.0216…
    gain = expected_gain(np.array([0.03, 0.05, 0.04, 0.08]), few=3, many=6, labelled=8, more=8)
    assert gain.estimate == pytest.approx(0.05)
    half = 3.182446 * math.sqrt((0.0004 + 0 + 0.0001 + 0.0009) / 3) / 2
    assert (gain.low, gain.high) == pytest.approx((0.05 - half, 0.05 + half), abs=1e-6)
    less = expected_gain(np.array([0.03, 0.05, 0.04, 0.08]), few=3, many=6, labelled=80, more=8)
    assert less.estimate == pytest.approx(0.05 * math.log(1.1) / math.log(2))


@pytest.mark.parametrize("change", [{"few": 6}, {"more": 0}, {"labelled": 0}])
def test_what_is_no_curve_is_refused(change):
    with pytest.raises(UsageError, match="at least 2 folds"):
        expected_gain(np.array([0.1, 0.2]), **{"few": 3, "many": 6, "labelled": 8, "more": 2, **change})
    with pytest.raises(UsageError, match="at least 2 folds"):
        expected_gain(np.array([0.1]), few=3, many=6, labelled=8, more=2)
