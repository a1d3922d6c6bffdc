"""nnU-Net's folds as an ensemble: each leaves a part of the labelled scans out, and each predicts probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from zipfile import is_zipfile

from firstscan.domain.errors import DataError, UsageError
from firstscan.segmentation.dataset import list_images, read_dataset
from firstscan.segmentation.protocol import Progress, silent

from .segmenter import DONE, NnUnet, told_of

PROBABLE = ".npz"


def left_out(names: Sequence[str], folds: int) -> tuple[tuple[str, ...], ...]:
    """Return for each fold the cases that it does not train on: every ``folds``-th of the sorted names; none for one.

    Raises
    ------
    UsageError : fewer cases than folds.
    """
    ordered = sorted(names)
    if folds == 1:
        return ((),)
    if len(ordered) < folds:
        raise UsageError(
            f"--members {folds}: a fold of nnU-Net leaves a part of the labelled scans out, and there are "
            f"{len(ordered)}; ask for at most --members {max(len(ordered), 1)}, or label more scans"
        )
    return tuple(tuple(ordered[k::folds]) for k in range(folds))


def train_folds(settings: NnUnet, dataset: Path, model: Path, *, folds: int, seed: int, progress: Progress) -> None:
    """Train ``folds`` folds in one model folder; those that are complete are kept, an interrupted one is continued.

    Raises
    ------
    UsageError : fewer cases than folds, or nnU-Net is not installed.
    DataError : it failed, or the labels do not serve.
    """
    names = [case.name for case in read_dataset(dataset).cases]
    out = left_out(names, folds)
    trained = {str(k): [n for n in names if n not in gone] for k, gone in enumerate(out)}
    raw = settings.trained_on(dataset, model, trained, progress)
    if (model / DONE).exists():
        return
    for fold in trained:
        mark = model / f"fold_{fold}.done"
        if not mark.exists():
            settings.train_fold(model, fold, seed=seed, progress=progress)
            mark.touch()
    settings.finish(raw, model, seed, folds)


def predict_folds(
    settings: NnUnet, model: Path, images: Path, out: Path, *, progress: Progress = silent
) -> tuple[Path, ...]:
    """Write ``out/fold_<k>/<name>.npz`` with the probabilities of every scan of ``images``; return these folders.

    A scan is complete once its file has its own name: they are written elsewhere and moved, so that nothing that an
    interrupted run left behind is taken for a prediction.

    Raises
    ------
    DataError : no trained model, or a scan without a prediction; the message names them.
    """
    told = told_of(model)
    found = list_images(images, told["channels"])
    made = tuple(out / f"fold_{k}" for k in range(told.get("folds", 1)))
    for k, folder in enumerate(made):
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [name for name in found if not (folder / f"{name}{PROBABLE}").is_file()]
        if wanted:
            _predict(settings, model, str(k), {n: found[n] for n in wanted}, folder)
        progress(k + 1, len(made), f"fold {k}")
    return made


def _predict(settings: NnUnet, model: Path, fold: str, scans: dict[str, tuple[Path, ...]], folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    inputs, outputs = part / "images", part / "predicted"
    inputs.mkdir(parents=True)
    outputs.mkdir()
    for paths in scans.values():
        for path in paths:
            _linked(path, inputs / path.name)
    arguments = [*settings.predicting(inputs, outputs, fold), "--save_probabilities"]
    settings.programs(model)("nnUNetv2_predict", *arguments)
    made = {name: outputs / f"{name}{PROBABLE}" for name in scans}
    missing = [name for name, path in made.items() if not path.is_file() or not is_zipfile(path)]
    if missing:
        raise DataError(
            f"nnU-Net saved no probabilities for {len(missing)} scan(s): {', '.join(missing[:5])}; look into "
            f"{model / 'nnunet.log'} for why"
        )
    for name, path in made.items():
        path.replace(folder / f"{name}{PROBABLE}")
    shutil.rmtree(part)


def _linked(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.resolve())
    except (OSError, NotImplementedError):
        shutil.copyfile(path, target)
