"""Dice against work, with planted curves."""

from __future__ import annotations

import pandas as pd
import pytest

from firstscan.study.publishing.figures import work_figure
from firstscan.study.publishing.page import Background, render
from firstscan.study.publishing.sentences import work_sentences
from firstscan.study.publishing.tables import work_table
from firstscan.study.publishing.typeset import latex, markdown
from firstscan.study.statistics.costs import Needed, needed, work_curves
from firstscan.study.statistics.goes_with import goes_with_dice, no_batches
from firstscan.study.statistics.summary import summarise

NOTHING = goes_with_dice(no_batches().assign(dice=[]))
"""What goes with Dice, of no batch."""


def planted(dice_of, pool="p"):
    """Return scores and costs; ``dice_of`` maps (strategy, annotation) to its Dice at each budget.

    The work of a whole scan is 20 slices; 5 minutes a scan and 1.5 a slice.
    """
    scores, costs = [], []
    for (strategy, annotation), by_budget in dice_of.items():
        every = int(annotation.split()[1]) if annotation != "whole" else 1
        for budget, dice in by_budget.items():
            for seed in range(3):
                cell = {
                    "pool": pool, "strategy": strategy, "budget": budget, "selection_seed": seed, "training_seed": 0,
                    "subpool": -1, "annotation": annotation,
                }  # fmt: skip
                score = {"label": 1, "class": "x", "hd95_mm": 1.0, "nsd": 0.5, "status": "ok", "reason": ""}
                scores += [{**cell, **score, "case_id": f"t{i}", "dice": dice + (seed - 1) / 100} for i in range(4)]
                work = {"slices": 20 * budget, "foreground_slices": 8 * budget, "foreground_voxels": 9}
                minutes = 5 * budget * every + 1.5 * 20 * budget
                costs.append({**cell, **work, "minutes": minutes, "train_s": 1.0, "predict_s": 1.0})
    return pd.DataFrame(scores), pd.DataFrame(costs)


RANDOM = {1: 0.4, 2: 0.5, 4: 0.7}


def worked(dice_of):
    from firstscan.study.statistics.arms import with_arms

    scores, costs = planted(dice_of)
    summary = summarise(scores)
    return summary, work_curves(summary.curves, with_arms(costs)), with_arms(costs)


@pytest.fixture
def told():
    return worked({("random", "whole"): RANDOM, ("random", "every 4"): {1: 0.6, 2: 0.75, 4: 0.38}})


def test_each_arm_has_its_dice_and_its_work_at_every_budget(told):
    _, work, _ = told
    rows = {(r["strategy"], r["budget"]): r for r in work.to_dict("records")}
    assert len(rows) == 6
    sliced = rows["random (every 4)", 2]
    assert (sliced["slices"], sliced["foreground_slices"], sliced["minutes"]) == (40, 16, 100)
    assert rows["random", 2]["minutes"] == 70
    assert sliced["dice"] == pytest.approx(0.75)
    assert (bool(sliced["sliced"]), bool(rows["random", 2]["sliced"])) == (True, False)


def test_what_random_whole_scans_need_is_interpolated_and_never_continued(told):
    _, work, _ = told
    between = needed(work, "p", 0.6, "slices")
    assert (between.cost, between.bound) == (pytest.approx(60.0), ""), "half-way between 40 and 80 slices"
    assert needed(work, "p", 0.6, "minutes").cost == pytest.approx(105.0)
    assert needed(work, "p", 0.7 + 1e-9, "slices") == Needed(80.0, "more than")
    assert needed(work, "p", 0.3, "slices") == Needed(20.0, "at most")
    assert needed(work, "p", 0.4 - 1e-9, "slices").bound == "at most"
    assert needed(work, "other", 0.5, "slices") is None


def test_a_budget_that_scatters_downwards_does_not_hide_that_more_labels_help():
    _, work, _ = worked({("random", "whole"): {1: 0.5, 2: 0.4, 4: 0.7}, ("random", "every 4"): {1: 0.45}})
    assert needed(work, "p", 0.575, "slices").cost == pytest.approx(60.0), "0.45 at 20 and at 40 slices, 0.7 at 80"


def test_sentences_say_what_whole_scans_need_and_where_that_was_not_reached(told):
    _, work, _ = told
    assert work_sentences(work) == [
        "Random whole scans need 60 slices and 105 minutes for what random (every 4) reaches with 20 slices and 50 "
        "minutes (Dice 0.600).",
        "Random whole scans need more than 80 slices (the largest run) and more than 140 minutes (the largest run) for "
        "what random (every 4) reaches with 40 slices and 100 minutes (Dice 0.750).",
        "Random whole scans need at most 20 slices and at most 35 minutes for what random (every 4) reaches with 80 "
        "slices and 200 minutes (Dice 0.380).",
    ]


def test_without_random_whole_scans_nothing_is_compared():
    _, work, _ = worked({("cscs", "whole"): RANDOM, ("cscs", "every 4"): {1: 0.6}})
    assert work_sentences(work) == []
    assert {row[-1] for row in work_table(work)[1]} == {"–"}


def test_failed_cells_and_studies_of_whole_scans_have_no_row():
    scores, costs = planted({("random", "whole"): RANDOM, ("random", "every 4"): {1: 0.6}})
    costs.loc[costs["annotation"] != "whole", "slices"] = float("nan")
    assert "random (every 4)" not in set(work_curves(summarise(scores).curves, costs)["strategy"])
    _, none, _ = worked({("random", "whole"): RANDOM})
    assert len(none) == 0
    assert work_table(none)[1] == []


def test_the_page_and_the_tables_show_it(told):
    summary, work, costs = told
    page = render(
        summary,
        Background("Study p", (), costs, pd.DataFrame(columns=["pool", "strategy", "budget", "absent_classes"])),
        NOTHING,
    )
    assert 'id="chart-slices-0"' in page
    assert 'id="chart-minutes-0"' in page
    assert "Random whole scans need 60 slices and 105 minutes" in page
    for text in (markdown(summary, costs), latex(summary, costs)):
        assert "Dice and the work of annotating" in text
        assert "more than 80" in text
    figure = work_figure(work, "slices")
    assert {t.name: list(t.x) for t in figure.data} == {"random": [20, 40, 80], "random (every 4)": [20, 40, 80]}
    plain, _, whole = worked({("random", "whole"): RANDOM})
    bare = render(
        plain,
        Background("Study p", (), whole, pd.DataFrame(columns=["pool", "strategy", "budget", "absent_classes"])),
        NOTHING,
    )
    assert 'id="work"' not in bare
    assert "#work" not in bare
