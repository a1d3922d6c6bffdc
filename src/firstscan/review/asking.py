"""What the page asks of a review, and what is said where that cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from firstscan.domain.errors import UsageError


class UnknownNameError(UsageError):
    """A name from outside that stands for nothing here."""


class StaleError(UsageError):
    """An action on a batch that has changed since it was shown."""


@dataclass(frozen=True, slots=True)
class Request:
    """An action as the page asks for it; ``seq`` is the state that the person saw, None where that does not matter."""

    action: str
    case_id: str | None = None
    why: str = ""
    budget: int | None = None
    strategy: str | None = None
    seq: int | None = None
