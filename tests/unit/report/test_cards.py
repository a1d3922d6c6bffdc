from dataclasses import replace

import numpy as np
import pytest

from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.report import ReportData, Stability, cases_shown
from firstscan.report.cards import cards, nearest_unpicked, percentiles, worst


def test_percentiles() -> None:
    np.testing.assert_allclose(percentiles(np.array([3.0, 1.0, 2.0])), [100, 0, 50])
    np.testing.assert_allclose(percentiles(np.array([1.0, 1.0, 1.0])), [50, 50, 50])
    np.testing.assert_allclose(percentiles(np.array([7.0])), [50])


def table(positions: dict[str, float]) -> FeatureTable:
    values = np.array(list(positions.values()), dtype=float)
    return FeatureTable(tuple(positions), values[:, None], np.ones(len(values)))


def test_nearest_leaves_out_picks_and_orders_by_distance_then_id() -> None:
    features = table({"pick": 0, "other_pick": 0.1, "far": 9, "b": -2, "a": 2, "near": 1})
    found = nearest_unpicked(features, ["pick", "other_pick"], ["pick"], k=3)
    assert found == {"pick": (("near", 1.0), ("a", 2.0), ("b", 2.0))}


def test_nearest_when_everything_is_picked() -> None:
    features = table({"a": 0, "b": 1})
    assert nearest_unpicked(features, ["a", "b"], ["a", "b"]) == {"a": (), "b": ()}


def test_nearest_with_fewer_others_than_asked() -> None:
    assert len(nearest_unpicked(table({"a": 0, "b": 1}), ["a"], ["a"], k=3)["a"]) == 1


def test_a_card_holds_what_the_pick_is(data: ReportData) -> None:
    card = cards(data)[1]
    assert (card.rank, card.case_id, card.stratum, card.stratum_size) == (2, "scan_01", 1, 6)
    assert [name for name, _ in card.images] == ["axial", "coronal", "sagittal"]
    assert card.images[0][1].startswith("data:image/png;base64,")
    assert len(card.neighbours) == 3
    assert [f.code for f in card.findings] == ["motion"]
    below = (data.features.typicality < data.features.typicality[1]).sum() / (len(data.features) - 1) * 100
    assert card.typicality_percentile == pytest.approx(below)


def test_metadata_only_on_request(data: ReportData) -> None:
    known = replace(data, metadata={"site": {"scan_00": "B", "scan_01": None}})
    assert all(card.metadata == () for card in cards(known))
    shown = cards(replace(known, show_metadata=True))
    assert shown[0].metadata == (("site", "B"),)
    assert shown[1].metadata == ()


def test_recurrence_in_the_numbers(data: ReportData) -> None:
    card = cards(replace(data, stability=Stability(20, 0.5, {"scan_00": 0.75})))[0]
    assert "picked in 75\u00a0% of the repeats" in card.numbers


def test_without_thumbnails_and_typicality(data: ReportData) -> None:
    bare = replace(data, thumbnails={}, features=replace(data.features, typicality=None))
    card = cards(bare)[0]
    assert card.images == ()
    assert card.typicality_percentile is None


def test_cases_shown_are_picks_neighbours_and_warned(data: ReportData) -> None:
    shown = cases_shown(data.selection, data.features, data.findings)
    assert shown[:4] == data.selection.case_ids
    assert len(set(shown)) == len(shown)
    near = nearest_unpicked(data.features, data.selection.case_ids, data.selection.case_ids)
    assert {name for pairs in near.values() for name, _ in pairs} <= set(shown)


def test_worst_puts_warned_picks_first(data: ReportData) -> None:
    warning = data.findings[1]
    others = [replace(warning, case_id="scan_20"), replace(warning, case_id="scan_20", code="noise")]
    assert worst([*others, *data.findings], data.selection.case_ids) == ("scan_01", "scan_20")


def test_the_worst_are_picks_then_most_warnings_then_farthest_past_their_limit() -> None:
    def warned(case_id: str, measured: float | None, threshold: float | None = 1.0) -> Finding:
        return Finding("odd", "warn", case_id, "m", "r", measured=measured, threshold=threshold)

    findings = [
        warned("unknown", None), warned("far", 5.0), warned("near", 1.1), warned("below", 0.1), warned("pick", 1.1),
        warned("twice", 1.1), warned("twice", 1.2), Finding("gone", "drop", "gone", "m", "r"),
    ]  # fmt: skip
    assert worst(findings, ("pick",)) == ("pick", "twice", "below", "far", "near", "unknown")
