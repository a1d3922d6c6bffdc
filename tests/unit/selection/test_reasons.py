"""Reasons read well by themselves: whoever annotates sees nothing else."""

from __future__ import annotations

import numpy as np

import firstscan as fs
from firstscan.selection import reasons


def test_a_place_is_taken_in_words_that_do_not_describe_the_pick():
    sentence = reasons.by_global_rank(reasons.for_thin_stratum(1))
    assert sentence == (
        "takes the place of a stratum too small to rank (1 scan): the best remaining scan of the whole pool by score"
    )
    assert "2 scans" in reasons.for_thin_stratum(2)
    assert reasons.for_thin_stratum(0) == "no stratum for this place"


def test_picks_that_fill_say_so():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(12, 2)), [[40.0, 40.0]]])
    table = fs.FeatureTable(tuple(f"c{i:02d}" for i in range(13)), z, rng.random(13))
    selection = fs.select(table, budget=3, strategy="cscs", seed=0)
    assert sum("takes the place of a stratum" in pick.reason for pick in selection) == len(
        selection.diagnostics["thin_strata"]
    )
    assert selection.diagnostics["thin_strata"]
