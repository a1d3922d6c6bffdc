"""The images that returned labels were drawn on, each as one file whose grid can be read."""

from __future__ import annotations

from pathlib import Path

from firstscan.domain.errors import ScanError
from firstscan.domain.pool import Pool
from firstscan.handoff.names import safe_names
from firstscan.steps.annotating.tool_folder import convert, linkable
from firstscan.store import Workspace

from .returned import Part


def images_of(part: Part, source: Pool | None, workspace: Workspace) -> dict[str, Path]:
    """Return the first image of each pick that came back: the hand-off's own, or the source's where it placed none.

    A source in another format is converted once, into ``work``, as a hand-off would.
    """
    images: dict[str, Path] = {}
    names = safe_names(step.case_id for step in part.trail.steps)
    for step in part.trail.steps:
        if part.returned.labels[step.case_id].path is None:
            continue
        if step.images:
            images[step.case_id] = step.images[0][1]
        elif source is not None and step.case_id in source:
            channel = source[step.case_id].channels[0]
            if linkable(channel):
                images[step.case_id] = Path(channel.path)
                continue
            target = workspace.folder("scans") / f"{names[step.case_id]}.nii.gz"
            try:
                convert(channel, target)
            except ScanError:  # its label has no scan to lie on: the finding label-no-scan says so
                continue
            images[step.case_id] = target
    return images
