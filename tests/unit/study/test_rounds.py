"""Plans with rounds, at toy size: the plan, the arms, what is trained once, what is refused, from plan to page."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import ScanGeometry
from firstscan.segmentation.unet.members import UnetMembers
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.steps.running.run import Settings
from firstscan.store import read_manifest
from firstscan.study.plan import plan_of
from firstscan.study.publishing.sentences import headlines
from firstscan.study.publishing.typeset import markdown
from firstscan.study.rerun import rerun
from firstscan.study.rounds.arms import arms_of, begun, continued, with_keys
from firstscan.study.rounds.running import most_trainings
from firstscan.study.run import pending, study
from firstscan.study.statistics.rounds import by_rule
from firstscan.study.statistics.summary import summarise

HERE = Settings(workers=1)
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
BOX = ((0, 17), (0, 15), (2, 13))


def features(pool, entry):
    """Features with how each scan is stored: 16 slices, of which 12 show the patient."""
    rng = np.random.default_rng(0)
    ids = pool.case_ids
    stored = [ScanGeometry(i, (18, 16, 16), (1.0, 1.0, 1.0), UPRIGHT, (0.0, 0.0, 0.0), BOX).numbers for i in ids]
    return FeatureTable(ids, rng.normal(size=(len(ids), 4)), rng.random(len(ids)), geometry=np.array(stored))


@pytest.fixture
def content(study_world):
    """Return a plan with rounds on the tiny cohort: six scans to choose from."""

    def of(**changes):
        told = study_world.content(
            rounds=[1, 1, 2],
            strategies=["strided"],
            queries=["random", "coverage", "entropy"],
            members=1,
            random_draws=2,
            selection_seeds={"default": 1},
        )
        del told["budgets"]
        return {**told, **changes}

    return of


@pytest.fixture
def trained(monkeypatch):
    """The trainings: seed, and whether it began with weights."""
    calls, real = [], Unet.train

    def train(self, dataset, model, *, seed, start=None, **kwargs):
        calls.append((seed, start is not None))
        more = {} if start is None else {"start": start}
        return real(self, dataset, model, seed=seed, **more, **kwargs)

    monkeypatch.setattr(Unet, "train", train)
    return calls


def table(n=12):
    rng = np.random.default_rng(1)
    return FeatureTable(tuple(f"s{i:02d}" for i in range(n)), rng.normal(size=(n, 3)), rng.random(n))


def test_a_plan_without_rounds_is_told_as_it_was_before_there_were_any(study_world):
    told = plan_of(study_world.content()).model_dump(mode="json")
    assert not {"rounds", "queries", "restart", "members"} & told.keys()


def test_rounds_are_told_and_their_ends_are_the_budgets(content):
    plan = plan_of(content(queries=["random", {"name": "entropy", "label": "edge", "aggregate": "boundary"}]))
    assert plan.budgets_for(50) == (1, 2, 4)
    assert plan.queries[1].options == {"aggregate": "boundary"}
    assert plan_of(plan.model_dump(mode="json")) == plan


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budgets": [3]}, "budgets and rounds cannot both be given"),
        ({"queries": []}, "needs queries"),
        ({"rounds": [3]}, "at least 2 items"),
        ({"rounds": [3, 0]}, "greater than or equal to 1"),
        ({"queries": ["entropy", "entropy"]}, "two rules are called entropy"),
        ({"queries": [{"name": "entropy", "label": "random"}]}, "give entropy another"),
        ({"queries": [{"name": "entropy", "label": "a+b"}]}, "cannot hold"),
        ({"rounds": None}, "give budgets"),
        ({"rounds": None, "budgets": [3]}, "queries, members: only for plans with rounds"),
    ],
)
def test_mistakes_in_a_plan_with_rounds_are_named(content, changes, words):
    with pytest.raises(UsageError, match=words):
        plan_of(content(**changes))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"queries": ["random", "nothing"]}, UsageError, "unknown rule 'nothing'"),
        ({"queries": [{"name": "entropy", "agregate": "top"}]}, UsageError, "no option 'agregate'"),
        ({"queries": ["bald"]}, UsageError, "members has to be at least 2; found 1"),
        ({"segmenter": "nnunet"}, UsageError, "rules that ask a model .entropy. need segmenter unet"),
        ({"segmenter": "nnunet", "queries": ["random"], "restart": "warm"}, UsageError, "restart: warm need"),
        ({"rounds": [3, 3, 3]}, DataError, r"rounds \[3, 3, 3\] pick 9 scans in all, and there are 6"),
        ({"annotation": {"every": 2}}, DataError, "pick 8 scans in all .annotation every 2 takes 2 times as many"),
        ({"pools": {"draws": 2, "share": 0.5}}, DataError, "up to 4 are picked"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_trained(content, tmp_path, trained, changes, error, words):
    with pytest.raises(error, match=words):
        study(plan_of(content(**changes)), tmp_path / "o", HERE, features)
    assert trained == []


def test_arms_that_begin_alike_share_the_trainings_of_their_first_batch_and_no_other(content):
    plan, pool = plan_of(content()), table()
    first = [begun(plan, arm, pool) for arm in arms_of(plan, pool.case_ids, 0)]
    keyed = [with_keys(plan, s, None, {}, {}) for s in first]
    assert [s.cell.name for s in keyed][:2] == ["strided+random:1:0:0:0:whole", "strided+random:1:1:0:0:whole"]
    assert len({s.keys[0] for s in keyed}) == 1
    random = [continued(plan, s, pool, {}) for s in first if not s.arm.asks]
    again = [continued(plan, s, pool, {}) for s in first if not s.arm.asks]
    assert [s.cell.picks for s in random] == [s.cell.picks for s in again]
    assert all(s.cell.picks[:1] == first[0].cell.picks and len(s.cell.picks) == 2 for s in random)
    assert most_trainings(plan, arms_of(plan, pool.case_ids, 0)) == 1 + 4 * 2


def test_training_from_weights_has_an_identity_of_its_own(content):
    pool = table()
    keys = []
    for restart in ("cold", "warm"):
        plan = plan_of(content(restart=restart))
        before = with_keys(plan, begun(plan, arms_of(plan, pool.case_ids, 0)[0], pool), None, {}, {})
        keys.append((before.keys[0], with_keys(plan, continued(plan, before, pool, {}), before, {}, {}).keys[0]))
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]


def test_a_rule_that_asks_a_model_cannot_go_on_without_and_says_so(content):
    plan, pool = plan_of(content()), table()
    asking = next(a for a in arms_of(plan, pool.case_ids, 0) if a.asks)
    stuck = continued(plan, begun(plan, asking, pool), pool, {})
    assert "round 2: 11 scan(s) that could be picked have no prediction" in stuck.cell.reason
    assert continued(plan, stuck, pool, {}).cell.reason == stuck.cell.reason


def test_from_plan_to_page(content, tmp_path, trained):
    plan = plan_of(content())
    result = study(plan, tmp_path / "o", HERE, features)
    assert (result.cells, result.failed) == (3 * 4, 0)
    cells = pd.read_csv(tmp_path / "o" / "cells.csv")
    assert set(cells["strategy"]) == {"strided+random", "strided+coverage", "strided+entropy"}
    assert cells.groupby("round")["budget"].unique().map(list).to_dict() == {1: [1], 2: [2], 3: [4]}
    for _, arm in cells.groupby(["strategy", "selection_seed"]):
        picks = [p.split() for p in arm.sort_values("round")["picks"]]
        assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(picks))
        assert [len(set(p)) for p in picks] == [1, 2, 4]
    assert len(trained) == len({tuple(sorted(p.split())) for p in cells["picks"]})
    costs = pd.read_csv(tmp_path / "o" / "costs.csv")
    assert costs.groupby("round")["slices"].unique().map(list).to_dict() == {1: [12], 2: [24], 3: [48]}
    assert not (tmp_path / "o" / "work" / "cells" / "models").exists()
    page = (tmp_path / "o" / "study.html").read_text()
    for word in ("rounds of 1, 1 and 2 scans", 'id="chart-slices-0"', 'id="chart-minutes-0"'):
        assert word in page
    assert (tmp_path / "o" / "work.svg").read_bytes().startswith(b"<?xml")
    assert "work.svg" in read_manifest(tmp_path / "o").files
    with pytest.raises(UsageError, match="a study with rounds, whose cells rest on one another"):
        rerun(tmp_path / "o", "strided+entropy:4:0", tmp_path / "again", HERE)

    before, n = (tmp_path / "o" / "scores.parquet").read_bytes(), len(trained)
    (tmp_path / "o" / "study.html").unlink()
    study(plan, tmp_path / "o", HERE, features)
    assert len(trained) == n, "measures were kept, so no network is needed again"
    assert (tmp_path / "o" / "scores.parquet").read_bytes() == before


def test_an_interrupted_study_goes_on_and_ends_the_same(content, tmp_path, trained, monkeypatch):
    plan = plan_of(content(members=2, queries=["random", "bald"], random_draws=1))
    study(plan, tmp_path / "whole", HERE, features)
    total, asked, real = len(trained), [], UnetMembers.probabilities
    trained.clear()

    def stop(self, *args):
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(UnetMembers, "probabilities", stop)
        with pytest.raises(KeyboardInterrupt):
            study(plan, tmp_path / "cut", HERE, features)
    assert not (tmp_path / "cut" / "manifest.json").exists()
    study(plan, tmp_path / "cut", HERE, features)
    assert len(trained) == total
    for name in ("scores.parquet", "cells.csv", "summary.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_warm_restart_begins_every_round_but_the_first_with_weights(content, tmp_path, trained):
    plan = plan_of(content(restart="warm", queries=["random", "entropy"], random_draws=1))
    warm = study(plan, tmp_path / "o", HERE, features)
    assert (warm.cells, warm.failed) == (6, 0)
    assert [started for _, started in trained].count(False) == 1
    plan = plan_of(content(queries=["random", "entropy"], random_draws=1))
    cold = study(plan, tmp_path / "c", HERE, features)

    def dice(scores, budget):
        mine = scores[(scores["budget"] == budget) & (scores["strategy"] == "strided+random")]
        return mine["dice"].tolist()

    assert dice(warm.scores, 1) == dice(cold.scores, 1)
    assert dice(warm.scores, 2) != dice(cold.scores, 2)


def test_a_failed_training_stops_the_rules_that_ask_it_and_no_other(content, tmp_path, monkeypatch):
    real = Unet.train

    def train(self, dataset, model, *, seed, **kwargs):
        if seed == 1:
            raise RuntimeError("no luck")
        return real(self, dataset, model, seed=seed, **kwargs)

    monkeypatch.setattr(Unet, "train", train)
    result = study(plan_of(content(members=2, random_draws=1)), tmp_path / "o", HERE, features)
    failed = result.scores[result.scores["status"] == "failed"]
    assert failed["strategy"].tolist() == ["strided+entropy"] * 2
    assert failed["budget"].tolist() == [2, 4]
    assert failed["reason"].str.contains("round 1 was not trained: RuntimeError: no luck").all()


def scores_of(gain, *, firsts=("coverage",), subpools=6):
    """Rows of a study with rounds in which a rule gains ``gain`` over random after the first batch."""
    rng = np.random.default_rng(0)
    rows = []
    for subpool in range(subpools):
        for first in firsts:
            for budget in (3, 6, 12):
                for rule, draws in (("random", 2), ("coverage", 1), ("entropy", 1)):
                    for seed in range(draws):
                        noise = 0 if budget == 3 else rng.normal(0, 0.002) + (gain if rule == "entropy" else 0)
                        rows += [
                            {
                                "pool": "p", "strategy": f"{first}+{rule}", "budget": budget, "selection_seed": seed,
                                "training_seed": 0, "subpool": subpool, "annotation": "whole", "case_id": f"t{case}",
                                "label": 1, "class": "a", "dice": 0.6 + budget / 100 + case / 50 + noise,
                                "hd95_mm": 1.0, "nsd": 0.5, "status": "ok", "reason": "",
                            }
                            for case in range(4)
                        ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_shared_first_batch_does_not_dilute_the_difference_to_random():
    scores = by_rule(scores_of(0.05), {"p"})
    found = summarise(scores, sizes={"p": (60, 36, 3)})
    diluted = summarise(scores, sizes={"p": (60, 36)})
    gain = {
        name: s.primary.set_index("strategy")["difference"]["entropy"] for name, s in (("a", found), ("b", diluted))
    }
    assert gain["a"] == pytest.approx(0.05, abs=0.003)
    assert gain["b"] == pytest.approx(0.05 * 2 / 3, abs=0.003)
    first = found.curves[found.curves["budget"] == 3]
    assert first["difference"].isna().all()
    assert first["dice"].notna().all()
    assert all(harm.cell.budget > 3 for _, harm in found.harmful)
    assert found.primary.set_index("strategy")["verdict"].to_dict() == {"entropy": "better", "coverage": "cannot tell"}
    against = summarise(scores, sizes={"p": (60, 36, 3)}, reference="coverage")
    told = against.primary.set_index("strategy")
    assert set(told.index) == {"random", "entropy"}
    assert told["difference"]["entropy"] == pytest.approx(0.05, abs=0.003)
    text = markdown(found, against=against)
    assert "## Differences to coverage" in text
    assert "− coverage (95 % CI)" in text


def test_rules_are_compared_apart_for_each_strategy_of_the_first_batch():
    scores = by_rule(scores_of(0.05, firsts=("coverage", "cscs")), {"p"})
    assert list(dict.fromkeys(scores["pool"])) == ["p, first batch by coverage", "p, first batch by cscs"]
    assert set(scores["strategy"]) == {"random", "coverage", "entropy"}
    found = summarise(scores, independent=False)
    assert found.across == {}, "two first batches in the same pool are not two pools"
    assert len(found.primary) == 4
    told = headlines(found)
    assert any("on p, first batch by cscs," in sentence for sentence in told)


def test_rows_of_studies_without_rounds_stay_as_they_are():
    plain = scores_of(0.0).assign(strategy="a+b")
    pd.testing.assert_frame_equal(by_rule(plain, set()), plain.reset_index(drop=True))


def test_trainings_of_rounds_cannot_be_listed_in_advance(content, tmp_path):
    with pytest.raises(UsageError, match="later ones depend on what earlier ones predict"):
        pending(plan_of(content()), tmp_path / "o", HERE)
