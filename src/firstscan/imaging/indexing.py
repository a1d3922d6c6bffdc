"""A folder of scans → a Pool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from firstscan.domain.case import Case
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.pool import Pool

from .files import VOLUME_ENDINGS, is_volume
from .layouts.folder import read_folder
from .reading import choose_channels
from .walking import walk

LAYOUTS = ("auto", "folder", "nnunet")


def index(source: str | Path, *, layout: str = "auto", channels: Sequence[str] | None = None) -> Pool:
    """Find the scans below ``source``: no voxel and no header is read.

    Parameters
    ----------
    layout : ``auto`` recognises it; or one of the names in ``LAYOUTS``.
    channels : names of the channels to keep, in that order; all when None.

    Raises
    ------
    UsageError : ``source`` is missing or a file, unknown layout or channel, two files with the same case id.
    DataError : there is no scan in ``source``.
    """
    root = Path(source)
    if layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    if not root.exists():
        raise UsageError(f"{root} does not exist; name the folder that holds the scans")
    if not root.is_dir():
        raise UsageError(f"{root} is a file; name the folder that holds the scans")
    kind = _layout_of(root) if layout == "auto" else layout
    start = root / "imagesTr" if kind == "nnunet" and (root / "imagesTr").is_dir() else root
    files = [path for path in walk(start) if is_volume(path.name)]
    if not files:
        raise DataError(
            f"no scan found in {start}; files that end in {', '.join(VOLUME_ENDINGS)} are read. Is it the right folder?"
        )
    cases, findings = read_folder(start, files, _channel_names(root) if kind == "nnunet" else None)
    cases = tuple(_only(case, channels) for case in cases)
    return Pool(source=str(source), cases=cases, layout=kind).with_findings(findings)


def _layout_of(root: Path) -> str:
    return "nnunet" if (root / "imagesTr").is_dir() else "folder"


def _only(case: Case, channels: Sequence[str] | None) -> Case:
    return replace(case, channels=choose_channels(case, channels)) if channels else case


def _channel_names(root: Path) -> dict[str, str]:
    """Return ``channel_names`` (or ``modality``) of nnU-Net's dataset.json; empty where there is none."""
    path = root / "dataset.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}); correct it or remove it") from error
    names = content.get("channel_names", content.get("modality")) if isinstance(content, dict) else None
    return {str(k): str(v) for k, v in names.items()} if isinstance(names, dict) else {}
