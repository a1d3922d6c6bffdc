"""Names for results: two runs share one exactly when they must give the same result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .plain import to_plain


def identity(*parts: Any) -> str:
    """Return 16 hexadecimal digits that change whenever any of ``parts`` (settings, fingerprints) changes.

    Give settings that change the result and nothing else: never workers, device or engine.
    """
    text = json.dumps(to_plain(list(parts)), sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
