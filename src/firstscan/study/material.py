"""The scans of a study as every training reads them: one ``.nii.gz`` a channel, converted once and never again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import DataError
from firstscan.domain.pool import Pool
from firstscan.execution import run_cases
from firstscan.handoff.names import safe_names
from firstscan.handoff.place import place_file
from firstscan.segmentation.aligning import laid_on
from firstscan.segmentation.dataset import ENDING
from firstscan.segmentation.grids import read_grid, read_labels
from firstscan.steps.annotating.tool_folder import convert
from firstscan.steps.running.run import Run

_FEW = 64
"""Label maps that are read here: starting other processes takes longer."""


@dataclass(frozen=True)
class Material:
    """Scans with their label maps, every scan and its label map on one grid; ``labels`` maps case ids to files."""

    pool: Pool
    labels: Mapping[str, str]


@dataclass(frozen=True)
class _Order:
    case: Case
    label: str | None
    folder: Path


def plain(pool: Pool, labels: Mapping[str, str], folder: Path, run: Run, stage: str, *, linked: bool) -> Material:
    """Return scans that can be linked: the files themselves, or conversions of all of them and of their label maps.

    ``linked`` says which: it is settled for a whole pool, so that a cell does not depend on what others picked.

    Conversions lie below ``folder``, one complete subfolder a scan; those that are there are used again.

    Raises
    ------
    DataError, OSError : a scan or a label map cannot be read, or the disk is full.
    """
    if linked:
        return Material(pool, {c: labels[c] for c in pool.case_ids if c in labels})
    names = safe_names(pool.case_ids)
    orders = [(c.case_id, _Order(c, labels.get(c.case_id), folder / names[c.case_id])) for c in pool]
    missing = [(case_id, order) for case_id, order in orders if not order.folder.is_dir()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with run.stage(stage, len(missing)) as progress:
            for case_id, problem in run_cases(_convert, missing, workers=run.settings.workers):
                if isinstance(problem, Exception):
                    raise problem
                progress.advance(1, case_id)
    cases = tuple(
        replace(order.case, channels=tuple(replace(ch, path=str(order.folder / _image(i)), component=None, files=())
                                           for i, ch in enumerate(order.case.channels)))
        for _, order in orders
    )  # fmt: skip
    converted = {case_id: str(order.folder / _LABEL) for case_id, order in orders if order.label is not None}
    return Material(replace(pool, cases=cases), converted)


def check_test(
    test: Material, classes: Mapping[str, int], *, ignore: int | None = None, workers: int | None = None
) -> None:
    """Look whether every test case can be scored, before hours go into models that cannot be.

    Raises
    ------
    DataError : a label map on another grid than its scan, with values that are no class, or a file that is none.
    """
    allowed = frozenset({0, *classes.values()} | (set() if ignore is None else {ignore}))
    items = [(c.case_id, (Path(c.path), Path(test.labels[c.case_id]), allowed)) for c in test.pool]
    told = run_cases(_unfit, items, workers=workers if len(items) > _FEW else 1)
    problems = []
    for case_id, found in told:
        if isinstance(found, Exception) and not isinstance(found, DataError):
            raise found
        if found:
            problems.append(f"{case_id}: {found}")
    if problems:
        named = ", ".join(f"{name} = {value}" for name, value in classes.items())
        raise DataError(
            f"{len(problems)} of {len(items)} test cases cannot be scored, whatever is trained:\n  "
            + "\n  ".join(problems[:5])
            + f"\nCorrect them or take them out of the test set. Classes: background = 0, {named}."
        )


def _unfit(item: tuple[Path, Path, frozenset[int]]) -> str:
    """Say what keeps a scan and its label map from being scored; empty where nothing does."""
    scan, label, allowed = item
    values, grid = read_labels(label)
    try:
        laid_on(values, grid, read_grid(scan))
    except DataError as difference:
        return f"the label map has another geometry than the scan: {difference}"
    extra = sorted(set(np.unique(values).tolist()) - allowed)
    return f"the label map holds {extra[:5]}, which the class list does not name" if extra else ""


def test_images(pool: Pool, folder: Path) -> dict[str, str]:
    """Link the scans of ``pool`` into ``folder`` as segmenters predict them; return ``{name: case id}``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = safe_names(pool.case_ids)
    for case in pool:
        for i, channel in enumerate(case.channels):
            target = folder / f"{names[case.case_id]}_{i:04d}{ENDING}"
            if not target.exists():
                target.unlink(missing_ok=True)
                place_file(Path(channel.path), target, "link")
    return {name: case_id for case_id, name in names.items()}


_LABEL = f"label{ENDING}"


def _image(channel: int) -> str:
    return f"image_{channel:04d}{ENDING}"


def _convert(order: _Order) -> None:
    """Write one scan and its label map into a folder that takes its name when it is complete."""
    part = order.folder.with_name(f".{order.folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for i, channel in enumerate(order.case.channels):
        convert(channel, part / _image(i))
    if order.label is not None:
        convert(Channel("label", order.label), part / _LABEL)
    part.rename(order.folder)
