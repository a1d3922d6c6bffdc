"""Write the demo cohort: images, tissue labels kept aside, and a table of what was done to each case."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from firstscan.domain.errors import DataError, UsageError

from .plan import PlannedCase, child_rng, plan
from .synth import (
    Anatomy,
    Grid,
    anatomy,
    averaged_slices,
    biased,
    head_box_mm,
    moved,
    random_warp,
    rician,
    sample,
    signal,
    stored,
    tissue_labels,
)

Reader = Callable[[Path], tuple[np.ndarray, np.ndarray]]
"""``read(path)`` → voxels (x, y, z) float32 and the 4×4 affine from voxel index to LPS mm."""

Writer = Callable[[Path, np.ndarray, np.ndarray, str], None]
"""``write(path, voxels, affine, dtype)`` stores (x, y, z) voxels by the path's suffix; same input, same bytes."""

Progress = Callable[[int, int], None]

MARGIN_MM = (9.0, 40.0)
COLUMNS = ("case_id", "path", "label", "patient", "site", "hard", "usable", "air_margin_mm", "noise", "motion", "done")


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One line of ``cohort.csv``; ``done`` says in words what was done to the case."""

    case_id: str
    path: str
    label: str
    patient: str
    site: str
    hard: bool
    usable: bool
    air_margin_mm: float
    noise: float
    motion: float
    done: str


@dataclass(frozen=True, slots=True)
class Cohort:
    """A written cohort: ``images`` is the folder to select from, ``labels`` holds the tissues, ``table`` the facts."""

    images: Path
    labels: Path
    table: Path
    rows: tuple[CohortRow, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One synthesised case in memory, in stored orientation: ``voxels`` in file units and ``labels`` 0 to 3."""

    voxels: np.ndarray
    labels: np.ndarray
    affine: np.ndarray
    row: CohortRow


def template_paths() -> dict[str, Path]:
    """Return where the installed nilearn keeps the MNI152 template (``t1``) and its tissue maps (``gm``, ``wm``).

    Raises
    ------
    DataError : nilearn is not installed or no longer ships the template.
    """
    spec = find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the demo needs the brain template that nilearn ships, and nilearn is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data"
    paths = {k: folder / f"mni_icbm152_{k}_tal_nlin_sym_09a_converted.nii.gz" for k in ("t1", "gm", "wm")}
    missing = [p.name for p in paths.values() if not p.is_file()]
    if missing:
        raise DataError(f"the installed nilearn lacks {', '.join(missing)}; install nilearn 0.11 to 0.14")
    return paths


def load_anatomy(read: Reader) -> Anatomy:
    """Read the MNI152 template through ``read`` and return its anatomy at about 2 mm."""
    volumes = {name: read(path) for name, path in template_paths().items()}
    return anatomy(volumes["t1"][0], volumes["gm"][0], volumes["wm"][0], volumes["t1"][1])


def synthesise(template: Anatomy, case: PlannedCase, *, seed: int) -> Scan:
    """Return the scan and labels that ``case`` stands for; the patient fixes the anatomy, the case everything else."""
    site = case.site
    warp = random_warp(child_rng(seed, "anatomy", case.patient))
    rng = child_rng(seed, "acquisition", case.case_id)
    margin = MARGIN_MM[0] + (MARGIN_MM[1] - MARGIN_MM[0]) * case.air
    grid = _grid(head_box_mm(template, warp), case, margin, rng)
    fine = Grid(
        (grid.shape[0], grid.shape[1], grid.shape[2] * site.slices_averaged),
        (grid.spacing_mm[0], grid.spacing_mm[1], grid.spacing_mm[2] / site.slices_averaged),
        _first_sample(grid, site.slices_averaged),
    )
    brain, gm, wm, texture = (averaged_slices(m, site.slices_averaged) for m in sample(template, warp, fine))
    noise = site.noise * float(rng.lognormal(0.0, 0.3))
    image = signal(site.contrast, brain, gm, wm, texture)
    if case.motion:
        image = moved(image, spacing_mm=grid.spacing_mm, severity=case.motion, axis=int(rng.integers(2)), rng=rng)
    strength = site.bias * float(rng.lognormal(0.0, 0.3))
    image = rician(biased(image, template, grid, strength=strength, rng=rng), sigma=noise, rng=rng)
    padded = bool(rng.random() < site.padded)
    if padded:
        image = _zero_padded(image, grid.spacing_mm, 0.5 * margin)
    voxels, affine = stored(image * site.scale, grid.affine, axes=site.axes, flips=site.flips)
    labels, _ = stored(tissue_labels(brain, gm, wm), grid.affine, axes=site.axes, flips=site.flips)
    return Scan(_cast(voxels, site.dtype), labels, affine, _row(case, margin, noise, padded))


def generate(
    out_dir: Path,
    *,
    seed: int,
    read: Reader,
    write: Writer,
    n: int = 40,
    workers: int = 2,
    progress: Progress | None = None,
) -> Cohort:
    """Write the cohort of ``n`` files below ``out_dir``: ``images/``, ``labels/`` and, last, ``cohort.csv``.

    ``n − 2`` files are usable: one is truncated and one repeats another byte by byte. ``progress`` receives
    (files done, ``n``); ``write`` is called from ``workers`` threads. The same seed and ``n`` give the same bytes.

    Raises
    ------
    UsageError : ``n`` below 8, or ``images/`` already holds files that are not of this cohort.
    DataError : the template is missing.
    """
    cases = plan(n, seed=seed)
    images, labels, table = out_dir / "images", out_dir / "labels", out_dir / "cohort.csv"
    _check_folder(images, {Path(c.image).name for c in cases})
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    table.unlink(missing_ok=True)
    template = load_anatomy(read)
    rows: dict[str, CohortRow] = {}
    # One thread for each product of matrices: faster on arrays this small, and the same sums on every machine.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as threads:
        made = [c for c in cases if c.fault != "duplicate"]
        for job in as_completed([threads.submit(_write_case, out_dir, c, template, seed, write) for c in made]):
            row = job.result()
            rows[row.case_id] = row
            if progress is not None:
                progress(len(rows), len(cases))
    for case in cases:
        if case.fault == "duplicate":
            rows[case.case_id] = _write_copy(out_dir, case, rows[case.copy_of])
    if progress is not None:
        progress(len(rows), len(cases))
    ordered = tuple(rows[c.case_id] for c in cases)
    _write_table(table, ordered)
    return Cohort(images, labels, table, ordered)


def _write_case(out_dir: Path, case: PlannedCase, template: Anatomy, seed: int, write: Writer) -> CohortRow:
    image = out_dir / case.image
    scan = synthesise(template, case, seed=seed)
    write(image, scan.voxels, scan.affine, case.site.dtype)
    write(out_dir / case.label, scan.labels, scan.affine, "uint8")
    if case.fault == "truncated":
        os.truncate(image, image.stat().st_size * 2 // 5)
    return scan.row


def _write_copy(out_dir: Path, case: PlannedCase, original: CohortRow) -> CohortRow:
    shutil.copyfile(out_dir / original.path, out_dir / case.image)
    shutil.copyfile(out_dir / original.label, out_dir / case.label)
    return _row(case, original.air_margin_mm, original.noise, padded=False)


def _grid(box_mm: np.ndarray, case: PlannedCase, margin_mm: float, rng: np.random.Generator) -> Grid:
    site = case.site
    lower = box_mm[0] - margin_mm * rng.uniform(0.7, 1.3, 3)
    upper = box_mm[1] + margin_mm * rng.uniform(0.7, 1.3, 3)
    if site.cut_mm:
        lower[2] = box_mm[0][2] + site.cut_mm * rng.uniform(0.5, 1.5)
    shape = np.maximum(np.ceil((upper - lower) / np.array(site.spacing_mm)), 8).astype(int)
    x, y, z = (int(s) for s in shape)
    return Grid((x, y, z), site.spacing_mm, (float(lower[0]), float(lower[1]), float(lower[2])))


def _first_sample(grid: Grid, count: int) -> tuple[float, float, float]:
    x, y, z = grid.origin_mm
    return (x, y, z - grid.spacing_mm[2] * (count - 1) / (2 * count))


def _zero_padded(image: np.ndarray, spacing_mm: tuple[float, float, float], width_mm: float) -> np.ndarray:
    padded = np.zeros_like(image)
    kept = tuple(slice(w, n - w) for n, w in zip(image.shape, (int(width_mm / s) for s in spacing_mm), strict=True))
    padded[kept] = image[kept]
    return padded


def _cast(voxels: np.ndarray, dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return voxels.astype(kind)
    limits = np.iinfo(kind)
    whole: np.ndarray = np.clip(np.rint(voxels), limits.min, limits.max)
    return whole.astype(kind)


def _row(case: PlannedCase, margin_mm: float, noise: float, padded: bool) -> CohortRow:
    site = case.site
    done = [f"{site.contrast.name} contrast", f"noise {100 * noise:.1f} %", f"{margin_mm:.0f} mm of air"]
    done += [f"motion of severity {case.motion:.1f}"] if case.motion else []
    done += ["zero padding"] if padded else []
    if case.fault == "duplicate":
        done = [f"exact copy of {case.copy_of}"]
    if case.fault == "truncated":
        done.append("file cut off after two fifths")
    return CohortRow(
        case_id=case.case_id,
        path=case.image,
        label=case.label,
        patient=case.patient,
        site=site.name,
        hard=case.motion > 0,
        usable=case.fault == "none",
        air_margin_mm=round(margin_mm, 1),
        noise=round(noise, 4),
        motion=round(case.motion, 2),
        done="; ".join(done),
    )


def _check_folder(images: Path, expected: set[str]) -> None:
    present = {p.name for p in images.iterdir()} if images.is_dir() else set()
    strangers = sorted(present - expected)
    if strangers:
        raise UsageError(
            f"{images} already holds {strangers[0]} ({len(strangers)} such file(s)), which is not part of the demo; "
            "choose another folder or empty this one"
        )


def _write_table(path: Path, rows: tuple[CohortRow, ...]) -> None:
    partial = path.with_suffix(".csv.partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            values = (getattr(row, column) for column in COLUMNS)
            writer.writerow([str(v).lower() if isinstance(v, bool) else v for v in values])
    partial.replace(path)
