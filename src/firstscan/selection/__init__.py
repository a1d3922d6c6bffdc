"""Choose which cases to annotate first: strategies on arrays, one gate for every constraint, results that explain."""

from __future__ import annotations

from .constraints import Constraints, Quota
from .entry import select
from .gate import Gate
from .protocol import Candidates, Outcome, Strategy
from .registry import describe, strategies

__all__ = [
    "Candidates",
    "Constraints",
    "Gate",
    "Outcome",
    "Quota",
    "Strategy",
    "describe",
    "select",
    "strategies",
]
