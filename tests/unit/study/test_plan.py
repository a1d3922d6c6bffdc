import pytest

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.study.data import split
from firstscan.study.plan import Share, plan_of, read_plan

CONTRACT = """
pool:  {source: pool/images, labels: pool/labels}
test:  {source: test/images, labels: test/labels}
budgets: [3, 5, 10]
strategies: [random, cscs, {name: cscs, label: cscs-score, thin_strata: score}]
selection_seeds: {random: 15, default: 3}
training_seeds: 1
segmenter: {name: unet}
preset: fast
"""


def test_the_plan_of_the_contract_is_read(tmp_path):
    (tmp_path / "plan.yaml").write_text(CONTRACT)
    (tmp_path / "pool" / "images").mkdir(parents=True)
    plan = read_plan(tmp_path / "plan.yaml")
    assert [s.label for s in plan.strategies] == ["random", "cscs", "cscs-score"]
    assert dict(plan.strategies[2].options) == {"thin_strata": "score"}
    assert [plan.seeds_of(s) for s in plan.strategies] == [15, 3, 3]
    assert plan.budgets_for(150) == (3, 5, 10)
    assert plan.segmenter.name == "unet"
    assert plan.pool.source == str(tmp_path / "pool" / "images")


@pytest.mark.parametrize(
    ("cases", "expected"), [(387, (77, 116, 155)), (34, (7, 10, 14)), (39, (8, 12, 16)), (18, (4, 5, 7))]
)
def test_budgets_in_percent_round_to_the_nearest_case(study_world, cases, expected):
    plan = plan_of(study_world.content(budgets=["20%", "30 %", "40%"]))
    assert plan.budgets_for(cases) == expected


def test_seeds_by_label_then_strategy_then_default(study_world):
    plan = plan_of(
        study_world.content(
            strategies=["random", {"name": "cscs", "label": "a"}, "cscs", "strided"],
            selection_seeds={"a": 7, "cscs": 5, "default": 2},
        )
    )
    assert [plan.seeds_of(s) for s in plan.strategies] == [2, 7, 5, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budgets": []}, "budgets"),
        ({"budgets": [0]}, "budgets"),
        ({"budgets": ["120%"]}, "percentage"),
        ({"strategies": ["cscs", "cscs"]}, "label of its own"),
        ({"typo": 1}, "typo"),
        ({"test": {"fraction": 1.5}}, "test"),
        ({"training_seeds": 0}, "training_seeds"),
        ({"preset": "slow"}, "preset"),
        ({"classes": {"x": 0}}, "classes"),
    ],
)
def test_mistakes_are_named(study_world, change, words):
    with pytest.raises(UsageError, match=words):
        plan_of(study_world.content(**change))


def test_no_plan_no_yaml(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_plan(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UsageError, match="holds no plan"):
        read_plan(tmp_path / "list.yaml")


def pool_of(patients):
    return Pool(
        "s", tuple(Case(f"c{i:02d}", (Channel("x", f"{i}.nii.gz"),), {"patient": p}) for i, p in enumerate(patients))
    )


def test_a_patient_is_never_split():
    pool = pool_of(["a", "a", "a", "b", "b", "c", "d", "e", "e", "f"])
    for seed in range(20):
        rest, test = split(pool, Share(fraction=0.3, seed=seed))
        sides = [{c.metadata["patient"] for c in p} for p in (rest, test)]
        assert not sides[0] & sides[1]
        assert len(test) >= 3
        assert len(rest) + len(test) == 10


def test_same_seed_same_split_other_seed_other_split():
    pool = pool_of([None] * 20)
    again = [split(pool, Share(fraction=0.25, seed=s))[1].case_ids for s in (1, 1, 2)]
    assert again[0] == again[1] != again[2]
    assert len(again[0]) == 5


def test_one_patient_cannot_be_split():
    with pytest.raises(DataError, match="1 patient"):
        split(pool_of(["a"] * 4), Share(fraction=0.25))


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"budgets": ["50"]}, "whole number, or a share"),
        ({"budgets": ["ten"]}, "whole number, or a share"),
        ({"budgets": [True]}, "whole number, or a share"),
        ({"selection_seeds": {"rndom": 15}}, "names rndom, which is no strategy"),
        ({"strategies": [{"name": "cscs", "label": "random"}]}, "'random' is what all else is compared with"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(study_world, entries, named):
    with pytest.raises(UsageError, match=named):
        plan_of(study_world.content(**entries))
