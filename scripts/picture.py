"""Take the README's picture: the top of a real report, in headless Chromium.

make demo && .venv/bin/python scripts/picture.py demo-out/report.html docs/img/report.png
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def take(report: Path, picture: Path) -> None:
    """Write ``picture``: the first two columns' worth of ``report`` at laptop width."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 2330}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(4000)
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture, scale="css")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    take(Path(sys.argv[1]), Path(sys.argv[2]))
