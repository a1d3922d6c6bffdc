"""How strictly findings are taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from firstscan.domain.errors import UsageError
from firstscan.domain.finding import SEVERITIES, Finding

from .reference import KINDS, LABELS, PLANS, ROUNDS, unknown_code

STRICTNESS = ("strict", "normal", "off")

UNREADABLE = frozenset(kind.code for kind in KINDS if kind.fatal)
"""Codes of scans that no network can be fed with; they are dropped whatever the strictness."""

CODES = frozenset(kind.code for kind in KINDS if kind.stage not in {LABELS, PLANS, ROUNDS})
"""Every code that a finding on a scan can have."""


def apply_policy(
    findings: Iterable[Finding], strictness: str = "normal", overrides: Mapping[str, str] | None = None
) -> tuple[Finding, ...]:
    """Return ``findings`` with their severity set by policy.

    Parameters
    ----------
    strictness : ``normal`` keeps severities; ``strict`` turns warnings into drops; ``off`` keeps only what cannot be
        used at all.
    overrides : code → ``drop``, ``warn``, ``note`` or ``off`` (leave the finding out); they win over ``strictness``.

    Raises
    ------
    UsageError : unknown strictness, severity or code.
    """
    if strictness not in STRICTNESS:
        raise UsageError(f"unknown audit {strictness!r}; known: {', '.join(STRICTNESS)}")
    wanted = dict(overrides or {})
    wrong = sorted(set(wanted.values()) - {*SEVERITIES, "off"})
    if wrong:
        raise UsageError(f"unknown severity {wrong[0]!r}; known: {', '.join((*SEVERITIES, 'off'))}")
    unknown = sorted(wanted.keys() - CODES)
    if unknown:
        raise UsageError(unknown_code(unknown[0], CODES))
    result = []
    for finding in findings:
        severity = wanted.get(finding.code) or _severity(finding, strictness)
        result += [replace(finding, severity=known) for known in SEVERITIES if known == severity]
    return tuple(result)


def _severity(finding: Finding, strictness: str) -> str:
    if strictness == "strict" and finding.severity == "warn":
        return "drop"
    if strictness == "off" and finding.code not in UNREADABLE:
        return "off"
    return finding.severity
