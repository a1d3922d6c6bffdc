"""Take the README's picture from a real report: its top, and beside it the map of the pool and the first card.

make demo && .venv/bin/python scripts/picture.py demo-out/report.html docs/img/report.png
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

LEFT, RIGHT, GAP, SCALE = 900, 520, 40, 1.5


def take(report: Path, picture: Path) -> None:
    """Write ``picture``: 256 colours are plenty for it and keep the file small."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(
            viewport={"width": LEFT, "height": 1000}, device_scale_factor=SCALE, color_scheme="light"
        ).new_page()
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(4000)
        page.set_viewport_size({"width": RIGHT, "height": 1000})
        page.wait_for_timeout(2000)
        beside = [_shot(page, of=".pair figure:first-child"), _shot(page, of="#pick-1")]
        gap = round(GAP * SCALE)
        height = sum(part.height for part in beside) + 2 * gap
        page.set_viewport_size({"width": LEFT, "height": 1000})
        page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        page.wait_for_timeout(2000)
        boxes = [item.bounding_box() for item in page.locator("#picks, .verdicts li").all()]
        ends = [box["y"] + box["height"] + 4 for box in boxes if box]
        room = [end for end in ends if end * SCALE <= height] or ends[:1]
        top = _shot(page, clip={"x": 0, "y": 0, "width": LEFT, "height": max(room)})
        browser.close()
    sheet = Image.new("RGB", (top.width + beside[0].width + gap, max(height, top.height)), top.getpixel((2, 2)))
    sheet.paste(top, (0, 0))
    y = gap
    for part in beside:
        sheet.paste(part, (top.width, y))
        y += part.height + gap // 2
    picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)


def _shot(page: Page, *, of: str = "", clip: dict[str, float] | None = None) -> Image.Image:
    taken = page.locator(of).first.screenshot() if of else page.screenshot(clip=clip, full_page=True)
    return Image.open(io.BytesIO(taken)).convert("RGB")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    take(Path(sys.argv[1]), Path(sys.argv[2]))
