"""Tables beside the scans: rows as they are stored, and their columns joined to cases by case id."""

from __future__ import annotations

import csv
import difflib
import importlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from firstscan.domain.case import Case, MetadataValue, repeated
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding, Severity
from firstscan.imaging.files import safe_ids
from firstscan.imaging.metadata import clean_metadata

TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
KEY = "case_id"
OF_CASES_CSV = frozenset({"path", "channels", "files"})
"""Columns of ``cases.csv`` that tell where a scan is; a table made from it may keep them, they are not joined."""
_SHOWN = 5
_SEPARATOR = re.compile(r'"?sep=(.)"?[,;\t]*', re.IGNORECASE)


@dataclass(frozen=True)
class Sheet:
    """A table of scans as it was written: its ``columns`` and ``rows`` by the name in ``case_id``.

    ``private``: columns on persons, which are left out of it.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, MetadataValue]]
    private: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """What a sheet says of scans: ``rows`` by case id, and what did not fit together (``findings``)."""

    sheet: Sheet
    rows: Mapping[str, Mapping[str, MetadataValue]]
    findings: tuple[Finding, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.sheet.columns

    def merged(
        self, known: Sequence[tuple[str, Mapping[str, MetadataValue]]]
    ) -> tuple[list[dict[str, MetadataValue]], tuple[Finding, ...]]:
        """Return what is ``known`` of each scan with the columns; a column that says other things is a finding.

        The sheet's word counts, unless it is empty there.
        """
        merged = [_merged(told, self.rows.get(case_id, {}), self.names) for case_id, told in known]
        findings = []
        for name in self.names:
            pairs = [(old.get(name), new.get(name)) for (_, old), new in zip(known, merged, strict=True)]
            changed = sum(old is not None and old != new for old, new in pairs)
            if changed:
                message = f"column {name} of {self.sheet.path.name} says something else than the source"
                remedy = "nothing to do where the table is right; else give the column another name"
                told = f"{message} for {changed} scan{'s' * (changed > 1)}"
                findings.append(_finding("table-replaces", told, remedy, sheet=self.sheet, count=changed))
        return merged, tuple(findings)


def read_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a CSV (commas or semicolons), TSV or Parquet table; empty lines are none.

    Spaces around values do not count, and a first line ``sep=;``, as Excel writes it, says what parts them.

    Raises
    ------
    DataError : it cannot be read, two columns have one name, or a row has more values than there are columns.
    """
    try:
        if path.suffix.lower() == ".parquet":
            parquet: Any = importlib.import_module("pyarrow.parquet")
            return list(parquet.read_table(path).to_pylist())
        with path.open(newline="", encoding="utf-8-sig") as file:
            start = file.tell()
            header = file.readline()
            stated = _SEPARATOR.fullmatch(header.rstrip("\r\n"))
            start, header = (file.tell(), file.readline()) if stated else (start, header)
            file.seek(start)
            delimiter = stated[1] if stated else _delimiter(path, header)
            reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=delimiter != "\t")
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = [name or _nameless(place) for place, name in enumerate(names, start=1)]
            if twice := repeated(reader.fieldnames):
                raise DataError(f"{path} has two columns {twice[0]!r}; give each a name of its own")
            rows = [(reader.line_num + (stated is not None), _trimmed(row)) for row in reader]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as a table: it is not text in UTF-8; save it as CSV UTF-8") from error
    except (ValueError, OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    for line, row in rows:
        if None in row:
            raise DataError(f"{path}, line {line}: more values than columns; put quotes around text with commas")
    blank = {_nameless(place) for place, name in enumerate(names, start=1) if not name}
    empty = {column for column in blank if not any(row[column] for _, row in rows)}  # as spreadsheets leave them
    told = ({name: value for name, value in row.items() if name not in empty} for _, row in rows)
    return [row for row in told if any(value and value.strip() for value in row.values())]


def read_sheet(path: Path) -> Sheet:
    """Return a table that has a row for each scan.

    Raises
    ------
    UsageError : no such table, another kind of file, no column ``case_id`` or none besides it, a row without id, or two
        rows of one scan.
    DataError : the table cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"--table {path}: there is no such file; put it back, or name it as it is called now")
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise UsageError(f"--table {path}: a table ends in {', '.join(TABLE_ENDINGS)}; save it as one of them")
    rows = read_rows(path)
    columns = [str(name) for name in rows[0]] if rows else []
    if KEY not in columns or len(columns) < 2:
        lacks = f"no column {KEY}" if KEY not in columns else f"no column besides {KEY}"
        told = f"it has {', '.join(columns)}" if columns else "it holds no row"
        told += next((f" (write {c} as {KEY})" for c in columns if KEY not in columns and c.casefold() == KEY), "")
        raise UsageError(f"--table {path}: {lacks}; {told}. One row a scan is expected, joined by {KEY}")
    names = ["" if row[KEY] is None else str(row[KEY]).strip() for row in rows]
    if nameless := names.count(""):
        raise UsageError(f"--table {path}: {nameless} row(s) without {KEY}; fill it in, or take them out")
    _refuse_twice(path, names)
    skip = {KEY, *(OF_CASES_CSV if set(columns) >= OF_CASES_CSV else ())}
    clean = [clean_metadata(row, skip=skip) for row in rows]
    private = (name for name in columns if name not in skip and name not in clean[0])
    return Sheet(path, tuple(clean[0]), MappingProxyType(dict(zip(names, clean, strict=True))), tuple(private))


def columns_of(sheet: Sheet, known: Collection[str], left_out: Collection[str] = ()) -> Columns:
    """Return the columns of a sheet by case id.

    Parameters
    ----------
    known : the ids of the scans; those without a row are a finding, and so are rows that name no scan.
    left_out : ids that rows may name although there is no such scan any more.

    Raises
    ------
    UsageError : two rows of one scan, or no row of any known scan.
    """
    ids, named, given = frozenset(known), frozenset(known) | frozenset(left_out), tuple(sheet.rows)
    ours = [name if name in named else safe for name, safe in zip(given, safe_ids(given), strict=True)]
    _refuse_twice(sheet.path, ours)
    there = {case_id: row for case_id, row in zip(ours, sheet.rows.values(), strict=True) if case_id in ids}
    if not there:
        raise UsageError(
            f"--table {sheet.path}: no row names a scan of the pool. Its {KEY} reads {_listed(given)}; the scans are "
            f"called {_listed(sorted(ids))}. firstscan index lists their ids in cases.csv"
        )
    file, findings = sheet.path.name, []
    if sheet.private:
        message = f"{file} has columns that name or place persons, which are not taken: {_listed(sheet.private)}"
        findings.append(_finding("table-private", message, "nothing to do", sheet=sheet, count=len(sheet.private)))
    if missing := sorted(ids - there.keys()):
        message = f"{len(missing)} of {len(ids)} scans have no row in {file}: {_listed(missing)}"
        findings.append(_finding("table-no-row", message, "complete the table", sheet=sheet, count=len(missing)))
    if unknown := sorted(name for name, case_id in zip(given, ours, strict=True) if case_id not in named):
        like = difflib.get_close_matches(unknown[0], missing, n=1)
        hint = f" (is {unknown[0]} meant to be {like[0]}?)" if like else ""
        message = f"{len(unknown)} of {len(given)} rows of {file} name no scan: {_listed(unknown)}{hint}"
        findings.append(_finding("table-no-scan", message, f"correct {KEY}", sheet=sheet, count=len(unknown)))
    return Columns(sheet, MappingProxyType(there), tuple(findings))


def join(
    cases: Sequence[Case], sheet: Sheet, left_out: Collection[str] = ()
) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Return the cases with a sheet's columns in their metadata, and what did not fit together.

    Where the source tells something under the same name, the sheet's word counts, unless it is empty there.

    Raises
    ------
    UsageError : as :func:`columns_of`.
    """
    columns = columns_of(sheet, [case.case_id for case in cases], left_out)
    told, replaced = columns.merged([(case.case_id, case.metadata) for case in cases])
    joined = (replace(case, metadata=MappingProxyType(row)) for case, row in zip(cases, told, strict=True))
    return tuple(joined), (*columns.findings, *replaced)


def _trimmed(row: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value.strip() if isinstance(value, str) else value for name, value in row.items()}


def _refuse_twice(path: Path, names: Sequence[str]) -> None:
    if twice := repeated(names):
        raise UsageError(f"--table {path}: two rows with the same {KEY}: {_listed(twice)}")


def _nameless(place: int) -> str:
    """Return what a column without a name is called."""
    return f"column {place}"


def _merged(
    told: Mapping[str, MetadataValue], row: Mapping[str, MetadataValue], names: Sequence[str]
) -> dict[str, MetadataValue]:
    return {**told, **{name: value for name in names if (value := row.get(name)) is not None or name not in told}}


def _delimiter(path: Path, header: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return next((d for d in (",", ";", "\t") if d in header), ",")


def _finding(code: str, message: str, remedy: str, *, sheet: Sheet, count: int) -> Finding:
    severity: Severity = "note" if code in {"table-replaces", "table-private"} else "warn"
    return Finding(code, severity, "", message, remedy, str(sheet.path), float(count))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"
