"""A hand-off that is asked for in the page: the same as ``firstscan handoff`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstscan.domain.errors import UsageError
from firstscan.handoff.registry import targets, writer
from firstscan.steps.annotating.handoff import run_handoff
from firstscan.steps.annotating.tool_folder import HandoffConfig

from .session import Session


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the page asks for; ``folder`` is new or empty, a relative one lies beside the results folder."""

    target: str
    folder: str
    readers: int
    overlap: int
    seq: int


def hand_over(session: Session, wanted: Wanted) -> dict[str, Any]:
    """Write the hand-off of the batch and return where it is and what to do with it.

    Raises
    ------
    UsageError : the batch has changed since it was shown; no folder; a target, readers or an overlap that cannot be.
    """
    writer(wanted.target)
    if not wanted.folder.strip():
        raise UsageError("A hand-off needs a folder; name one that is new or empty.")
    if not 1 <= wanted.readers <= len(session.state.picks):
        raise UsageError(f"There can be 1 to {len(session.state.picks)} readers; found {wanted.readers}.")
    if not 0 <= wanted.overlap <= len(session.state.picks):
        raise UsageError(f"0 to {len(session.state.picks)} scans can go to everyone; found {wanted.overlap}.")
    out = folder_of(session, wanted.folder.strip())
    config = HandoffConfig.of(target=wanted.target, readers=wanted.readers, overlap=wanted.overlap)
    with session.unchanged(wanted.seq):
        handed = run_handoff(session.held.out, config, out, session.held.run.settings)
    return {"folder": str(out), "open": str(handed.open_this), "message": handed.message}


def folder_of(session: Session, folder: str) -> Path:
    """Return the folder of a hand-off, absolute."""
    return (session.held.out.absolute().parent / Path(folder).expanduser()).resolve()


def targets_told(session: Session) -> dict[str, str]:
    """Return every target with the folder that the page suggests for it."""
    out = session.held.out.absolute()
    return {name: str(out.with_name(f"{out.name}-{name}")) for name in targets()}
