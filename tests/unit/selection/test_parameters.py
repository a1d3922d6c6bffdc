"""What a parameter may be: tried on a strategy of a third party, which no run-time type check guards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import pytest

from firstscan.domain.errors import UsageError
from firstscan.selection import Candidates, Gate, Outcome, Strategy


@dataclass(frozen=True)
class Choosy(Strategy):
    name: ClassVar[str] = "choosy"
    summary: ClassVar[str] = "takes parameters of every kind"
    reference: ClassVar[str] = ""
    uses_uncertainty: ClassVar[bool] = False

    count: int = field(default=3, metadata={"least": 1, "most": 9})
    share: float | None = field(default=None, metadata={"above": 0})
    bounds: tuple[float, float] = (0.3, 0.7)
    mode: Literal["fill", "score"] = "fill"
    strict: bool = False
    title: str = ""
    own: dict[str, int] | None = None
    strata: np.ndarray | None = field(default=None, metadata={"per_case": True})

    def __call__(self, candidates: Candidates, gate: Gate) -> Outcome:
        return Outcome()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"count": 9, "share": 0.5, "strict": True, "mode": "score", "title": "x"},
        {"count": np.int64(2), "share": np.float32(0.5), "bounds": (0, 1)},
        {"own": {"a": 1}, "strata": np.zeros(3, dtype=int)},
    ],
)
def test_what_fits_is_taken(given):
    assert Choosy(**given).mode in {"fill", "score"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 0}, "choosy: count must be a whole number, at least 1 and at most 9; found 0"),
        ({"count": 10}, "at most 9; found 10"),
        ({"count": 2.5}, "count must be a whole number"),
        ({"count": True}, "count must be a whole number"),
        ({"count": None}, "count must be a whole number"),
        ({"share": 0}, "share must be a number or nothing, above 0; found 0"),
        ({"share": "x"}, "share must be a number or nothing"),
        ({"share": float("nan")}, "found nan"),
        ({"share": float("inf")}, "found inf"),
        ({"bounds": 0.5}, "bounds must be 2 values, each a number; found 0.5"),
        ({"bounds": (0.1, 0.2, 0.3)}, "bounds must be 2 values"),
        ({"bounds": ("a", "b")}, "bounds must be 2 values"),
        ({"mode": "none"}, "mode must be one of fill, score; found 'none'"),
        ({"strict": 1}, "strict must be true or false"),
        ({"title": 3}, "title must be text"),
    ],
)
def test_what_does_not_fit_is_named(given, message):
    with pytest.raises(UsageError, match=message):
        Choosy(**given)
