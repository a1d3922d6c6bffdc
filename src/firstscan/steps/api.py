"""The same steps for Python users: no output folder needed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.execution import Progress, Silent, run_cases

from .config import ExtractCommand, IndexConfig, Modality
from .headers import HeaderReader
from .index import index as index_source
from .pipeline import extracted, opened, settled
from .run import Settings, shown


def index(
    source: str | Path,
    *,
    layout: str = "auto",
    channels: Sequence[str] = (),
    only: Sequence[str] = (),
    table: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Pool:
    """Return the scans of a folder or table as a pool; no voxel is read.

    Parameters
    ----------
    layout : how the source is read; by default it is recognised.
    channels : names of the channels to use; all when empty.
    only : which scans or DICOM series, each ``COLUMN=PATTERN`` (``modality=MR``, ``description=*T1*``).
    table : more columns of the scans (CSV, TSV, Parquet), one row each, joined by the column ``case_id``.
    workers : processes that read the headers of DICOM files; None: one a CPU core.
    progress : told of the headers as they are read; None: nobody is.

    Raises
    ------
    UsageError : no such source, an unknown layout or channel, two scans with the same id, a table that fits no scan.
    DataError : no scan in it.
    """
    config = IndexConfig.of(source=str(source), layout=layout, channel=tuple(channels), only=tuple(only), table=table)
    return index_source(config, HeaderReader(partial(run_cases, workers=workers), partial(shown, progress or Silent())))


def extract(
    pool: Pool,
    preset: Literal["auto", "fast", "paper"] = "auto",
    seed: int = 42,
    *,
    region: Literal["foreground", "all"] = "foreground",
    modality: Modality | None = None,
    checkpoint: str | Path | None = None,
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
    region : where signals are averaged; ``all`` is the published behaviour.

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
        train_steps=train_steps,
    )
    config = settled(given, device)
    settings = Settings(workers=workers, engine=engine, device=device, progress=progress or Silent())
    with ExitStack() as stack:
        folder = Path(out) if out is not None else Path(stack.enter_context(TemporaryDirectory(prefix="firstscan-")))
        return extracted(pool, config, stack.enter_context(opened(folder, settings)))
