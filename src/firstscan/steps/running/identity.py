"""The key to neutral names: kept in ``work``, readable by its owner only, and asked wherever a person names a scan."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firstscan.domain.errors import DataError
from firstscan.domain.names.pseudonyms import CASE, Pseudonyms
from firstscan.domain.pool import Pool
from firstscan.store import atomic_write, identity

from .origin import FINGERPRINT, KEY, folders_behind

COLUMNS = ("kind", "name", "original", "path")
DICOM = "dicom"
"""In the name of every layout by which DICOM files were read."""
PRIVATE = ("source", "table", "only", "channel")
"""Settings that may name a person or a place; results with neutral names hold a fingerprint of them."""


def named(pool: Pool, key: Path | None, *, pseudonyms: bool | None) -> Pool:
    """Return the pool under neutral names where these are asked for; by default (None) DICOM sources get them.

    ``key``: the file of the names in use so far, which is extended; without one names are given anew.
    """
    asked = DICOM in pool.layout if pseudonyms is None else pseudonyms
    if not asked:
        return pool
    before = Pseudonyms() if key is None or not key.is_file() else read_key(key)
    neutral = pool.neutral(before)
    if key is not None:
        keep_key(key, neutral)
    return neutral


def key_of(results: Path) -> Pseudonyms | None:
    """Return the key of a results folder, or of the one that it was picked from; None where it has no neutral names."""
    file = key_file(results)
    return None if file is None else read_key(file)


def key_file(results: Path) -> Path | None:
    """Return where the key is that :func:`key_of` reads, or None."""
    places = (folder / "work" / KEY for folder in folders_behind(results))
    return next((place for place in places if place.is_file()), None)


def read_key(path: Path) -> Pseudonyms:
    """Return the names that a key holds.  Raises DataError where it is damaged."""
    names: dict[str, dict[str, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                names.setdefault(row["kind"], {})[row["original"]] = row["name"]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path}, the key to the neutral names, cannot be read ({error!r}); restore it") from error
    return Pseudonyms(names)


def in_neutral(ids: Iterable[str], key: Pseudonyms | None) -> tuple[str, ...]:
    """Return case ids by their neutral names; whoever has the key may name a scan either way."""
    return tuple(ids) if key is None else tuple(key.of(CASE, i) for i in ids)


def neutral_quota(text: str, key: Pseudonyms | None) -> str:
    """Return ``COLUMN=GROUP:…`` with the neutral name of the group."""
    column, equals, rest = text.partition("=")
    group, colon, bounds = rest.rpartition(":")
    return text if key is None or not (equals and colon) else f"{column}={key.of_column(column, group)}:{bounds}"


def without_names(settings: Mapping[str, Any], pool: Pool) -> dict[str, Any]:
    """Return the settings of a result as its manifest may hold them: what may name somebody as a fingerprint."""
    if pool.pseudonyms is None:
        return dict(settings)
    return {k: f"{FINGERPRINT}{identity(v)[:16]}" if k in PRIVATE and v else v for k, v in settings.items()}


def keep_key(path: Path, pool: Pool) -> None:
    """Write the names of a pool that has neutral ones to ``path``, where only the owner can read them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    where = {case.case_id: case.path for case in pool}
    for kind, names in (pool.pseudonyms or Pseudonyms()).names.items():
        for original, name in sorted(names.items(), key=lambda pair: pair[1]):
            writer.writerow((kind, name, original, where.get(name, "") if kind == CASE else ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, text.getvalue(), private=True)
