"""Usable pool → crops on disk, one pool-wide spacing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstscan._version import __version__
from firstscan.domain.case import Case
from firstscan.domain.errors import DataError, ScanError
from firstscan.domain.volume import Crop, Modality
from firstscan.imaging import pool_spacing, read_volume
from firstscan.imaging import standardise as to_crop
from firstscan.steps.running.run import Run
from firstscan.store import CaseCache, identity

from .check import Checked, Signature, signature


@dataclass(frozen=True, slots=True)
class CropFile:
    """The crop of one case on disk: its voxels and its mask."""

    case_id: str
    voxels: Path
    mask: Path
    spacing_mm: float

    def read(self) -> Crop:
        """Return the crop.  Raises DataError where a file is gone or damaged; a damaged one is removed."""
        try:
            return Crop(self.case_id, np.load(self.voxels), np.load(self.mask), self.spacing_mm)
        except FileNotFoundError as error:
            raise DataError(
                f"The prepared scan {error.filename} has vanished. Is another program clearing the folder? Run the "
                "same command again."
            ) from error
        except (ValueError, EOFError) as error:
            self.voxels.unlink(missing_ok=True)  # the case then counts as not prepared
            raise DataError(
                f"The prepared scan {self.voxels} was damaged ({error}) and has been removed. Run the same command "
                "again: it is prepared anew."
            ) from error


@dataclass(frozen=True, slots=True)
class CropFiles:
    """The crops of a pool, sorted by case id, read from disk on access; ``keys`` change whenever a crop does."""

    case_ids: tuple[str, ...]
    files: tuple[tuple[Path, Path], ...]
    keys: Mapping[str, str]
    spacing_mm: float
    channels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.case_ids)

    def __getitem__(self, index: int, /) -> Crop:
        return self.file(index).read()

    def file(self, index: int) -> CropFile:
        """Return where the crop at ``index`` is."""
        return CropFile(self.case_ids[index], *self.files[index], self.spacing_mm)


@dataclass(frozen=True, slots=True)
class _Job:
    case: Case
    modality: Modality
    spacing_mm: float
    size: int
    signature: Signature
    voxels: Path
    mask: Path


def standardise(checked: Checked, size: int, run: Run) -> CropFiles:
    """Write the crop of every case that has none yet: ``size`` voxels a side, spacing such that 95 % of the pool fit.

    Raises
    ------
    DataError : a file changed or vanished since it was checked, or the disk is full.
    """
    ids = checked.pool.case_ids
    spacing_mm = pool_spacing(np.array([checked.summaries[i].extent_mm for i in ids], dtype=np.float64), size)
    cache = CaseCache(run.workspace.folder("crops", f"{size}"))
    keys = {i: _key(checked, i, spacing_mm, size) for i in ids}
    files = tuple((cache.path(i, keys[i], ".npy"), cache.path(i, keys[i], ".mask.npy")) for i in ids)
    there = _names(cache.folder)
    todo = [
        (i, _Job(checked.pool[i], checked.summaries[i].modality, spacing_mm, size, checked.signatures[i], *pair))
        for i, pair in zip(ids, files, strict=True)
        if pair[0].name not in there
    ]
    with run.stage("Preparing scans", len(ids)) as progress:
        progress.advance(len(ids) - len(todo))
        for case_id, result in run.cases(_write, todo):
            if isinstance(result, ScanError):
                raise DataError(
                    f"{case_id} could be read a moment ago and cannot any more: {result}. Run the same command again."
                ) from result
            if isinstance(result, Exception):
                raise result
            progress.advance()
    if {voxels.name for voxels, _ in files} - _names(cache.folder):
        raise DataError(
            f"Prepared scans are missing in {cache.folder} that workers have just written. On a cluster --out must lie "
            "on storage that every node shares."
        )
    return CropFiles(ids, files, keys, spacing_mm, checked.summaries[ids[0]].channel_names)


def _names(folder: Path) -> set[str]:
    """Return the names in a folder; a fresh look, also where network storage remembers what was there."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _key(checked: Checked, case_id: str, spacing_mm: float, size: int) -> str:
    summary = checked.summaries[case_id]
    names = [c.name for c in checked.pool[case_id].channels]
    components = [c.component for c in checked.pool[case_id].channels]
    return identity(__version__, summary.fingerprint, names, components, summary.modality, spacing_mm, size)


def _write(job: _Job) -> None:
    volume = read_volume(job.case, modality=job.modality)
    if signature(job.case) != job.signature:
        raise DataError(f"{job.case.case_id} ({job.case.path}) changed while it was read. Run the same command again.")
    crop = to_crop(volume, spacing_mm=job.spacing_mm, size=job.size)
    CaseCache.write_array(job.mask, crop.foreground)
    CaseCache.write_array(job.voxels, crop.voxels)  # last: a case counts as done when this file is there
