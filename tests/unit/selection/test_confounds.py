from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.selection import adjust, signal_audit
from firstscan.selection.trust import confounds
from firstscan.selection.trust.collinearity import collinear
from firstscan.selection.trust.confounding import confounding
from firstscan.selection.trust.confounds import Association


@pytest.fixture
def table() -> FeatureTable:
    rng = np.random.default_rng(4)
    n = 200
    air = rng.random(n)
    site = np.array(["north", "south", "west"])[rng.integers(3, size=n)]
    difficulty = rng.normal(size=n)
    return FeatureTable(
        tuple(f"c{i:03d}" for i in range(n)),
        rng.normal(size=(n, 5)) + np.where(site == "south", 6.0, 0.0)[:, None],
        0.5 * difficulty - 4 * air,
        rng.random(n),
        {
            "air_share": air,
            "site": site,
            "age": np.array([None if i % 10 == 0 else 20 + i % 50 for i in range(n)], dtype=object),
            "constant": np.ones(n),
            "file": np.array([f"f{i}" for i in range(n)]),
        },
    )


def test_a_confounded_signal_is_named_with_its_remedy(table):
    found = signal_audit(table)
    worst = next(a for a in found.associations if (a.signal, a.covariate) == ("uncertainty", "air_share"))
    rho = spearmanr(table.uncertainty, table.covariates["air_share"]).statistic
    assert worst.rho == pytest.approx(rho)
    assert worst.share == pytest.approx(rho**2)
    assert worst.interval[0] < worst.share < worst.interval[1]
    warning = next(w for w in found.warnings if w.startswith("air_share explains"))
    assert "uncertainty" in warning
    assert "--adjust air_share" in warning


def test_a_site_is_found_in_the_embeddings(table):
    found = {(a.signal, a.covariate): a for a in signal_audit(table).associations}
    site = found["component 1", "site"]
    assert site.kind == "category"
    assert site.rho is None
    assert site.share > 0.5
    assert found["typicality", "site"].share < 0.1


def test_harmless_columns_raise_no_warning(table):
    found = signal_audit(table)
    assert {w.split(" explains")[0] for w in found.warnings} == {"air_share", "site"}
    assert not {"constant", "file"} & {a.covariate for a in found.associations}
    assert next(a for a in found.associations if a.covariate == "age").cases == 180


def test_the_stated_share_decides(table):
    assert signal_audit(table, stated_share=1.0).warnings == ()


def test_adjustment_takes_the_covariate_out_and_keeps_the_rest(table):
    clean = adjust(table, ["air_share", "site", "age"])
    assert abs(spearmanr(clean.uncertainty, table.covariates["air_share"]).statistic) < 0.1
    difficulty = table.uncertainty + 4 * table.covariates["air_share"]
    assert spearmanr(clean.uncertainty, difficulty).statistic > 0.85
    assert clean.case_ids == table.case_ids
    assert not any(w.startswith("air_share explains") for w in signal_audit(clean).warnings)


def test_a_category_is_taken_out_to_its_mean(table):
    clean = adjust(table, ["site"])
    means = [clean.typicality[table.covariates["site"] == s].mean() for s in ("north", "south", "west")]
    np.testing.assert_allclose(means, 0, atol=1e-9)


def test_columns_that_cannot_be_adjusted_for_are_named(table):
    with pytest.raises(UsageError, match="scanner: no such column"):
        adjust(table, ["scanner"])
    with pytest.raises(UsageError, match="file make 200 groups"):
        adjust(table, ["file"])


def test_intervals_from_smaller_draws_agree_with_the_full_bootstrap(monkeypatch):
    rng = np.random.default_rng(0)
    site = rng.integers(3, size=3000)
    signal = site + rng.normal(size=3000)
    table = FeatureTable(
        tuple(f"c{i:04d}" for i in range(3000)),
        rng.normal(size=(3000, 2)),
        signal,
        covariates={"site": site.astype(str)},
    )
    full = next(a for a in signal_audit(table).associations if a.signal == "uncertainty")
    monkeypatch.setattr(confounds, "LARGEST_DRAW", 500)
    drawn = next(a for a in signal_audit(table).associations if a.signal == "uncertainty")
    assert drawn.share == full.share
    assert drawn.interval[0] < full.share < drawn.interval[1]
    np.testing.assert_allclose(drawn.interval, full.interval, atol=0.015)


def test_columns_that_go_together_make_one_line():
    rows = [
        Association("component 1", "volume", "number", 0.8, 0.64, (0.4, 0.8), 50),
        Association("component 2", "voxels", "number", 0.7, 0.49, (0.3, 0.7), 50),
        Association("uncertainty", "site", "category", None, 0.4, (0.2, 0.6), 50),
        Association("typicality", "site", "category", None, 0.05, (0.01, 0.1), 50),
    ]
    found = confounding(rows, 0.1, (("volume", "voxels"),))
    assert found.says == "against"
    assert found.share == 0.64
    assert found.text.startswith(
        "Large confounding: volume (with voxels: they go together) explains 64 % of component 1"
    )
    assert "; site explains 40 % of uncertainty" in found.text
    assert confounding(rows[3:], 0.1, ()).says == "for"
    slight = confounding([Association("uncertainty", "site", "category", None, 0.2, (0.1, 0.3), 50)], 0.1, ())
    assert slight.text.startswith("Slight confounding: site explains 20 % of uncertainty")
    assert slight.says == "open"


def test_columns_that_say_the_same_are_told_as_one(table):
    rng = np.random.default_rng(0)
    columns = {
        "site": np.array(["a", "b", "c"])[np.arange(60) % 3],
        "scanner": np.array(["x", "y", "z"])[np.arange(60) % 3],
        "spacing": np.arange(60) % 3 + 0.01 * rng.random(60),
        "age": rng.random(60),
    }
    assert collinear(columns) == (("site", "scanner", "spacing"),)
