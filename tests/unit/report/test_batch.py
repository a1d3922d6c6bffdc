"""Other choices, groups, review and annotation on the page: there when there is something to show, and only then."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from firstscan.report import (
    Afterwards,
    Collection,
    GroupRow,
    HandOver,
    OtherChoice,
    ReportData,
    ReviewEntry,
    Spread,
    Stability,
    render,
)
from firstscan.report.batch_words import (
    MOST_REVIEWED,
    annotation_rows,
    annotation_sentence,
    overlap_rows,
    overlap_sentence,
    recurrence_rows,
    review_rows,
    review_sentence,
    spread_sentence,
    when,
)

SECTIONS = ("choices", "groups", "review", "annotation")


def told(data: ReportData, **parts) -> ReportData:
    return replace(data, afterwards=Afterwards(**parts))


def sections(data: ReportData) -> list[str]:
    page = render(data)
    assert set(re.findall(r'href="#(\w+)"', page)) >= {s for s in SECTIONS if f'id="{s}"' in page}
    return [s for s in SECTIONS if f'<section id="{s}">' in page]


def test_what_is_not_there_has_no_section(data: ReportData) -> None:
    assert sections(data) == []
    assert 'href="#choices"' not in render(data)


@pytest.mark.parametrize(
    ("parts", "section"),
    [
        ({"others": (OtherChoice("kcenter", ("scan_00",)),)}, "choices"),
        ({"spreads": (Spread("site", 3, 2),)}, "groups"),
        ({"review": (ReviewEntry("", "accept", "scan_00"),)}, "review"),
        ({"handovers": (HandOver("", "slicer", "out", {"": ("scan_00",)}),)}, "annotation"),
        ({"collections": (Collection("", "in", ("scan_00",)),)}, "annotation"),
    ],
)
def test_each_part_brings_its_section(data: ReportData, parts: dict, section: str) -> None:
    assert sections(told(data, **parts)) == [section]


def test_overlap_is_counted_ordered_and_held_against_chance(data: ReportData) -> None:
    others = (
        OtherChoice("kcenter", ("scan_00", "scan_09", "scan_10", "scan_11")),
        OtherChoice("usl", why_not="quotas cannot hold"),
        OtherChoice("alps", ("scan_00", "scan_02", "scan_03", "scan_10")),
    )
    rows = overlap_rows(told(data, others=others))
    assert [row.name for row in rows] == ["alps", "kcenter", "usl", "a random draw"]
    assert (rows[0].share, rows[0].text, rows[0].more) == (pytest.approx(3 / 5), "3 of 4", "ranks 1, 3, 4")
    assert (rows[1].share, rows[1].more) == (pytest.approx(1 / 7), "rank 1")
    assert (rows[2].text, rows[2].more) == ("–", "quotas cannot hold")
    assert rows[3].text == "0.7 of 4"
    assert "Rank 1 is picked by most of them too" in overlap_sentence(told(data, others=others))
    assert "No pick is shared" in overlap_sentence(told(data, others=(*others[:1], OtherChoice("x", ("scan_20",)))))
    assert overlap_sentence(told(data, others=others[1:2])) == ""


def test_repeats_show_each_pick_and_the_runners_up(data: ReportData) -> None:
    stability = Stability(8, 0.4, {"scan_00": 1.0, "scan_02": 0.25, "scan_09": 0.5, "scan_10": 0.75})
    rows = recurrence_rows(replace(data, stability=stability))
    assert [(row.name, row.text, row.quiet) for row in rows] == [
        ("1. scan_00", "100 %", False),
        ("2. scan_01", "0 %", False),
        ("3. scan_02", "25 %", False),
        ("4. scan_03", "0 %", False),
        ("scan_10", "75 %", True),
        ("scan_09", "50 %", True),
    ]
    assert sections(replace(data, stability=stability)) == ["choices"]


def test_groups_are_told_with_what_was_asked(data: ReportData) -> None:
    spread = Spread("site", 3, 2, (GroupRow("<A>", 12, 3, "2 to 4"), GroupRow("2 other groups", 12, 1)))
    page = render(told(data, spreads=(spread, Spread("patient", 20, 4, once=True))))
    assert "4 picks from 2 of 3 groups." in page
    assert "4 picks from 4 of 20 groups; at most one scan of each was allowed." in page
    assert "&lt;A&gt;" in page
    assert "2 to 4" in page
    assert spread_sentence(Spread("x", 1, 1), 1) == "1 pick from 1 of 1 group."


def test_annotation_says_what_is_labelled_waiting_and_not_handed_over(data: ReportData) -> None:
    handover = HandOver(
        "2026-05-04T13:20:01+00:00",
        "monailabel",
        "/data/hospital/out",
        {"reader1": ("scan_00", "scan_01"), "reader2": ("scan_00", "scan_02")},
    )
    shown = told(data, handovers=(handover,), collections=(Collection("2026-05-05T09:00:00Z", "in", ("scan_00",)),))
    assert annotation_sentence(shown) == (
        "1 of 4 picks are labelled. Handed over and not back: scan_01, scan_02. Not handed over: scan_03."
    )
    assert annotation_rows(shown) == (
        ("2026-05-04 13:20 UTC", "handed to monailabel", "out", "3 scans, dealt to 2 readers, 1 of them to several"),
        ("2026-05-05 09:00 UTC", "collected", "in", "labels of 1 scan"),
    )
    assert "/data/hospital/out" not in render(shown)


def test_the_review_shows_every_action_known_or_not(data: ReportData) -> None:
    log = (
        ReviewEntry("2026-05-04T13:20:01Z", "veto", "scan_00", "motion", "stored at '/data/hospital/x.nii'"),
        ReviewEntry("yesterday", "<frobnicate>", "<script>alert(1)</script>"),
    )
    assert review_rows(told(data, review=log)) == (
        ("2026-05-04 13:20 UTC", "vetoed", "scan_00", "motion; stored at 'x.nii'"),
        ("yesterday", "<frobnicate>", "<script>alert(1)</script>", ""),
    )
    page = render(told(data, review=log))
    assert "&lt;frobnicate&gt;" in page
    assert "<script>alert(1)" not in page


def test_a_long_review_is_folded_and_says_what_is_left_out(data: ReportData) -> None:
    shown = told(data, review=tuple(ReviewEntry("", "accept", f"c{i}") for i in range(MOST_REVIEWED + 5)))
    assert len(review_rows(shown)) == MOST_REVIEWED
    assert "The first 5 are left out here" in review_sentence(shown)
    assert "<summary>Every entry</summary>" in render(shown)


def test_times_that_are_none_are_left_as_they_are() -> None:
    assert (when(""), when("2026"), when("2026-05-04T13:20:01+02:00")) == ("", "2026", "2026-05-04 13:20")
