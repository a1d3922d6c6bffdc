"""Labels that came back → an nnU-Net raw data set, with the scans that the annotators saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import FirstscanError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection
from firstscan.steps.annotating.tool_folder import HandoffConfig, handoff

from .returned import Part


@dataclass(frozen=True)
class Taken:
    """A label map that may be trained on: whose it is, and the class values in it."""

    case_id: str
    reader: str
    path: Path
    values: tuple[int, ...]


def write_training_set(
    labels: Sequence[Taken],
    parts: Sequence[Part],
    source: Pool | None,
    classes: Mapping[str, int],
    out: Path,
    *,
    ignore: int | None = None,
) -> tuple[Path | None, str]:
    """Write ``Dataset001_firstscan`` below ``out``; return it, or None and why it cannot be.

    A data set needs every label's scan, the same channels in all, and class values 1, 2, … without gaps.
    """
    cases = {case.case_id: case for part in reversed(parts) for case in _cases(part, source)}
    known = [taken for taken in labels if taken.case_id in cases]
    if not known or len(known) < len(labels):
        return None, "the scans behind the labels are not known any more" if labels else "there is no label to train on"
    picks = tuple(
        Pick(taken.case_id, rank, None, None, None, None, f"labelled by {taken.reader}")
        for rank, taken in enumerate(known, start=1)
    )
    selection = Selection(picks, strategy="collect", seed=0, budget=len(picks))
    pool = Pool(str(out), tuple(cases[taken.case_id] for taken in known))
    files = {taken.case_id: str(taken.path) for taken in known}
    try:
        config = HandoffConfig(target="nnunet")
        handed = handoff(selection, pool, config, out, labels=files, classes=classes, ignore=ignore)
    except FirstscanError as error:
        return None, str(error)
    return out / handed.open_this.name, ""


def _cases(part: Part, source: Pool | None) -> list[Case]:
    made = []
    for step in part.trail.steps:
        if step.images and all(path.exists() for _, path in step.images):
            channels = tuple(Channel(name, str(path)) for name, path in step.images)
            made.append(Case(step.case_id, channels, {"modality": step.modality or None}))
        elif source is not None and step.case_id in source:
            made.append(source[step.case_id])
    return made
