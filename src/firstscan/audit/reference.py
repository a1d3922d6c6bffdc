"""Every code that a finding can have: what it means, when it is raised, how it is taken, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from firstscan.domain.errors import UsageError

from .codes_of_pools import FOLDERS, LABEL_MAPS, MODELS, NAMES, PASSED_OVER, POOL, SLICES
from .codes_of_scans import DICOM, FATAL, HEADERS, VOXELS
from .kind import Kind


def _group(kinds: Sequence[Kind], stage: str, *, fatal: bool = False) -> tuple[Kind, ...]:
    return tuple(Kind(k.code, k.severity, k.meaning, k.threshold, k.remedy, stage, fatal) for k in kinds)


LABELS, PLANS, ROUNDS = "label maps that come back", "plans by slice", "rounds with a model"
KINDS: tuple[Kind, ...] = (
    *_group(FATAL, "scans that no network can be fed with", fatal=True),
    *_group(HEADERS, "headers"),
    *_group(DICOM, "DICOM series"),
    *_group(FOLDERS, "folders and tables"),
    *_group(NAMES, "names"),
    *_group(PASSED_OVER, "files that were not looked at"),
    *_group(VOXELS, "voxels"),
    *_group(POOL, "the pool"),
    *_group(LABEL_MAPS, LABELS),
    *_group(SLICES, PLANS),
    *_group(MODELS, ROUNDS),
)
"""Every code, by what is looked at."""


def kind_of(code: str) -> Kind:
    """Return what is known of a code.

    Raises
    ------
    UsageError : no finding has it.
    """
    found = next((kind for kind in KINDS if kind.code == code), None)
    if found is None:
        raise UsageError(unknown_code(code, [kind.code for kind in KINDS]))
    return found


def unknown_code(code: str, known: Iterable[str]) -> str:
    """Say that no finding has ``code``, and which one may be meant."""
    listed = sorted(known)
    like = difflib.get_close_matches(code, listed, n=1)
    hint = f"do you mean {like[0]!r}?" if like else f"known: {', '.join(listed)}"
    return f"no finding has the code {code!r}; {hint}"


def markdown() -> str:
    """Return the reference as the page ``docs/findings.md``."""
    lines = [
        "# Findings",
        "",
        "What `findings.csv` may say of a scan. `drop` leaves it out of the pool, `warn` keeps it and shows it, `note`",
        "informs. `--audit strict` turns warnings into drops, `--audit off` leaves out only what cannot be used;",
        "`--severity CODE=drop|warn|note|off` sets one code for scans that are read. The same text in a terminal:",
        "`firstscan findings CODE`.",
        "",
        "This page is made from the code (`src/firstscan/audit/codes_of_*.py`) by `python scripts/findings.py`.",
    ]
    for stage in dict.fromkeys(kind.stage for kind in KINDS):
        lines += ["", f"## {stage[0].upper()}{stage[1:]}", ""]
        lines += ["| code | severity | meaning | threshold | what to do |", "|---|---|---|---|---|"]
        lines += [
            f"| `{k.code}` | {k.severity} | {k.meaning} | {k.threshold or '–'} | {k.remedy} |"
            for k in KINDS
            if k.stage == stage
        ]
    return "\n".join(lines) + "\n"
