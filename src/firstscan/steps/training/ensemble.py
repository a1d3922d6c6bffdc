"""Labels of a pool → networks trained on them: the data set, and one training a seed, each done once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.case import Case
from firstscan.domain.errors import DataError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection
from firstscan.segmentation.dataset import check_dataset, read_dataset
from firstscan.segmentation.protocol import Segmenter
from firstscan.segmentation.registry import resolved
from firstscan.segmentation.unet.segmenter import SETTINGS, WEIGHTS, Unet
from firstscan.steps.annotating.tool_folder import HandoffConfig, handoff
from firstscan.steps.running.run import Run
from firstscan.store import atomic_write, dump_json, file_sha256, identity, load_json

DONE = "done.json"
"""In a folder of ``work/models``: it is complete, and says what it holds."""


@dataclass(frozen=True)
class Labelled:
    """What is trained on: label map, hash and value names; ``ignore`` marks voxels that nobody annotated."""

    labels: Mapping[str, str]
    hashes: Mapping[str, str]
    classes: Mapping[str, int]
    ignore: int | None


@dataclass(frozen=True)
class Trained:
    """Networks of one data set, the classes in the order of their outputs, and the classes no label map holds."""

    models: tuple[Path, ...]
    classes: Mapping[str, int]
    absent: tuple[str, ...]
    networks: str


def train_members(
    run: Run, labelled: Labelled, pool: Pool, contents: Mapping[str, str], settings: Unet, *, seeds: Sequence[int]
) -> Trained:
    """Train one network a seed on all labels; what was trained before is used again.

    Everything lies in ``work/models``, in a folder named after what training depends on, so that an interrupted run
    goes on with the next member.

    Raises
    ------
    DataError : label maps that cannot be trained on.
    """
    folder, dataset, absent = labelled_dataset(run, labelled, pool, contents, settings)
    models = {seed: folder / f"seed-{seed}" for seed in seeds}
    say_absent(run, absent)
    train_networks(run, settings, [(dataset, model, seed) for seed, model in models.items()], "Training on the labels")
    made = tuple(models.values())
    networks = identity([load_json(model / DONE)["weights"] for model in made])
    return Trained(made, dict(read_dataset(dataset).classes), absent, networks)


def train_networks(run: Run, settings: Unet, wanted: Sequence[tuple[Path, Path, int]], stage: str) -> None:
    """Train each (data set, model folder, seed) that is not complete yet, several at once where there is room.

    Raises
    ------
    DataError : label maps that cannot be trained on.
    """
    numbered = enumerate(wanted, start=1)
    items = [(f"network {k}", (settings, d, m, s)) for k, (d, m, s) in numbered if not (m / DONE).is_file()]
    if items:
        with run.stage(stage, len(items)) as progress:
            for name, result in run.cases(_train, items, gpu=None, workers=1 if settings.fills_machine else None):
                if isinstance(result, Exception):
                    raise result
                progress.advance(1, name)


def labelled_dataset(
    run: Run, labelled: Labelled, pool: Pool, contents: Mapping[str, str], settings: Segmenter
) -> tuple[Path, Path, tuple[str, ...]]:
    """Return the folder of all trainings with these settings and labels, its data set, and the absent classes.

    Raises
    ------
    DataError : label maps that cannot be trained on.
    """
    told = [__version__, resolved(settings), dict(labelled.classes), labelled.ignore, dict(labelled.hashes)]
    scans = {i: contents[i] for i in labelled.labels}
    folder = run.workspace.folder("models", identity(*told, scans))
    dataset, absent = _dataset(folder / "dataset", labelled, pool)
    return folder, dataset, absent


def say_absent(run: Run, absent: Sequence[str]) -> None:
    """Say which classes no label map holds."""
    if absent:
        run.progress.say(f"No label map holds {', '.join(absent)}: no model can learn it from them.")


def with_modality(pool: Pool, modalities: Mapping[str, str]) -> Pool:
    """Return the pool with what was seen of each scan's modality, where its source does not say."""
    return replace(pool, cases=tuple(_with(case, modalities.get(case.case_id)) for case in pool))


def _with(case: Case, modality: str | None) -> Case:
    if modality is None or case.metadata.get("modality"):
        return case
    return replace(case, metadata={**case.metadata, "modality": modality})


def _dataset(folder: Path, labelled: Labelled, pool: Pool) -> tuple[Path, tuple[str, ...]]:
    """Write the labels as an nnU-Net raw data set, once; return it, and the classes that no label map holds."""
    if (folder / DONE).is_file():
        told = load_json(folder / DONE)
        return folder / told["dataset"], tuple(told["absent"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    picks = tuple(
        Pick(case_id, rank, None, None, None, None, "labelled") for rank, case_id in enumerate(labelled.labels, start=1)
    )
    selection = Selection(picks, strategy="labelled", seed=0, budget=len(picks))
    config = HandoffConfig(target="nnunet")
    chosen = pool.only(labelled.labels)
    handed = handoff(
        selection,
        chosen,
        config,
        folder,
        labels=labelled.labels,
        classes=labelled.classes,
        ignore=labelled.ignore,
    )
    dataset = folder / handed.open_this.name
    absent = check_dataset(read_dataset(dataset))
    if len(absent) == len(labelled.classes):
        raise DataError(f"the {len(picks)} label map(s) hold none of the classes {', '.join(absent)}; check --labels")
    atomic_write(folder / DONE, dump_json({"dataset": dataset.name, "absent": list(absent)}))
    return dataset, absent


def _train(item: tuple[Unet, Path, Path, int]) -> None:
    settings, dataset, model, seed = item
    shutil.rmtree(model, ignore_errors=True)
    settings.train(dataset, model, seed=seed)
    done: dict[str, Any] = {"weights": file_sha256(model / WEIGHTS), "settings": file_sha256(model / SETTINGS)}
    atomic_write(model / DONE, dump_json(done))
