"""Write docs/findings.md from the code."""

from __future__ import annotations

from pathlib import Path

from firstscan.audit.reference import markdown

if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / "docs" / "findings.md").write_text(markdown(), encoding="utf-8")
