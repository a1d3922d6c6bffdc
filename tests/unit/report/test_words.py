from collections.abc import Callable
from dataclasses import replace

import pytest

from firstscan.report import ReportData, trust, words


def diagnose(data: ReportData, **changes: object) -> dict[str, object]:
    return {**data.selection.diagnostics, **changes}


def note(data: ReportData, title: str) -> trust.Note:
    return next(n for n in trust.notes(data) if title in n.title)


def test_positive_dcr_means_hard_and_typical(data: ReportData) -> None:
    text = " ".join(words.reading(data))
    assert "+0.31" in text
    assert "hard and typical at once" in text
    assert "peripheral" not in text
    assert "p = 0.02" in text
    assert "+0.05 to +0.55" in text
    assert "γ = 0.535" in text
    assert "from 0.506 to 0.562" in text


def test_negative_dcr_means_peripheral(data: ReportData, with_selection: Callable[..., ReportData]) -> None:
    changed = with_selection(diagnostics=diagnose(data, dcr=-0.31, dcr_interval=[-0.5, -0.1], gamma=0.44))
    text = " ".join(words.reading(changed))
    assert "peripheral" in text
    assert "−0.31" in text
    assert "hard and typical at once" not in text
    assert "typical scans" in text


def test_an_interval_around_zero_is_not_leant_on(data: ReportData, with_selection: Callable[..., ReportData]) -> None:
    changed = with_selection(diagnostics=diagnose(data, dcr=0.15, dcr_interval=[-0.1, 0.4]))
    told = words.reading(changed)[0]
    assert told.endswith("whether hard scans are typical or peripheral is open.")
    assert "tend to" not in told


def test_of_fewer_than_ten_scans_nothing_is_said_of_dcr(data: ReportData) -> None:
    nine = data.features.only(frozenset((*data.selection.case_ids, *data.features.case_ids[-5:])))
    assert len(nine) == 9
    few = replace(data, features=nine)
    assert words.reading(data)
    assert words.reading(few) == ()


def test_a_strategy_without_gamma_says_so(with_selection: Callable[..., ReportData]) -> None:
    assert "does not use DCR" in words.reading(with_selection(diagnostics={"dcr": 0.2, "dcr_pvalue": 0.3}))[1]
    assert words.reading(with_selection(diagnostics={})) == ()


def test_undefined_dcr(with_selection: Callable[..., ReportData]) -> None:
    nothing = with_selection(diagnostics={"dcr": float("nan"), "dcr_interval": [float("nan")] * 2, "gamma": None})
    assert words.reading(nothing) == ()
    trust.notes(nothing)


def test_thin_strata(data: ReportData, with_selection: Callable[..., ReportData]) -> None:
    assert note(data, "stand for a group").level == "good"
    strata = {case_id: min(i, 4) for i, case_id in enumerate(data.features.case_ids)}
    thin = with_selection(strata=strata)
    assert note(thin, "stand for a group").level == "caution"
    assert "not represented" in note(thin, "stand for a group").text
    scored = with_selection(strata=strata, options={"thin_strata": "score", "min_stratum": 3})
    assert "look before annotating" in note(scored, "stand for a group").text


def test_a_warned_pick_is_named(data: ReportData) -> None:
    found = note(data, "picks themselves")
    assert found.level == "caution"
    assert "1 pick with a warning: scan_01 (motion)." in found.text
    assert "firstscan replace" in found.text
    assert note(replace(data, findings=()), "picks themselves").level == "good"


@pytest.mark.parametrize(("value", "text"), [(-0.001, "0.00"), (0.004, "0.00"), (-0.31, "−0.31"), (0.31, "+0.31")])
def test_number(value: float, text: str) -> None:
    assert words.number(value, signed=True) == text


def test_headline_and_provenance(data: ReportData, with_selection: Callable[..., ReportData]) -> None:
    assert words.headline(data) == "Annotate these 4 scans first"
    assert words.headline(with_selection(picks=data.selection.picks[:1])) == "Annotate this scan first"
    assert words.provenance(data).startswith("Chosen from 24 usable scans of “knees” (26 found, 2 left out).")


@pytest.mark.parametrize(
    ("p", "text"), [(0.0002, "p < 0.001"), (0.004, "p = 0.004"), (0.25, "p = 0.25"), (None, "p not available")]
)
def test_p_value(p: float | None, text: str) -> None:
    assert words.p_value(p) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("most typical", "Most typical."), ("scan_1.nii is odd", "scan_1.nii is odd."), ("", ""), ("Is it?", "Is it?"),
     ("by 5 % of it", "By 5\u00a0% of it.")],
)  # fmt: skip
def test_sentence(text: str, shown: str) -> None:
    assert words.sentence(text) == shown


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (0.000688, "0.000688"), (-0.5, "−0.5"), (None, "–"), (float("nan"), "–")]
)
def test_significant(value: float | None, text: str) -> None:
    assert words.significant(value) == text
