"""Where the predictions of a round come from: networks trained now, models trained before, or another program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from firstscan.domain.case import Case
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool
from firstscan.handoff.names import safe_names
from firstscan.segmentation.grids import read_labels
from firstscan.segmentation.nnunet.folds import PROBABLE, left_out, predict_folds, train_folds
from firstscan.segmentation.nnunet.segmenter import DATASET, NnUnet, told_of
from firstscan.segmentation.registry import segmenter
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.selection.queries.registry import rule_class
from firstscan.steps.annotating.tool_folder import all_linkable
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.steering.amend import Batch
from firstscan.store import file_sha256, identity

from .candidates import open_ids
from .ensemble import Labelled, labelled_dataset, say_absent, train_members
from .given_models import GivenModels, given_models, require_fit
from .predicted import check_class_order, grids_of
from .predictions import ByModel, ByOthers, Source, find_predictions
from .train import Staged, laid_out

Made = tuple[Source, tuple[str, ...]]
"""A source, and the classes that no label map holds."""


@runtime_checkable
class Asked(Protocol):
    """What of the settings of a round says where predictions come from."""

    segmenter: Any
    setting: Any
    model: tuple[Path, ...]
    predictions: Path | None
    members: int
    steps: int | None
    seed: int


@runtime_checkable
class Wanted(Protocol):
    """Where predictions are to come from, before anything of the pool is read."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    def given(self) -> Any:
        """Return what the round's key has to know besides its settings and labels: a hash of what was handed in."""

    def require_members(self, rule: str) -> None:
        """Raise UsageError where the rule compares more members of an ensemble than there will be."""

    def made(self, at: Standing) -> Made:
        """Return the source, trained where needed."""


def wanted_source(config: Asked, settings: Settings) -> Wanted:
    """Return where predictions come from.

    Raises
    ------
    UsageError : nnU-Net is not installed, an unknown setting, no GPU where one is asked for, or no model in a folder.
    """
    if config.predictions is not None:
        return OtherProgram(config.predictions)
    if config.model:
        models = given_models(config.model)
        if models.kind == "nnunet":
            models.nnunet(settings.device).check()
        return TrainedBefore(models, settings.device)
    if config.segmenter == "nnunet":
        made = segmenter("nnunet", {"device": _nnunet_device(settings.device), **config.setting})
        assert isinstance(made, NnUnet)
        made.check()
        return NnUnetFolds(made, config.members, config.seed)
    steps = {} if config.steps is None else {"iterations": config.steps}
    unet = segmenter("unet", {"device": device_of(settings.device), **config.setting, **steps})
    assert isinstance(unet, Unet)
    unet.check()
    seeds = tuple(int(identity(config.seed, "member", m), 16) % 2**31 for m in range(config.members))
    return UnetEnsemble(unet, seeds)


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a round begins: the run, what is labelled, the scans, and the batch so far."""

    run: Run
    labelled: Labelled
    pool: Pool
    batch: Batch

    @property
    def contents(self) -> dict[str, str]:
        """What each scan's voxels depend on: what was read then, and whether its files were touched since."""
        return {case.case_id: self.content(case) for case in self.pool}

    def content(self, case: Case) -> str:
        """Return the hash of one scan."""
        stats = [Path(p).stat() for p in case.paths]
        return identity(self.batch.manifest.inputs.get(case.case_id, ""), [[s.st_size, s.st_mtime_ns] for s in stats])

    @property
    def to_predict(self) -> list[str]:
        """The scans that can be picked, and the picks without a label, whose predictions are handed over."""
        pending = (i for i in self.batch.selection.case_ids if i not in self.labelled.labels and i in self.pool)
        return sorted({*open_ids(self.batch, self.labelled), *pending})

    @property
    def ordered(self) -> dict[str, int]:
        """The classes by value."""
        return dict(sorted(self.labelled.classes.items(), key=lambda kv: kv[1]))


@dataclass(frozen=True)
class UnetEnsemble:
    """``unet`` from several seeds."""

    settings: Unet
    seeds: tuple[int, ...]
    name: str = "unet"

    def given(self) -> Any:
        """Return nothing: it is all in the settings."""

    def require_members(self, rule: str) -> None:
        """Raise UsageError where the rule compares more members than are asked for."""
        _require(rule, len(self.seeds), f"--members {len(self.seeds)}")

    def made(self, at: Standing) -> Made:
        """Train, or find what was trained."""
        contents = at.contents
        trained = train_members(at.run, at.labelled, at.pool, contents, self.settings, seeds=self.seeds)
        as_stored = all_linkable(at.pool.only(at.labelled.labels))
        source = ByModel(trained.models, self.settings, at.pool, as_stored, trained.classes, contents, trained.networks)
        return source, trained.absent


@dataclass(frozen=True)
class NnUnetFolds:
    """nnU-Net trained on the labels; its folds are the ensemble."""

    settings: NnUnet
    folds: int
    seed: int
    name: str = "nnunet"

    def given(self) -> Any:
        """Return nothing: it is all in the settings."""

    def require_members(self, rule: str) -> None:
        """Raise UsageError where the rule compares more members than there are folds."""
        _require(rule, self.folds, f"--members {self.folds}")

    def made(self, at: Standing) -> Made:
        """Train the folds and predict; what is there already is used again."""
        left_out(tuple(at.labelled.labels), self.folds)
        folder, dataset, absent = labelled_dataset(at.run, at.labelled, at.pool, at.contents, self.settings)
        say_absent(at.run, absent)
        model = folder / f"folds-{self.folds}-seed-{self.seed}"
        with Staged(at.run.progress, "Training nnU-Net on the labels") as report:
            train_folds(self.settings, dataset, model, folds=self.folds, seed=self.seed, progress=report)
        content = identity(folder.name, told_of(model), checkpoints(model))
        return _by_nnunet(at, [model], self.settings, content, at.ordered), absent


@dataclass(frozen=True)
class TrainedBefore:
    """Models that ``firstscan train`` made."""

    models: GivenModels
    device: str

    @property
    def name(self) -> str:
        """Their kind, and that they were there before."""
        return f"{self.models.kind}, trained before"

    def given(self) -> Any:
        """Return a hash of the models."""
        return self.models.content

    def require_members(self, rule: str) -> None:
        """Raise UsageError where the rule compares more members than there are models."""
        count = len(self.models.folders)
        if self.models.kind == "nnunet":
            count = sum(int(told_of(folder).get("folds", 1)) for folder in self.models.folders)
        _require(rule, count, f"--model names {count} network(s)")

    def made(self, at: Standing) -> Made:
        """Return predictions of the models, if they fit labels and scans."""
        scans = at.pool.only(at.to_predict)
        require_fit(self.models, at.labelled, scans)
        absent = _absent(at.labelled)
        if self.models.kind == "nnunet":
            ordered = dict(sorted(self.models.classes.items(), key=lambda kv: kv[1]))
            settings = self.models.nnunet(self.device)
            return _by_nnunet(at, self.models.folders, settings, self.given(), ordered), absent
        unet = segmenter("unet", {"device": device_of(self.device)})
        assert isinstance(unet, Unet)
        unet.check()
        as_stored = all_linkable(scans)
        source = ByModel(self.models.folders, unet, at.pool, as_stored, self.models.classes, at.contents, self.given())
        return source, absent


@dataclass(frozen=True)
class OtherProgram:
    """Probability maps that another program wrote."""

    folder: Path
    name: str = "predictions of another program"

    def given(self) -> Any:
        """Return the names and hashes of all files."""
        files = sorted(p for p in self.folder.rglob("*") if p.is_file())
        return [[p.relative_to(self.folder).as_posix(), file_sha256(p)] for p in files]

    def require_members(self, rule: str) -> None:
        """Do nothing: how many there are shows when they are read."""

    def made(self, at: Standing) -> Made:
        """Find the files and look whether they mean the same classes."""
        wanted = open_ids(at.batch, at.labelled)
        files = find_predictions(self.folder, {*wanted, *at.labelled.labels, *at.batch.selection.case_ids})
        missing = [i for i in wanted if i not in files]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(wanted)} scans that are left have no prediction in {self.folder}: "
                f"{', '.join(missing[:5])}; predict them, or leave --predictions out"
            )
        others = ByOthers(files, grids_of(at.pool.only(files), at.batch.features), at.ordered)
        return others, check_class_order(others, at.labelled)


def device_of(asked: str) -> Any:
    """Return where ``unet`` runs: the processor, unless a GPU is asked for by name."""
    return asked if asked == "cuda" else "cpu"


def checkpoints(model: Path) -> list[list[str]]:
    """Return (fold, hash) of each last checkpoint of an nnU-Net."""
    return [
        [p.parent.name, file_sha256(p)] for p in sorted(model.glob(f"results/{DATASET}/*/fold_*/checkpoint_final.pth"))
    ]


def _nnunet_device(asked: str) -> str:
    return asked if asked in {"cuda", "mps"} else "cpu"


def _require(rule: str, members: int, given: str) -> None:
    least = getattr(rule_class(rule), "least_members", 1)
    if members < least:
        raise UsageError(f"{given}: rule {rule} needs at least {least} members to compare")


def _absent(labelled: Labelled) -> tuple[str, ...]:
    seen: set[int] = set()
    for path in labelled.labels.values():
        seen |= set(np.unique(read_labels(Path(path))[0]).tolist())
    return tuple(name for name, value in labelled.classes.items() if value not in seen)


def _by_nnunet(
    at: Standing, models: Sequence[Path], settings: NnUnet, content: str, classes: Mapping[str, int]
) -> ByOthers:
    """Return nnU-Net's predictions; what it saved before is kept, by weights and content of the scan."""
    scans = at.pool.only(at.to_predict)
    folder = at.run.workspace.folder("probabilities", identity(content, settings.configuration, settings.mirroring))
    names = safe_names(scans.case_ids)
    tagged = {case.case_id: f"{names[case.case_id]}-{at.content(case)[:12]}" for case in scans}
    images = laid_out(scans, folder / "images", tagged)
    places: list[Path] = []
    for k, model in enumerate(models):
        with Staged(at.run.progress, "Predicting with nnU-Net") as report:
            places += predict_folds(settings, model, images, folder / f"model-{k}", progress=report)
    files = {i: tuple(place / f"{name}{PROBABLE}" for place in places) for i, name in tagged.items()}
    return ByOthers(files, grids_of(scans, at.batch.features), classes)
