"""What a report tells of a batch besides how it was chosen: other choices, groups, hand-offs, the review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class OtherChoice:
    """What another strategy picks from the same scans; ``why_not`` says why it cannot, where it cannot."""

    strategy: str
    case_ids: tuple[str, ...] = ()
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group of a column: scans of it in the pool and in the batch, and what was asked for (empty: nothing)."""

    group: str
    pool: int
    picks: int
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """How the batch spreads over a column; without ``rows`` only the numbers of groups are told.

    ``groups`` are the different values in the pool, ``reached`` those that the batch holds.
    """

    column: str
    groups: int
    reached: int
    rows: tuple[GroupRow, ...] = ()
    once: bool = False


@dataclass(frozen=True)
class HandOver:
    """One hand-off: when, for which tool, into which folder (its name alone), and the scans of each reader."""

    time: str
    target: str
    folder: str
    readers: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Collection:
    """Labels that came back: when, into which folder (its name alone), and of which scans."""

    time: str
    folder: str
    labelled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """One line of the review log, as text; ``action`` may be any word."""

    time: str
    action: str
    case_id: str = ""
    why: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Afterwards:
    """All of it; a part that is empty has no section on the page."""

    others: tuple[OtherChoice, ...] = ()
    spreads: tuple[Spread, ...] = ()
    handovers: tuple[HandOver, ...] = ()
    collections: tuple[Collection, ...] = ()
    review: tuple[ReviewEntry, ...] = ()
