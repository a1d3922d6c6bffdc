"""The empty-mask rules of a comparison."""

import pytest

from firstscan.metrics.empty import diagonal_mm, empty_score


def test_diagonal_is_pythagoras_in_mm():
    assert diagonal_mm((3, 4, 12), (1.0, 1.0, 1.0)) == 13.0
    assert diagonal_mm((3, 2, 6), (1.0, 2.0, 2.0)) == 13.0


@pytest.mark.parametrize(
    ("in_prediction", "in_label", "expected"),
    [
        (False, False, (1.0, 0.0, 1.0, "both_empty")),
        (True, False, (0.0, 13.0, 0.0, "one_empty")),
        (False, True, (0.0, 13.0, 0.0, "one_empty")),
    ],
)
def test_rules(in_prediction, in_label, expected):
    score = empty_score("a", 2, "posterior", in_prediction=in_prediction, in_label=in_label, diagonal=13.0)
    assert score is not None
    assert (score.dice, score.hd95_mm, score.nsd, score.status) == expected
    assert (score.case_id, score.label, score.name) == ("a", 2, "posterior")


def test_no_rule_when_both_hold_the_class():
    assert empty_score("a", 1, "x", in_prediction=True, in_label=True, diagonal=1.0) is None
