"""Dataset folder → trained model, and its predictions."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.execution import Progress, Silent
from firstscan.handoff.names import safe_names
from firstscan.handoff.place import placer
from firstscan.imaging import fingerprint
from firstscan.segmentation.dataset import check_dataset, list_images, read_dataset
from firstscan.segmentation.protocol import Progress as Report
from firstscan.segmentation.protocol import Segmenter
from firstscan.segmentation.registry import resolved
from firstscan.steps.annotating.label_maps import COLLECTED
from firstscan.steps.annotating.tool_folder import convert
from firstscan.steps.measuring.index import index
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.origin import KEY
from firstscan.steps.running.results import finished, guard
from firstscan.steps.running.run import Settings
from firstscan.store import (
    Workspace,
    atomic_write,
    dump_json,
    file_sha256,
    identity,
    load_json,
    open_workspace,
    write_manifest,
)

BEGUN = "training.json"
"""In ``work``: which model and which predictions the folder is for."""


def train(
    dataset: Path,
    model: Path,
    segmenter: Segmenter,
    *,
    seed: int = 0,
    images: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Train ``segmenter`` on an nnU-Net raw ``dataset`` folder; predict ``images`` into ``out`` where they are given.

    Raises
    ------
    DataError : data that cannot be trained on.  UsageError : the segmenter is not installed.
    """
    shown = progress or Silent()
    if absent := check_dataset(read_dataset(dataset)):
        shown.say(f"No label map holds {', '.join(absent)}: no model can learn it from them.")
    model.mkdir(parents=True, exist_ok=True)
    with Staged(shown, f"Training {segmenter.name}") as report:
        segmenter.train(dataset, model, seed=seed, progress=report)
    if images is not None and out is not None:
        with Staged(shown, "Predicting") as report:
            segmenter.predict(model, images, out, progress=report)


def run_train(
    dataset: Path, segmenter: Segmenter, out: Path, settings: Settings, *, seed: int, images: Path | None = None
) -> None:
    """Train into ``out/model`` and predict into ``out/predictions``; what is finished is not done again.

    ``images``: a folder of files named as nnU-Net wants them, or any source that ``select`` takes.

    Raises
    ------
    UsageError : ``out`` holds the result, finished or not, of other settings or data.
    DataError : data that cannot be trained on.
    """
    inputs = _hashes(dataset)
    channels = read_dataset(dataset).channel_names
    pool = None if images is None else to_predict(images, out, channels)
    asked: dict[str, Any] = {"dataset": str(dataset.absolute()), "segmenter": resolved(segmenter), "seed": seed}
    begun = {"model": identity(__version__, asked, inputs)}
    if images is not None:
        asked["predict"] = str(images.absolute())
        begun["predictions"] = identity(begun["model"], _hashes(images) if pool is None else _content(pool))
    with open_workspace(out) as workspace:
        manifest = guard(out, "train", asked, overwrite=settings.overwrite)
        if _same(workspace, begun) and finished(out, manifest, "train", inputs):
            return
        _make_room(workspace, begun, overwrite=settings.overwrite)
        if pool is not None:
            images = laid_out(pool, workspace.work / "images")
        train(
            dataset,
            out / "model",
            segmenter,
            seed=seed,
            images=images,
            out=out / "predictions",
            progress=settings.progress,
        )
        made = (p for name in ("model", "predictions") for p in (out / name).glob("*") if p.is_file())
        files = [str(p.relative_to(out)) for p in made]
        write_manifest(out, kind="train", version=__version__, config=asked, inputs=inputs, files=files)


def to_predict(source: Path, out: Path, channels: Sequence[str]) -> Pool | None:
    """Return the scans of any source that ``select`` takes; None where it is a folder of files as nnU-Net names them.

    Raises
    ------
    UsageError : no such source.  DataError : no scan in it, or other channels than the data set has.
    """
    if source.is_dir() and any(source.glob("*_0000.nii.gz")):
        list_images(source, len(channels))
        return None
    pool = index(IndexConfig.of(source=str(source)), key=out / "work" / KEY)
    other = [case for case in pool if len(case.channels) != len(channels)]
    if other:
        raise DataError(
            f"--predict {source}: {other[0].case_id} has {len(other[0].channels)} channel(s), and the model is trained "
            f"on {len(channels)} ({', '.join(channels)}); give scans with the same channels, in the same order"
        )
    return pool


def laid_out(pool: Pool, folder: Path, names: Mapping[str, str] | None = None) -> Path:
    """Write the scans into ``folder`` as nnU-Net names them; what is NIfTI already is linked."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = names or safe_names(pool.case_ids)
    place = placer("link", convert)
    for case in pool:
        for i, channel in enumerate(case.channels):
            place(channel, folder / f"{names[case.case_id]}_{i:04d}.nii.gz")
    return folder


def _content(pool: Pool) -> dict[str, str]:
    return {case.case_id: fingerprint(case) for case in pool}


def _hashes(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _same(workspace: Workspace, begun: Mapping[str, str]) -> bool:
    """Tell whether all that is asked for is what was begun here."""
    kept = workspace.work / BEGUN
    there = load_json(kept) if kept.is_file() else {}
    return all(there.get(name) == what for name, what in begun.items())


def _make_room(workspace: Workspace, begun: Mapping[str, str], *, overwrite: bool) -> None:
    """Note what is begun; a folder that holds something else is refused or, with ``overwrite``, emptied."""
    kept = workspace.work / BEGUN
    there = load_json(kept) if kept.is_file() else {}
    other = [n for n in begun if (workspace.out / n).exists() and there.get(n) != begun[n]]
    if other and not overwrite:
        raise UsageError(
            f"{workspace.out / other[0]} holds the work of other settings or other data; choose another --out, or add "
            "--overwrite to replace it"
        )
    for name in other:
        shutil.rmtree(workspace.out / name)
    atomic_write(kept, dump_json({**there, **begun}))


def dataset_in(folder: Path) -> Path:
    """Return the nnU-Net raw data set that ``folder`` is or, as a hand-off or a collection does, holds.

    Raises
    ------
    UsageError : it is neither.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    if (folder / "dataset.json").is_file():
        return folder
    below = sorted(p.parent for p in folder.glob("Dataset*/dataset.json"))
    if len(below) != 1:
        found = ", ".join(p.name for p in below) or "none"
        raise UsageError(
            f"{folder} does not hold one data set to train on ({found}); name the folder that firstscan collect wrote, "
            "or make one with: firstscan handoff RESULTS --to nnunet --labels FOLDER --out OUT"
        )
    return below[0]


def batch_behind(folder: Path) -> Path | None:
    """Return the results folder that a collection's labels belong to, or None where that is not known."""
    kept = folder / "work" / COLLECTED
    told = load_json(kept) if kept.is_file() else None
    results = Path(told["results"]) if told and told.get("results") else None
    return results if results is not None and results.is_dir() else None


class Staged:
    """Shows a segmenter's ``(done, total, note)`` as one stage, which begins when its size is known."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name, self._done, self._total = progress, name, 0, 0

    def __enter__(self) -> Report:
        return self._report

    def __exit__(self, *_: object) -> None:
        if self._total:
            self._progress.finish()

    def _report(self, done: int, total: int, note: str) -> None:
        if total != self._total:
            if self._total:
                self._progress.finish()
            self._progress.start(self._name, total)
            self._done, self._total = 0, total
        self._progress.advance(max(done - self._done, 0), note)
        self._done = max(done, self._done)
