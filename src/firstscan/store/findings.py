"""``findings.csv``: every observation about every scan."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from firstscan.domain.errors import DataError
from firstscan.domain.finding import SEVERITIES, Finding

from .atomic import atomic_write

COLUMNS = ("case_id", "path", "code", "severity", "message", "remedy", "measured", "threshold")


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write findings as CSV, drops first, then by code and case; the header alone when there are none."""
    ordered = sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.code, f.case_id, f.path, f.message))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for f in dict.fromkeys(ordered):
        numbers = ["" if v is None else repr(float(v)) for v in (f.measured, f.threshold)]
        writer.writerow([f.case_id, f.path, f.code, f.severity, f.message, f.remedy, *numbers])
    atomic_write(path, text.getvalue())


def read_findings(path: Path) -> tuple[Finding, ...]:
    """Return the findings of a ``findings.csv``.  Raises DataError where the file is not one."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{path} is not a findings table: it lacks the column(s) {', '.join(missing)}.")
        return tuple(
            Finding(
                code=row["code"],
                severity=row["severity"],  # type: ignore[arg-type]  # Finding checks it
                case_id=row["case_id"],
                message=row["message"],
                remedy=row["remedy"],
                path=row["path"],
                measured=float(row["measured"]) if row["measured"] else None,
                threshold=float(row["threshold"]) if row["threshold"] else None,
            )
            for row in reader
        )
