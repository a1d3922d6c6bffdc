"""Bootstrap intervals and variance components against values worked out by hand."""

import math

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.metrics.intervals import bootstrap_difference, bootstrap_mean, variance_components


def test_constant_scores_have_a_point_interval():
    got = bootstrap_difference(np.full((2, 4), 0.7), np.full((15, 4), 0.5), rng=np.random.default_rng(0), resamples=100)
    assert (got.estimate, got.low, got.high) == pytest.approx((0.2, 0.2, 0.2))


def test_mean_interval_matches_the_normal_theory_of_many_cases():
    rng = np.random.default_rng(1)
    scores = rng.normal(0.8, 0.1, size=(1, 400))
    got = bootstrap_mean(scores, rng=rng, resamples=4000)
    half = 1.96 * scores.std() / math.sqrt(400)
    assert got.low == pytest.approx(scores.mean() - half, abs=0.001)
    assert got.high == pytest.approx(scores.mean() + half, abs=0.001)


def test_cases_are_paired_but_draws_are_not():
    """A case effect shared by both sides cancels; a draw effect does not."""
    case_effect = np.linspace(0, 1, 30)[None, :]
    reference = np.repeat(case_effect, 3, axis=0)
    got = bootstrap_difference(case_effect + 0.1, reference, rng=np.random.default_rng(0))
    assert got.high - got.low < 1e-9
    draw_effect = np.array([[-0.1], [0.0], [0.1]])
    spread = bootstrap_difference(case_effect + 0.1, reference + draw_effect, rng=np.random.default_rng(0))
    assert spread.high - spread.low > 0.1


def test_same_generator_same_interval():
    scores = np.random.default_rng(3).random((3, 10))
    one = bootstrap_mean(scores, rng=np.random.default_rng(5))
    two = bootstrap_mean(scores, rng=np.random.default_rng(5))
    assert one == two


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (np.zeros((1, 3)), np.zeros((1, 4)), "3 and 4 test cases"),
        (np.zeros((0, 3)), np.zeros((1, 3)), "empty"),
        (np.full((1, 3), np.nan), np.zeros((1, 3)), "NaN"),
    ],
)
def test_bad_input(ours, theirs, words):
    with pytest.raises(UsageError, match=words):
        bootstrap_difference(ours, theirs, rng=np.random.default_rng(0))


def test_variance_components_by_hand():
    """Rows (selections) [0, 2] and [4, 6]: training variance 2; means 1 and 5, variance 8, less 2/2."""
    got = variance_components(np.array([[0.0, 2.0], [4.0, 6.0]]))
    assert got.training == pytest.approx(2.0)
    assert got.selection == pytest.approx(7.0)


def test_variance_components_that_cannot_be_told_are_nan():
    one_training = variance_components(np.array([[1.0], [3.0]]))
    assert math.isnan(one_training.training)
    assert one_training.selection == pytest.approx(2.0)
    one_selection = variance_components(np.array([[1.0, 3.0]]))
    assert math.isnan(one_selection.selection)
    assert one_selection.training == pytest.approx(2.0)
