"""Names that other tools accept, and the table that leads back from them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def safe_names(case_ids: Iterable[str], *, pattern: str = r"[^A-Za-z0-9_.-]+", filler: str = "_") -> dict[str, str]:
    """Return ``{case_id: name}`` with every run of characters that ``pattern`` matches replaced by ``filler``.

    Names are unique even where file systems ignore case; an id that is safe already keeps its name.
    """
    ids = list(case_ids)
    cleaned = {c: re.sub(pattern, filler, c).strip("._-") or "case" for c in ids}
    taken: set[str] = set()
    names: dict[str, str] = {}
    for case_id in sorted(ids, key=lambda c: (cleaned[c] != c, c)):
        name, n = cleaned[case_id], 2
        while name.lower() in taken:
            name, n = f"{cleaned[case_id]}{filler or 'x'}{n}", n + 1
        taken.add(name.lower())
        names[case_id] = name
    return {c: names[c] for c in ids}


def with_extras(channels: Sequence[str], first: Path, extra: Path, name: str) -> tuple[tuple[str, Path], ...]:
    """Return (channel, path) for a tool that shows one image: the first at ``first``, the others below ``extra``.

    Their names hold the channel's number, so that two channels never share one.
    """
    safe = [safe_names([channel])[channel] for channel in channels]
    words = [f"{i:04d}" if name == f"{i:04d}" else f"{i:04d}_{name}" for i, name in enumerate(safe)]
    others = [(channel, extra / f"{name}_{words[i]}.nii.gz") for i, channel in enumerate(channels) if i]
    return (channels[0], first), *others


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, delimiter: str = ",") -> None:
    """Write one table as UTF-8 text; None becomes an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(["" if v is None else v for v in row] for row in rows)


def read_names(path: Path) -> Mapping[str, str]:
    """Return ``{name: case_id}`` from a table that a hand-off wrote (columns ``name`` and ``case_id``)."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"]: row["case_id"] for row in csv.DictReader(file)}
