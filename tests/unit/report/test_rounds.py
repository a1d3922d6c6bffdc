from collections.abc import Callable

import pytest

from firstscan.report import ReportData, rounds, trust, words
from firstscan.report.methods.paragraph import methods

TOLD = {
    "rule": "entropy",
    "options": {"aggregate": "boundary"},
    "seed": 7,
    "picks": ["scan_02", "scan_03"],
    "covered": 2,
    "labels": 2,
    "predicted": 22,
    "members": 3,
    "model": "unet",
    "nothing_predicted": ["scan_09"],
    "classes_absent": ["rim"],
    "not_predicted": {"scan_10": "cut short"},
}


@pytest.fixture
def grown(data: ReportData, with_selection: Callable[..., ReportData]) -> ReportData:
    return with_selection(diagnostics={**data.selection.diagnostics, "rounds": [TOLD]})


def test_labels_that_were_used_are_never_denied(data: ReportData, grown: ReportData) -> None:
    assert words.provenance(data).endswith("No label was used.")
    said = words.provenance(grown)
    assert "No label was used" not in said
    assert "The first 2 were chosen without any label, 2 by what a model predicts" in said
    assert "No label was used" not in " ".join(v.text for v in trust.notes(grown))


def test_a_methods_section_tells_each_round(data: ReportData, grown: ReportData) -> None:
    assert "No annotation entered the selection." in methods(data).paragraph
    text = methods(grown).paragraph
    assert "No annotation entered the selection of the first 2 volumes." in text
    assert (
        "In round 1, an ensemble of 3 small 3D U-Nets trained on 2 annotated volumes was applied to the remaining 22 "
        "volumes, and 2 were added by the query rule “entropy” (Settles 2009) with aggregate boundary (seed 7)." in text
    )


def test_what_is_unsure_of_a_round_is_said(data: ReportData, grown: ReportData) -> None:
    assert rounds.on_trust(data) == []
    titles = {v.title: v for v in trust.notes(grown)}
    assert "no run of firstscan has compared them" in titles["The last round"].text
    assert "scan_09" in titles["Scans without any prediction"].text
    assert "rim" in titles["Classes that were never labelled"].text
    assert "scan_10" in titles["Scans that could not be predicted"].text
