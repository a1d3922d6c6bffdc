"""Measures and rules against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from firstscan.domain.errors import DataError
from firstscan.selection import Candidates, Gate
from firstscan.selection.queries.measures import AGGREGATES, MEASURES, CaseMeasures, Measures, measured
from firstscan.selection.queries.protocol import power_noised
from firstscan.selection.queries.rules.badge import Badge, gradients_of
from firstscan.selection.queries.rules.clasp import Clasp
from firstscan.selection.queries.rules.cscs_round import CscsRound
from firstscan.selection.queries.rules.curriculum import Curriculum
from firstscan.selection.queries.rules.entropy import Entropy
from firstscan.selection.queries.rules.herding import Herding
from firstscan.selection.queries.rules.power import PowerEntropy
from firstscan.selection.queries.rules.quire import Quire
from firstscan.selection.queries.rules.stochastic import Stochastic
from firstscan.selection.queries.rules.vaal import Vaal
from firstscan.selection.strategies.cscs import Cscs

H2 = 0.5004024235381879
"""−0.2 ln 0.2 − 0.8 ln 0.8"""


def two(foreground) -> np.ndarray:
    """Return (class, x, y, z) of two classes from the foreground's probability along x."""
    p = np.asarray(foreground, dtype=np.float64).reshape(-1, 1, 1)
    return np.stack([1 - p, p])


def value(found: CaseMeasures, measure: str, aggregate: str) -> float:
    return float(found.maps[MEASURES.index(measure), AGGREGATES.index(aggregate)])


def test_one_member_by_hand():
    found = measured([two([0, 0.2, 0.8, 1])])
    expected = {
        ("entropy", "foreground"): H2 / 2,
        ("entropy", "boundary"): H2,
        ("entropy", "top"): H2,  # 10 % of 2 expected voxels: one voxel
        ("entropy", "classes"): H2 / 2,
        ("margin", "foreground"): 0.2,
        ("margin", "boundary"): 0.4,
        ("information", "boundary"): 0.0,
    }
    for (measure, aggregate), number in expected.items():
        assert value(found, measure, aggregate) == pytest.approx(number, abs=1e-12), (measure, aggregate)
    assert found.by_class == pytest.approx([H2 / 2, H2 / 2])
    assert found.voxels.tolist() == [2, 2]
    assert found.residuals == pytest.approx(np.array([[0, 0], [0.1, -0.1]]))
    assert (found.members, found.empty) == (1, False)


def test_mutual_information_by_hand():
    members = [two([0.9, 0.9]), two([0.1, 0.9])]
    found = measured(members)
    of_a_tenth = 0.3250829733914482
    disagreed, agreed = np.log(2) - of_a_tenth, 0.0
    assert value(found, "information", "boundary") == pytest.approx((disagreed + agreed) / 2)
    assert value(found, "information", "foreground") == pytest.approx(agreed)  # a tie counts as background
    assert value(found, "entropy", "boundary") == pytest.approx((np.log(2) + of_a_tenth) / 2)
    assert found.members == 2
    assert measured(np.stack(members)).maps == pytest.approx(found.maps)


def test_classes_count_alike_however_large():
    p = np.zeros((3, 6, 1, 1))
    p[1, :5] = 1  # five sure voxels of the first class
    p[:, 5, 0, 0] = 0.3, 0.3, 0.4  # an unsure one of the second
    unsure = -(0.6 * np.log(0.3) + 0.4 * np.log(0.4))
    found = measured([p])
    assert value(found, "entropy", "foreground") == pytest.approx(unsure / 6)
    assert value(found, "entropy", "classes") == pytest.approx(unsure / 2)
    assert value(found, "margin", "top") == pytest.approx(0.9)
    assert found.by_class[1:] == pytest.approx([0.3 * unsure / 5.3, unsure])


def test_where_nothing_is_predicted_the_likeliest_voxels_count():
    found = measured([two([0.1, 0.3, 0.2, 0])])
    assert found.empty
    of_three_tenths = -(0.3 * np.log(0.3) + 0.7 * np.log(0.7))
    for aggregate in AGGREGATES:
        assert value(found, "entropy", aggregate) == pytest.approx(of_three_tenths)


def test_air_does_not_count():
    scan = two([0, 0.2, 0.8, 1, 0.3, 0])
    in_air = np.concatenate([two([0] * 50), scan, two([0] * 50)], axis=1)
    plain, padded = measured([scan]), measured([in_air])
    assert padded.maps == pytest.approx(plain.maps)
    assert padded.residuals == pytest.approx(plain.residuals)


def test_measures_survive_being_kept():
    found = measured([two([0, 0.2, 0.8, 1])])
    again = CaseMeasures.of_arrays(found.as_arrays())
    assert again.as_arrays().keys() == found.as_arrays().keys()
    assert all((again.as_arrays()[k] == v).all() for k, v in found.as_arrays().items())


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "there is no prediction"),
        ([two([0.5]), two([0.5, 0.5])], "members of the ensemble differ"),
        ([two([0.5])[:1]], "shape .class, x, y, z. with background as first class; found .1, 1, 1, 1."),
        ([two([0.5])[..., 0]], "found .2, 1, 1."),
        ([two([3.0])], r"found -2 to 3: are they scores before softmax"),
        ([two([np.nan])], "lie within"),
        ([two([0.5]) * 0.6], "add up to 1; found 0.6 to 0.6"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused(members, message):
    with pytest.raises(DataError, match=message):
        measured(members)


def seen(entropy, x=None, *, covered=(), budget=1, by_class=None, residuals=None, seed=0) -> tuple[Candidates, Gate]:
    """Return candidates whose entropies are given, however voxels are averaged."""
    n = len(entropy)
    maps = np.zeros((n, len(MEASURES), len(AGGREGATES)))
    maps[:, 0] = np.asarray(entropy, dtype=np.float64)[:, None]
    known = np.ones(n, dtype=bool)
    known[list(covered)] = False
    measures = Measures(
        maps,
        np.zeros((n, 2)) if by_class is None else np.asarray(by_class, dtype=np.float64),
        np.zeros((n, 2, 2)) if residuals is None else np.asarray(residuals, dtype=np.float64),
        known,
        2,
    )
    x = np.arange(n, dtype=np.float64)[:, None] if x is None else np.asarray(x, dtype=np.float64)
    rows = np.array(covered, dtype=np.intp)
    candidates = Candidates(x, np.zeros(n), budget, seed, covered=rows, labelled=len(rows), measures=measures)
    return candidates, Gate(~known, budget, np.arange(n), covered=covered)


def picked(rule, *args, **kwargs) -> list[int]:
    candidates, gate = seen(*args, **kwargs)
    rule(candidates, gate)
    return gate.rows


def test_entropy_takes_the_highest():
    assert picked(Entropy(), [0.1, 0.9, 0.5, 0.7], covered=[1], budget=2) == [3, 2]


def test_power_noise_is_log_plus_gumbel_of_scale_one_over_power():
    values = np.array([0.5, 2.0, 0.0])
    noise = np.random.default_rng(7).gumbel(0, 0.25, 3)
    assert power_noised(values, 4.0, np.random.default_rng(7))[:2] == pytest.approx(np.log(values[:2]) + noise[:2])
    assert np.isfinite(power_noised(values, 4.0, np.random.default_rng(7))).all()
    assert picked(PowerEntropy(power=1e9), [0.1, 0.9, 0.5], budget=3) == [1, 2, 0]


def test_power_one_draws_in_proportion():
    first = [picked(PowerEntropy(), [1.0, 3.0], seed=s)[0] for s in range(400)]
    assert np.mean(first) == pytest.approx(0.75, abs=0.06)


def test_clasp_lets_classes_take_turns_and_ends_with_the_whole_scan():
    by_class = [[0, 0.9, 0.2], [0, 0.8, 0.1], [0, 0.1, 0.3], [0, 0.2, 0.2], [0, 0, 0]]
    rule = Clasp(stratified=0.66, first_power=1e9, last_power=1e9)
    rows = picked(rule, [0, 0, 0, 0, 1.0], by_class=by_class, residuals=np.zeros((5, 3, 3)), budget=3)
    assert rows == [0, 2, 4]  # class 1 is harder in the mean and first; two of three places are the classes'


def test_clasp_trusts_entropy_more_the_more_is_labelled():
    def power(covered):
        candidates, gate = seen(np.ones(10), covered=covered)
        return Clasp()(candidates, gate).diagnostics["power"]

    assert power([]) == pytest.approx(1)
    assert power([0, 1]) == pytest.approx(10)  # 20 % of the pool: half way to 40 %, in equal factors
    assert power([0, 1, 2, 3, 4]) == pytest.approx(100)


def test_badge_starts_with_the_longest_gradient_and_goes_elsewhere():
    residuals = np.zeros((4, 2, 2))
    residuals[:, 1] = [[0.1, -0.1], [0.5, -0.5], [0.5, -0.5], [0.3, -0.3]]
    x = np.array([[1.0, 0], [1, 0], [1, 0], [-1, 0]])
    gradients = gradients_of(residuals, x)
    scaled = (x[:, 0] - 0.5) / np.sqrt(0.75)
    assert gradients[0] == pytest.approx(
        [0, 0, 0, 0, 0, 0, 0.1, 0.1 * scaled[0] / np.sqrt(2), 0, -0.1, -0.1 * scaled[0] / np.sqrt(2), 0]
    )
    assert picked(Badge(), np.zeros(4), x, residuals=residuals)[0] == int(np.linalg.norm(gradients, axis=1).argmax())
    for seed in range(5):
        rows = picked(Badge(), np.zeros(3), x[1:], residuals=residuals[1:], budget=2, seed=seed)
        assert {0, 1} != set(rows)  # the twin of the first pick lies at distance 0


def test_herding_covers_the_unsure_kind_first():
    x = [[0, 0], [0.1, 0], [0, 0.1], [5, 5], [5.1, 5], [5, 5.1]]
    assert picked(Herding(), [0.1, 0.2, 0.15, 0.8, 0.9, 0.85], x)[0] in {3, 4, 5}
    assert picked(Herding(), [0.8, 0.9, 0.85, 0.1, 0.2, 0.15], x)[0] in {0, 1, 2}


def test_quire_weighs_uncertainty_against_what_a_scan_stands_for():
    x = [[0, 0], [0.1, 0], [0, 0.1], [0.1, 0.1], [9, -9]]
    entropy = [0.1, 0.3, 0.2, 0.25, 0.9]
    assert picked(Quire(weight=1.0), entropy, x) == [4]
    assert picked(Quire(weight=0.0), entropy, x) != [4]
    assert picked(Quire(weight=0.5), [0.1] * 4 + [0.11], x, covered=[0]) == [4]  # the others have a label among them


def test_vaal_goes_where_no_label_is():
    x = [[0, 0], [0.1, 0], [0, 0.1], [5, 5], [5.1, 5]]
    assert picked(Vaal(), np.zeros(5), x, covered=[0, 1])[0] in {3, 4}


def test_curriculum_rises_from_easy_to_hard():
    entropy, x = np.arange(11.0), np.random.default_rng(0).normal(size=(11, 2))
    easy, gate = seen(entropy, x, budget=1)
    assert Curriculum(first=0.0)(easy, gate).diagnostics["wanted_place"] == 0
    assert gate.rows == [0]
    hard, gate = seen(entropy, x, covered=[0, 1, 2, 3, 4], budget=1)
    assert Curriculum(last=1.0)(hard, gate).diagnostics["wanted_place"] == 1


def test_stochastic_takes_the_best_of_its_batches():
    assert picked(Stochastic(batches=200), np.arange(6.0), budget=1) == [5]
    assert set(picked(Stochastic(batches=300), np.arange(6.0), budget=2)) == {4, 5}
    assert picked(Stochastic(batches=1), np.arange(50.0), budget=1, seed=3) == [
        int(np.random.default_rng(3).permutation(50)[0])
    ]


def test_cscs_is_the_strategy_with_the_model_s_entropy():
    rng = np.random.default_rng(0)
    x, entropy = rng.normal(size=(30, 3)), rng.random(30)
    candidates, gate = seen(entropy, x, budget=6)
    outcome = CscsRound()(candidates, gate)
    cold, cold_gate = Candidates(x, entropy, 6, 0), Gate(np.zeros(30, dtype=bool), 6, np.arange(30))
    expected = Cscs()(cold, cold_gate)
    assert gate.rows == cold_gate.rows
    assert outcome.diagnostics["gamma"] == expected.diagnostics["gamma"]
