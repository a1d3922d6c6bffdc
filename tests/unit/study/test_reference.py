from pathlib import Path

import pytest

from firstscan.domain.errors import UsageError
from firstscan.segmentation.registry import segmenter
from firstscan.selection.registry import strategies
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.selecting.pick import check_strategy
from firstscan.study.plan import read_plan
from firstscan.study.reference import plan_path, reference_plans


@pytest.mark.parametrize(
    ("name", "cases", "budgets", "classes"),
    [
        ("brats", 387, (77, 116, 155), 3),
        ("spleen", 34, (7, 10, 14), 1),
        ("feta", 39, (8, 12, 16), 7),
        ("two_class", 18, (5, 9), 2),
    ],
)
def test_plans_of_the_paper(name, cases, budgets, classes):
    plan = read_plan(plan_path(name))
    assert plan.name == name
    assert plan.budgets_for(cases) == budgets
    assert sorted(plan.classes.values()) == list(range(1, classes + 1))
    assert plan.preset == "paper"
    assert plan.ceiling
    assert next(plan.seeds_of(s) for s in plan.strategies if s.name == "random") >= 15
    assert segmenter(plan.segmenter.name, plan.segmenter.options).trainer == "paper"
    assert {s.name for s in plan.strategies} == set(strategies())
    for entry in plan.strategies:
        check_strategy(PickConfig(budget=1, strategy=entry.name, option=dict(entry.options)))


def test_every_shipped_plan_is_tested():
    assert reference_plans() == ("brats", "feta", "spleen", "two_class")


def test_a_plan_is_a_file_or_a_name():
    assert plan_path("mine.yaml") == Path("mine.yaml")
    with pytest.raises(UsageError, match="brats, feta"):
        plan_path("mine")
