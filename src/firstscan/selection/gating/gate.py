"""The gate: the one way to a pick, so that every strategy obeys every constraint in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from firstscan.domain.arrays import Bool, Float, Int

Reason = str | Callable[[int], str]
CaseMask = Bool[np.ndarray, " case"]


@dataclass(frozen=True, slots=True)
class Taken:
    """One pick by row: its stratum and score where the strategy has them, and the plain-language reason."""

    row: int
    stratum: int | None
    score: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a row may be taken, and the rows (a mask) that are out of reach from now on."""

    admitted: bool
    closes: CaseMask


@runtime_checkable
class Rules(Protocol):
    """Constraints as the gate asks for them."""

    def judge(self, row: int) -> Verdict:
        """Admit ``row`` and record it, or refuse it for good because no valid batch contains it any more."""
        ...


class Gate:
    """Counts the picks, keeps them apart, and closes what the constraints rule out.

    Scans with identical features count as one scan until nothing else is left: a second annotation of the same scan
    teaches nothing.

    Parameters
    ----------
    closed : (case,) rows that can never be picked (labelled already).
    slots : picks wanted; None while a cost limit alone decides when the batch is full.
    twins : (case,) rows with the same number have identical features.
    rules : what to ask before a row is taken; None where there are no constraints.
    covered : rows annotated already: their twins are closed as well.
    """

    def __init__(
        self,
        closed: CaseMask,
        slots: int | None,
        twins: Int[np.ndarray, " case"],
        rules: Rules | None = None,
        covered: Iterable[int] = (),
    ) -> None:
        self._open = ~closed
        self._waiting = np.zeros_like(closed)
        self._slots = slots
        self._twins = twins
        self._alone = np.bincount(twins)[twins] == 1
        self._rules = rules
        self._taken: list[Taken] = []
        for row in covered:
            self._set_twins_aside(row)

    @property
    def open(self) -> CaseMask:
        """Rows that may be offered now (case,)."""
        if not self._open.any() and self._waiting.any():
            self._open, self._waiting = self._waiting, np.zeros_like(self._waiting)
        return self._open

    @property
    def limited(self) -> bool:
        """Whether constraints decide which rows can be taken together."""
        return self._rules is not None

    def has_room(self) -> bool:
        """Whether the batch is incomplete and something can still be added to it."""
        return len(self._taken) != self._slots and bool(self.open.any())

    @property
    def taken(self) -> tuple[Taken, ...]:
        """The picks so far, in order."""
        return tuple(self._taken)

    @property
    def rows(self) -> list[int]:
        """The rows picked so far, in order."""
        return [t.row for t in self._taken]

    def take(self, row: int, reason: Reason, *, stratum: int | None = None, score: float | None = None) -> bool:
        """Take ``row`` if the constraints admit it; False if it is closed or was refused now.

        ``reason`` is a sentence, or a function from the row to one.
        """
        if not self.has_room() or not self.open[row]:
            return False
        if self._rules is not None:
            verdict = self._rules.judge(row)
            self._open &= ~verdict.closes
            self._waiting &= ~verdict.closes
            if not verdict.admitted:
                return False
        self._open[row] = False
        self._set_twins_aside(row)
        sentence = reason if isinstance(reason, str) else reason(row)
        self._taken.append(Taken(int(row), None if stratum is None else int(stratum), score, sentence))
        return True

    def fix(self, row: int, reason: str) -> None:
        """Take ``row`` whatever has been taken before; the constraints are known to allow it."""
        self._open[row] |= self._waiting[row]
        self._waiting[row] = False
        self.take(row, reason)

    def take_first(
        self,
        rows: Iterable[int] | np.ndarray,
        reason: Reason,
        *,
        stratum: int | None = None,
        score: float | None = None,
    ) -> int | None:
        """Take the first of ``rows`` that is admitted; return it, or None when none is."""
        for row in rows:
            if self.take(int(row), reason, stratum=stratum, score=score):
                return int(row)
        return None

    def take_best(
        self, scores: Float[np.ndarray, " case"], reason: Reason, *, stratum: int | None = None
    ) -> int | None:
        """Take the open row of highest score, ties to the lowest row; return it, or None when the gate is full.

        Rows scored −inf are never taken.
        """
        while self.has_room():
            ranked = np.where(self.open, scores, -np.inf)
            row = int(np.argmax(ranked))
            if ranked[row] == -np.inf:
                return None
            if self.take(row, reason, stratum=stratum, score=float(scores[row])):
                return row
        return None

    def _set_twins_aside(self, row: int) -> None:
        if self._alone[row]:
            return
        same = (self._twins == self._twins[row]) & self._open
        self._open &= ~same
        self._waiting |= same
