"""Sums of a study against numbers worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from firstscan.study.publishing.drawings import curves_svg, differences_svg
from firstscan.study.publishing.sentences import headlines, limit
from firstscan.study.publishing.tables import cost_table, harm_counts, number, pvalue, verdict_table
from firstscan.study.publishing.typeset import latex, markdown
from firstscan.study.statistics.summary import summarise


def rows(strategy, budget, seed, dice, *, training=0, cases=8, status="ok", pool="p", subpool=-1):
    """One class of each test case; case i scores ``dice`` + i/1000."""
    return [
        {
            "pool": pool, "strategy": strategy, "budget": budget, "selection_seed": seed, "training_seed": training,
            "case_id": f"t{i}", "label": 1, "class": "x", "dice": dice + i / 1000, "hd95_mm": 2.0, "nsd": 0.5,
            "status": status, "reason": "", "subpool": subpool,
        }
        for i in range(cases)
    ]  # fmt: skip


def failed(strategy, budget, seed, reason):
    (row,) = rows(strategy, budget, seed, 0.0, cases=1)
    return [
        {
            **row,
            "case_id": "",
            "dice": math.nan,
            "hd95_mm": math.nan,
            "nsd": math.nan,
            "status": "failed",
            "reason": reason,
        }
    ]


@pytest.fixture
def scores():
    found = []
    for budget, base in ((2, 0.4), (4, 0.6)):
        for seed, shift in enumerate((-0.1, 0.0, 0.1)):
            found += rows("random", budget, seed, base + shift)
        found += rows("good", budget, 0, base + 0.2)
        found += rows("bad", budget, 0, base - 0.2)
    return pd.DataFrame(found + failed("bad", 4, 1, "no labels"))


def curve(summary, strategy, budget):
    table = summary.curves
    (row,) = table[(table["strategy"] == strategy) & (table["budget"] == budget)].to_dict("records")
    return row


def test_failed_cells_are_listed_and_left_out(scores):
    summary = summarise(scores)
    assert summary.failures[["strategy", "budget", "selection_seed", "reason"]].to_numpy().tolist() == [
        ["bad", 4, 1, "no labels"]
    ]
    assert curve(summary, "bad", 4)["cells"] == 1


def test_harm_lists_the_cells_below_the_random_median(scores):
    summary = summarise(scores)
    assert [(h.cell.strategy, h.cell.budget, round(h.loss, 6)) for _, h in summary.harmful] == [
        ("bad", 2, 0.2),
        ("bad", 4, 0.2),
    ]


def test_area_and_labels_saved(scores):
    """Random reads 0.6035 at 4; good is there at 2 already: 2 labels saved, at least."""
    areas = summarise(scores).areas.set_index("strategy")
    assert areas.loc["random", "aubc"] == pytest.approx(0.5035)
    assert areas.loc["good", "saved_at_2"] == pytest.approx(2.0)
    assert areas.loc["random", "saved_at_2"] == pytest.approx(0.0)
    assert math.isnan(areas.loc["bad", "saved_at_2"])


def test_a_study_without_random_or_with_nothing_but_failures():
    alone = summarise(pd.DataFrame(rows("a", 3, 0, 0.5)))
    assert alone.harmful == ()
    nothing = summarise(pd.DataFrame(failed("a", 3, 0, "why")))
    assert len(nothing.curves) == 0
    assert markdown(nothing)


def test_empty_masks_are_counted(scores):
    scores.loc[scores.index[:3], "status"] = "one_empty"
    scores.loc[scores.index[3], "status"] = "both_empty"
    row = curve(summarise(scores), "random", 2)
    assert (row["one_empty"], row["both_empty"]) == (3, 1)


def test_the_same_scores_give_the_same_tables(scores):
    assert markdown(summarise(scores)) == markdown(summarise(scores.copy()))


def test_tables_hold_every_row_and_escape(scores):
    scores = scores.replace({"strategy": {"good": "go_od|x"}})
    text, tex = markdown(summarise(scores)), latex(summarise(scores))
    assert text.count("go_od\\|x") >= 3
    assert "go\\_od|x" in tex
    assert "+0.200 (" in text
    assert "$<$" in tex or "0.0" in tex
    assert tex.count(r"\toprule") == tex.count(r"\end{tabular}") == 4


def test_numbers_as_people_read_them():
    told = [number(0.1234), number(-0.5, 1), number(0.25, 2, sign=True), number(-0.0004, sign=True), number(math.nan)]
    assert told == ["0.123", "−0.5", "+0.25", "0.000", "–"]
    assert [pvalue(0.0004), pvalue(0.0312), pvalue(math.nan)] == ["<0.001", "0.031", "–"]


def test_a_curve_with_a_gap_has_no_area_to_compare(scores):
    gone = scores[~((scores["strategy"] == "good") & (scores["budget"] == 4))]
    areas = summarise(gone).areas.set_index("strategy")
    assert math.isnan(areas.loc["good", "aubc"])
    assert areas.loc["random", "aubc"] == pytest.approx(0.5035)


def test_several_pools_give_one_mean_for_the_strategies_that_all_of_them_know(scores):
    other = scores.assign(pool="q")
    extra = pd.DataFrame(rows("only-here", 2, 0, 0.9, pool="q") + rows("only-here", 4, 0, 0.9, pool="q"))
    summary = summarise(pd.concat([scores, other, extra]))
    assert set(summary.across) == {"good", "bad"}
    mean, kind = summary.across["good"]
    assert mean.estimate == pytest.approx(0.2)
    assert kind is None  # two pools say nothing of others
    (best, _) = headlines(summary)
    assert best.startswith("good: ")


def sub_pools(shift, *, draws=2, count=6, seed=0):
    """Random draws around 0.5, and a strategy ``shift`` above them in every sub-pool, at two budgets."""
    rng = np.random.default_rng(seed)
    found = []
    for subpool in range(count):
        for budget in (2, 4):
            base = 0.5 + rng.normal(0, 0.02)
            for draw in range(draws):
                found += rows("random", budget, draw, base + rng.normal(0, 0.01), subpool=subpool)
            found += rows("good", budget, 0, base + shift + rng.normal(0, 0.005), subpool=subpool)
    return pd.DataFrame(found)


def test_sub_pools_are_the_replicates_and_the_mean_over_budgets_is_what_is_tested():
    summary = summarise(sub_pools(0.1))
    (row,) = summary.primary.to_dict("records")
    assert (row["strategy"], row["subpools"], row["verdict"]) == ("good", 6, "better")
    assert row["difference"] == pytest.approx(0.1, abs=0.02)
    assert row["low"] < row["difference"] < row["high"]
    assert summary.designs["p"].draws == 2
    assert "6 sub-pools with 2 random draws" in limit("p", summary.designs["p"])
    nothing = summarise(sub_pools(0.0)).primary.iloc[0]
    assert nothing["verdict"] == "cannot tell"


def test_equal_batches_count_once_and_their_overlap_widens_the_interval_for_other_collections():
    scores = sub_pools(0.1)
    picks = {("p", "good", b, s, 0): frozenset("ab" if s < 3 else "cd") for b in (2, 4) for s in range(6)}
    summary = summarise(scores, picks=picks, sizes={"p": (10, 6)})
    row = summary.primary.iloc[0]
    assert row["overlap"] == pytest.approx(0.4)  # 6 of 15 pairs share both picks
    assert row["kind_high"] - row["kind_low"] > row["high"] - row["low"]
    good = summary.curves[summary.curves["strategy"] == "good"]
    assert good["distinct"].tolist() == [2, 2]
    assert good["batches"].tolist() == [6, 6]


def test_annotated_slices_are_an_arm_beside_whole_scans():
    scores = sub_pools(0.1)
    sliced = scores[scores["strategy"] == "random"].assign(annotation="every 4")
    sliced["dice"] += 0.05
    summary = summarise(pd.concat([scores.assign(annotation="whole"), sliced]))
    told = dict(zip(summary.primary["strategy"], summary.primary["difference"], strict=True))
    assert told["random (every 4)"] == pytest.approx(0.05)


def test_one_pool_says_what_it_cannot_tell(scores):
    summary = summarise(scores)
    (good, bad) = summary.primary.to_dict("records")
    assert good["difference"] == pytest.approx(0.2)
    assert bad["difference"] == pytest.approx(-0.2)
    assert good["subpools"] == 0
    assert "not whether the strategy would on other scans" in limit("p", summary.designs["p"])


def test_scores_without_surfaces_are_not_measured_rather_than_zero():
    scores = sub_pools(0.1).assign(hd95_mm=math.nan, nsd=math.nan)
    summary = summarise(scores)
    assert summary.curves["nsd"].isna().all()
    assert "| – | – |" in markdown(summary)


def test_the_tables_say_where_a_strategy_stands_and_what_it_costs(scores):
    summary = summarise(scores)
    told = [(row[0], row[1][:6]) for row in verdict_table(summary)[1]]
    assert told == [("good", "+0.200"), ("bad", "−0.200")]
    assert harm_counts(summary)[1] == [("bad", "2 of 2", "0.200")]
    cell = {"pool": "p", "selection_seed": 0, "training_seed": 0, "train_s": 4.0, "predict_s": 1.0}
    costs = pd.DataFrame([{**cell, "strategy": "good", "budget": 2, "foreground_voxels": 12345}])
    (row,) = cost_table(summary.curves, costs)[1]
    assert row[:5] == ("good", "2", "12\u2009345", "4.0", "1.0")
    assert row[5].startswith("+0.200 (")
    assert "12\\,345" in latex(summary, costs)


def test_drawings_hold_the_same_bytes_and_survive_a_study_without_scores(scores):
    summary = summarise(scores)
    assert curves_svg(summary.curves, summary.cell_means) == curves_svg(summary.curves, summary.cell_means)
    nothing = summarise(pd.DataFrame(failed("a", 3, 0, "why")))
    for drawn in (
        differences_svg(summary.curves),
        differences_svg(nothing.curves),
        curves_svg(nothing.curves, nothing.cell_means),
    ):
        assert drawn.startswith(b"<?xml")
        assert b"</svg>" in drawn


def test_cells_are_trainings_and_all_metrics_weigh_draws_alike():
    found = [
        row
        for seed in range(3)
        for training in range(2)
        for row in rows("random", 2, seed, 0.1 * seed, training=training)
    ]
    found = [row | {"nsd": row["dice"]} for row in found if (row["selection_seed"], row["training_seed"]) != (2, 1)]
    random = curve(summarise(pd.DataFrame(found)), "random", 2)
    assert random["cells"] == 5
    assert random["nsd"] == pytest.approx(random["dice"])
