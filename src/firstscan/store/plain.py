"""Values as JSON: no NaN, no numpy, the same bytes for the same value."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np

from firstscan.domain.errors import DataError


def to_plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it; NaN and infinity become None, sets become sorted lists."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, Set):
        return sorted((to_plain(v) for v in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    raise TypeError(f"cannot store a {type(value).__name__} as JSON")


def dump_json(value: Any) -> str:
    """Return ``value`` as indented JSON text ending in a newline; floats keep every digit."""
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_json(path: Path) -> Any:
    """Return the content of a JSON file.  Raises DataError where it is not valid JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not a valid JSON file ({error}). Remove it and run the command again.") from error
