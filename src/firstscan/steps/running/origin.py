"""Where the scans behind a results folder are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstscan.domain.errors import UsageError
from firstscan.store import atomic_write, dump_json, load_json, read_manifest

from .config import CheckCommand, IndexConfig

KEY = "key.csv"
"""In ``work``: which neutral name stands for what."""
FINGERPRINT = "sha256:"
"""What a setting begins with that a manifest does not hold, because it may name somebody."""
ORIGIN = "scans.json"
"""In ``work``: how the scans were indexed, where the manifest must not say it (they have neutral names) or cannot (the
batch was picked from the features of another folder, which is named here, too)."""


def note_origin(out: Path, features: Path, scans: IndexConfig) -> None:
    """Note in ``out`` that its batch was picked from what was measured in the folder ``features``."""
    atomic_write(out / "work" / ORIGIN, dump_json({**scans.resolved(), "features": str(features.absolute())}))


def note_scans(out: Path, scans: IndexConfig) -> None:
    """Note in ``out`` how its scans were indexed: its manifest does not hold what may name somebody."""
    told = {k: v for k, v in scans.resolved().items() if k in CheckCommand.model_fields}
    atomic_write(out / "work" / ORIGIN, dump_json(told), private=True)


def folders_behind(results: Path) -> tuple[Path, ...]:
    """Return the folders whose runs read the scans of a batch: its own, and the one that it was picked from."""
    noted = results / "work" / ORIGIN
    features = load_json(noted).get("features") if noted.is_file() else None
    return (results,) if features is None else (results, Path(features))


def known_scans(folder: Path) -> IndexConfig | None:
    """Return how the scans of a results folder were indexed, or None where it does not know."""
    noted = folder / "work" / ORIGIN
    manifest = read_manifest(folder) if folder.is_dir() else None
    told: dict[str, Any] = dict(manifest.config) if manifest is not None else {}
    if noted.is_file() and manifest is not None:
        told = load_json(noted)
    if str(told.get("source", FINGERPRINT)).startswith(FINGERPRINT):
        return None
    config = CheckCommand.of(**{k: v for k, v in told.items() if k in CheckCommand.model_fields})
    if any((place / "work" / KEY).is_file() for place in folders_behind(folder)):
        return config
    return config.model_copy(update={"pseudonyms": False})  # made before there were neutral names, or without them


def scans_of(results: Path) -> IndexConfig:
    """Return how the scans of a results folder were indexed.

    Raises
    ------
    UsageError : it is no results folder, its batch was picked from a table of features that names no scan, or its
        scans have neutral names and what leads to them is gone.
    """
    found = known_scans(results)
    if found is not None:
        return found
    manifest = read_manifest(results) if results.is_dir() else None
    if manifest is not None and str(manifest.config.get("source", "")).startswith(FINGERPRINT):
        raise UsageError(
            f"the scans of {results} have neutral names, and the folder work in it, which leads to them, is gone. "
            "Bring it back, or select again"
        )
    if manifest is None or manifest.kind != "pick":
        raise UsageError(f"{results} is not a results folder of firstscan select, so where its scans are is not known")
    raise UsageError(
        f"{results} was picked from a table of features, which does not say where the scans are. Pick from the results "
        f"folder that the features were measured in instead: firstscan pick FOLDER --budget {manifest.config['budget']}"
    )
