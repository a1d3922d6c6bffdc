"""What is said of a batch in the end: one of three states, a sentence, and the reasons, each with its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["supported", "not supported", "not enough to say"]
Says = Literal["for", "against", "open"]
QUESTION = "Is this batch better than a random draw of the same size?"
MOST_REASONS = 5
MARKS = {"for": "+", "against": "−", "open": "?"}
"""What a reason says, as a sign where there is no colour."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One measurement that the verdict rests on.

    ``topic`` names it; ``says`` is what it says to the question; ``number`` is the measurement that decides (NaN is
    never held: None where there is none), told with its unit in ``text``; ``link`` is where more is to be read.
    """

    topic: str
    says: Says
    number: float | None
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to ``QUESTION``: its state, one sentence, and at most five reasons, the weightiest first."""

    state: State
    sentence: str
    reasons: tuple[Reason, ...]

    def __post_init__(self) -> None:
        if len(self.reasons) > MOST_REASONS:
            raise ValueError(f"a verdict has at most {MOST_REASONS} reasons; found {len(self.reasons)}")

    def plain(self) -> dict[str, Any]:
        """Return the verdict as plain data, as ``selection.json`` and the review page hold it."""
        return {"question": QUESTION, **asdict(self), "reasons": [asdict(reason) for reason in self.reasons]}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Verdict:
        """Return the verdict that :meth:`plain` made plain."""
        return cls(told["state"], told["sentence"], tuple(Reason(**row) for row in told["reasons"]))
