import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Pick, Selection
from firstscan.report import ReportData, SignalCorrelation, Stability, render
from firstscan.report.charts.thumbnails import data_uri, stretched

SCRIPTS = re.compile(r"<script\b[^>]*>.*?</script>", re.DOTALL)


def body(page: str) -> str:
    """The page without its scripts (plotly.js holds every string one may look for)."""
    return SCRIPTS.sub("", page)


def test_same_data_same_bytes(data: ReportData) -> None:
    assert render(data) == render(replace(data))


def test_the_page_answers_first(data: ReportData) -> None:
    page = body(render(data))
    headings = (
        "<h1>Annotate these 4 scans first</h1>",
        "<h2>The picks, in order</h2>",
        "<h2>How far to trust this</h2>",
        "<h2>The pool</h2>",
        "<h3>What DCR and γ mean here</h3>",
        "<h2>Pick by pick</h2>",
        "<h2>Training</h2>",
        "<h2>Findings</h2>",
        "<h2>Settings and versions</h2>",
        "<h2>Methods text for a paper</h2>",
    )
    order = [page.index(heading) for heading in headings]
    assert order == sorted(order)
    for case_id in data.selection.case_ids:
        assert case_id in page


def test_nothing_tells_where_scans_were(data: ReportData) -> None:
    page = render(data)
    assert "/data/hospital" not in page
    assert "knees" in page
    assert "lost.nii" in page


def test_metadata_only_on_request(data: ReportData) -> None:
    known = replace(data, metadata={"patient": {"scan_00": "Doe^Jane"}})
    assert "Doe^Jane" not in render(known)
    assert "Doe^Jane" in render(replace(known, show_metadata=True))


def test_plotly_is_embedded_once_and_nothing_is_loaded(data: ReportData) -> None:
    page = render(data)
    assert page.count("plotly.js v") == 1
    shell = body(page)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", shell)
    assert "@import" not in shell
    assert "url(" not in shell
    assert "default-src 'none'" in shell


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>x", "{{ 7*7 }}", "a\u2028b", "'&amp;"],
)
def test_hostile_names_are_text(named: Callable[[tuple[str, ...]], ReportData], hostile: str) -> None:
    data = named((hostile, *(f"scan_{i}" for i in range(23))))
    data = replace(
        data,
        findings=(Finding(hostile, "warn", hostile, hostile, hostile),),
        settings={hostile: hostile},
        versions={hostile: hostile},
        metadata={hostile: {hostile: hostile}},
        show_metadata=True,
        audit=(SignalCorrelation("typicality", hostile, 0.5, 0.4, 0.6, 0.7, True, hostile),),
    )
    page = render(data)
    shell = body(page)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b>x" not in shell
    assert page.count("<script") - page.count("\\u003cscript") >= 4
    assert len(SCRIPTS.findall(page)) == 4
    if "{{" in hostile:
        assert hostile in shell
    for name in ("figures", "themes"):
        found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
        assert found
        json.loads(found[1])


def test_settings_are_named_once(data: ReportData) -> None:
    page = body(render(replace(data, settings={"seed": 42, "thin_strata": None, "preset": "fast"})))
    assert page.count("<dt>seed</dt>") == 2, "once in the summary, once among the settings"
    assert "<dt>thin_strata</dt>" not in page
    assert "<dt>cscs.thin_strata</dt><dd>fill</dd>" in page
    assert "<dt>preset</dt>" in page


def test_a_bare_selection(data: ReportData) -> None:
    """Own features, a strategy without strata, nothing else known."""
    ids = ("a", "b", "c")
    features = FeatureTable(ids, np.eye(3), np.arange(3.0))
    selection = Selection((Pick("b", 1, None, None, None, None, "drawn at random"),), "random", 0, 1)
    page = body(render(ReportData(selection, features, "table.parquet", 3, 0)))
    assert "Annotate this scan first" in page
    assert "holds no typicality" in page
    assert "Nothing was found amiss" in page
    assert 'id="chart-training"' not in page
    assert ">Stratum<" not in page


def test_many_parts_at_once(data: ReportData) -> None:
    page = body(
        render(
            replace(
                data,
                stability=Stability(20, 0.5, {"scan_00": 0.9}),
                audit=(
                    SignalCorrelation("uncertainty", "site", 0.4, 0.3, 0.5, None, True, "select with `--adjust site`"),
                ),
            )
        )
    )
    assert 'id="chart-audit"' in page
    assert "Select with <code>--adjust site</code>." in page
    assert "site explains 40\u00a0% of uncertainty." in page
    assert "90\u00a0% of the repeats" in page


def test_findings_beyond_the_limit_are_counted(data: ReportData) -> None:
    many = tuple(Finding("odd", "note", f"c{i}", "m", "r") for i in range(1_005))
    page = body(render(replace(data, findings=many)))
    assert "5 further findings" in page
    assert "1,005" in page


def test_a_selection_from_another_table_is_refused(data: ReportData) -> None:
    with pytest.raises(UsageError, match="scan_00"):
        replace(data, features=data.features.rows(range(4, 24)))


def test_thumbnails_have_contrast() -> None:
    dim = np.zeros((3, 32, 32), dtype=np.uint8)
    dim[:, 8:24, 8:24] = np.random.default_rng(0).integers(20, 60, size=(3, 16, 16))
    bright = stretched(dim)
    assert bright.max() == 255
    assert bright[0, 0, 0] == 0
    assert (bright[:, 8:24, 8:24] > 0).all()


def test_thumbnails_with_contrast_stay_as_they_are() -> None:
    full = np.random.default_rng(0).integers(0, 255, size=(3, 16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(stretched(full), full)


@pytest.mark.parametrize("value", [0, 200])
def test_flat_thumbnails_stay_as_they_are(value: int) -> None:
    plane = np.full((3, 8, 8), value, dtype=np.uint8)
    np.testing.assert_array_equal(stretched(plane), plane)


def test_pictures_are_png_and_no_larger_than_asked() -> None:
    uri = data_uri(np.random.default_rng(0).integers(0, 255, size=(300, 300), dtype=np.uint8), side=64)
    image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    assert image.format == "PNG"
    assert image.size == (64, 64)
