"""The report in a real browser: it draws, stays silent, asks no host for anything, and reads well everywhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Pick, Selection
from firstscan.report import LearnedFeatures, ReportData, SignalCorrelation, TrainingRow, render

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script>"
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHARTS = ("map", "plane", "training", "audit")


def report_data(cases: int = 80, picks: int = 6) -> ReportData:
    """Groups on a line, the hostile id first, so that no two scans share a place on the map."""
    rng = np.random.default_rng(0)
    ids = (HOSTILE, *(f"scan_{i:03d}" for i in range(1, cases)))
    strata = {case_id: i % picks for i, case_id in enumerate(ids)}
    embeddings = rng.normal(size=(cases, 6)) + 8 * np.eye(6)[[strata[i] for i in ids]]
    typicality, uncertainty = rng.random(cases), rng.random(cases)
    ramp = np.linspace(40, 220, 48)
    ball = np.add.outer((np.arange(48) - 24) ** 2, (np.arange(48) - 24) ** 2) < 400
    thumbnail = np.stack([np.where(ball, ramp, 0)] * 3).astype(np.uint8)
    return ReportData(
        selection=Selection(
            picks=tuple(
                Pick(ids[i], i + 1, i, 0.5, float(typicality[i]), float(uncertainty[i]), f"most typical of stratum {i}")
                for i in range(picks)
            ),
            strategy="cscs",
            seed=0,
            budget=picks,
            diagnostics={
                "dcr": -0.3,
                "dcr_pvalue": 0.01,
                "dcr_interval": [-0.5, -0.1],
                "alpha_eff": 0.7,
                "gamma": 0.47,
            },
            strata=strata,
        ),
        features=FeatureTable(ids, embeddings, uncertainty, typicality),
        source="/data/scans",
        scanned=cases + 1,
        left_out=1,
        findings=(
            Finding(
                "truncated", "drop", "scan_999", "the file ends early", "copy it again", measured=10.0, threshold=200.0
            ),
            Finding("motion", "warn", "scan_002", "strong ghosting", "look at it", measured=3.0, threshold=2.0),
            Finding("motion", "warn", HOSTILE, "strong ghosting", "look at it", measured=20.0, threshold=2.0),
        ),
        thumbnails=dict.fromkeys(ids, thumbnail),
        history=tuple(TrainingRow(s, 2 - s / 200, 1 - s / 220, 0.8, 0.2, 1e-3) for s in range(0, 200, 10)),
        settings={"preset": "fast"},
        versions={"firstscan": "0.1.0"},
        learned=LearnedFeatures("conv", 48, 1.0, 0.45, 8, 200),
        audit=(SignalCorrelation("typicality", "voxel count", 0.01, 0.0, 0.09, 0.1),),
    )


@dataclass
class Heard:
    """What a page said and asked for while it was watched."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on PATH; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(report_data()), encoding="utf-8")
    return path


def opened(browser: Browser, file: Path, **context: object) -> tuple[Page, Heard]:
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}).new_page()
    heard = Heard()
    page.on("console", lambda message: heard.said.append(message.text))
    page.on("pageerror", lambda error: heard.said.append(str(error)))
    page.on("dialog", lambda dialog: (heard.said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: heard.asked.append(request.url))
    page.goto(file.as_uri())
    for name in CHARTS:
        page.locator(f"#chart-{name} .main-svg").first.wait_for()
    return page, heard


def luminance(page: Page, expression: str) -> float:
    red, green, blue = (int(v) for v in re.findall(r"\d+", page.evaluate(expression))[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def eventually(page: Page, expression: str, *, patience_ms: int = 5_000) -> None:
    """Wait until ``expression`` holds, asking from outside: the page's own policy forbids it to evaluate text."""
    for _ in range(patience_ms // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never became true: {expression}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_draws_silently_from_nothing_but_itself(browser: Browser, file: Path, scheme: str, width: int) -> None:
    page, heard = opened(browser, file, color_scheme=scheme, viewport={"width": width, "height": 844})
    assert heard.said == []
    assert [url for url in heard.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    for selector in ("h1", "#picks table", "#trust li", ".card", "#findings table", "#methods-text"):
        assert page.locator(selector).first.is_visible()
    assert page.locator("#chart-map .textpoint").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for image in page.locator("img").all():
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
    ink, paper = (
        luminance(page, "getComputedStyle(document.body).color"),
        luminance(page, "getComputedStyle(document.body).backgroundColor"),
    )
    assert (ink > 0.8 and paper < 0.2) if scheme == "dark" else (ink < 0.2 and paper > 0.8)
    chart = luminance(page, "getComputedStyle(document.querySelector('#chart-plane .xtitle')).fill")
    assert abs(chart - ink) < 0.05
    page.context.close()


def test_charts_follow_a_change_of_scheme_and_print(browser: Browser, file: Path) -> None:
    page, heard = opened(browser, file, color_scheme="dark")
    fill = "getComputedStyle(document.querySelector('#chart-plane .xtitle')).fill"
    assert luminance(page, fill) > 0.8
    page.emulate_media(color_scheme="light")
    eventually(page, f"parseInt({fill}.match(/\\d+/)[0]) < 60")
    page.emulate_media(color_scheme="dark", media="print")
    eventually(page, f"parseInt({fill}.match(/\\d+/)[0]) < 60")
    assert luminance(page, "getComputedStyle(document.body).backgroundColor") == pytest.approx(1)
    assert not page.locator("nav").is_visible()
    assert page.locator("#chart-map .main-svg").first.bounding_box()["width"] <= 340
    page.emulate_media(color_scheme="dark", media="screen")
    eventually(page, f"parseInt({fill}.match(/\\d+/)[0]) > 200")
    eventually(page, "document.querySelector('#chart-map .main-svg').getBoundingClientRect().width > 400")
    assert heard.said == []
    page.context.close()


def test_prints_to_pages(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file, color_scheme="dark")
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
    page.context.close()


def test_a_hostile_name_is_text_everywhere(browser: Browser, file: Path) -> None:
    page, heard = opened(browser, file)
    assert page.locator("#picks th.case").first.inner_text().startswith(HOSTILE)
    assert page.locator("#pick-1 h3").inner_text() == HOSTILE
    page.locator("#chart-plane").scroll_into_view_if_needed()
    spot = page.locator("#chart-plane .scatterlayer .trace").nth(1).locator(".point").first.bounding_box()
    page.mouse.move(spot["x"] + spot["width"] / 2 + 2, spot["y"] + spot["height"] / 2 + 1)
    hover = page.locator("#chart-plane .hovertext")
    hover.wait_for()
    assert HOSTILE in hover.text_content()
    assert heard.said == []
    page.context.close()


def test_a_pick_on_the_map_leads_to_its_card(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file)
    page.locator("#chart-map").scroll_into_view_if_needed()
    spot = page.locator("#chart-map .scatterlayer .trace").nth(1).locator(".point").nth(2).bounding_box()
    page.mouse.click(spot["x"] + spot["width"] / 2 + 2, spot["y"] + spot["height"] / 2 + 1)
    eventually(page, "window.location.hash === '#pick-3'")
    page.context.close()


def test_findings_filter_and_sort(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file)
    rows = page.locator("#finding-table tbody tr:visible")
    assert rows.count() == 3
    page.select_option("#finding-severity", "warn")
    assert rows.count() == 2
    page.fill("#finding-search", "script")
    assert rows.count() == 1
    assert page.locator("#finding-count").inner_text() == "1 of 3 shown"
    page.fill("#finding-search", "")
    page.select_option("#finding-severity", "")
    page.select_option("#finding-code", "truncated")
    assert rows.count() == 1
    page.select_option("#finding-code", "")
    page.check("#finding-picks")
    picked = [row.locator("td").first.inner_text() for row in rows.all()]
    assert picked
    assert all("pick" in text for text in picked)
    page.uncheck("#finding-picks")
    page.get_by_role("button", name="Measured").click()
    assert [row.locator("td").nth(4).inner_text() for row in rows.all()] == ["3", "10", "20"]
    page.get_by_role("button", name="Measured").click()
    assert rows.first.locator("td").nth(4).inner_text() == "20"
    page.context.close()


def test_copy_buttons(browser: Browser, file: Path) -> None:
    page, heard = opened(browser, file, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy text").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#methods-text").inner_text()
    assert "Hattat et al., 2026" in copied
    assert heard.said == []
    page.context.close()


def test_charts_offer_no_upload(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file)
    titles = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    assert "Download plot" in titles
    assert not [title for title in titles if re.search("share|cloud|edit", title, re.IGNORECASE)]
    page.context.close()
