"""What made a result, written last: a result without a valid manifest is not a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .atomic import atomic_write
from .identity import file_sha256, identity
from .plain import dump_json, load_json, to_plain

SCHEMA_VERSION = 1
NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """How a result came to be.

    ``kind`` is the command, ``version`` the code's, ``config`` the resolved settings that change the result,
    ``inputs`` {case id: hash of what the result depends on, or why the case was left out},
    ``files`` {name: {sha256, size}} of every file of the result.
    """

    kind: str
    version: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
    schema_version: int = SCHEMA_VERSION

    @property
    def identity(self) -> str:
        """The result's name: equal for equal settings, inputs and code."""
        return identity(self.kind, self.version, self.config, self.inputs)


def write_manifest(
    out: Path, *, kind: str, version: str, config: Mapping[str, Any], inputs: Mapping[str, str], files: Iterable[str]
) -> Manifest:
    """Describe the ``files`` (names within ``out``) and write ``manifest.json``, the last file of a result."""
    records = {n: {"sha256": file_sha256(out / n), "size": (out / n).stat().st_size} for n in sorted(files)}
    manifest = Manifest(kind, version, to_plain(dict(config)), dict(sorted(inputs.items())), records)
    body = {
        "schema_version": manifest.schema_version,
        "kind": kind,
        "version": version,
        "identity": manifest.identity,
        "config": manifest.config,
        "inputs": manifest.inputs,
        "files": records,
    }
    atomic_write(out / NAME, dump_json(body))
    return manifest


def read_manifest(out: Path) -> Manifest | None:
    """Return the manifest of a folder, or None where there is none that this version understands."""
    path = out / NAME
    if not path.is_file():
        return None
    body = load_json(path)
    try:
        manifest = Manifest(
            body["kind"], body["version"], body["config"], body["inputs"], body["files"], body["schema_version"]
        )
    except (KeyError, TypeError):
        return None
    return manifest if manifest.identity == body.get("identity") else None


def verified(out: Path, manifest: Manifest) -> bool:
    """Tell whether every file of the result is there with the bytes the manifest names."""
    return all(
        (out / name).is_file()
        and (out / name).stat().st_size == record["size"]
        and file_sha256(out / name) == record["sha256"]
        for name, record in manifest.files.items()
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return one line ``name: old → new`` a setting that both hold with different values, nested ones dotted."""
    old, new = to_plain(dict(old)), to_plain(dict(new))
    lines: list[str] = []
    for key in old.keys() & new.keys():
        a, b, name = old[key], new[key], f"{prefix}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{name}.")
        elif a != b:
            lines.append(f"{name}: {_shown(a)} → {_shown(b)}")
    return sorted(lines)


def _shown(value: Any) -> str:
    if value is None or value in ([], ""):
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value[:4])) + (f", … ({len(value)} in all)" if len(value) > 4 else "")
    return str(value)
