"""One verdict, whoever shows it: terminal, report, review page and selection.json say the same of constructed pools."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from firstscan.cli import selecting, terminal
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.domain.verdict import Reason, Verdict
from firstscan.report import ReportData, render
from firstscan.review.scene import verdict_told
from firstscan.selection.trust.dcr import permutation_pvalue
from firstscan.selection.trust.evidence import RUNS, Evidence
from firstscan.selection.trust.learning import Learning, learning
from firstscan.selection.trust.verdict import judge, verdict_of
from firstscan.steps.running.config import PickConfig
from firstscan.steps.selecting.pick import pick
from firstscan.store import read_selection, write_selection

TOGETHER = Path(__file__).parents[3] / "benchmarks/results/evidence/together/tables.md"
LEARNED = Learning(
    {"rotation": 1.38, "inpainting": 1.0, "consistency": 0.3}, {"rotation": 0.3, "inpainting": 0.4, "consistency": 0.1}
)
IDLE = Learning(
    {"rotation": 1.38, "inpainting": 1.0, "consistency": 0.3},
    {"rotation": 1.37, "inpainting": 0.99, "consistency": 0.3},
)


def table(n: int, *, apart: float = 12.0, **columns: np.ndarray) -> FeatureTable:
    rng = np.random.default_rng(5)
    spread = rng.random(n)
    offsets = apart * np.eye(8)[np.arange(n) % 4]
    embeddings = offsets + rng.normal(size=(n, 8)) * (0.2 + spread[:, None])
    return FeatureTable(tuple(f"c{i:02d}" for i in range(n)), embeddings, spread + rng.random(n), covariates=columns)


def two_sites(n: int = 60) -> FeatureTable:
    site = np.where(np.arange(n) % 2 == 0, "north", "south")
    found = table(n, apart=0.0, site=site, scanner=np.where(site == "north", "X", "Y"))
    hard = found.uncertainty + 3.0 * (site == "south")
    return FeatureTable(found.case_ids, found.embeddings, hard, covariates=found.covariates)


POOLS = {
    "three scans": (lambda: table(3), 1, None, "not enough to say"),
    "no covariates": (lambda: table(60), 4, None, "supported"),
    "two sites": (two_sites, 4, LEARNED, "not supported"),
    "clean": (lambda: table(60, age=np.random.default_rng(9).random(60)), 4, LEARNED, "supported"),
    "an idle network": (lambda: table(60), 4, IDLE, "not supported"),
    "without structure": (lambda: table(60, apart=0.0), 4, None, "not enough to say"),
    "a budget not run": (lambda: table(60), 8, None, "not enough to say"),
}


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u00a0", " "))


def in_terminal(selection: Selection, features: FeatureTable, capsys: pytest.CaptureFixture[str]) -> str:
    reading = selecting._reading(selection, features)
    terminal.show_selection(selection, len(features), reading, verdict_of(selection, len(features)))
    return flat(capsys.readouterr().out)


def in_report(selection: Selection, features: FeatureTable) -> str:
    page = render(ReportData(selection, features, "pool", len(features), 0))
    shell = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return flat(unescape(re.sub(r"<[^>]+>", "", shell)))


@pytest.mark.parametrize("name", POOLS)
def test_every_place_tells_the_same_verdict(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, budget, learned, state = POOLS[name]
    features = make()
    selection = pick(features, PickConfig(budget=budget), learned=learned)
    verdict = verdict_of(selection, len(features))
    assert verdict.state == state, verdict
    assert 1 <= len(verdict.reasons) <= 5
    shown = {"terminal": in_terminal(selection, features, capsys), "report": in_report(selection, features)}
    for where, text in shown.items():
        for said in (verdict.sentence, *(reason.text for reason in verdict.reasons)):
            assert flat(said) in text, (where, said)
        others = {"Supported:", "Not supported:", "Not enough to say:"} - {f"{verdict.sentence.split(':')[0]}:"}
        assert not [other for other in others if other in text], where
        for contradiction in ("random draw would do", "Random would do", "means nothing", "means little", "Hardly."):
            assert contradiction not in text, where
        open_ = [r for r in verdict.reasons if r.topic == "dcr" and "is open" in r.text]
        if open_:
            assert "Hard scans tend" not in text, where
        if len(features) < 10:
            assert "DCR" not in text, where
            assert "γ" not in re.sub(r"the weight γ .*?rule", "", text), where
    assert verdict_told(selection, len(features)) == verdict.plain()
    write_selection(tmp_path, selection, {}, "1")
    assert Verdict.of(json.loads((tmp_path / "selection.json").read_text())["verdict"]) == verdict
    assert verdict_of(read_selection(tmp_path), len(features)) == verdict


def test_reasons_are_weighed_and_hold_their_number() -> None:
    verdict = verdict_of(pick(two_sites(), PickConfig(budget=4), learned=LEARNED), 60)
    first = verdict.reasons[0]
    assert first.says == "against"
    assert first.topic == "confounding"
    assert first.number is not None
    assert first.number > 0.5
    assert "(with scanner: they go together)" in first.text or "(with site: they go together)" in first.text
    assert f"{100 * first.number:.0f} %" in first.text
    assert next(r for r in verdict.reasons if r.topic == "evidence").link == "docs/results.md"


def test_a_changed_batch_is_not_judged_by_what_was_measured_of_another() -> None:
    features = table(60)
    selection = pick(features, PickConfig(budget=4))
    other = Selection(selection.picks[:3], selection.strategy, 1, 3, selection.diagnostics)
    assert judge(selection, 60).state == "supported"
    assert "not measured" in next(r.text for r in judge(other, 60).reasons if r.topic == "stability")
    assert judge(other, 60).state == "not enough to say"


def test_a_verdict_has_five_reasons_at_most() -> None:
    with pytest.raises(ValueError, match="at most 5"):
        Verdict("supported", "", (Reason("dcr", "open", 0.0, ""),) * 6)


def test_numbers_of_evidence_are_those_of_committed_results() -> None:
    said = TOGETHER.read_text(encoding="utf-8").replace("−", "-")
    pooled = said[said.index("## Over several pools") :]
    per_pool = said[: said.index("## Over several pools")]
    for run in RUNS:
        row = f"| {run.strategy} | {run.difference:+.3f} ({run.low:+.3f} to {run.high:+.3f}) |"
        assert row in pooled
        verdicts = re.findall(
            rf"^\| \w+ \| {run.strategy} \|.*?\| (better|worse|cannot tell) \|", per_pool, re.MULTILINE
        )
        assert len(verdicts) == run.collections
        assert (verdicts.count("better"), verdicts.count("worse")) == (run.better, run.worse)
    scores = pd.read_csv(TOGETHER.with_name("summary.csv"))
    for run in RUNS:
        assert sorted(scores.loc[scores["strategy"] == run.strategy, "budget"].unique()) == list(run.budgets)
    assert not Evidence("x", (3, 5), 1, 0.0, 0.0, 0.0, 0, 0, "").covers(6)


def test_small_pools_have_an_exact_p_value() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(7), np.array([1.0, 1.0, 2.0, 3.0, 3.0, 5.0, 0.5])
    from itertools import permutations

    observed = abs(spearmanr(a, b).statistic)
    every = [abs(spearmanr(a, order).statistic) for order in permutations(b)]
    exact = np.mean([rho >= observed - 1e-12 for rho in every])
    assert permutation_pvalue(a, b, rng) == (pytest.approx(exact), "all orders")
    drawn, how = permutation_pvalue(np.arange(30.0), np.arange(30.0), rng)
    assert (drawn, how) == (1e-4, "9,999 random orders")
    many = rng.random(500)
    assert permutation_pvalue(many, many, rng) is None


def test_all_three_tasks_are_held_against_their_start() -> None:
    steps = np.linspace(0, 1, 50)
    found = learning({"rotation": list(1.4 - steps), "inpainting": list(1 - 0.5 * steps), "consistency": [0.2] * 50})
    assert found is not None
    assert found.fell == ("rotation", "inpainting")
    assert not found.guessing
    assert found.start["rotation"] == pytest.approx(1.4, abs=0.05)
    assert learning({"rotation": [], "inpainting": [], "consistency": []}) is None
    assert Learning({"rotation": 1.4}, {"rotation": float("nan")}).guessing
