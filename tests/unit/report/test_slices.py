from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firstscan.domain.slices import ScanGeometry
from firstscan.report import ReportData, render
from firstscan.report.methods.paragraph import methods
from firstscan.report.slices import advice, in_short, plan_told, support
from firstscan.selection.slices.evidence import RUNS, Compared
from firstscan.selection.slices.planning import plan_slices
from firstscan.selection.slices.settings import Slicing

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def geometry(case_id: str) -> ScanGeometry:
    return ScanGeometry(case_id, (40, 40, 24), (1.0, 1.0, 5.0), UPRIGHT, (0.0, 0.0, 0.0), ((0, 39), (0, 39), (2, 21)))


@pytest.fixture
def whole(data: ReportData) -> ReportData:
    stored = np.array([geometry(i).numbers for i in data.features.case_ids])
    return replace(data, features=replace(data.features, geometry=stored))


@pytest.fixture
def planned(whole: ReportData) -> ReportData:
    plan = plan_slices([geometry(i) for i in whole.selection.case_ids], Slicing(every=4))
    return replace(whole, selection=replace(whole.selection, slices=plan))


def test_each_pick_has_a_strip_with_a_mark_a_slice_within_the_patient(planned):
    told = plan_told(planned)
    assert [s.case_id for s in told.strips] == list(planned.selection.case_ids)
    for strip, case in zip(told.strips, planned.selection.slices, strict=True):
        assert len(strip.marks) == len(case) == strip.planned
        low, length = strip.band
        assert (low, round(low + length)) == pytest.approx((1000 * 2 / 24, 1000 * 22 / 24), abs=1)
        assert low <= min(strip.marks)
        assert max(strip.marks) <= low + length
    top = max(planned.selection.slices.cases[0].indices)
    assert told.strips[0].marks[0] == pytest.approx(1000 * (24 - 1 - top + 0.5) / 24, abs=0.01), (
        "the head is on the left"
    )
    assert np.diff(told.together) == pytest.approx(np.full(19, 50.0)), "four scans cover the patient evenly"


def test_the_page_and_the_methods_text_tell_of_the_plan(planned):
    page = re.sub(r"<script\b[^>]*>.*?</script>", "", render(planned), flags=re.DOTALL)
    assert "<h1>Annotate 20 slices of these 4 scans first</h1>" in page
    assert page.count('<svg class="strip"') == 5
    assert "20 axial slices of 4 scans, every 4th where the patient is: about 50 min at 5 min a scan" in page
    assert "every 4th axial slice within the patient (20 slices in all)" in methods(planned).paragraph


def test_a_page_without_a_plan_says_how_else_the_work_could_be_spent(whole, data):
    assert "slices were to be annotated" not in methods(whole).paragraph
    assert plan_told(whole) is None
    other, known = advice(whole)
    assert other == (
        "These 4 whole scans are 80 slices of the patient, about 2.3 h. As many slices of 16 scans, every 4th of each, "
        "take about 3.3 h: `--slices 80` instead of `--budget 4`."
    )
    assert known == support(RUNS, 4.0)
    assert advice(data) == (), "nothing is known of how these scans are stored"
    assert in_short(data) == ()
    assert 'id="slices"' not in render(data)


def test_advice_says_what_was_measured_and_nothing_else(planned):
    results = (Path(__file__).parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    assert [run.collection for run in RUNS if run.collection not in results] == []
    assert "no committed run of firstscan supports it yet" in support(())
    run = Compared("hippocampus MRI", 4, (3, 5, 10), -0.012, -0.03, 0.006, 24, "unet")
    said = support((run,), 4.0)
    assert (
        "for the work of 3 to 10 whole scans: hippocampus MRI, every 4th: −0.012 Dice (−0.030 to +0.006, 24 sub-pools"
        in said
    )
    assert "outside of that" not in said
    assert "This batch is the work of 12 and lies outside of that." in support((run,), 12.0)
    assert "isolated slice takes longer" in said
    assert in_short(planned, (run,))[1].endswith("is in the report.")
    assert "gained −0.012 Dice over whole ones" in in_short(planned, (run,))[1]
