"""References in the order in which a text cites them."""

from __future__ import annotations

from .references import REFERENCES


class Citations:
    """Collects references in the order in which they are first cited."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, *keys: str) -> str:
        """Return the references as they stand in a sentence, and remember them."""
        for key in keys:
            if key not in self.keys:
                self.keys.append(key)
        return "(" + "; ".join(REFERENCES[key].short for key in keys) + ")"
