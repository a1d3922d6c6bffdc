from collections.abc import Callable
from dataclasses import replace

import pytest

from firstscan.report import NO_NETWORK, LearnedFeatures, ReportData, render
from firstscan.report.batch_words import strata_sentence
from firstscan.report.methods.paragraph import methods
from firstscan.report.methods.references import REFERENCES
from firstscan.selection.history import history_of


def test_cscs_paragraph_states_its_numbers_and_cites(data: ReportData) -> None:
    text = methods(data)
    for part in (
        "24 unlabelled MR volumes", "firstscan 0.1.0", "1.2 mm", "48×48×48", "400 steps", "0.45", "0.31",
        "p = 0.02", "γ = 0.535", "K = 4", "Hattat et al., 2026", "fewer than 3", "seed was 42",
    ):  # fmt: skip
        assert part in text.paragraph, part
    keys = [reference.key for reference in text.references]
    assert keys[0] == "firstscan"
    assert {"hattat2026", "arthur2007", "hacohen2022", "gidaris2018", "zhu2025"} <= set(keys)
    assert "tang2022" not in keys
    assert "2606.20765" in text.bibtex


def test_every_citation_is_listed_once(data: ReportData) -> None:
    text = methods(data)
    for reference in text.references:
        assert reference.short in text.paragraph
        assert text.bibtex.count("{" + reference.key + ",") == 1


def test_swin_cites_its_sources(data: ReportData) -> None:
    learned = LearnedFeatures("swin", 96, 1.5, 0.45, 16, 1000, parameters=18_700_000, checkpoint="w.pt", region="all")
    text = methods(replace(data, learned=learned))
    assert "18.7 million parameters" in text.paragraph
    assert "MONAI (Cardoso et al., 2022)" in text.paragraph
    assert "from the weights “w.pt”" in text.paragraph
    assert "all voxels of the crop" in text.paragraph
    assert "Unlike the authors' reference implementation" not in text.paragraph


def test_own_features(data: ReportData) -> None:
    assert "supplied from outside" in methods(replace(data, learned=None)).paragraph


@pytest.mark.parametrize(
    ("strategy", "words"),
    [("random", "uniformly at random"), ("kcenter", "Sener and Savarese, 2018"), ("mine", "the strategy “mine”")],
)
def test_other_strategies(with_selection: Callable[..., ReportData], strategy: str, words: str) -> None:
    text = methods(with_selection(strategy=strategy, diagnostics={})).paragraph
    assert words in text
    assert "Curriculum" not in text


def test_an_encoder_and_the_groups_that_were_compared_are_told(data: ReportData) -> None:
    settings = {"encoder": "ct-fm", "checkpoint": "ab" * 32, "spacing": "2", "features": ["ct-fm", "texture"]}
    seen = replace(data.selection, diagnostics={**data.selection.diagnostics, "features": ["ct-fm", "texture"]})
    text = methods(replace(data, settings=settings, selection=seen)).paragraph
    assert "ct-fm (SegResNet encoder of CT-FM; weights with SHA-256 abababababababab…; spacing 2)" in text
    assert "Strata and typicality were formed, over ct-fm and texture, each reduced" in text
    assert "encoder, ct-fm" not in methods(data).paragraph


def test_scored_thin_strata(with_selection: Callable[..., ReportData]) -> None:
    assert "scored alike" in methods(with_selection(options={"thin_strata": "score"})).paragraph


@pytest.mark.parametrize("key", sorted(REFERENCES))
def test_bibtex_is_balanced(key: str) -> None:
    text = REFERENCES[key].bibtex
    assert text.count("{") == text.count("}")
    assert text.startswith("@")
    assert REFERENCES[key].full.endswith(".")
    assert "{" not in REFERENCES[key].full


def test_strata_are_counted_and_adjustment_is_told(with_selection: Callable[..., ReportData]) -> None:
    found = methods(with_selection(diagnostics={"dcr": 0.3, "gamma": 0.5, "n_strata": 9, "adjusted_for": ["site"]}))
    assert "K = 9 strata" in found.paragraph
    assert "regression of their ranks on site" in found.paragraph


def test_an_approximate_search_for_neighbours_is_stated(with_selection: Callable[..., ReportData]) -> None:
    data = with_selection()
    assert "approximately" not in methods(data).paragraph
    told = {**data.selection.diagnostics, "neighbour_recall": 0.9641}
    data = replace(data, selection=replace(data.selection, diagnostics=told))
    assert "on a sample, 96.4% of the true ones were found" in methods(data).paragraph


def test_the_paragraph_tells_what_was_done_to_the_batch_later(data: ReportData) -> None:
    picks = list(data.selection.case_ids)
    chosen = {"action": "chosen", "strategy": "cscs", "picks": picks[:-1], "gamma": 0.41, "dcr": 0.2, "alpha_eff": 0.7}
    swap = {"action": "replaced", "removed": "x", "substitute": picks[0], "why": "motion", "from": "same stratum"}
    more = {"action": "added", "strategy": "cscs", "picks": picks[-1:], "labelled": 9, "gamma": 0.66, "n_strata": 2}
    diagnostics = {**data.selection.diagnostics, "history": [chosen, swap, swap, more], "gamma": 0.66}
    told = methods(replace(data, selection=replace(data.selection, diagnostics=diagnostics))).paragraph
    assert f"{len(picks) - 1} volumes to annotate first were chosen" in told
    assert "γ = 0.410" in told  # of the first choice, not of what was added
    later = told[told.index("One volume was set aside") :]
    assert later.startswith("One volume was set aside (motion) and replaced by the best remaining one of its stratum; ")
    assert "this was done 2 times." in later
    assert "1 volume was added later by the same rule, with the 9 annotated by then counted as covered" in later
    assert "(γ = 0.660)" in later
    assert "strata of these were formed anew" in later


def test_a_batch_from_before_histories_is_told_from_its_diagnostics(data: ReportData) -> None:
    first, *_, last = data.selection.case_ids
    swap = {"rank": 1, "removed": "zz", "why": "motion", "substitute": first, "from": "whole pool"}
    diagnostics = {**data.selection.diagnostics, "replacements": [swap], "extended_from": len(data.selection) - 1}
    entries = history_of(replace(data.selection, diagnostics=diagnostics))
    assert [e["action"] for e in entries] == ["chosen", "added", "replaced"]
    assert entries[0]["picks"][0] == "zz"
    assert entries[1]["picks"] == [last]


def test_without_a_network_nothing_is_said_of_one(with_selection: Callable[..., ReportData]) -> None:
    told = with_selection(strategy="coverage", diagnostics={"features": ["appearance", "texture", "shape"]})
    bare = replace(told, learned=LearnedFeatures(NO_NETWORK, 48, 1.5, 0.0, 0, 0, views=0), history=())
    bare = replace(bare, features=replace(bare.features, uncertainty=None))
    text = methods(bare).paragraph
    assert "No network was used" in text
    assert "which need a network, were not measured" in text
    assert "over appearance at low resolution, texture and shape, each reduced" in text
    assert "A network with" not in text
    assert "with their positions" not in text
    page = render(bare)
    assert "No uncertainty U was measured (preset instant uses no network)" in page
    assert "is not drawn: no uncertainty was measured" in page
    assert "Uncertainty</span>" not in page


def test_the_groups_that_coverage_saw_are_named(with_selection: Callable[..., ReportData]) -> None:
    told = with_selection(strategy="coverage", diagnostics={"features": ["positions", "texture"]})
    assert "over features of a network with their positions and texture, each reduced" in methods(told).paragraph


def test_a_batch_is_told_step_by_step_with_its_vetoes_and_the_strata_of_each_step(data: ReportData) -> None:
    ids = list(data.selection.case_ids)
    first, more = ids[: len(ids) - 2], ids[len(ids) - 2 :]
    steps = [
        {"action": "chosen", "strategy": "cscs", "picks": ["gone", *first[1:]]},
        {"action": "replaced", "removed": "gone", "substitute": first[0], "why": "motion", "from": "same stratum"},
        {"action": "added", "strategy": "cscs", "picks": more, "labelled": len(first), "n_strata": 3},
    ]
    selection = replace(data.selection, diagnostics={**data.selection.diagnostics, "history": steps})
    text = methods(replace(data, selection=selection)).paragraph
    assert "One volume was set aside (motion) and replaced by the best remaining one of its stratum." in text
    assert f"2 volumes were added later by the same rule, with the {len(first)} annotated by then" in text
    said = strata_sentence(replace(data, selection=selection))
    ranks = f"ranks 1–{len(first)}"
    assert said.startswith(f"Strata were formed anew for the scans added later; {ranks} keep")
    assert said in render(replace(data, selection=selection))
    assert strata_sentence(data) == ""


def test_a_batch_that_was_chosen_again_tells_its_vetoes(data: ReportData) -> None:
    ids = list(data.selection.case_ids)
    steps = [
        {"action": "chosen", "strategy": "cscs", "picks": ["gone"]},
        {"action": "chosen again", "strategy": "alps", "picks": ids, "kept": [], "vetoed": {"gone": "motion"}},
    ]
    selection = replace(data.selection, diagnostics={**data.selection.diagnostics, "history": steps})
    text = methods(replace(data, selection=selection)).paragraph
    assert f"chosen anew with {len(ids)} volumes by strategy “alps”, 1 volume being left out (motion)." in text
