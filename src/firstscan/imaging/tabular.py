"""Tables beside the scans: rows as they are stored, and their columns joined to cases by case id."""

from __future__ import annotations

import csv
import difflib
import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from firstscan.domain.case import Case, MetadataValue, repeated
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding, Severity

from .files import safe_ids
from .metadata import clean_metadata

TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
KEY = "case_id"
OF_CASES_CSV = frozenset({"path", "channels", "files"})
"""Columns of ``cases.csv`` that tell where a scan is; a table made from it may keep them, they are not joined."""
_SHOWN = 5


@dataclass(frozen=True)
class Columns:
    """What a table says of scans: the ``names`` of its columns, ``rows`` by case id, and what did not fit together."""

    names: tuple[str, ...]
    rows: Mapping[str, Mapping[str, MetadataValue]]
    findings: tuple[Finding, ...]

    def merged(
        self, known: Sequence[tuple[str, Mapping[str, MetadataValue]]], path: Path
    ) -> tuple[list[dict[str, MetadataValue]], tuple[Finding, ...]]:
        """Return what is ``known`` of each scan with the table's columns; a column that says other things is a finding.

        The table's word counts, unless it is empty there.
        """
        merged = [_merged(told, self.rows.get(case_id, {}), self.names) for case_id, told in known]
        findings = []
        for name in self.names:
            pairs = [(old.get(name), new.get(name)) for (_, old), new in zip(known, merged, strict=True)]
            changed = sum(old is not None and old != new for old, new in pairs)
            if changed:
                message = f"column {name} of {path.name} says something else than the source for {changed} scans"
                remedy = "nothing to do where the table is right; else give the column another name"
                findings.append(_finding("table-replaces", message, remedy, path=path, count=changed))
        return merged, tuple(findings)


def read_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a CSV (commas or semicolons), TSV or Parquet table; empty lines are none.

    Raises
    ------
    DataError : it cannot be read, two columns have one name, or a row has more values than there are columns.
    """
    try:
        if path.suffix.lower() == ".parquet":
            parquet: Any = importlib.import_module("pyarrow.parquet")
            return list(parquet.read_table(path).to_pylist())
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=_delimiter(path, header))
            if twice := repeated(reader.fieldnames or ()):
                raise DataError(f"{path} has two columns {twice[0]!r}; give each a name of its own")
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as a table: it is not text in UTF-8; save it as CSV UTF-8") from error
    except (ValueError, OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    for line, row in rows:
        if None in row:
            raise DataError(f"{path}, line {line}: more values than columns; put quotes around text with commas")
    return [row for _, row in rows if any(value and value.strip() for value in row.values())]


def read_columns(path: Path, known: Collection[str], left_out: Collection[str] = ()) -> Columns:
    """Return the columns of a table of scans by case id.

    Parameters
    ----------
    known : the ids of the scans; those without a row are a finding, and so are rows that name no scan.
    left_out : ids that rows may name although there is no such scan any more.

    Raises
    ------
    UsageError : no such table, another kind of file, no column ``case_id`` or none besides it, a row without id, two
        rows of one scan, or no row of any known scan.
    DataError : the table cannot be read.
    """
    ids, named = frozenset(known), frozenset(known) | frozenset(left_out)
    given, private = _by_name(path)
    ours = [name if name in named else safe for name, safe in zip(given, safe_ids(list(given)), strict=True)]
    if twice := repeated(ours):
        raise UsageError(f"--table {path}: two rows with the same {KEY}: {_listed(twice)}")
    rows = dict(zip(ours, given.values(), strict=True))
    there = {case_id: row for case_id, row in rows.items() if case_id in ids}
    if not there:
        raise UsageError(
            f"--table {path}: no row names a scan of the pool. Its {KEY} reads {_listed(list(given))}; the scans are "
            f"called {_listed(sorted(ids))}. firstscan index lists their ids in cases.csv"
        )
    names = tuple(dict.fromkeys(name for row in there.values() for name in row))
    findings = []
    if private:
        message = f"{path.name} has columns that name or place persons, which are not taken: {_listed(private)}"
        findings.append(_finding("table-private", message, "nothing to do", path=path, count=len(private)))
    if missing := sorted(ids - there.keys()):
        message = f"{len(missing)} of {len(ids)} scans have no row in {path.name}: {_listed(missing)}"
        findings.append(_finding("table-no-row", message, "complete the table", path=path, count=len(missing)))
    if unknown := sorted(name for name, case_id in zip(given, ours, strict=True) if case_id not in named):
        like = difflib.get_close_matches(unknown[0], missing, n=1)
        hint = f" (is {unknown[0]} meant to be {like[0]}?)" if like else ""
        message = f"{len(unknown)} of {len(rows)} rows of {path.name} name no scan: {_listed(unknown)}{hint}"
        findings.append(_finding("table-no-scan", message, f"correct {KEY}", path=path, count=len(unknown)))
    return Columns(names, MappingProxyType(there), tuple(findings))


def join(
    cases: Sequence[Case], path: Path, left_out: Collection[str] = ()
) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Return the cases with a table's columns in their metadata, and what did not fit together.

    Where the source tells something under the same name, the table's word counts, unless it is empty there.

    Raises
    ------
    UsageError, DataError : as :func:`read_columns`.
    """
    columns = read_columns(path, [case.case_id for case in cases], left_out)
    told, replaced = columns.merged([(case.case_id, case.metadata) for case in cases], path)
    joined = (replace(case, metadata=MappingProxyType(row)) for case, row in zip(cases, told, strict=True))
    return tuple(joined), (*columns.findings, *replaced)


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of a table's columns.  Raises UsageError, DataError as :func:`read_columns`."""
    return tuple(dict.fromkeys(name for row in _by_name(path)[0].values() for name in row))


def _by_name(path: Path) -> tuple[dict[str, dict[str, MetadataValue]], list[str]]:
    """Return what a table says under each name in its column ``case_id``, and the columns on persons left out of it."""
    if not path.is_file():
        raise UsageError(f"--table {path}: there is no such file; put it back, or name it as it is called now")
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise UsageError(f"--table {path}: a table ends in {', '.join(TABLE_ENDINGS)}; save it as one of them")
    rows = read_rows(path)
    columns = list(rows[0]) if rows else []
    if KEY not in columns or len(columns) < 2:
        lacks = f"no column {KEY}" if KEY not in columns else f"no column besides {KEY}"
        told = f"it has {', '.join(map(str, columns))}" if columns else "it holds no row"
        told += next((f" (write {c} as {KEY})" for c in columns if KEY not in columns and c.casefold() == KEY), "")
        raise UsageError(f"--table {path}: {lacks}; {told}. One row a scan is expected, joined by {KEY}")
    names = ["" if row[KEY] is None else str(row[KEY]).strip() for row in rows]
    if nameless := names.count(""):
        raise UsageError(f"--table {path}: {nameless} row(s) without {KEY}; fill it in, or take them out")
    if twice := repeated(names):
        raise UsageError(f"--table {path}: two rows with the same {KEY}: {_listed(twice)}")
    skip = {KEY, *(OF_CASES_CSV if set(columns) >= OF_CASES_CSV else ())}
    clean = [clean_metadata(row, skip=skip) for row in rows]
    private = [str(name) for name in columns if name not in skip and str(name) not in clean[0]]
    return dict(zip(names, clean, strict=True)), private


def _merged(
    told: Mapping[str, MetadataValue], row: Mapping[str, MetadataValue], names: Sequence[str]
) -> dict[str, MetadataValue]:
    return {**told, **{name: value for name in names if (value := row.get(name)) is not None or name not in told}}


def _delimiter(path: Path, header: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    return next((d for d in (",", ";", "\t") if d in header), ",")


def _finding(code: str, message: str, remedy: str, *, path: Path, count: int) -> Finding:
    severity: Severity = "note" if code in {"table-replaces", "table-private"} else "warn"
    return Finding(code, severity, "", message, remedy, str(path), float(count))


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"
