from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import firstscan as fs
from firstscan.domain.case import Case, Channel
from firstscan.domain.features import FeatureTable
from firstscan.report import LearnedFeatures
from firstscan.steps.reporting.report import Story, report, shows_metadata, write_report
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.selecting.pick import pick
from firstscan.steps.selecting.trust import correlations, repeats
from firstscan.store import open_workspace, write_features, write_manifest, write_selection

NOW = Settings(workers=1)
IDS = tuple(f"c{i:02d}" for i in range(40))


@pytest.fixture(scope="module")
def table() -> FeatureTable:
    """Uncertainty follows the air and typicality the site, so both are flagged; the site's name is a secret."""
    rng = np.random.default_rng(3)
    site = np.array(["Elm Street" if i % 2 else "Oak Lane" for i in range(40)])
    air = rng.random(40)
    typicality = rng.normal(size=40) + 3 * (site == "Oak Lane")
    return FeatureTable(
        IDS, rng.normal(size=(40, 6)), 2 * air + 0.1 * rng.random(40), typicality, {"air": air, "site": site}
    )


def story(**more) -> Story:
    cases = {
        i: Case(i, (Channel("0000", f"/nowhere/{i}.nii"),), {"patient": f"P-{i}-secret", "age": 41.0, "sex": None})
        for i in IDS
    }
    return Story(
        source="/data/hospital/scans",
        found=40,
        left_out=0,
        cases=cases,
        modalities=dict.fromkeys(IDS, "mr"),
        fingerprints=dict.fromkeys(IDS, "0"),
        findings=(),
        history=(),
        learned=LearnedFeatures("conv", 48, 1.0, 0.45, 8, 10, parameters=2_700_000),
        settings={"preset": "fast"},
        **more,
    )


@pytest.fixture
def results(tmp_path, table):
    out = tmp_path / "out"
    selection = pick(table, PickConfig(budget=4, stability=2))
    with open_workspace(out) as workspace:
        write_features(out / "features.parquet", table)
        write_selection(out, selection, {}, "0")
        (out / "findings.csv").write_text("case_id,path,code,severity,message,remedy,measured,threshold\n")
        write_report(Run(workspace, NOW), selection, table, story())
        files = ["features.parquet", "selection.json", "selection.csv", "findings.csv", "report.html"]
        write_manifest(out, kind="select", version="0", config={}, inputs={}, files=files)
    return out


def page(out) -> str:
    return (out / "report.html").read_text(encoding="utf-8")


def test_metadata_is_shown_only_where_it_was_asked_for(results):
    first = fs.read_selection(results).case_ids[0]
    assert "secret" not in page(results)
    assert "Elm Street" not in page(results)
    report(results, replace(NOW, show_metadata=True))
    assert f"P-{first}-secret" in page(results)
    assert shows_metadata(results)
    report(results, NOW)
    assert "secret" not in page(results)
    assert not shows_metadata(results)


def test_the_report_says_what_the_audit_and_the_repeats_found(results):
    drawn = page(results)
    assert "(2.7 million parameters)" in drawn
    assert "--adjust site" in drawn
    assert "--adjust air" in drawn
    assert "Another seed keeps" in drawn


def test_shares_are_drawn_with_the_direction_of_numbers_only(table):
    found = pick(table, PickConfig(budget=4, stability=2)).diagnostics
    rows = {(row.signal, row.covariate): row for row in correlations(found)}
    by_air, by_site = rows["uncertainty", "air"], rows["typicality", "site"]
    assert by_air.flagged
    assert by_air.share == pytest.approx(by_air.rho**2)
    assert by_air.low <= by_air.share <= by_air.high
    assert "--adjust air" in by_air.remedy
    assert by_site.flagged
    assert by_site.rho is None
    assert not any(row.remedy for row in rows.values() if not row.flagged)
    assert repeats(found).advice
    assert correlations({}) is None
    assert repeats({}) is None


def test_adjusted_signals_are_what_is_drawn(tmp_path, table):
    selection = pick(table, PickConfig(budget=4, adjust=("air", "site")))
    with open_workspace(tmp_path / "out") as workspace:
        write_report(Run(workspace, NOW), selection, table, story())
    drawn = page(tmp_path / "out")
    assert "adjusted for air, site" in drawn
    assert 'id="flagged"' not in drawn


def test_remedies_for_the_embeddings_are_not_adjustment():
    rng = np.random.default_rng(0)
    site = np.repeat(["A", "B"], 30)
    z = rng.normal(size=(60, 4)) + 8 * (site == "B")[:, None]
    apart = FeatureTable(tuple(f"c{i:02d}" for i in range(60)), z, rng.random(60), rng.random(60), {"site": site})
    rows = [row for row in correlations(pick(apart, PickConfig(budget=4)).diagnostics) if row.flagged]
    assert {row.signal for row in rows} == {"component 1"}
    assert "--quota site=" in rows[0].remedy
    assert "--adjust" not in rows[0].remedy
