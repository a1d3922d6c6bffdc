"""The review page on synthetic results: first paint in a browser, server time of each action, bytes served.

    .venv/bin/python benchmarks/review_page.py                  # 200 and 5,000 scans of 192 dimensions
    .venv/bin/python benchmarks/review_page.py --scans 20000

Every scan of the pool points at one of a few small files, so that pictures are real; the batch holds 20. Server times
are what the server itself says (Server-Timing): from a request's arrival to its answer, the log on the disk included.
Needs Chromium on PATH.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import sync_playwright

from firstscan.domain.case import Case, Channel
from firstscan.domain.features import FeatureTable
from firstscan.imaging import fingerprint, write_image
from firstscan.steps.reporting.report import Story, keep_story
from firstscan.steps.running.batch_config import PickConfig
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import run_pick
from firstscan.store import open_workspace, write_features

DIM, BATCH, FILES, ACTIONS = 192, 20, 40, 20
SWITCHES = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


def results(folder: Path, scans: int) -> Path:
    """Write results of ``scans`` scans in thirty groups."""
    rng = np.random.default_rng(0)
    (folder / "scans").mkdir(parents=True)
    paths = [folder / "scans" / f"{i:02d}.nii.gz" for i in range(FILES)]
    for path in paths:
        write_image(path, rng.normal(100, 20, (48, 48, 40)).astype(np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    ids = tuple(f"scan_{i:05d}" for i in range(scans))
    embeddings = 0.6 * rng.normal(size=(scans, DIM)) + rng.normal(size=(30, DIM))[rng.integers(30, size=scans)]
    sites = np.array([f"site {s}" for s in rng.integers(6, size=scans)])
    table = FeatureTable(ids, embeddings.astype(np.float32), rng.random(scans), covariates={"site": sites})
    write_features(folder / "features.parquet", table)
    out = folder / "out"
    run_pick(folder / "features.parquet", PickConfig(budget=BATCH), out, Settings())
    prints = [fingerprint(Case("x", (Channel("image", str(path)),))) for path in paths]
    cases = {c: Case(c, (Channel("image", str(paths[i % FILES])),)) for i, c in enumerate(ids)}
    story = Story(
        source=str(folder / "scans"), found=scans, left_out=0, cases=cases, modalities=dict.fromkeys(ids, "mr"),
        fingerprints={c: prints[i % FILES] for i, c in enumerate(ids)}, findings=(), history=(), learned=None,
        settings={},
    )  # fmt: skip
    with open_workspace(out) as workspace:
        keep_story(workspace, story)
    return out


@contextlib.contextmanager
def served(out: Path) -> Iterator[tuple[str, float]]:
    """Serve the page of ``out``; yield its address and the seconds until it could be opened."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "firstscan.cli", "review", str(out), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        if found is None:
            raise SystemExit(f"no page was served for {out}")
        yield found[0], time.perf_counter() - began
        server.terminate()


def painted(address: str) -> dict[str, float]:
    """Return the milliseconds until the first paint and until the pool is drawn, and the bytes that were served."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        browser.new_page().goto("about:blank")  # the browser's own start is not the page's
        page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
        page.goto(address)
        while not page.evaluate("performance.getEntriesByName('drawn').length"):
            page.wait_for_timeout(20)
        page.wait_for_timeout(1000)
        paints = dict(
            page.evaluate("performance.getEntriesByType('paint').map(e => [e.name, e.startTime])"),
            drawn=page.evaluate("performance.getEntriesByName('drawn')[0].startTime"),
            bytes=page.evaluate(
                "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                ".reduce((sum, e) => sum + e.transferSize, 0)"
            ),
            hover=page.evaluate(HOVER),
        )
        browser.close()
    return paints


HOVER = """
() => {
  const canvas = document.querySelector("#map canvas:last-child");
  const box = canvas.getBoundingClientRect();
  const times = [];
  for (let i = 0; i < 60; i++) {
    const place = { clientX: box.left + (i / 60) * box.width, clientY: box.top + box.height / 2, bubbles: true };
    const began = performance.now();
    canvas.dispatchEvent(new PointerEvent("pointermove", place));
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[57];
}
"""


def server_ms(answer: httpx.Response) -> tuple[float, float]:
    """Return the server's own time for an answer and the processor time in it, in milliseconds."""
    answer.raise_for_status()
    took, work = re.findall(r"dur=([0-9.]+)", answer.headers["server-timing"])
    return float(took), float(work)


def actions(address: str) -> dict[str, tuple[float, float, float]]:
    """Return (median, largest, median processor time) of the server's milliseconds for each action."""
    with httpx.Client(base_url=address, timeout=300) as client:
        ids = client.get("api/pool").json()["ids"]
        times: dict[str, list[tuple[float, float]]] = {}

        def act(**body: Any) -> Any:
            answer = client.post("api/act", json=body)
            times.setdefault(body["action"], []).append(server_ms(answer))
            return answer.json()

        state = client.get("api/state").json()
        for rank in range(ACTIONS):
            state = act(action="replace", case=ids[state["picks"][rank % BATCH]["row"]])
            state = act(action="accept", case=ids[state["picks"][rank % BATCH]["row"]])
            state = act(action="undo")
        for budget in range(BATCH + 1, BATCH + 7):
            answer = client.get("api/try", params={"budget": budget, "strategy": "cscs"})
            times.setdefault("a batch of another size", []).append(server_ms(answer))
        return {
            name: (
                statistics.median(t for t, _ in taken),
                max(t for t, _ in taken),
                statistics.median(w for _, w in taken),
            )
            for name, taken in times.items()
        }


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, nargs="+", default=[200, 5000])
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for scans in given.scans:
        with tempfile.TemporaryDirectory() as folder:
            out = results(Path(folder), scans)
            for run in ("first start", "later start"):
                with served(out) as (address, started):
                    print(f"\n{scans:,} scans, {run}: page ready after {started:.1f} s")
                    if run == "first start":
                        continue
                    paints = painted(address)
                    print(f"  first paint {paints['first-paint']:.0f} ms, all drawn {paints['drawn']:.0f} ms")
                    print(f"  {paints['bytes'] / 1e6:.2f} MB served until then")
                    print(f"  moving the pointer over the map: {paints['hover']:.1f} ms a move (95th percentile)")
                    for name, (median, largest, work) in actions(address).items():
                        print(f"  server, {name}: {median:.0f} ms, at most {largest:.0f} ms; processor {work:.0f} ms")


if __name__ == "__main__":
    main()
