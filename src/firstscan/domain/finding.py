"""What an audit says about one scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["drop", "warn", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation about one scan, with what the user can do about it.

    ``severity``: ``drop`` leaves the scan out of the pool, ``warn`` keeps it and shows it, ``note`` informs.
    ``measured`` and ``threshold`` hold the numbers behind the verdict where there are any.
    """

    code: str
    severity: Severity
    case_id: str
    message: str
    remedy: str
    path: str = ""
    measured: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"finding {self.code!r}: severity {self.severity!r} is not one of {SEVERITIES}")


def dropped_ids(findings: Iterable[Finding]) -> frozenset[str]:
    """Return the ids of the cases that at least one finding of severity ``drop`` names."""
    return frozenset(f.case_id for f in findings if f.severity == "drop")


def count_by_code(findings: Iterable[Finding]) -> dict[tuple[str, str], int]:
    """Return ``{(severity, code): number of findings}``, drops first, then by count."""
    counts = Counter((f.severity, f.code) for f in findings)
    return dict(sorted(counts.items(), key=lambda kv: (SEVERITIES.index(kv[0][0]), -kv[1], kv[0][1])))
