"""Which scans to take, by what the source says of them: ``modality=MR``, ``description=*T1*``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from firstscan.domain.case import MetadataValue
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding

T = TypeVar("T")
Known = Callable[[T], Mapping[str, MetadataValue]]

_SHOWN = 8


def choose(
    items: Sequence[T], known: Known[T], only: Iterable[str], *, noun: str, path: str
) -> tuple[list[T], tuple[Finding, ...]]:
    """Keep the items that fit ``only``, and note how many did not.

    Parameters
    ----------
    known : what the source says of an item, by column.
    only : ``COLUMN=PATTERN`` each, with ``*`` and ``?`` and without regard to case; patterns of one column are
        alternatives, different columns must all fit.
    noun : what an item is called, in plural.

    Raises
    ------
    UsageError : not of that form, or a column that no item has.  DataError : nothing fits.
    """
    patterns = _parsed(only)
    if not patterns or not items:
        return list(items), ()
    rows = [known(item) for item in items]
    for column in patterns:
        if not any(column in row for row in rows):
            there = ", ".join(sorted({name for row in rows for name in row})) or "none"
            raise UsageError(f"--only {column}: the source does not tell this; it tells: {there}")
    kept = [item for item, row in zip(items, rows, strict=True) if _fits(row, patterns)]
    asked = " ".join(f"{column}={text}" for column, texts in patterns.items() for text in texts)
    if not kept:
        raise DataError(f"none of the {len(items)} {noun} fits --only {asked}; there are: {_values(rows, patterns)}")
    gone = len(items) - len(kept)
    if not gone:
        return kept, ()
    message = f"{gone} of {len(items)} {noun} do not fit --only {asked}"
    return kept, (Finding("not-asked-for", "note", "", message, "nothing to do", path, float(gone)),)


def fits(row: Mapping[str, MetadataValue], only: Iterable[str]) -> bool:
    """Tell whether what is known of an item fits ``only``; what is not known fits nothing but ``*``."""
    return _fits(row, _parsed(only))


def _parsed(only: Iterable[str]) -> dict[str, list[str]]:
    patterns: dict[str, list[str]] = {}
    for text in only:
        column, equals, pattern = text.partition("=")
        if not (column and equals and pattern):
            raise UsageError(f"--only {text}: write COLUMN=PATTERN, for example modality=MR or description=*T1*")
        patterns.setdefault(column, []).append(pattern)
    return patterns


def _fits(row: Mapping[str, MetadataValue], patterns: Mapping[str, Sequence[str]]) -> bool:
    return all(
        any(fnmatchcase(_text(row.get(column)), pattern.lower()) for pattern in texts)
        for column, texts in patterns.items()
    )


def _text(value: MetadataValue) -> str:
    return "" if value is None else str(value).lower()


def _values(rows: Sequence[Mapping[str, MetadataValue]], columns: Iterable[str]) -> str:
    said = []
    for column in columns:
        counts = Counter(str(row.get(column) or "nothing") for row in rows)
        shown = ", ".join(f"{value} ({n})" for value, n in counts.most_common(_SHOWN))
        said.append(f"{column} {shown}{', …' if len(counts) > _SHOWN else ''}")
    return "; ".join(said)
