"""The steps strung together, each result written before the next begins."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from firstscan._version import __version__
from firstscan.audit import apply_policy, check_near_duplicates
from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.execution import check_engine, engine_session
from firstscan.selection.geometry import nearest
from firstscan.steps.running.config import INSTANT, CheckCommand, ExtractCommand, IndexConfig, PretrainCommand
from firstscan.steps.running.headers import headers_of
from firstscan.steps.running.identity import keep_key, without_names
from firstscan.steps.running.origin import KEY, note_scans
from firstscan.steps.running.results import FEATURES, FINDINGS, TRAINING, finished, guard
from firstscan.steps.running.run import Run, Settings
from firstscan.store import (
    amending,
    atomic_write,
    file_sha256,
    open_workspace,
    read_features,
    stream_features,
    write_features,
    write_findings,
    write_manifest,
)

from .check import Checked, check, require_usable
from .index import found, index
from .standardise import CropFiles, standardise

Learning = TypeVar("Learning", bound=PretrainCommand)


@dataclass(frozen=True)
class Started:
    """A command under way: ``done`` tells that ``out`` held its complete result already.

    ``refreshed``: what it held was a check, whose findings were written again, for those of no scan are no input.
    """

    run: Run
    checked: Checked
    config: Mapping[str, Any]
    found: int
    done: bool
    refreshed: bool = False

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.run.workspace.out

    def finish(self, kind: str, files: tuple[str, ...]) -> None:
        """Write the manifest: from here on the result counts."""
        write_manifest(
            self.out,
            kind=kind,
            version=__version__,
            config=self.config,
            inputs=self.checked.inputs,
            files=files,
        )


def resolved(config: IndexConfig) -> dict[str, Any]:
    """Return the settings for the manifest: a checkpoint is named by its content, not by its place."""
    plain = config.resolved()
    if plain.get("checkpoint"):
        plain["checkpoint"] = file_sha256(Path(plain["checkpoint"]))
    return plain


def settled(config: Learning, device: str) -> Learning:
    """Return the settings with ``auto`` replaced by the preset it stands for on this machine.

    Raises UsageError for a device that is not there, and for an encoder's weights that do not serve.
    """
    if isinstance(config, ExtractCommand) and config.encoder is not None:
        from .encode import verify

        verify(config, device)
    if config.preset == INSTANT or (config.preset != "auto" and device in {"auto", "cpu"}):
        return config
    from firstscan.learning import resolve_device, resolve_preset

    resolve_device(device)
    return config.model_copy(update={"preset": resolve_preset(config.preset, device).name})


@contextmanager
def opened(out: Path, settings: Settings, *, shared: Path | None = None) -> Iterator[Run]:
    """Hold ``out`` and the engine for a command; nothing in ``out`` is changed yet.

    ``shared``: caches, see :class:`firstscan.store.Workspace`.
    Raises UsageError where ``out`` cannot be used, or the engine not be had.
    """
    check_engine(settings.engine)
    with open_workspace(out, shared) as workspace, engine_session(settings.engine):
        yield Run(workspace, settings)


def indexed(config: IndexConfig, run: Run) -> Pool:
    """Return the scans of a command's source; their neutral names, if any, are kept in ``work`` of its folder."""
    return index(config, headers_of(run), run.workspace.work / KEY)


@contextmanager
def started(kind: str, pool: Pool, config: CheckCommand, run: Run) -> Iterator[Started]:
    """Begin a command: check the pool, and write the findings unless the result is there already.

    The result of an earlier command that this one goes on from stays valid until the new one is complete.

    Raises
    ------
    UsageError : the folder holds another result.  DataError : no scan is usable (not for ``check``).
    """
    workspace, out = run.workspace, run.workspace.out
    workspace.log("start", kind=kind, version=__version__)
    plain = without_names(resolved(config), pool)
    manifest = guard(out, kind, plain, overwrite=run.settings.overwrite)
    checked = check(pool, config, run)
    total = found(checked.pool)
    done = finished(out, manifest, kind, checked.inputs)
    again = done and manifest is not None and manifest.kind == "check"
    with nullcontext() if done or manifest is None else amending(out, (FINDINGS, TRAINING, FEATURES)):
        if pool.pseudonyms is not None:
            keep_key(workspace.work / KEY, pool)
            note_scans(out, config)
        if not done or again:
            write_findings(out / FINDINGS, checked.pool.findings)
        if kind != "check":
            require_usable(checked, total, out / FINDINGS)
        yield Started(run, checked, plain, total, done, again)
    workspace.log("end", kind=kind, done=done)


@dataclass(frozen=True)
class Measured:
    """What extraction leaves: the crops, the trained network, the feature table, and the pool with what was found.

    ``learned`` is None where no network was used.
    """

    crops: CropFiles
    learned: Any
    features: FeatureTable
    checked: Checked


def crops_and_network(begun: Started, config: PretrainCommand) -> tuple[CropFiles, Any]:
    """Standardise the pool and train on it; the losses are written as ``training.csv``."""
    from .pretrain import preset_of, pretrain

    preset = preset_of(config, begun.run.settings.device)
    crops = standardise(begun.checked, preset.size, begun.run)
    learned = pretrain(crops, config, begun.run)
    write_training(begun.out / TRAINING, learned.history)
    return crops, learned


def measured(begun: Started, config: ExtractCommand) -> Measured:
    """Standardise, train and measure; the table is written as ``features.parquet``."""
    if config.preset == INSTANT:
        return _measured_instantly(begun, config)
    from .encode import encode
    from .extract import extract

    encoded = encode(begun.checked, config, begun.run)  # first: weights that do not fit the scans cost no training
    crops, learned = crops_and_network(begun, config)
    found = extract(crops, learned, begun.checked, config, begun.run, region=config.region).with_encoded(encoded)
    checked = _compared(begun.checked, found.table(), config)
    write_findings(begun.out / FINDINGS, checked.pool.findings)
    found = found.only(checked.pool.case_ids)
    stream_features(
        begun.out / FEATURES,
        found.case_ids,
        found.read(),
        layout=found.layout,
        geometry=found.geometry,
        covariates=found.covariates,
    )
    return Measured(crops, learned, found.table(), checked)


def _measured_instantly(begun: Started, config: ExtractCommand) -> Measured:
    """Standardise and measure what needs no network; the table is written as ``features.parquet``."""
    from .instant import SIZE, measure_groups, only

    crops = standardise(begun.checked, SIZE, begun.run)
    features = measure_groups(crops, begun.checked, begun.run)
    checked = _compared(begun.checked, features, config)
    write_findings(begun.out / FINDINGS, checked.pool.findings)
    features = only(features, checked.pool.case_ids)
    write_features(begun.out / FEATURES, features)
    return Measured(crops, None, features, checked)


def measured_files(config: PretrainCommand) -> tuple[str, ...]:
    """Return the files that extraction writes besides the findings."""
    return (FEATURES,) if config.preset == INSTANT else (TRAINING, FEATURES)


def extracted(pool: Pool, config: ExtractCommand, run: Run) -> FeatureTable:
    """Return the features of ``pool``, extracted into the run's folder unless they are there.

    Raises
    ------
    UsageError, DataError : see :func:`started`.
    """
    with started("extract", pool, config, run) as begun:
        if begun.done:
            return read_features(begun.out)
        features = measured(begun, config).features
        begun.finish("extract", (FINDINGS, *measured_files(config)))
        return features


def _compared(checked: Checked, features: FeatureTable, config: CheckCommand) -> Checked:
    """Look for scans that are nearly alike, which only their embeddings tell."""
    if len(features) < 2:
        return checked
    found = nearest(features.embeddings, 1)
    alike = check_near_duplicates(features.case_ids, found.rows[:, 0], found.distances[:, 0])
    near = apply_policy(alike, config.audit, config.severity)
    paths = {case.case_id: case.path for case in checked.pool}
    return replace(checked, pool=checked.pool.with_findings([replace(f, path=paths[f.case_id]) for f in near]))


def write_training(path: Path, history: tuple[Any, ...]) -> None:
    """Write the losses, one row a step, with every digit."""
    names = ("step", "loss", "rotation", "inpainting", "consistency", "learning_rate")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([repr(getattr(row, name)) for name in names] for row in history)
    atomic_write(path, text.getvalue())
