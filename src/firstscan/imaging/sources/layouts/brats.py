"""BraTS 2021 and 2023: a folder a case, four co-registered contrasts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

from firstscan.domain.case import Case, Channel
from firstscan.domain.finding import Finding
from firstscan.domain.names.label_maps import names_labels
from firstscan.imaging.files import safe_id, split_ending
from firstscan.imaging.sources.naming import one_of_each_name

CHANNELS = {"brats2023": ("t1n", "t1c", "t2w", "t2f"), "brats2021": ("t1", "t1ce", "t2", "flair")}
_SEPARATOR = {"brats2023": "-", "brats2021": "_"}
_NAME_2023 = re.compile(r"^BraTS-[A-Za-z]+-\d+(?=-\d+$)")


def brats_year(files: Iterable[Path]) -> str | None:
    """Return ``brats2021`` or ``brats2023`` where most volumes are named after their folder in that way, else None."""
    listed = list(files)
    for layout in CHANNELS:
        hits = sum(_channel_of(path, layout) is not None for path in listed)
        if hits >= 2 and hits > 0.5 * len(listed):
            return layout
    return None


def read_brats(root: Path, files: Iterable[Path], layout: str) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Return one case a folder; cases that lack one of the four contrasts are dropped."""
    found: dict[Path, dict[str, Path]] = defaultdict(dict)
    scans, findings = one_of_each_name(root, list(files))
    others: list[Path] = []
    for path in scans:
        channel = _channel_of(path, layout)
        if channel is not None:
            found[path.parent][channel] = path
        else:
            others.append(path)
    cases = []
    for folder, members in sorted(found.items()):
        case_id = safe_id(folder.name)
        patient = _NAME_2023.match(folder.name)
        channels = tuple(Channel(name=c, path=str(members[c])) for c in CHANNELS[layout] if c in members)
        metadata = {"patient": patient.group() if patient else folder.name}
        cases.append(Case(case_id=case_id, channels=channels, metadata=MappingProxyType(dict(metadata))))
        missing = [c for c in CHANNELS[layout] if c not in members]
        if missing:
            findings.append(
                Finding(
                    code="missing-channel",
                    severity="drop",
                    case_id=case_id,
                    message=f"channel {', '.join(missing)} is missing",
                    remedy="add the missing file, or name the channels to use with --channel",
                    path=str(folder),
                    measured=float(len(members)),
                    threshold=float(len(CHANNELS[layout])),
                )
            )
    return tuple(cases), (*findings, *_rest(root, others))


def _rest(root: Path, others: Sequence[Path]) -> Iterator[Finding]:
    """Say how many volumes are no contrast of a case: label maps, and files of other names."""
    labels = sum(names_labels(split_ending(path.name)[0]) for path in others)
    for code, count, what in (
        ("label-map", labels, "look like label maps by name"),
        ("not-a-scan", len(others) - labels, "are called after none of the four contrasts"),
    ):
        if count:
            message = f"{count} file(s) {what} and were not taken as scans"
            yield Finding(code, "note", "", message, "rename them if they are scans", str(root), float(count))


def _channel_of(path: Path, layout: str) -> str | None:
    stem, separator = split_ending(path.name)[0], _SEPARATOR[layout]
    prefix = path.parent.name + separator
    return stem[len(prefix) :] if stem.startswith(prefix) and stem[len(prefix) :] in CHANNELS[layout] else None
