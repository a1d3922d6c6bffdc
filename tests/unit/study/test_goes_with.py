"""What goes with Dice in a study: a row a batch, planted relations found by group, constant groups named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection.groups import joined
from firstscan.selection.trust.properties import PoolView
from firstscan.steps.running.run import Settings
from firstscan.study.cells import Cell
from firstscan.study.features import check_strategies
from firstscan.study.plan import plan_of
from firstscan.study.publishing.sentences import beforehand
from firstscan.study.publishing.tables import goes_with_table
from firstscan.study.run import study
from firstscan.study.statistics.goes_with import CONSTANT, batch_properties, goes_with_dice, in_words, with_scores


def features(n=40, seed=0):
    rng = np.random.default_rng(seed)
    groups = {"texture": rng.normal(size=(n, 9)), "shape": np.ones((n, 4))}
    ids = tuple(f"c{i:02d}" for i in range(n))
    return FeatureTable(ids, rng.normal(size=(n, 12)), rng.random(n), groups=groups)


def random_cells(table, *, subpools=10, draws=3, budgets=(3, 6), seed=0):
    """Random batches of sub-pools, and the sub-pools."""
    rng = np.random.default_rng(seed)
    parts, cells = [], []
    for number in range(subpools):
        part = tuple(sorted(rng.permutation(table.case_ids)[:24]))
        parts.append(part)
        for draw in range(draws):
            order = [str(c) for c in rng.permutation(part)]
            cells += [Cell("random", b, draw, 0, tuple(order[:b]), subpool=number) for b in budgets]
    return cells, parts


def scored(batches, dice):
    """Return scores by cell as a study writes them, two test cases each."""
    keys = batches[["pool", "strategy", "budget", "selection_seed", "subpool", "annotation"]]
    rows = [
        keys.assign(training_seed=0, case_id=case, status="ok", dice=dice + off)
        for case, off in (("t", 0.1), ("u", -0.1))
    ]
    return pd.concat(rows, ignore_index=True).assign(**{"class": "a"})


def test_a_row_a_batch_with_its_properties_in_its_subpool():
    table = features()
    cells, parts = random_cells(table)
    cells.append(replace(cells[0], training_seed=1))
    found = batch_properties("mine", cells, table, parts)
    assert len(found) == len(cells) - 1
    row = found[(found["subpool"] == 4) & (found["budget"] == 6) & (found["selection_seed"] == 1)].iloc[0]
    pool = table.only(parts[4])
    rows = np.array([pool.case_ids.index(c) for c in row["picks"].split()])
    expected = PoolView(joined(pool, ["texture"]).table.embeddings).of(rows)
    assert row["coverage_texture"] == pytest.approx(expected.coverage)
    assert row["discrepancy_texture"] == pytest.approx(expected.discrepancy)
    assert row["uncertainty"] == pytest.approx(pool.uncertainty[rows].mean())
    assert found["coverage_shape"].isna().all()
    assert found["coverage_all"].notna().all()


def test_planted_relations_are_found_and_constant_groups_named():
    table = features()
    cells, parts = random_cells(table, subpools=24)
    batches = batch_properties("mine", cells, table, parts)
    noise = np.random.default_rng(1).normal(size=len(batches))
    level = batches["subpool"] * 0.01 + batches["budget"] * 0.02
    planted = -batches["coverage_texture"] / batches["coverage_texture"].std() + 0.5 * noise
    told = with_scores(batches, scored(batches, 0.5 + level + 0.01 * planted))
    np.testing.assert_allclose(told["dice"], 0.5 + level + 0.01 * planted)
    found = goes_with_dice(told).set_index(["property", "group"])
    assert found.loc[("coverage", "texture"), "rho"] < -0.5
    assert found.loc[("coverage", "texture"), "pvalue_holm"] < 0.001
    assert abs(found.loc[("uncertainty", ""), "rho"]) < 0.35
    assert found.loc[("coverage", "shape"), "left_out"] == CONSTANT
    assert "Left out, because the same in all scans: shape." in in_words(found.reset_index())
    header, rows = goes_with_table(found.reset_index())
    assert len(rows) == 3 * 5 + 1  # embedding, texture, all, and uncertainty
    assert all(len(row) == len(header) for row in rows)


def test_random_batches_alone_enter_and_failed_ones_do_not():
    table = features()
    cells, parts = random_cells(table)
    other = [replace(c, strategy="coverage") for c in cells]
    batches = batch_properties("mine", [*cells, *other], table, parts)
    rng = np.random.default_rng(0)
    scores = scored(batches, pd.Series(np.where(batches["strategy"] == "random", rng.random(len(batches)), 5.0)))
    lost = scores["subpool"] == 3
    scores.loc[lost, ["status", "dice"]] = ["failed", np.nan]
    told = with_scores(batches, scores)
    assert told.loc[told["subpool"] == 3, "dice"].isna().all()
    alone = told[(told["strategy"] == "random") & (told["subpool"] != 3)]
    pd.testing.assert_frame_equal(goes_with_dice(told), goes_with_dice(alone))
    assert goes_with_dice(told[told["strategy"] == "coverage"]).empty


def test_without_uncertainty_nothing_is_said_of_it():
    table = replace(features(), uncertainty=None)
    cells, parts = random_cells(table, subpools=2)
    assert "uncertainty" not in batch_properties("mine", cells, table, parts)


def test_a_study_of_random_batches_alone_runs_and_tells(study_world, tmp_path):
    plan = plan_of(
        study_world.content(
            strategies=["random"], selection_seeds={"random": 2}, pools={"draws": 3, "share": 0.7}, random_draws=2
        )
    )
    result = study(plan, tmp_path / "o", Settings(workers=1), study_world.features)
    assert result.failed == 0
    batches = pd.read_csv(tmp_path / "o" / "batch_properties.csv")
    assert len(batches) == 3 * 2 * 2
    assert batches["dice"].notna().all()
    found = pd.read_csv(tmp_path / "o" / "goes_with_dice.csv")
    assert {"coverage", "discrepancy", "typicality", "uncertainty"} <= set(found["property"])
    assert "## What goes with Dice" in (tmp_path / "o" / "tables.md").read_text()
    page = (tmp_path / "o" / "study.html").read_text()
    for words in ("What goes with Dice</h2>", "relation-0", "distance to the nearest pick", "Random batches only."):
        assert words in page


def test_strategies_that_need_uncertainty_are_refused_before_an_instant_study(study_world):
    plan = plan_of(study_world.content(strategies=["random", "cscs"], preset="instant"))
    with pytest.raises(UsageError, match="strategy cscs chooses by uncertainty U"):
        check_strategies(plan)
    check_strategies(plan_of(study_world.content(strategies=["random", "coverage", "maxherding"], preset="instant")))


def test_a_study_of_random_batches_says_before_what_it_can_tell(study_world):
    def said(**changes):
        return beforehand(plan_of(study_world.content(strategies=["random"], **changes)), 9, 0)

    assert "A rank correlation of 0.39 or more would be found" in said(pools={"draws": 24}, random_draws=3)
    assert "A rank correlation of 0.67 or more" in said(selection_seeds={"random": 15})
    assert "too few to tell anything" in said(pools={"draws": 2}, random_draws=2)
