"""Whether a folder already holds the answer, holds another one, or is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.selection import Selection
from firstscan.store import Manifest, differences, file_sha256, read_manifest
from firstscan.store.manifest import NAME

FINDINGS, TRAINING, FEATURES, REPORT = "findings.csv", "training.csv", "features.parquet", "report.html"
SELECTION = ("selection.csv", "selection.json")
SLICES = "slices.csv"

CHAIN = ("index", "check", "pretrain", "extract", "select")
"""Commands in the order in which each does all that the one before does."""


def selection_files(selection: Selection) -> tuple[str, ...]:
    """Return the files that a batch is written as: with a plan by slice ``slices.csv`` is one of them."""
    return SELECTION if selection.slices is None else (*SELECTION, SLICES)


def guard(out: Path, kind: str, config: Mapping[str, Any], *, overwrite: bool) -> Manifest | None:
    """Return the manifest of the result that ``out`` holds, if it goes together with this command.

    With ``overwrite`` an old result stops being one (its manifest goes first, so that no mixture is ever trusted).

    Raises
    ------
    UsageError : it holds the result of other settings or of another command; the message names what differs.
    """
    if overwrite:
        (out / NAME).unlink(missing_ok=True)
    manifest = read_manifest(out)
    if manifest is None:
        return None
    if manifest.kind != kind and not {manifest.kind, kind} <= set(CHAIN):
        raise refusal(out, [f"it was made by: firstscan {manifest.kind}"])
    changed = differences({**manifest.config, "version": manifest.version}, {**config, "version": __version__})
    if changed:
        raise refusal(out, changed)
    return manifest


def finished(out: Path, manifest: Manifest | None, kind: str, inputs: Mapping[str, str]) -> bool:
    """Tell whether ``out`` holds the complete result of ``kind`` for these inputs.

    Raises
    ------
    UsageError : it holds the result of other scans, or a file of the result was changed afterwards.
    """
    if manifest is None:
        return False
    moved = moved_inputs(manifest.inputs, inputs) if manifest.kind != "index" else []
    if moved:
        raise refusal(out, moved)
    missing = [n for n in manifest.files if not (out / n).is_file()]
    edited = [n for n, r in manifest.files.items() if n not in missing and file_sha256(out / n) != r["sha256"]]
    if edited:
        raise refusal(out, [f"{name} was changed after it was written" for name in edited])
    return not missing and (manifest.kind == kind or CHAIN.index(kind) <= CHAIN.index(manifest.kind))


def moved_inputs(old: Mapping[str, str], new: Mapping[str, str], what: str = "scan") -> list[str]:
    """Return a line for each way in which the inputs of a result are no longer those it was made from."""
    added, gone = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    other = sorted(i for i in old.keys() & new.keys() if old[i] != new[i])
    groups = ((f"new {what}(s)", added), (f"{what}(s) no longer there", gone), (f"{what}(s) with other content", other))
    return [f"{len(ids)} {how}: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}" for how, ids in groups if ids]


class HeldError(UsageError):
    """A folder holds other results than those asked for; ``lines`` say in what they differ."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = tuple(lines)


def refusal(out: Path, lines: Sequence[str]) -> HeldError:
    """Return the error that says why ``out`` is left as it is, a line for each difference."""
    listed = "\n".join(f"  {line}" for line in lines)
    return HeldError(
        f"{out} already holds results, and this command would change them:\n{listed}\n"
        "Choose another --out to keep both, or add --overwrite to replace them (finished work is used again).",
        lines,
    )
