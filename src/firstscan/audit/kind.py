"""One code that a finding can have, with all that is said of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One code.  ``severity``: as it is raised, several where it depends on the case (``drop or warn``).

    ``threshold``: when it is raised, in numbers; empty where there are none. ``stage``: what is looked at.
    ``fatal``: no strictness (``--audit``) keeps such a scan, because no network can be fed with it.
    """

    code: str
    severity: str
    meaning: str
    threshold: str
    remedy: str
    stage: str = "files"
    fatal: bool = False


def k(code: str, severity: str, meaning: str, remedy: str, threshold: str = "") -> Kind:
    """Return a code; its stage is given where codes are gathered."""
    return Kind(code, severity, meaning, threshold, remedy)
