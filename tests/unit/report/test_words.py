from collections.abc import Callable
from dataclasses import replace

import pytest

from firstscan.report import ReportData, SignalCorrelation, Stability, TrainingRow, trust, words


def diagnose(data: ReportData, **changes: object) -> dict[str, object]:
    return {**data.selection.diagnostics, **changes}


def verdict(data: ReportData, title: str) -> trust.Verdict:
    return next(v for v in trust.trust(data) if title in v.title)


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
    assert "do not lean on the sign" in words.reading(changed)[0]
    assert verdict(changed, "balance").level == "caution"
    assert verdict(data, "balance").level == "good"


def test_a_strategy_without_gamma_says_so(with_selection: Callable[..., ReportData]) -> None:
    assert "does not use DCR" in words.reading(with_selection(diagnostics={"dcr": 0.2}))[1]
    assert words.reading(with_selection(diagnostics={})) == ()


def test_undefined_dcr(with_selection: Callable[..., ReportData]) -> None:
    nothing = with_selection(diagnostics={"dcr": float("nan"), "dcr_interval": [float("nan")] * 2, "gamma": None})
    assert words.reading(nothing) == ()
    trust.trust(nothing)


def test_thin_strata(data: ReportData, with_selection: Callable[..., ReportData]) -> None:
    assert verdict(data, "stand for a group").level == "good"
    strata = {case_id: min(i, 4) for i, case_id in enumerate(data.features.case_ids)}
    thin = with_selection(strata=strata)
    assert verdict(thin, "stand for a group").level == "caution"
    assert "not represented" in verdict(thin, "stand for a group").text
    scored = with_selection(strata=strata, options={"thin_strata": "score", "min_stratum": 3})
    assert "look before annotating" in verdict(scored, "stand for a group").text


@pytest.mark.parametrize(("rotation", "level"), [(0.3, "good"), (1.0, "caution"), (1.38, "bad"), (float("nan"), "bad")])
def test_training(data: ReportData, rotation: float, level: str) -> None:
    history = tuple(TrainingRow(s, 1.0, rotation, 0.1, 0.1, 1e-3) for s in range(20))
    assert verdict(replace(data, history=history), "learn the anatomy").level == level


@pytest.mark.parametrize(("share", "level"), [(0.8, "good"), (0.4, "caution"), (0.1, "bad")])
def test_stability(data: ReportData, share: float, level: str) -> None:
    found = verdict(replace(data, stability=Stability(20, share, {})), "Another run".lower())
    assert found.level == level
    assert ("random draw would do about as well" in found.text) == (level == "bad")


def test_confounded_signals_come_first(data: ReportData) -> None:
    rows = (
        SignalCorrelation("uncertainty", "air_share", 0.46, 0.25, 0.64, -0.68, flagged=True),
        SignalCorrelation("component 1", "site", 0.3, 0.2, 0.5, flagged=True),
        SignalCorrelation("typicality", "spacing", 0.01, 0.0, 0.09, 0.1),
    )
    first = trust.trust(replace(data, audit=rows))[0]
    assert first.level == "bad"
    assert "air_share explains 46 % of uncertainty (ρ = −0.68). A DCR" in first.text
    assert "component" not in first.text
    strata_only = verdict(replace(data, audit=rows[1:]), "signals follow")
    assert strata_only.level == "caution"
    assert "site explains 30 % of component 1. Look" in strata_only.text
    clean = verdict(replace(data, audit=rows[2:]), "signals follow")
    assert clean.level == "good"
    assert "no column of the 1 checked explains 10 % or more" in clean.text
    assert verdict(data, "signals follow").level == "note"


def test_adjusted_signals_are_said_to_be(with_selection: Callable[..., ReportData]) -> None:
    adjusted = replace(with_selection(diagnostics={"adjusted_for": ["site", "air_share"]}), audit=())
    assert "adjusted for site, air_share" in verdict(adjusted, "signals follow").text


def test_the_repeats_speak_once(data: ReportData) -> None:
    advised = replace(data, stability=Stability(20, 0.1, {}, ("whether hard scans are typical is open", "40 % stay")))
    assert (
        verdict(advised, "Another run".lower()).text
        == "Hardly. Whether hard scans are typical is open. 40\u00a0% stay."
    )
    assert not any("well founded" in v.title for v in trust.trust(advised))


def test_given_advice_leads(data: ReportData) -> None:
    advised = trust.trust(replace(data, advice=("A random draw would do here; see /data/x/y.json",)))
    assert advised[0].text == "A random draw would do here; see y.json"


def test_a_warned_pick_is_named(data: ReportData) -> None:
    found = verdict(data, "picks themselves")
    assert found.level == "caution"
    assert "1 pick with a warning: scan_01 (motion)." in found.text
    assert "firstscan replace" in found.text
    assert verdict(replace(data, findings=()), "picks themselves").level == "good"


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
