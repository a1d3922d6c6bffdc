"""The same steps for Python users: no output folder needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.domain.slices import ScanGeometry
from firstscan.execution import Progress, Silent, run_cases
from firstscan.imaging import inspect
from firstscan.steps.measuring.index import index as index_source
from firstscan.steps.measuring.pipeline import extracted, opened, settled
from firstscan.steps.running.config import ExtractCommand, IndexCommand, Modality, PickConfig, PresetName
from firstscan.steps.running.headers import HeaderReader
from firstscan.steps.running.run import Settings, shown
from firstscan.steps.selecting.slicing import geometries, laid
from firstscan.store import read_features


def index(
    source: str | Path,
    *,
    layout: str = "auto",
    channels: Sequence[str] = (),
    only: Sequence[str] = (),
    table: str | Path | None = None,
    pseudonyms: bool | None = None,
    severity: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Pool:
    """Return the scans of a folder or table as a pool, with what was left out and what was not looked at.

    Parameters
    ----------
    layout : how the source is read; by default it is recognised.
    channels : names of the channels to use; all when empty.
    only : which scans or DICOM series, each ``COLUMN=PATTERN`` (``modality=MR``, ``description=*T1*``).
    table : more columns of the scans (CSV, TSV, Parquet), one row each, joined by the column ``case_id``.
    pseudonyms : give scans and metadata neutral names (``case-0001``); None: where the source is DICOM. The key is
        ``pool.pseudonyms``.
    severity : how to take single kinds of findings, code → ``drop``, ``warn``, ``note`` or ``off``.
    workers : processes that read the headers of DICOM files; None: one a CPU core.
    progress : told of the headers as they are read; None: nobody is.

    Raises
    ------
    UsageError : no such source, an unknown layout or channel, a table that fits no scan.
    DataError : no scan in it.
    """
    config = IndexCommand.of(
        source=str(source),
        layout=layout,
        channel=tuple(channels),
        only=tuple(only),
        table=table,
        pseudonyms=pseudonyms,
        severity=dict(severity or {}),
    )
    return index_source(config, HeaderReader(partial(run_cases, workers=workers), partial(shown, progress or Silent())))


def extract(
    pool: Pool,
    preset: PresetName = "auto",
    seed: int = 42,
    *,
    region: Literal["foreground", "all"] = "foreground",
    modality: Modality | None = None,
    checkpoint: str | Path | None = None,
    encoder: str | None = None,
    input_size: str | None = None,
    spacing: str | None = None,
    window: str | None = None,
    train_steps: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    engine: str = "local",
    device: str = "auto",
    progress: Progress | None = None,
) -> FeatureTable:
    """Check the pool, learn from it, and measure every usable scan; what is wrong with the others is left out.

    Parameters
    ----------
    out : folder for what can be used again by a killed or repeated call; None: nothing is kept.
    preset : ``instant`` uses no network: there is then no uncertainty, and strategies that need it refuse.
    region : where signals are averaged; ``all`` is the published behaviour.
    encoder : a pretrained encoder (docs/encoders.md), whose embeddings become the feature group of that name;
        ``checkpoint`` then holds its weights, not the first ones of training.
    input_size, spacing, window : the encoder's input where it is not the publisher's, as on the command line.

    Raises
    ------
    UsageError : wrong settings.  DataError : no scan is usable.
    """
    given = ExtractCommand.of(
        source=pool.source,
        preset=preset,
        seed=seed,
        region=region,
        modality=modality,
        checkpoint=checkpoint,
        encoder=encoder,
        input_size=input_size,
        spacing=spacing,
        window=window,
        train_steps=train_steps,
    )
    config = settled(given, device)
    settings = Settings(workers=workers, engine=engine, device=device, progress=progress or Silent())
    with ExitStack() as stack:
        folder = Path(out) if out is not None else Path(stack.enter_context(TemporaryDirectory(prefix="firstscan-")))
        return extracted(pool, config, stack.enter_context(opened(folder, settings)))


def plan_slices(
    selection: Selection,
    source: Pool | FeatureTable | str | Path,
    *,
    every: int | None = None,
    slices: int | None = None,
    least: int = 1,
    within: str | None = None,
    slice_axis: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Selection:
    """Return the selection with a plan of the slices to annotate: ``selection.slices``.

    Parameters
    ----------
    source : what tells how the picks are stored: a feature table that :func:`extract` made, a results folder or its
        ``features.parquet``, or the pool, of which the picks are read (and only they).
    every : every so manyth slice of each pick; every 4th where neither this nor ``slices`` is given.
    slices : so many slices in all, equally far apart in all picks.
    least : at least so many slices of a scan.
    within : where the target lies, ``FROM:TO`` in mm from the top of a scan, or in percent (``25%:75%``).
    slice_axis : ``axial``, ``coronal`` or ``sagittal``; None: the plane that a scan was acquired in.
    workers, progress : as for :func:`extract`, where scans are read.

    Raises
    ------
    UsageError : wrong settings, a table that does not tell how scans are stored, a pick that cannot be planned.
    DataError : a pick that cannot be read.
    """
    if every is not None and slices is not None:
        raise UsageError("plan_slices: every and slices: one of them decides how far apart slices are")
    config = PickConfig.of(
        budget=len(selection) if slices is None else None,
        slices=slices,
        every=4 if every is None and slices is None else every,
        least=least,
        range=within,
        slice_axis=slice_axis,
    )
    if isinstance(source, Pool):
        scans = _stored(source, selection, workers, progress or Silent())
    else:
        scans = geometries(source if isinstance(source, FeatureTable) else read_features(source), selection.case_ids)
    return replace(selection, slices=laid(scans, config))


def _stored(pool: Pool, selection: Selection, workers: int | None, progress: Progress) -> list[ScanGeometry]:
    """Read the picks, and return how they are stored."""
    missing = [i for i in selection.case_ids if i not in pool]
    if missing:
        raise UsageError(f"plan_slices: {len(missing)} pick(s) are not in the pool: {', '.join(missing[:5])}")
    found: dict[str, ScanGeometry] = {}
    with shown(progress, "Reading scans", len(selection)):
        for case_id, told in run_cases(inspect, [(i, pool[i]) for i in selection.case_ids], workers=workers):
            if isinstance(told, Exception):
                raise told
            summary, findings = told
            if summary is None:
                raise DataError(f"{case_id} cannot be read, so its slices cannot be planned: {findings[0].message}")
            found[case_id] = ScanGeometry.of(case_id, summary.geometry)
            progress.advance()
    return [found[i] for i in selection.case_ids]
