"""What a model predicts of the pool: measures of every scan, kept by case, and label maps of the picks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from firstscan.domain.case import Case
from firstscan.domain.errors import DataError, FirstscanError, UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.execution import WorkerDied
from firstscan.handoff.names import safe_names
from firstscan.imaging import write_image
from firstscan.imaging.reading import read_raw
from firstscan.segmentation.grids import Grid, read_channels, write_labels
from firstscan.segmentation.probabilities import ENDINGS, read_probabilities
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.segmentation.whole import require_written
from firstscan.selection.queries.measures import VERSION, CaseMeasures, measured
from firstscan.steps.annotating.tool_folder import linkable
from firstscan.steps.running.run import Run
from firstscan.store import CaseCache, file_sha256, identity

FEW = 8
"""Picks up to which their label maps are made in this process: starting others takes longer."""


@runtime_checkable
class Source(Protocol):
    """Where predictions come from; ``classes`` are name → value, without background."""

    @property
    def classes(self) -> Mapping[str, int]:
        """Return the classes in the order of the probabilities."""

    def covers(self, case_id: str) -> bool:
        """Tell whether a scan of the pool can be predicted."""

    def keys(self, case_ids: Collection[str]) -> dict[str, str]:
        """Return what the prediction of each scan depends on, as a short text."""

    def measuring(self) -> tuple[Callable[..., dict[str, np.ndarray]], Callable[[], Any] | None]:
        """Return the function that measures one item, and what makes its first argument once a worker."""

    def labelling(self) -> tuple[Callable[..., None], Callable[[], Any] | None]:
        """Return the function that writes the label map of one (item, target), and its set-up."""

    def item(self, case_id: str) -> Any:
        """Return what the functions take."""


@dataclass(frozen=True)
class ByModel:
    """Predictions of networks trained here.

    ``as_stored``: the training set holds scans as they are stored; else converted to canonical orientation, and so
    are these. ``contents`` is a hash a scan, ``networks`` one of the weights.
    """

    models: tuple[Path, ...]
    settings: Unet
    pool: Pool
    as_stored: bool
    classes: Mapping[str, int]
    contents: Mapping[str, str]
    networks: str

    def covers(self, case_id: str) -> bool:
        """Tell whether the scan is in the pool."""
        return case_id in self.pool

    def keys(self, case_ids: Collection[str]) -> dict[str, str]:
        """Return what the prediction of each scan depends on: the weights and its voxels."""
        return {i: identity(VERSION, self.networks, self.contents[i], self.as_stored) for i in case_ids}

    def item(self, case_id: str) -> tuple[Case, bool]:
        """Return the scan and how it is read."""
        case = self.pool[case_id]
        return case, self.as_stored and all(map(linkable, case.channels))

    def measuring(self) -> tuple[Callable[..., dict[str, np.ndarray]], Callable[[], Any] | None]:
        """Return the function on (members, item)."""
        return _measure_scan, partial(_members, self.models, self.settings)

    def labelling(self) -> tuple[Callable[..., None], Callable[[], Any] | None]:
        """Return the function on (members, (item, target))."""
        return _label_scan, partial(_members, self.models, self.settings)


@dataclass(frozen=True)
class ByOthers:
    """Probability maps of another program: the files of each scan, one a member of its ensemble."""

    files: Mapping[str, tuple[Path, ...]]
    grids: Mapping[str, Grid]
    classes: Mapping[str, int]

    def covers(self, case_id: str) -> bool:
        """Tell whether there is a prediction of the scan."""
        return case_id in self.files

    def keys(self, case_ids: Collection[str]) -> dict[str, str]:
        """Return what the measures of each scan depend on: its files, the grid and the number of classes."""
        grids = {i: [*g.shape, *g.spacing_mm, *g.origin_mm, *g.direction] for i, g in self.grids.items()}
        return {
            i: identity(VERSION, [file_sha256(p) for p in self.files[i]], grids[i], len(self.classes)) for i in case_ids
        }

    def item(self, case_id: str) -> tuple[tuple[Path, ...], Grid, tuple[int, ...]]:
        """Return the files, the grid that they lie on, and the values of the classes."""
        return self.files[case_id], self.grids[case_id], (0, *self.classes.values())

    def measuring(self) -> tuple[Callable[..., dict[str, np.ndarray]], Callable[[], Any] | None]:
        """Return the function on an item."""
        return _measure_files, None

    def labelling(self) -> tuple[Callable[..., None], Callable[[], Any] | None]:
        """Return the function on (item, target)."""
        return _label_files, None


def measured_pool(
    run: Run, source: Source, case_ids: Sequence[str]
) -> tuple[dict[str, CaseMeasures], tuple[Finding, ...]]:
    """Return the measures of every scan that could be predicted, and a finding for each that could not.

    Measures are kept in ``work/predictions``, so that an interrupted run goes on and another rule predicts nothing.
    """
    cache = CaseCache(run.workspace.folder("predictions")).prepare()
    paths = {i: cache.path(i, key, ".npz") for i, key in source.keys(case_ids).items()}
    found = {i: kept for i, path in paths.items() if (kept := cache.read_or_none(path, _read)) is not None}
    missing = [i for i in case_ids if i not in found]
    failed: dict[str, Finding] = {}
    if missing:
        function, setup = source.measuring()
        items = [(i, source.item(i)) for i in missing]
        with run.stage("Predicting the pool", len(items)) as progress:
            for case_id, result in run.cases(function, items, setup=setup):
                if isinstance(result, Exception):
                    failed[case_id] = _failure(case_id, result)
                else:
                    cache.write_arrays(paths[case_id], **result)
                    found[case_id] = CaseMeasures.of_arrays(result)
                progress.advance(1, case_id)
    return {i: found[i] for i in case_ids if i in found}, tuple(failed[i] for i in case_ids if i in failed)


def write_label_maps(run: Run, source: Source, targets: Mapping[str, Path]) -> tuple[Finding, ...]:
    """Write the predicted label map of each scan to its target, on the grid of a hand-off; each complete or absent.

    Returns a finding for each scan that could not be predicted.
    """
    failed: list[Finding] = []
    function, setup = source.labelling()
    made = run.workspace.folder("prelabels")
    parts = {i: made / target.name for i, target in targets.items()}
    items = [(i, (source.item(i), parts[i])) for i in targets]
    with run.stage("Predicting the picks", len(items)) as progress:
        few = 1 if len(items) <= FEW else None
        for case_id, result in run.cases(function, items, setup=setup, workers=few):
            if isinstance(result, Exception):
                failed.append(_failure(case_id, result))
            else:
                parts[case_id].replace(targets[case_id])
            progress.advance(1, case_id)
    return tuple(sorted(failed, key=lambda f: f.case_id))


def find_predictions(folder: Path, case_ids: Collection[str]) -> dict[str, tuple[Path, ...]]:
    """Return ``{case id: its files}``, one a member: files in ``folder``, or one in each of its sub-folders.

    A file is named after its scan: its case id, or the name that an nnU-Net hand-off gives it.

    Raises
    ------
    UsageError : no such folder.  DataError : no file fits a scan, or a scan has fewer members than others.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name the folder that holds the probability maps")
    places = [folder] if _named(folder) else sorted(p for p in folder.iterdir() if p.is_dir() and _named(p))
    names = safe_names(sorted(case_ids))
    found: dict[str, list[Path]] = {}
    for place in places:
        files = _named(place)
        for case_id in sorted(case_ids):
            path = files.get(case_id) or files.get(names[case_id])
            if path is not None:
                found.setdefault(case_id, []).append(path)
    if not found:
        raise DataError(
            f"no probability map in {folder} is named after a scan of the pool; name them <case id>.npz (as nnU-Net "
            "saves them) or <case id>.nii.gz, in one folder, or in one a member of the ensemble"
        )
    short = [i for i, paths in found.items() if len(paths) < len(places)]
    if short:
        raise DataError(
            f"{len(short)} scan(s) are not in every one of the {len(places)} folders of {folder}: "
            f"{', '.join(short[:5])}; predict them with each member"
        )
    return {i: tuple(paths) for i, paths in found.items()}


def _named(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for ending in reversed(ENDINGS):
        files |= {p.name.removesuffix(ending): p for p in sorted(folder.glob(f"*{ending}")) if p.is_file()}
    return files


def _failure(case_id: str, error: Exception) -> Finding:
    if not isinstance(error, FirstscanError | OSError | MemoryError | WorkerDied):
        raise error
    message = f"it could not be predicted: {error}"
    return Finding("prediction-failed", "drop", case_id, message, "repair what is said, and run the same command again")


def _read(path: Path) -> CaseMeasures:
    with closing(np.load(path, allow_pickle=False)) as file:
        return CaseMeasures.of_arrays({name: file[name] for name in file.files})


def _members(models: tuple[Path, ...], settings: Unet) -> Any:
    from firstscan.segmentation.unet.members import UnetMembers

    return UnetMembers(models, settings)


def _measure_scan(members: Any, item: tuple[Case, bool]) -> dict[str, np.ndarray]:
    voxels, spacing_mm, place = _scan(*item)
    return measured(members.probabilities(voxels, spacing_mm), _cosines(place)).as_arrays()


def _label_scan(members: Any, asked: tuple[tuple[Case, bool], Path]) -> None:
    item, target = asked
    voxels, spacing_mm, place = _scan(*item)
    labels = members.labels(voxels, spacing_mm)
    if isinstance(place, Grid):
        write_labels(labels, place, target)
    else:
        write_image(target, labels.astype(np.float32), place, "uint8" if labels.max() < 256 else "uint16")
        require_written(target)


def _scan(case: Case, as_stored: bool) -> tuple[np.ndarray, Sequence[float], Grid | np.ndarray]:
    """Return channels (channel, x, y, z), their spacing, and where they lie, as a hand-off places them."""
    if as_stored:
        voxels, grid = read_channels([Path(channel.path) for channel in case.channels])
        return voxels, grid.spacing_mm, grid
    raw = read_raw(case)
    return np.ascontiguousarray(raw.voxels), raw.spacing_mm, raw.affine


def _cosines(place: Grid | np.ndarray) -> np.ndarray:
    """Return the direction of stored axes in the patient (LPS), a column an axis, of a grid or an affine (LPS)."""
    axes = place.affine[:3, :3] if isinstance(place, Grid) else place[:3, :3]
    return np.asarray(axes / np.linalg.norm(axes, axis=0))


def _measure_files(item: tuple[tuple[Path, ...], Grid, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return measured(_maps(item), _cosines(item[1])).as_arrays()


def _label_files(asked: tuple[tuple[tuple[Path, ...], Grid, tuple[int, ...]], Path]) -> None:
    item, target = asked
    mean = np.mean(list(_maps(item)), axis=0)
    write_labels(np.array(item[2], dtype=np.int32)[mean.argmax(axis=0)], item[1], target)


def _maps(item: tuple[tuple[Path, ...], Grid, tuple[int, ...]]) -> Iterator[np.ndarray]:
    paths, grid, values = item
    return (read_probabilities(path, grid, len(values)) for path in paths)
