"""Hand-off folders → what came back in them: a label file a reader and scan, and the image it was drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstscan.domain.errors import UsageError
from firstscan.domain.pool import Pool
from firstscan.handoff.returned import Returned, find_labels
from firstscan.handoff.trail import NAME as TRAIL
from firstscan.handoff.trail import Trail, read_trail
from firstscan.imaging.files import is_volume, split_ending
from firstscan.steps.annotating.handoff import PLACED
from firstscan.steps.measuring.index import index
from firstscan.steps.running.config import CheckCommand, IndexConfig
from firstscan.steps.running.headers import known_headers
from firstscan.steps.running.identity import key_file
from firstscan.steps.running.origin import folders_behind, known_scans
from firstscan.steps.running.run import Run
from firstscan.store import load_json


@dataclass(frozen=True)
class Part:
    """One reader's folder: how it was made, what came back, and the results folder and scans it was made from.

    ``results`` and ``scans`` are None where the folder was moved away from where it was made.
    """

    trail: Trail
    returned: Returned
    results: Path | None
    scans: IndexConfig | None

    @property
    def reader(self) -> str:
        """Who read it."""
        return self.trail.reader


def parts_of(handoffs: Sequence[Path]) -> tuple[Part, ...]:
    """Return every reader's folder of the hand-offs, in the order given; readers have names of their own.

    Raises
    ------
    UsageError : a folder that is no hand-off, or named twice.
    """
    folders = [folder for given in handoffs for folder in _folders(given)]
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise UsageError(f"{folder} is named twice; name each hand-off once")
        seen.add(folder.resolve())
    trails = [read_trail(folder) for folder in folders]
    made = []
    for trail, reader in zip(trails, _readers(trails), strict=True):
        came_from = _came_from(trail.folder)
        scans = came_from.get("scans")
        results = Path(came_from["results"]) if came_from.get("results") else None
        if results is not None and results.is_dir() and scans is None:
            known = known_scans(results)
            scans = None if known is None else known.resolved()
        made.append(
            Part(
                replace(trail, reader=reader),
                find_labels(trail, is_volume, lambda name: split_ending(name)[0]),
                results if results is not None and results.is_dir() else None,
                CheckCommand.of(**scans) if scans else None,
            )
        )
    return tuple(made)


def results_of(parts: Sequence[Part]) -> Path | None:
    """Return the results folder that the hand-offs came from, or None where that is not known or they are several."""
    found = {part.results for part in parts if part.results is not None}
    return next(iter(found)) if len(found) == 1 else None


def source_of(parts: Sequence[Part], run: Run) -> Pool | None:
    """Return the scans of the hand-offs that placed no images themselves, or None where that is not needed or known."""
    for part in parts:
        if part.scans is not None and any(not step.images for step in part.trail.steps):
            known = () if part.results is None else folders_behind(part.results)
            key = None if part.results is None else key_file(part.results)
            return index(part.scans, known_headers(run, *known), key)
    return None


def _folders(given: Path) -> list[Path]:
    if not given.is_dir():
        raise UsageError(f"{given} is not a folder; name the folder that firstscan handoff wrote")
    if (given / TRAIL).is_file():
        return [given]
    below = sorted(p.parent for p in given.glob(f"*/{TRAIL}") if p.parent.name != "work")
    if not below:
        raise UsageError(
            f"{given} is not a hand-off of firstscan: it holds no {TRAIL}. Name the folder that firstscan handoff "
            "wrote with --out, with all that came back in it"
        )
    return below


def _came_from(folder: Path) -> dict[str, Any]:
    """Return what a hand-off keeps about its origin, which for a reader's folder lies one above."""
    for place in (folder, folder.parent):
        kept = place / "work" / PLACED
        if kept.is_file() and (told := load_json(kept)):
            return {**told, "results": str(place / told["results"])} if told.get("results") else dict(told)
    return {}


def _readers(trails: Sequence[Trail]) -> list[str]:
    """Return a name for each reader: as dealt, or the folder's; with the folder above where two would be alike."""
    plain = [trail.reader or trail.folder.absolute().name for trail in trails]
    full = [
        name if plain.count(name) == 1 else f"{trail.folder.absolute().parent.name}/{name}"
        for name, trail in zip(plain, trails, strict=True)
    ]
    return [name if full.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(full)]
