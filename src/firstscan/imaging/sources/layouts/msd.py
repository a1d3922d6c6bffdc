"""Medical Segmentation Decathlon: 4D files whose last axis holds the channels, named in dataset.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from firstscan.domain.case import Case, Channel
from firstscan.domain.finding import Finding

from .folder import read_folder


def read_msd(
    root: Path, files: Iterable[Path], modality: Mapping[str, str]
) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Return one case a file, with a channel for every entry of ``modality`` (``{"0": "FLAIR", "1": "T1w"}``)."""
    cases, findings = read_folder(root, files)
    names = [modality[k] for k in sorted(modality, key=lambda k: (len(k), k))]
    if len(names) < 2:
        return tuple(_named(c, names) for c in cases), findings
    return tuple(
        replace(case, channels=tuple(Channel(n, case.path, component=i) for i, n in enumerate(names))) for case in cases
    ), findings


def _named(case: Case, names: list[str]) -> Case:
    return replace(case, channels=(replace(case.channels[0], name=names[0]),)) if names else case
