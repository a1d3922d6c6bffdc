"""Several studies → one summary: strategies ranked over pools and budgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.steps.running.results import finished, guard
from firstscan.steps.running.run import Settings
from firstscan.store import file_sha256, open_workspace, read_manifest, write_manifest
from firstscan.study.table import read_scores

from .publish import SCORES, SUMMARY_FILES, background_of, publish, read_batches, written


def compare(folders: Sequence[Path], out: Path, settings: Settings) -> Path:
    """Join the scores of finished studies and write their common summary, tables, charts and page into ``out``.

    Strategies that every study knows are compared with random over the pools, each with equal weight.

    Raises
    ------
    UsageError : fewer than two studies, a folder without a finished one, or two of the same name.
    """
    if len(folders) < 2:
        raise UsageError("name at least two folders that firstscan study wrote")
    if any(folder.resolve() == out.resolve() for folder in folders):
        raise UsageError(f"--out {out} is one of the studies; choose another folder")
    for folder in folders:
        manifest = read_manifest(folder)
        if manifest is None or manifest.kind != "study":
            raise UsageError(f"{folder} holds no finished study; name folders that firstscan study wrote")
    background = background_of(folders)
    names = [about.name for about in background.studies]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(
            f"two of the studies are called {', '.join(twice)}; a study is called by the entry name of its plan, or by "
            "its file. Give each plan a name of its own"
        )
    inputs = {name: file_sha256(folder / SCORES) for name, folder in zip(names, folders, strict=True)}
    with open_workspace(out):
        manifest = guard(out, "compare", {"studies": names}, overwrite=settings.overwrite)
        if not finished(out, manifest, "compare", inputs):
            publish(out, read_scores(*(folder / SCORES for folder in folders)), background, read_batches(folders))
            config = {"studies": names}
            write_manifest(
                out,
                kind="compare",
                version=__version__,
                config=config,
                inputs=inputs,
                files=written(out, SUMMARY_FILES),
            )
    return out / "study.html"
