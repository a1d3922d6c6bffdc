"""What was decided on the review page and is not in the batch."""

from __future__ import annotations

from pathlib import Path


def say_what_is_open(out: Path) -> None:
    """Say what was decided on the review page and is not in the batch."""
    from firstscan.review.decisions import left_open

    from . import terminal

    if said := left_open(out):
        listed = "; ".join(said)
        terminal.tell(
            f"Note: decisions of the review are not in this batch yet: {listed}. Export it on the review page."
        )
