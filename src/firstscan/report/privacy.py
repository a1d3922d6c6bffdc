"""Nothing that tells where a scan was stored goes into a report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from firstscan.domain.finding import Finding

_QUOTED = re.compile(r"""(?P<quote>['"`])(?P<path>(?:/|~/|[A-Za-z]:[\\/]|\\\\)[^'"`\n]*)(?P=quote)""")
_BARE = re.compile(r"""(?<![\w./\\<])(?P<path>(?:~?/|[A-Za-z]:[\\/]|\\\\)[^\s'"`,;:)\]}]*[\\/][^\s'"`,;:)\]}]*)""")


def last_part(path: str) -> str:
    """Return the last part of a path of either kind: ``/data/hospital/scans/`` → ``scans``."""
    kind: type[PurePath] = PureWindowsPath if "\\" in path or re.match(r"[A-Za-z]:", path) else PurePosixPath
    return kind(path).name


def without_folders(text: str, *, known: str = "") -> str:
    """Return ``text`` with every absolute path cut down to its last part.

    ``known`` is a path that the text may hold and that needs no guessing where it ends (it may hold spaces).
    """
    if known:
        text = text.replace(known, last_part(known))
    text = _QUOTED.sub(lambda m: f"{m['quote']}{last_part(m['path'])}{m['quote']}", text)
    return _BARE.sub(lambda m: last_part(m["path"]), text)


def nameless(finding: Finding) -> Finding:
    """Return the finding without its path, and with none in its message or remedy."""
    return replace(
        finding,
        path="",
        message=without_folders(finding.message, known=finding.path),
        remedy=without_folders(finding.remedy, known=finding.path),
    )


def flat(settings: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Return nested settings as (dotted name, value as text without folders), in their own order."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows.extend(flat(value, f"{prefix}{name}."))
        elif isinstance(value, list | tuple | set | frozenset):
            items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
            rows.append((f"{prefix}{name}", ", ".join(_plain(v) for v in items) or "none"))
        else:
            rows.append((f"{prefix}{name}", _plain(value)))
    return tuple(rows)


def _plain(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, np.ndarray):
        return f"{value.size:,} values"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, PurePath):
        return value.name
    text = str(value)
    return last_part(text) if re.match(r"~?/.|[A-Za-z]:[\\/]|\\\\", text) else without_folders(text)
