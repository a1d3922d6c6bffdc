"""Which scans of a batch are labelled now, and what is odd about the label maps that were named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.names.pseudonyms import Pseudonyms
from firstscan.imaging.files import is_volume
from firstscan.steps.annotating.label_maps import (
    LABELLED,
    find_classes,
    labels_of,
    read_classes,
    read_ignore,
    read_labelled,
)
from firstscan.steps.running.replay import VETOED
from firstscan.steps.steering.amend import Batch
from firstscan.store import file_sha256

from .ensemble import Labelled


def came_labelled(
    batch: Batch, place: Path, classes: Mapping[str, int], key: Pseudonyms | None = None
) -> tuple[Labelled, tuple[Finding, ...]]:
    """Return the label maps below ``place`` that can be trained on, and findings about the others.

    ``key``: neutral names of the scans; label maps may bear the original ones, too.
    A label map of a scan that was vetoed or left out of the pool is not trained on, which is said.

    Raises
    ------
    UsageError : no such place, or a table that names scans which are not in the pool.
    DataError : no label map of the pool, or two of one scan.
    """
    scans = batch.features.case_ids
    known = frozenset((*scans, *batch.manifest.inputs))
    table = _table(place)
    if table is not None:
        unknown = sorted(set(read_labelled(table)) - known)
        if unknown:
            raise UsageError(
                f"{table} lists {len(unknown)} scan(s) that are not in the pool of this batch: "
                f"{', '.join(unknown[:5])}; name the labels of this batch"
            )
    found = labels_of(place, sorted(known), key)
    findings = [*_vetoed(batch, found), *_left_out(batch, found), *([] if table else _strangers(place, found))]
    refused = {f.case_id for f in findings if f.severity == "drop"}
    labels = {i: found[i] for i in sorted(found) if i not in refused}
    if not labels:
        why = f" {findings[0].case_id}: {findings[0].message}." if refused else ""
        raise DataError(
            f"no label map in {place} can be trained on: none belongs to a scan of this batch's pool.{why} Name the "
            "folder that firstscan collect wrote, or a folder of label maps named after their scans"
        )
    folder = place.parent if place.is_file() else place
    named = dict(classes) or read_classes(folder) or find_classes(labels, workers=1)
    hashes = {i: file_sha256(Path(path)) for i, path in labels.items()}
    return Labelled(labels, hashes, named, read_ignore(folder)), tuple(findings)


def _table(place: Path) -> Path | None:
    table = place / LABELLED if place.is_dir() else place
    return table if table.is_file() and table.suffix.lower() == ".csv" else None


def _vetoed(batch: Batch, found: Mapping[str, str]) -> list[Finding]:
    said = dict(batch.selection.diagnostics.get(VETOED, {}))
    said |= {e["removed"]: e["why"] for e in batch.selection.diagnostics.get("replacements", ())}
    picks = batch.selection.case_ids
    remedy = "nothing to do; where it is usable after all, take the veto back in firstscan review"
    return [
        Finding("label-vetoed", "drop", i, f"it is labelled, but was vetoed ({said[i]}): not trained on", remedy)
        for i in sorted(said)
        if i in found and i not in picks
    ]


def _left_out(batch: Batch, found: Mapping[str, str]) -> list[Finding]:
    usable = frozenset(batch.features.case_ids)
    remedy = "see findings.csv for why; repair the scan and select anew to use it"
    return [
        Finding("label-left-out", "drop", i, "it is labelled, but its scan was left out of the pool", remedy)
        for i in sorted(found)
        if i not in usable
    ]


def _strangers(folder: Path, found: Mapping[str, str]) -> list[Finding]:
    own = {Path(path).resolve() for path in found.values()}
    files = sorted(p for p in folder.rglob("*") if p.is_file() and is_volume(p.name) and p.resolve() not in own)
    remedy = "name it after its scan, or move it away"
    message = "belongs to no scan of the pool: not trained on"
    return [Finding("label-unknown", "warn", "", f"{p.name} {message}", remedy, path=str(p)) for p in files]
