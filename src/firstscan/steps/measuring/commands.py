"""The parts of the main job as commands of their own: index, check, pretrain, extract."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.pool import Pool
from firstscan.steps.running.config import INSTANT, CheckCommand, ExtractCommand, IndexConfig, PretrainCommand
from firstscan.steps.running.identity import without_names
from firstscan.steps.running.origin import note_scans
from firstscan.steps.running.results import FINDINGS, TRAINING, guard
from firstscan.steps.running.run import Settings
from firstscan.store import atomic_write, write_findings, write_manifest

from .check import Checked
from .pipeline import crops_and_network, extracted, indexed, opened, settled, started

CASES, WEIGHTS = "cases.csv", "weights.pt"


def run_index(config: IndexConfig, out: Path, settings: Settings) -> Pool:
    """Write ``cases.csv``, every scan that was found with its channels and files, and ``findings.csv``."""
    with opened(out, settings) as run:
        pool = indexed(config, run)
        plain, files = without_names(config.resolved(), pool), (CASES, FINDINGS)
        manifest = guard(out, "index", plain, overwrite=settings.overwrite)
        if manifest is None or manifest.kind == "index":
            atomic_write(out / CASES, cases_table(pool))
            write_findings(out / FINDINGS, pool.findings)
            if pool.pseudonyms is not None:
                note_scans(out, config)
            write_manifest(out, kind="index", version=__version__, config=plain, inputs={}, files=files)
    return pool


def run_check(config: CheckCommand, out: Path, settings: Settings) -> tuple[Checked, int]:
    """Write ``findings.csv``; return the usable pool and how many scans the source holds."""
    with opened(out, settings) as run, started("check", indexed(config, run), config, run) as begun:
        if not begun.done or begun.refreshed:
            begun.finish("check", (FINDINGS,))
    return begun.checked, begun.found


def run_pretrain(config: PretrainCommand, out: Path, settings: Settings) -> Path | None:
    """Write ``weights.pt`` and ``training.csv``; return the weights, fit for ``--checkpoint``.

    With several nodes this runs on all of them: the first process does the command, the others train along and return
    None.
    """
    if settings.nodes > 1:
        from firstscan.learning import together

        with together(settings.devices, settings.nodes, settings.device) as group:
            if group is not None and not group.first:
                group.follow()
                return None
            return _pretrained(config, out, replace(settings, group=group))
    return _pretrained(config, out, settings)


def _pretrained(config: PretrainCommand, out: Path, settings: Settings) -> Path:
    if config.preset == INSTANT:
        raise UsageError(
            "--preset instant uses no network, so there is nothing to train; run firstscan extract or firstscan select "
            "with it"
        )
    config = settled(config, settings.device)
    with opened(out, settings) as run, started("pretrain", indexed(config, run), config, run) as begun:
        if not (begun.done and (out / WEIGHTS).is_file()):
            _, learned = crops_and_network(begun, config)
            with learned.weights.open("rb") as weights:
                atomic_write(out / WEIGHTS, lambda file: shutil.copyfileobj(weights, file))
            if not begun.done:
                begun.finish("pretrain", (FINDINGS, TRAINING, WEIGHTS))
    return out / WEIGHTS


def run_extract(config: ExtractCommand, out: Path, settings: Settings) -> FeatureTable:
    """Write ``features.parquet``; return the table."""
    config = settled(config, settings.device)
    with opened(out, settings) as run:
        return extracted(indexed(config, run), config, run)


def cases_table(pool: Pool) -> str:
    """Return the pool as CSV: case_id, path, channels, files, and every column of the source's table.

    There is no path where the scans have neutral names.
    """
    names = list(dict.fromkeys(name for case in pool for name in case.metadata))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    where = ["path"] if pool.pseudonyms is None else []
    writer.writerow(["case_id", *where, "channels", "files", *names])
    for case in pool:
        channels = ";".join(c.name for c in case.channels)
        given = ["" if case.metadata.get(n) is None else case.metadata[n] for n in names]
        writer.writerow([case.case_id, *([case.path] if where else []), channels, len(case.paths), *given])
    return text.getvalue()
