"""A table of scans, CSV or Parquet: case_id, one or more image columns, any metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from types import MappingProxyType

from firstscan.domain.case import Case, Channel, repeated
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.names.label_maps import hints_at_labels, names_labels
from firstscan.imaging.files import is_other, is_volume, safe_ids, split_ending
from firstscan.imaging.metadata import clean_metadata
from firstscan.imaging.sources.tabular import read_rows

_IMAGE_NAMES = ("path", "image", "image_path", "file", "filename", "filepath", "scan")


def read_table(path: Path) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Return one case a row. Paths are relative to the table; image columns are those that hold file names of volumes.

    Raises
    ------
    UsageError : no case_id column, no image column, or two rows with the same case id.
    DataError : the table cannot be read or is empty.
    """
    rows = read_rows(path)
    if not rows:
        raise DataError(f"{path} holds no row; one row a scan is expected")
    columns = list(rows[0])
    if "case_id" not in columns:
        raise UsageError(f"{path} has no column case_id; it has {', '.join(map(str, columns))}")
    images = [c for c in columns if c != "case_id" and _is_image_column(c, [row.get(c) for row in rows])]
    labels = [c for c in images if _is_label_column(c, [row.get(c) for row in rows])]
    images = [c for c in images if c not in labels] or images
    if not images:
        raise UsageError(f"{path} has no column of image paths; it has {', '.join(map(str, columns))}")
    twice = repeated(str(row["case_id"]) for row in rows)
    if twice:
        raise UsageError(f"two rows of {path} with the same case id: {', '.join(twice[:5])}")
    ids = safe_ids([str(row["case_id"]) for row in rows])
    cases: list[Case] = []
    findings = [_labels(path, column, len(rows)) for column in labels if column not in images]
    for row, case_id in zip(rows, ids, strict=True):
        here = [c for c in images if row.get(c)]
        channels = tuple(
            Channel(name=c if len(images) > 1 else "image", path=str(path.parent / str(row[c]))) for c in here
        )
        metadata = clean_metadata(row, skip=("case_id", *images, *labels))
        missing = [c for c in images if c not in here]
        case = Case(case_id, channels or (Channel("image", ""),), MappingProxyType(metadata))
        cases.append(case)
        if missing:
            findings.append(
                Finding(
                    code="missing-channel",
                    severity="drop",
                    case_id=case_id,
                    message=f"no file in column {', '.join(missing)}",
                    remedy="complete the row, or name the channels to use with --channel",
                    path=str(path),
                    measured=float(len(here)),
                    threshold=float(len(images)),
                )
            )
    return tuple(cases), tuple(findings)


def _is_label_column(name: str, values: Sequence[object]) -> bool:
    """Tell whether a column names label maps: it is called after them, or all of its files are."""
    stems = [split_ending(PurePath(str(value)).name)[0] for value in values if value]
    return names_labels(name) or hints_at_labels(name) or all(map(names_labels, stems))


def _labels(path: Path, column: str, count: int) -> Finding:
    message = f"column {column} holds label maps, which were not taken as a channel"
    return Finding("label-map", "note", "", message, "rename the column if it holds scans", str(path), float(count))


def _is_image_column(name: str, values: Sequence[object]) -> bool:
    texts = [v for v in values if v]
    if not texts or not all(isinstance(v, str) for v in texts):
        return False
    return name.lower() in _IMAGE_NAMES or all(is_volume(Path(str(v)).name) or is_other(str(v)) for v in texts)
