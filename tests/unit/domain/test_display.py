"""What a notebook shows of a pool and of a selection."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

import firstscan as fs
from firstscan.domain.display import MOST_POINTS, MOST_ROWS, SIDE_PX


def pool(n=3, **metadata):
    cases = tuple(
        fs.Case(f"<b>{i}</b>", (fs.Channel("T1 & T2", f"/secret/{i}.nii"),), {"patient": "Doe", **metadata})
        for i in range(n)
    )
    return fs.Pool("/home/me/scans", cases, (fs.Finding("broken", "drop", "x", "m", "r"),))


def table(n=12, dim=4, ids=None):
    rng = np.random.default_rng(0)
    return fs.FeatureTable(ids or tuple(f"c{i:04d}" for i in range(n)), rng.normal(size=(n, dim)), rng.random(n))


def circles(shown):
    svg = shown[shown.index("<svg") : shown.index("</svg>") + 6]
    return ET.fromstring(svg).iter("circle")


def test_a_pool_shows_its_scans_escaped_and_nobody_s_name():
    shown = pool(site="<i>Elm</i>")._repr_html_()
    assert "&lt;b&gt;0&lt;/b&gt;" in shown
    assert "T1 &amp; T2" in shown
    assert "&lt;i&gt;Elm&lt;/i&gt;" in shown
    assert "3 scans of scans (layout folder; 1 left out)" in shown
    assert not any(secret in shown for secret in ("Doe", "/secret", "/home/me", "<i>"))


def test_long_pools_are_cut_and_say_so():
    shown = pool(MOST_ROWS + 7)._repr_html_()
    assert shown.count("<tr>") == MOST_ROWS + 1
    assert "… and 7 more" in shown


def test_a_selection_shows_its_picks_and_a_map_where_features_are_known(tmp_path):
    selection = fs.select(table(), 3, "cscs")
    shown = selection._repr_html_()
    assert "Annotate first: 3 of 12 scans (cscs, seed 42)" in shown
    assert all(p.case_id in shown for p in selection)
    assert len(list(circles(shown))) == 12
    from firstscan.store import write_selection

    write_selection(tmp_path, selection, {}, "0")
    bare = fs.read_selection(tmp_path)
    assert bare == selection
    assert "<svg" not in bare._repr_html_()
    assert "Annotate first: 3 of 12 scans" in bare._repr_html_()


def test_the_map_stays_in_its_frame_draws_every_pick_and_is_well_formed():
    features = table(MOST_POINTS + 400, ids=tuple(f"<{i}>&\"'" for i in range(MOST_POINTS + 400)))
    shown = fs.select(features, 5, "random")._repr_html_()
    drawn = list(circles(shown))
    assert len(drawn) == MOST_POINTS
    assert sum(c.get("r") == "9" for c in drawn) == 5
    assert all(0 <= float(c.get(axis)) <= SIDE_PX for c in drawn for axis in ("cx", "cy"))


def test_a_map_without_anything_to_tell_scans_apart_is_drawn_all_the_same():
    flat = fs.FeatureTable(("a", "b", "c"), np.ones((3, 1)), np.ones(3))
    assert len(list(circles(fs.select(flat, 1, "random")._repr_html_()))) == 3


def test_the_same_selection_looks_the_same():
    assert fs.select(table(), 3, "cscs")._repr_html_() == fs.select(table(), 3, "cscs")._repr_html_()
