from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firstscan.selection import select
from firstscan.selection.geometry import typicality


def _best_first(scores):
    return sorted(scores, key=lambda c: (-scores[c], c))


def test_picks_and_pacing_are_the_published_ones(case):
    expected = case.expected["cscs"]
    selection = select(case.features, case.budget, "cscs", case.seed)
    assert sorted(selection.case_ids) == expected["selected"]
    for name in ("dcr", "dcr_pvalue", "alpha_eff", "gamma"):
        assert selection.diagnostics[name] == pytest.approx(expected[name], rel=1e-12)
    assert selection.diagnostics["thin_strata"] == expected["thin_clusters"]
    assert list(selection.strata.values()) == case.strata.tolist()
    assert _best_first(selection.scores)[:20] == expected["score_rank_order"]


def test_the_stored_strata_give_the_same_picks(case):
    selection = select(case.features, case.budget, "cscs", case.seed, strata=case.strata)
    assert sorted(selection.case_ids) == case.expected["cscs"]["selected"]


def test_typicality_is_the_stored_one_and_is_computed_when_absent(case):
    np.testing.assert_allclose(typicality(case.features.embeddings).values, case.features.typicality, rtol=1e-12)
    selection = select(replace(case.features, typicality=None), case.budget, "cscs", case.seed)
    assert sorted(selection.case_ids) == case.expected["cscs"]["selected"]
