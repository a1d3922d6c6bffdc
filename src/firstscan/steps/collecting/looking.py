"""Which label maps came back, and what is found in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.execution import WorkerDied, run_cases
from firstscan.steps.running.run import Settings
from firstscan.store import Workspace

from .pictured import images_of
from .returned import Part
from .returned_map import Drawn, Examined, examine, finding


def drawn_maps(
    parts: Sequence[Part],
    known: Mapping[str, int],
    source: Pool | None,
    workspace: Workspace,
    *,
    allow_empty: bool,
    confirm_empty: bool,
) -> tuple[list[Drawn], list[Finding]]:
    """Return what there is to look at, and findings for labels whose scan is not known any more.

    All readers of a scan are held against the image of the first, so that their label maps lie on one grid.
    """
    images = {i: path for part in reversed(parts) for i, path in images_of(part, source, workspace).items()}
    drawn, lost = [], []
    for number, part in enumerate(parts):
        for step in part.trail.steps:
            path = part.returned.labels[step.case_id].path
            if path is None:
                continue
            copy = workspace.work / "checked" / str(number) / f"{step.name}.nii.gz"
            if step.case_id in images:
                drawn.append(
                    Drawn(
                        step.case_id,
                        part.reader,
                        path,
                        images[step.case_id],
                        copy,
                        known,
                        allow_empty=allow_empty,
                        ignore=part.trail.ignore,
                        plane=step.plane,
                        positions_mm=step.positions_mm,
                        confirm_empty=confirm_empty,
                    )
                )
                continue
            message = (
                f"{part.reader}: the scan it was drawn on is not known: the hand-off was moved, or the scan is gone"
            )
            remedy = "collect it where it was handed off"
            lost.append(Finding("label-no-scan", "drop", step.case_id, message, remedy, path=str(path)))
    return drawn, lost


def examined_maps(drawn: Sequence[Drawn], settings: Settings) -> list[Examined]:
    """Return what was found in each of ``drawn``, in that order; each is read in a worker."""
    results: dict[int, Examined] = {}
    if drawn:
        settings.progress.start("Checking labels", len(drawn))
        items = [(str(i), item) for i, item in enumerate(drawn)]
        for key, result in run_cases(examine, items, workers=settings.workers):
            results[int(key)] = _lost(drawn[int(key)], result) if isinstance(result, Exception) else result
            settings.progress.advance()
        settings.progress.finish()
    return [results[i] for i in range(len(drawn))]


def _lost(item: Drawn, error: Exception) -> Examined:
    """Return what is said of a label map that could not even be looked at; a fault of the program is raised."""
    if not isinstance(error, OSError | MemoryError | WorkerDied):
        raise error
    message, remedy = f"it cannot be read: {error}", "copy it again, or save it anew"
    return Examined((), (finding(item, "label-unreadable", message, remedy),))
