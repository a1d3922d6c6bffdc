"""MetaImage headers, looked at before the reading library sees them: a damaged one can crash it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from firstscan.domain.errors import ScanError

_HEAD_BYTES = 1 << 16
_LINE = re.compile(rb"^\s*([A-Za-z_]+)\s*[=:]\s*([^\r\n]*)", re.MULTILINE)
_DIMENSIONS = range(2, 6)
_TYPES = frozenset(
    f"MET_{sign}{kind}{array}"
    for sign in ("", "U")
    for kind in ("CHAR", "SHORT", "INT", "LONG", "LONG_LONG", "FLOAT", "DOUBLE")
    for array in ("", "_ARRAY")
)
_PER_AXIS = ("ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation")
_PER_PAIR = ("TransformMatrix", "Orientation", "Rotation")


def check_metaimage(path: Path) -> None:
    """Check that the header of a MetaImage file makes sense, and that the file of its voxels is there.

    Raises
    ------
    ScanError : codes ``unreadable``, naming the entry that is missing or wrong, and ``missing-file``.
    """
    with path.open("rb") as file:
        entries = _entries(file.read(_HEAD_BYTES))
    problem = _problem(entries)
    if problem:
        raise ScanError("unreadable", f"{path} is not a readable MetaImage file: {problem}", "export this scan again")
    data = entries["ElementDataFile"].strip()
    one_file = not (data.upper().startswith(("LOCAL", "LIST")) or "%" in data)
    if one_file and not (path.parent / data).is_file():
        raise ScanError(
            "missing-file", f"{path} keeps its voxels in {data}, which is not there", "put that file beside it"
        )


def _entries(head: bytes) -> dict[str, str]:
    """Return the header's entries up to the one that ends it, ElementDataFile."""
    entries: dict[str, str] = {}
    for match in _LINE.finditer(head):
        name = match[1].decode("ascii")
        entries[name] = match[2].decode("utf-8", "replace").strip()
        if name == "ElementDataFile":
            break
    return entries


def _problem(entries: Mapping[str, str]) -> str:
    missing = [n for n in ("NDims", "DimSize", "ElementType", "ElementDataFile") if n not in entries]
    if missing:
        return f"its header lacks {missing[0]}"
    if not entries["NDims"].isdecimal() or int(entries["NDims"][:9]) not in _DIMENSIONS:
        return f"NDims = {entries['NDims'][:40]}"
    n = int(entries["NDims"])
    sizes = _numbers(entries["DimSize"])
    if len(sizes) != n or any(s < 1 or s != int(s) for s in sizes):
        return f"DimSize = {entries['DimSize'][:40]}"
    if entries["ElementType"] not in _TYPES:
        return f"ElementType = {entries['ElementType'][:40]}"
    for names, count in ((_PER_AXIS, n), (_PER_PAIR, n * n)):
        wrong = next((name for name in names if name in entries and len(_numbers(entries[name])) != count), None)
        if wrong is not None:
            return f"{wrong} = {entries[wrong][:40]}"
    return ""


def _numbers(text: str) -> list[float]:
    """Return the finite numbers of a list; empty where something else is among them."""
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        return []
    return values if all(map(math.isfinite, values)) else []
