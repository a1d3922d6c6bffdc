"""How strictly findings are taken."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from firstscan.domain.errors import UsageError
from firstscan.domain.finding import SEVERITIES, Finding

STRICTNESS = ("strict", "normal", "off")

UNREADABLE = frozenset(
    {
        "unreadable", "truncated", "damaged", "oversized", "missing-file", "not-3d", "too-large", "missing-channel",
        "channel-geometry", "non-finite", "constant", "spacing-implausible", "extent-implausible", "channel-count",
    }
)  # fmt: skip
"""Codes of scans that no network can be fed with; they are dropped whatever the strictness."""

PASSED_OVER = frozenset(
    {
        "not-fetched", "no-permission", "own-results", "hidden", "format-not-read", "dicom-not-taken",
        "volumes-not-taken", "outside-images", "other-files",
    }
)  # fmt: skip
"""Codes of files that were not looked at, each with the reason."""

CODES = UNREADABLE | PASSED_OVER | {
    "looks-like-labels", "name-encoding", "numbered-names", "same-name",
    "contrast-left-out", "crashed-reader", "cut-off", "duplicate", "ghosting", "intensity-outlier", "label-map",
    "localiser", "missing-slices", "mixed-orientation", "nan-background", "near-duplicate", "noisy", "not-a-scan",
    "not-an-image", "not-asked-for", "orientation-conflict", "orientation-missing", "repeated-slices", "same-patient",
    "spacing-outlier", "spacing-unusual", "table-no-row", "table-no-scan", "table-private", "table-replaces",
    "too-few-slices", "unreadable-file", "wrong-modality",
}  # fmt: skip
"""Every code that a finding can have."""


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
        like = difflib.get_close_matches(unknown[0], sorted(CODES), n=1)
        hint = f"do you mean {like[0]!r}?" if like else f"known: {', '.join(sorted(CODES))}"
        raise UsageError(f"no finding has the code {unknown[0]!r}; {hint}")
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
