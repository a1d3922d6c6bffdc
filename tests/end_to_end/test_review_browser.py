"""The review page in a real browser: steer a batch by keyboard, see it kept, and find it in the exported list."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import firstscan as fs
from firstscan.domain.case import Case, Channel
from firstscan.domain.features import FeatureTable
from firstscan.domain.slices import ScanGeometry
from firstscan.imaging import fingerprint, write_image
from firstscan.steps.reporting.report import Story, keep_story
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import run_pick
from firstscan.store import open_workspace, write_features

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script>"
NAMES = (HOSTILE, *(f"scan_{i:02d}" for i in range(1, 24)))
SWITCHES = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WEBGL = [*SWITCHES, "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
WIDTHS = (390, 768, 1024, 1180, 1440, 1920)
CLOSED = "document.querySelector('dialog') === null"
GONE = "net::ERR_"
"""What the browser says of a request without an answer: a page asks now and then whether its server is still there."""
NO_WEBGL = [*SWITCHES, "--disable-gpu", "--disable-3d-apis"]


@dataclass
class Heard:
    """What a page said and asked for while it was watched."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@dataclass
class Served:
    """A review page that is being served."""

    address: str
    process: subprocess.Popen[str]
    out: Path

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.out / "review.jsonl").read_text().splitlines()]


def write_results(folder: Path, **plan: object) -> Path:
    """Results of scans with two channels, the hostile name among the picks; ``plan`` asks for slices."""
    rng = np.random.default_rng(0)
    (folder / "scans").mkdir(parents=True)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, s) for s in (24, 26, 20)], indexing="ij"))
    cases = {}
    for i, name in enumerate(NAMES):
        inside = (grid**2).sum(axis=0) < 0.5 + i / 60
        paths = [folder / "scans" / f"{i:02d}_{kind}.nii.gz" for kind in ("t1", "t2")]
        for k, path in enumerate(paths):
            voxels = np.where(inside, 100 + 50 * k + 40 * grid[k], 0) + rng.normal(0, 4, inside.shape)
            write_image(path, voxels.astype(np.float32), np.diag([2.0, 2.0, 2.5, 1.0]))
        cases[name] = Case(name, tuple(Channel(p.name[3:5], str(p)) for p in paths))
    sites = np.array(["north", "south"] * 12)
    stored = np.array([stored_as_written(name).numbers for name in NAMES])
    table = FeatureTable(NAMES, rng.normal(size=(24, 5)), rng.random(24), covariates={"site": sites}, geometry=stored)
    write_features(folder / "features.parquet", table)
    asked = PickConfig.of(budget=5, strategy="cscs", include=(HOSTILE,), **plan)
    run_pick(folder / "features.parquet", asked, folder / "out", Settings())
    story = Story(
        source=str(folder / "scans"), found=24, left_out=0, cases=cases, modalities=dict.fromkeys(NAMES, "mr"),
        fingerprints={i: fingerprint(c) for i, c in cases.items()}, findings=(), history=(), learned=None, settings={},
    )  # fmt: skip
    with open_workspace(folder / "out") as workspace:
        keep_story(workspace, story)
    return folder / "out"


def stored_as_written(name: str) -> ScanGeometry:
    upright = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    box = ((2, 21), (2, 23), (3, 16))
    return ScanGeometry(name, (24, 26, 20), (2.0, 2.0, 2.5), upright, (0.0, 0.0, 0.0), box)


@contextmanager
def serving(out: Path) -> Iterator[Served]:
    command = [sys.executable, "-m", "firstscan.cli", "review", str(out), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+/\S{40,}/", process.stdout.readline())
            assert found, process.stderr.read()
            yield Served(found[0], process, out)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[[list[str]], Browser]]:
    """Start a browser with the given switches."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on PATH; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        yield lambda switches: playwright.chromium.launch(executable_path=program, args=switches)


@pytest.fixture(scope="module")
def browser(launch) -> Iterator[Browser]:
    browser = launch(WEBGL)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("review"))


@pytest.fixture
def out(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "out"))


@pytest.fixture
def served(out: Path) -> Iterator[Served]:
    with serving(out) as served:
        yield served


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., tuple[Page, Heard]]]:
    """Open a served page; at the end, nobody has said or asked for anything that is not the page's own."""
    heard = Heard()
    addresses = set()

    def opening(served: Served, **context: object) -> tuple[Page, Heard]:
        addresses.add(served.address)
        return watched(browser, served, heard, **context), heard

    yield opening
    assert heard.said == []
    assert [u for u in heard.asked if not u.startswith((*addresses, "data:", "blob:"))] == []


def watched(browser: Browser, served: Served, heard: Heard, **context: object) -> Page:
    page = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **context}).new_page()
    page.on("console", lambda message: GONE in message.text or heard.said.append(message.text))
    page.on("pageerror", lambda error: heard.said.append(str(error)))
    page.on("dialog", lambda dialog: (heard.said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: heard.asked.append(request.url))
    page.goto(served.address)
    page.locator("#list .row").first.wait_for()
    return page


def eventually(page: Page, expression: str, *, patience_ms: int = 20_000) -> None:
    for _ in range(patience_ms // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never became true: {expression}")


def picks(page: Page) -> list[str]:
    return page.locator("#list .row .id").all_inner_texts()


def select_rank(page: Page, rank: int) -> None:
    page.keyboard.press("Home")
    for _ in range(rank - 1):
        page.keyboard.press("ArrowDown")


def test_a_batch_is_steered_by_keyboard_alone_and_kept(visit, out):
    before = fs.read_selection(out)
    with serving(out) as served:
        page, _ = visit(served)
        assert picks(page) == list(before.case_ids)
        select_rank(page, 2)
        page.keyboard.press("v")
        page.locator("dialog[open] input").wait_for()
        assert page.evaluate("document.activeElement.id") == "reason"
        page.keyboard.type("motion")
        page.keyboard.press("Enter")
        page.get_by_text(f"{before.case_ids[1]} is vetoed").wait_for()
        substitute = picks(page)[1]
        assert substitute not in before.case_ids
        assert page.locator("#detail h2").inner_text() == substitute
        assert f"Replaces {before.case_ids[1]} (motion)" in page.locator("#detail .reason").inner_text()
        page.keyboard.press("a")
        page.locator("#list .row.focus .tag.good").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("p")
        page.locator("#list .row.focus .tag", has_text="pinned").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("r")
        page.get_by_text(f"{before.case_ids[3]} is replaced by").wait_for()
        replaced = picks(page)
        page.keyboard.press("u")
        page.get_by_text("Undone: ").wait_for()
        assert picks(page)[3] == before.case_ids[3]
        page.keyboard.press("r")
        eventually(page, f"document.querySelectorAll('#list .row .id')[3].innerText === {json.dumps(replaced[3])}")
        page.keyboard.press("e")
        page.locator("#export-now").wait_for()
        assert page.evaluate("document.activeElement.id") == "export-now"
        page.keyboard.press("Enter")
        page.get_by_text("Exported: 5 scans").wait_for()
        final = picks(page)
        assert list(fs.read_selection(out).case_ids) == final
        assert [r["case_id"] for r in csv.DictReader(io.StringIO((out / "selection.csv").read_text()))] == final
        page.reload()
        page.locator("#list .row").first.wait_for()
        assert picks(page) == final
        assert page.locator("#list .tag.good").count() == 1
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(30) == 130
        assert "interrupted" in served.process.stderr.read()
        actions = ["begin", "veto", "accept", "pin", "replace", "undo", "replace", "export"]
        assert [e["action"] for e in served.log()] == actions
        assert served.log()[1]["why"] == "motion"
        page.context.close()
    with serving(out) as served:
        page, _ = visit(served)
        assert picks(page) == final
        assert page.locator("#list .tag.good").count() == 1
        page.keyboard.press("]")
        page.keyboard.press("]")
        eventually(page, "document.querySelectorAll('#list .row').length === 2")
        assert "motion" in page.locator("#list").inner_text()
        page.context.close()


def test_a_hostile_name_is_text_everywhere(visit, served):
    page, _ = visit(served)
    assert picks(page)[0] == HOSTILE
    assert page.locator("#detail h2").inner_text() == HOSTILE
    page.keyboard.press("v")
    assert page.locator("dialog[open] h2").inner_text() == f"Veto {HOSTILE}"
    page.keyboard.type("<img src=x onerror=alert(2)>")
    page.keyboard.press("Enter")
    page.get_by_text(f"{HOSTILE} is vetoed").wait_for()
    page.keyboard.press("l")
    page.locator("dialog[open] li").first.wait_for()
    assert HOSTILE in page.locator("dialog[open]").inner_text()
    assert "<img src=x" in page.locator("dialog[open]").inner_text()
    assert page.locator("dialog[open] img").count() == 0
    page.context.close()


def test_only_who_knows_the_address_gets_in(served):
    host = served.address.split("/")[2]
    for address in ("/", "/static/app.js", "/api/state", f"/{'x' * 43}/", f"/{'x' * 43}/api/pool"):
        assert httpx.get(f"http://{host}{address}").status_code == 403
    assert httpx.get(served.address, headers={"host": "evil.example"}).status_code == 403
    assert httpx.get(served.address).status_code == 200


def test_a_second_page_and_a_replacement_elsewhere_are_refused(served):
    first = str(served.process.pid)
    for command in (["review", str(served.out), "--no-open"], ["replace", str(served.out), "scan_01"]):
        done = subprocess.run(
            [sys.executable, "-m", "firstscan.cli", *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert f"process {first}" in done.stderr


def test_scans_are_looked_through_with_all_channels(visit, served):
    page, _ = visit(served)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator(".gl-box canvas").first.wait_for()
    eventually(page, "document.querySelector('.viewer-foot .small').innerText.includes('24 × 26 × 20 voxels')")
    lit = "(() => { const c = document.querySelector('.gl-box canvas'); return c.width > 300 && c.height > 200; })()"
    eventually(page, lit)
    channels = page.locator(".channels button")
    assert channels.all_inner_texts() == ["t1", "t2", "All"]
    page.keyboard.press("2")
    eventually(page, "document.querySelectorAll('.channels button')[1].getAttribute('aria-pressed') === 'true'")
    second = page.locator("dialog.viewer h2").first.inner_text()
    page.keyboard.press("ArrowRight")
    eventually(page, f"document.querySelector('dialog.viewer h2').innerText !== {json.dumps(second)}")
    page.keyboard.press("a")
    page.locator("dialog.viewer .accept[aria-pressed=true]").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog.viewer").wait_for(state="detached")
    assert [e["action"] for e in served.log()] == ["begin", "accept"]
    page.context.close()


def test_the_viewer_draws_the_scan(visit, served):
    page, _ = visit(served)
    page.keyboard.press("Enter")
    page.locator(".gl-box canvas").first.wait_for()
    eventually(page, "document.querySelector('.viewer-foot .small').innerText !== ''")
    page.wait_for_timeout(500)
    for _ in range(60):
        shot = page.locator(".gl-box").screenshot()
        if grey_share(shot) > 0.1:
            break
        page.wait_for_timeout(250)
    assert grey_share(shot) > 0.1
    page.context.close()


def grey_share(picture: bytes) -> float:
    """The share of pixels that are neither black nor coloured: those of a scan."""
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int)
    spread = pixels.max(axis=2) - pixels.min(axis=2)
    return float(((spread < 12) & (pixels.mean(axis=2) > 40)).mean())


def test_without_webgl_the_server_draws_slices(launch, served):
    heard, plain = Heard(), launch(NO_WEBGL)
    page = watched(plain, served, heard)
    page.keyboard.press("Enter")
    images = page.locator(".slices img")
    images.first.wait_for()
    eventually(page, "[...document.querySelectorAll('.slices img')].every(i => i.complete && i.naturalWidth > 100)")
    before = images.first.get_attribute("src")
    page.keyboard.press("ArrowUp")
    assert images.first.get_attribute("src") != before
    page.keyboard.press("2")
    eventually(page, "document.querySelector('.slices img').src.includes('channel=1')")
    plain.close()
    assert [text for text in heard.said if "WebGL" not in text] == []


def test_a_scan_that_has_gone_is_said_and_the_page_goes_on(visit, served, original):
    page, _ = visit(served)
    story = json.loads((served.out / "work" / "story.json").read_text())
    name = picks(page)[1]
    path = Path(story["cases"][name][0]["path"])
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.locator(".problem").wait_for()
        assert f"{name} cannot be shown" in page.locator(".problem").inner_text()
        page.keyboard.press("ArrowRight")
        page.locator(".gl-box canvas").first.wait_for()
    finally:
        hidden.rename(path)
    page.context.close()


def test_views_are_linked_and_the_filter_narrows_them(visit, served):
    page, _ = visit(served)
    page.locator("#list .row").nth(2).hover()
    assert page.locator("#list .row.hover").count() == 1
    box = page.locator("#map").bounding_box()
    for i in range(40):
        page.mouse.move(box["x"] + box["width"] * (i % 8 + 0.5) / 8, box["y"] + box["height"] * (i // 8 + 0.5) / 5)
        if page.locator("#tip").is_visible():
            break
    assert page.locator("#tip").is_visible()
    page.keyboard.press("]")
    eventually(page, "document.getElementById('tab-all').getAttribute('aria-selected') === 'true'")
    page.select_option("#column", label="site")
    page.locator("#column-values input").nth(0).uncheck()
    assert page.locator("#matches").inner_text() == "12 of 24 scans fit"
    page.locator("#search").focus()
    page.keyboard.type("scan_01")
    assert page.locator("#matches").inner_text() == "1 of 24 scans fit"
    page.keyboard.press("Escape")
    assert page.locator("#matches").inner_text() == ""
    assert page.locator("#list .row").count() > 10
    page.context.close()


def test_the_batch_grows_at_once_and_strategies_are_compared(visit, served):
    page, _ = visit(served)
    page.locator("#budget").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("The batch holds 6 scans now.").wait_for()
    assert len(picks(page)) == 6
    page.locator("#list").focus()
    page.keyboard.press("+")
    page.get_by_text("The batch holds 7 scans now.").wait_for()
    page.keyboard.press("c")
    page.locator(".panel").nth(3).locator("text=shared with the batch").wait_for()
    assert page.locator(".panel h3").all_inner_texts()[:2] == ["The batch now", "random"]
    page.locator("[data-strategy=random] button").click()
    page.get_by_text("The batch is chosen by random now.").wait_for()
    assert page.locator("#strategy").input_value() == "random"
    page.keyboard.press("u")
    page.get_by_text("Undone: strategy changed").wait_for()
    assert page.locator("#strategy").input_value() == "cscs"
    page.context.close()


def test_dialogs_keep_the_focus_and_controls_have_names(visit, served):
    page, _ = visit(served)
    page.keyboard.press("?")
    page.locator("dialog[open]").wait_for()
    for _ in range(6):
        page.keyboard.press("Tab")
        place = "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        assert page.evaluate(place)  # the browser's own controls come between the last and the first
    page.keyboard.press("Escape")
    page.locator("dialog[open]").wait_for(state="detached")
    nameless = """[...document.querySelectorAll('button, input, select')].filter(e =>
        !(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length)))"""
    assert page.evaluate(f"{nameless}.map(e => e.outerHTML)") == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_small_laptop_in_either_scheme(visit, served, scheme):
    page, _ = visit(served, color_scheme=scheme, viewport={"width": 1280, "height": 620})
    assert page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight"
    )
    for selector in ("#list", "#map", "#plane", "#detail .actions", "#export", "#keys"):
        box = page.locator(selector).bounding_box()
        assert box["height"] > 15, selector
        assert box["y"] + box["height"] <= 621, selector
        assert box["x"] + box["width"] <= 1281, selector
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(v) for v in re.findall(r"\d+", paper)[:3]) / 765
    assert (brightness < 0.2) if scheme == "dark" else (brightness > 0.8)
    page.context.close()


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    return write_results(tmp_path, every=4)


def settled(page) -> bytes:
    """Return what the viewer shows once it changes no more: panes are drawn one after the other."""
    seen = [b"", page.locator(".gl-box canvas").first.screenshot()]
    for _ in range(20):
        page.wait_for_timeout(500)
        seen.append(page.locator(".gl-box canvas").first.screenshot())
        if seen[-1] == seen[-2] == seen[-3]:
            return seen[-1]
    raise AssertionError("the viewer never comes to rest")


def test_the_viewer_goes_from_planned_slice_to_planned_slice(visit, planned):
    case = fs.read_selection(planned).slices.cases[0]
    with serving(planned) as served:
        page, _ = visit(served)
        page.keyboard.press("Enter")
        chips = page.locator(".planned .chips button")
        page.locator(".gl-box canvas").first.wait_for()
        eventually(page, "document.querySelector('.viewer-foot .quiet.small').textContent.includes('voxels')")
        assert chips.all_inner_texts() == [str(i + 1) for i in reversed(case.indices)]
        shown = page.locator(".planned .chips button[aria-pressed=true]")
        middle = len(case) // 2
        assert shown.inner_text() == chips.nth(middle).inner_text()
        before = settled(page)
        page.keyboard.press("b")
        assert shown.inner_text() == chips.nth(middle - 1).inner_text()
        assert settled(page) != before, "another slice is drawn"
        page.keyboard.press("n")
        assert settled(page) == before, "and the first one again"


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_planned_slices_drawn_by_the_server_are_those_of_the_plan(launch, tmp_path, plane):
    out = write_results(tmp_path, every=4, slice_axis=plane)
    case = fs.read_selection(out).slices.cases[0]
    with serving(out) as served:
        browser = launch(NO_WEBGL)
        page = watched(browser, served, Heard())
        page.keyboard.press("Enter")
        image = page.locator(f".slices img[alt='{plane} slice']")
        image.wait_for()
        for chip in page.locator(".planned .chips button").all():
            chip.click()
            place = float(re.search(r"place=([\d.]+)", image.get_attribute("src"))[1])
            assert round(place * (case.slices - 1)) == int(chip.inner_text()) - 1, "files here lie in LPS+ already"
        browser.close()


def axe() -> str:
    """The script of axe-core, as the package axe-playwright-python brings it."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    return (Path(spec.origin).parent / "axe.min.js").read_text()


def violations(page: Page) -> list[str]:
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [f"{v['id']}: {[n['target'] for n in v['nodes']]} {v['nodes'][0]['failureSummary']}" for v in found]


@pytest.fixture(scope="module")
def steady(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for tests that ask for no particular batch."""
    with serving(Path(shutil.copytree(original, tmp_path_factory.mktemp("steady") / "out"))) as served:
        yield served


@pytest.fixture
def page(browser: Browser, steady: Served) -> Iterator[Page]:
    heard = Heard()
    page = watched(browser, steady, heard)
    yield page
    page.context.close()
    assert [text for text in heard.said if "409 (Conflict)" not in text] == []


def contrast(page: Page, selector: str) -> float:
    """The contrast of an element's text with its own ground, as WCAG 2 measures it."""
    return page.evaluate(
        """selector => {
            const style = getComputedStyle(document.querySelector(selector));
            const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
            const [a, b] = [light(style.color), light(style.backgroundColor)].sort();
            return (b + 0.05) / (a + 0.05);
        }""",
        selector,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_dialog_toast_or_error_has_a_violation(browser, steady, scheme):
    script = axe()
    page = watched(browser, steady, Heard(), color_scheme=scheme)
    page.evaluate(script)
    found = {"page": violations(page)}
    for key, shown in (
        ("v", ".substitution figure"), ("s", ".alike img[src]"), ("o", "#target"), ("c", ".differences"),
        ("l", ".log li"), ("?", ".keylist"), ("e", "#export-now"),
    ):  # fmt: skip
        page.keyboard.press(key)
        page.locator(shown).first.wait_for()
        found[key] = violations(page)
        page.keyboard.press("Escape")
        eventually(page, CLOSED)
    page.keyboard.press("a")
    page.get_by_text("accepted", exact=False).first.wait_for()
    page.keyboard.press("r")
    page.locator("#toast:not([hidden])", has_text="is replaced by").wait_for()
    found["toast"] = violations(page)
    page.route("**/api/act", lambda route: route.fulfill(status=500, json={"message": "It went wrong."}))
    page.keyboard.press("r")
    page.locator("#toast.error").wait_for()
    found["error"] = violations(page)
    assert contrast(page, "#toast") > 4.5
    page.unroute("**/api/act")
    page.route("**/api/**", lambda route: route.abort())
    page.keyboard.press("r")
    page.locator("#banner:not([hidden])").wait_for()
    found["gone"] = violations(page)
    assert contrast(page, "#banner") > 4.5
    page.context.close()
    assert {what: said for what, said in found.items() if said} == {}


def test_an_answer_that_comes_late_does_not_bring_an_older_batch_back(page):
    old = page.evaluate("fetch('api/state').then(answer => answer.json())")
    page.keyboard.press("r")
    page.locator("#toast:not([hidden])", has_text="is replaced by").wait_for()
    batch = picks(page)
    page.route("**/api/seq", lambda route: route.fulfill(json={"seq": 10**6}))
    page.route("**/api/state", lambda route: route.fulfill(json=old))
    with page.expect_response("**/api/state"):
        pass
    page.wait_for_timeout(200)
    assert picks(page) == batch


def test_every_button_lies_within_the_window(browser, steady):
    page = watched(browser, steady, Heard())
    outside = """() => [...document.querySelectorAll('button, select, input')].filter(e => e.checkVisibility())
        .filter(e => { const b = e.getBoundingClientRect();
            return b.width && (b.left < 0 || b.right > innerWidth + 0.5); })
        .filter(e => !e.closest('.strip')).map(e => `${e.id} ${e.textContent}`)"""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        assert page.evaluate(outside) == [], width
        bottom = page.evaluate("document.querySelector('#detail .actions').getBoundingClientRect().bottom")
        assert width < 760 or bottom <= 800, width
        about = page.evaluate("document.querySelector('#detail .texts').getBoundingClientRect().width")
        assert about >= 200, width
        for key in ("v", "o", "e", "Enter"):
            page.keyboard.press(key)
            page.locator("dialog[open]").wait_for()
            assert page.evaluate(outside) == [], (width, key)
            page.keyboard.press("Escape")
            eventually(page, CLOSED)
    page.context.close()


def test_escape_closes_what_is_on_top_and_opens_nothing(page, steady):
    before = len(steady.log())
    for key in ("v", "s", "o", "c", "l", "?", "e", "Enter"):
        page.keyboard.press(key)
        page.locator("dialog[open]").wait_for()
        page.keyboard.press("Escape")
        eventually(page, CLOSED)
    page.keyboard.press("Enter")
    page.locator("dialog.viewer").wait_for()
    page.keyboard.press("v")
    page.locator("#reason").wait_for()
    page.keyboard.press("Escape")
    eventually(page, "document.querySelectorAll('dialog[open]').length === 1")
    assert page.locator("dialog.viewer").is_visible()
    page.keyboard.press("Escape")
    eventually(page, CLOSED)
    page.keyboard.press("Escape")
    page.wait_for_timeout(100)
    assert page.evaluate(CLOSED)
    assert len(steady.log()) == before


def test_a_move_of_the_slider_is_one_action(page, steady):
    before = len(steady.log())
    page.locator("#budget").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    eventually(page, "document.querySelector('#toast').innerText.startsWith('The batch holds 9 scans now.')")
    box = page.locator("#budget").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + box["height"] / 2)
    page.mouse.down()
    for x in range(20, 90, 7):
        page.mouse.move(box["x"] + x, box["y"] + box["height"] / 2)
    page.mouse.up()
    eventually(
        page, "document.querySelectorAll('#list .row').length > 10 && !document.querySelector('#busy').textContent"
    )
    page.wait_for_timeout(900)
    assert [e["action"] for e in steady.log()[before:]] == ["budget", "budget"]


def test_the_page_says_that_its_server_is_gone_and_comes_back_by_itself(page):
    page.route("**/api/**", lambda route: route.abort())
    page.keyboard.press("a")
    banner = page.locator("#banner:not([hidden])")
    banner.wait_for()
    assert "does not answer" in banner.inner_text()
    page.unroute("**/api/**")
    page.get_by_text("firstscan review answers again.").wait_for()
    assert page.locator("#banner").is_hidden()


def test_a_veto_shows_its_substitute_before_it_is_done(page):
    page.keyboard.press("ArrowDown")
    page.keyboard.press("v")
    shown = page.locator(".substitution figure")
    shown.nth(1).wait_for()
    assert shown.first.locator(".id").inner_text() == picks(page)[1]
    promised = shown.nth(1).locator(".id").inner_text()
    assert shown.nth(1).locator("img").count() == 3
    page.keyboard.type("motion")
    page.keyboard.press("Enter")
    eventually(page, f"document.querySelectorAll('#list .row .id')[1].innerText === {json.dumps(promised)}")


def test_a_pick_is_seen_beside_the_scans_it_stands_for_locked_together(page):
    page.keyboard.press("s")
    images = page.locator(".alike img")
    images.nth(5).wait_for()
    eventually(page, "[...document.querySelectorAll('.alike img')].every(i => i.complete && i.naturalWidth > 100)")
    sources = "[...document.querySelectorAll('.alike img')].map(i => new URL(i.src).searchParams)"
    same = f"{sources}.map(p => ['plane', 'place', 'low', 'high'].map(n => p.get(n)).join())"
    before = page.evaluate(same)
    assert len(set(before)) == 1
    page.locator(".alike").nth(2).hover()
    page.mouse.wheel(0, 100)
    page.mouse.down()
    page.mouse.move(*[page.locator(".alike").nth(2).bounding_box()[k] + 40 for k in ("x", "y")], steps=3)
    page.mouse.up()
    eventually(page, f"new Set({same}).size === 1 && {same}[0] !== {json.dumps(before[0])}")
    now = page.evaluate(same)[0].split(",")
    assert now[1] != "0.5"
    assert now[2:] != ["0", "1"]


def test_the_window_is_dragged_kept_and_reset_and_every_edge_has_its_letter(page):
    page.keyboard.press("Enter")
    page.locator(".over .cross").first.wait_for()
    page.keyboard.press("1")
    eventually(page, "document.querySelectorAll('.pane').length === 1")
    letters = page.locator(".over .marks").evaluate_all("all => all.map(m => m.innerText.replace(/\\s/g, ''))")
    assert letters == ["RLAP", "RLSI", "APSI"]
    widths = page.locator(".over .cross").evaluate_all("all => all.map(c => Math.min(c.offsetWidth, c.offsetHeight))")
    assert len(widths) == 6
    assert min(widths) >= 1.5
    numbers = page.locator(".numbers")
    auto = numbers.inner_text()
    box = page.locator(".over").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 40, steps=3)
    wide = numbers.inner_text()
    page.mouse.up()
    assert float(wide.split("W")[1].replace(",", "")) > float(auto.split("W")[1].replace(",", ""))
    page.keyboard.press("ArrowRight")
    eventually(page, "document.querySelector('.strip-item[aria-current]').innerText === '2'")
    eventually(page, "document.querySelector('.viewer-tools select').value === 'own'")
    page.keyboard.press("w")
    eventually(page, "document.querySelector('.viewer-tools select').value === 'auto'")
    page.select_option(".viewer-tools select >> nth=0", "full")
    assert numbers.inner_text() != auto


def test_a_batch_is_handed_over_from_the_page_or_the_page_says_why_not(page, steady):
    page.keyboard.press("o")
    page.locator("#readers").fill("2")
    page.locator("#overlap").fill("1")
    page.locator("#folder").fill("given")
    page.locator("dialog button[type=submit]").click()
    page.locator(".result .wrong").wait_for()
    assert "does not say where the scans are" in page.locator(".result").inner_text()
    assert not (steady.out.parent / "given").exists()
