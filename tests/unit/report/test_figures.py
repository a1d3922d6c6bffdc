from dataclasses import replace

import numpy as np
import pytest

from firstscan.domain.features import FeatureTable
from firstscan.report import ReportData, SignalCorrelation, TrainingRow
from firstscan.report.charts.figures import (
    MOST_POINTS,
    MOST_STEPS,
    audit_figure,
    plane_figure,
    pool_figure,
    training_figure,
)
from firstscan.report.charts.maps import pool_map
from firstscan.report.charts.theme import STRATUM_COLOURS, stratum_style


def test_picks_lie_where_their_scans_are(data: ReportData) -> None:
    layout = pool_map(data.features.embeddings)
    figure = pool_figure(data, layout)
    points, picks, targets = figure.data
    assert len(points.x) == len(data.features) - 4
    np.testing.assert_allclose(np.column_stack([picks.x, picks.y]), layout.xy[:4], atol=1e-4)
    np.testing.assert_array_equal(targets.x, picks.x)
    assert list(picks.text) == ["1", "2", "3", "4"]
    assert list(picks.marker.line.color) == list(STRATUM_COLOURS[:4])
    assert "<b>1.</b> <b>scan_00</b>" in targets.hovertext[0]


def test_plane_shows_percentiles(data: ReportData) -> None:
    figure = plane_figure(data)
    assert figure is not None
    everything = np.concatenate([figure.data[0].x, figure.data[1].x])
    np.testing.assert_allclose(np.sort(everything), np.linspace(0, 100, 24), atol=1e-3)
    assert plane_figure(replace(data, features=replace(data.features, typicality=None))) is None


def test_large_pools_are_thinned_but_keep_every_pick(data: ReportData) -> None:
    n = MOST_POINTS + 1_000
    ids = tuple(data.features.case_ids) + tuple(f"more_{i}" for i in range(n - 24))
    rng = np.random.default_rng(0)
    features = FeatureTable(ids, rng.normal(size=(n, 3)), rng.random(n), rng.random(n))
    figure = pool_figure(replace(data, features=features), pool_map(features.embeddings))
    assert len(figure.data[0].x) == MOST_POINTS - 4
    assert len(figure.data[1].x) == 4


def test_markup_in_ids_is_escaped_for_plotly(named) -> None:
    hostile = '<a href="https://example.org">x</a>'
    data = named((hostile, *(f"s{i}" for i in range(23))))
    figure = pool_figure(data, pool_map(data.features.embeddings))
    assert "&lt;a href=" in figure.data[2].hovertext[0]
    assert "<a" not in figure.data[2].hovertext[0]


def test_long_trainings_are_thinned_to_their_ends() -> None:
    history = tuple(TrainingRow(s, 1.0, 0.5, 0.4, float("nan"), 1e-3) for s in range(5_000))
    figure = training_figure(history)
    assert figure.data[0].x[0] == 0
    assert figure.data[0].x[-1] == 4_999
    assert len(figure.data[0].x) <= MOST_STEPS
    assert set(figure.data[3].y) == {None}


def test_one_row_of_training() -> None:
    assert len(training_figure((TrainingRow(0, 1.0, 0.5, 0.4, 0.1, 0.0),)).data[0].x) == 1


def test_flagged_correlations_are_filled() -> None:
    rows = (
        SignalCorrelation("typicality", "air", 0.36, 0.16, 0.49, -0.6, flagged=True),
        SignalCorrelation("typicality", "site", 0.01, 0.0, 0.2),
    )
    figure = audit_figure(rows, stated_share=0.2)
    drawn = figure.data[0]
    assert list(drawn.marker.symbol) == ["circle", "circle-open"]
    assert list(drawn.x) == [36, 1]
    assert list(drawn.error_x.arrayminus) == pytest.approx([20, 1])
    assert list(drawn.hovertext) == [
        "air explains 36 % of typicality (ρ = −0.60), 16 % to 49 %",
        "site explains 1 % of typicality, 0 % to 20 %",
    ]
    assert figure.layout.shapes[0].x0 == 20


@pytest.mark.parametrize("stratum", [None, -1])
def test_no_stratum_is_grey(stratum: int | None) -> None:
    assert stratum_style(stratum)[0] not in STRATUM_COLOURS


def test_eighty_strata_look_different() -> None:
    assert len({stratum_style(i) for i in range(80)}) == 80
