"""Choose which cases to annotate first: strategies on arrays, one gate for every constraint, results that explain."""

from __future__ import annotations

from .amend import extend, replace_pick
from .entry import select
from .gating.constraints import Constraints, Quota
from .gating.gate import Gate
from .protocol import Candidates, Outcome, Strategy
from .registry import describe, strategies
from .trust.confounds import Association, SignalAudit, adjust, remedy_of, signal_audit
from .trust.stability import Stability, stability

__all__ = [
    "Association",
    "Candidates",
    "Constraints",
    "Gate",
    "Outcome",
    "Quota",
    "SignalAudit",
    "Stability",
    "Strategy",
    "adjust",
    "describe",
    "extend",
    "remedy_of",
    "replace_pick",
    "select",
    "signal_audit",
    "stability",
    "strategies",
]
