from collections.abc import Callable

import pytest

from firstscan.domain.slices import PlannedSlices, SlicePlan
from firstscan.report import ReportData, rounds, trust, words
from firstscan.report.gain import when_to_stop
from firstscan.report.methods.paragraph import methods
from firstscan.report.page import render
from firstscan.report.slices import plan_told

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
    assert "No label was used" not in " ".join(v.text for v in trust.trust(grown))


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
    titles = {v.title: v for v in trust.trust(grown)}
    assert "no run of firstscan has compared them" in titles["The last round"].text
    assert "scan_09" in titles["Scans without any prediction"].text
    assert "rim" in titles["Classes that were never labelled"].text
    assert "scan_10" in titles["Scans that could not be predicted"].text


def test_a_batch_that_goes_on_by_slice_tells_whole_scans_and_slices(
    grown: ReportData, with_selection: Callable[..., ReportData]
) -> None:
    ids = grown.selection.case_ids
    case = PlannedSlices(ids[-1], len(ids), 2, "axial", 20, (3, 8), (9.0, 24.0), "two of them")
    settings = {"every": 5, "whole": list(ids[:-1]), "slices_by": "entropy"}
    data = with_selection(diagnostics=grown.selection.diagnostics, slices=SlicePlan((case,), 5, settings))
    assert words.headline(data) == f"Annotate {len(ids) - 1} whole scans and 2 slices of 1 other first"
    told = plan_told(data)
    assert told is not None
    assert [strip.case_id for strip in told.strips] == [ids[-1]]
    assert told.sentence.startswith("2 axial slices of 1 scan")
    text = methods(data).paragraph
    assert "Of 1 of the volumes not all slices were to be annotated but as many as every 5th axial slice" in text
    assert "those with the highest entropy of the prediction" in text
    assert "staggered" not in text


ROWS = [
    {"fold": fold, "scans": scans, "dice": 0.7 + gain * (scans == 6)}
    for fold, gain in enumerate((0.03, 0.05, 0.04, 0.08))
    for scans in (3, 6)
]
CORRECTED = {"scans": 4, "dice": 0.8, "touched": 0.25}


def told_by(with_selection: Callable[..., ReportData], *rounds: dict) -> ReportData:
    return with_selection(diagnostics={"rounds": [{**TOLD, **told} for told in rounds]})


def test_when_to_stop_is_said_by_the_curve_and_by_corrections(with_selection: Callable[..., ReportData]) -> None:
    curve = {"labelled": 8, "rows": ROWS}
    data = told_by(
        with_selection, {"corrections": CORRECTED}, {"curve": curve, "corrections": CORRECTED | {"dice": 0.85}}
    )
    said = when_to_stop(data.selection)
    assert "From labelling the 2 scans of this round expect +0.016 Dice (95 % interval +0.005 to +0.027)" in said
    assert "0.700 with 3 scans and 0.750 with 6" in said
    assert "Dice of 0.850, after 0.800 before (4 scans, 25 % of the slices touched)" in said
    page = render(data)
    assert '<section id="gain">' in page
    assert '"gain"' in page
    assert said.split(":")[0] in page.replace("\u00a0", " ")


def test_what_is_not_enough_to_say_is_not_said(data: ReportData, with_selection: Callable[..., ReportData]) -> None:
    assert when_to_stop(data.selection) == ""

    def said(**told: object) -> str:
        return when_to_stop(told_by(with_selection, told).selection)

    assert said() == "Not enough to say whether another round helps: no learning curve was measured (--curve)."
    few = said(
        curve={"labelled": 5, "why": "it takes 8 labelled scans, and there are 5"}, corrections=CORRECTED | {"scans": 2}
    )
    assert few.startswith("Not enough to say whether another round helps: it takes 8 labelled scans, and there are 5.")
    assert "Corrections of 2 scan(s) are too few" in few
    unscored = [row | {"dice": None} if row["fold"] else row for row in ROWS]
    assert "too few folds" in said(curve={"labelled": 8, "rows": unscored})
    flat = [row | {"dice": 0.7 + 0.1 * (row["fold"] % 2) * (row["scans"] == 6)} for row in ROWS]
    assert said(curve={"labelled": 8, "rows": flat}).endswith("It may as well be nothing.")
    assert '<section id="gain">' not in render(told_by(with_selection, {}))
