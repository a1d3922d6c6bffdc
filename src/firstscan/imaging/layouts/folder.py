"""A plain folder, nested or flat: single volumes, or nnU-Net ``_0000`` channel groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import UsageError
from firstscan.domain.finding import Finding
from firstscan.imaging.files import safe_id, split_ending

_CHANNEL = re.compile(r"^(?P<stem>.+)_(?P<number>\d{4})$")
_MOST_CHANNELS = 16
LABEL_FOLDERS = frozenset({"labels", "labelstr", "labelsts", "label", "masks", "segmentations", "segs", "annotations"})
_LABEL_STEM = re.compile(r"[-_](?:seg|dseg|mask|label|labels|segmentation)$", re.IGNORECASE)


def read_folder(
    root: Path, files: Iterable[Path], channel_names: Mapping[str, str] | None = None
) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Group volumes below ``root`` into cases.

    Parameters
    ----------
    files : volumes, anywhere below ``root``.
    channel_names : what the channel numbers mean (``{"0": "T1"}``, nnU-Net's dataset.json).

    Returns
    -------
    (cases, findings): label maps are left out with one note a folder; cases that lack a channel which
    others in the same folder have are dropped.

    Raises
    ------
    UsageError : two files with the same case id.
    """
    scans, notes = without_labels(root, files)
    groups = _groups(scans)
    named = {_number(k): v for k, v in (channel_names or {}).items()}
    ids = unique_ids(root, {key: key for key in groups})
    cases, findings = [], list(notes)
    full = _channels_by_folder(groups)
    for key, members in sorted(groups.items()):
        channels = tuple(
            Channel(name=named.get(number, number) or "image", path=str(path))
            for number, path in sorted(members.items())
        )
        case = Case(case_id=ids[key], channels=channels)
        cases.append(case)
        missing = sorted(full.get(key.parent, set()) - set(members)) if "" not in members else []
        if missing:
            names = ", ".join(named.get(n, n) for n in missing)
            findings.append(
                Finding(
                    code="missing-channel",
                    severity="drop",
                    case_id=case.case_id,
                    message=f"channel {names} is missing; other scans in {key.parent.name} have it",
                    remedy="add the missing file, or name the channels to use with --channel",
                    path=case.path,
                    measured=float(len(members)),
                    threshold=float(len(members) + len(missing)),
                )
            )
    return tuple(cases), tuple(findings)


def without_labels(root: Path, files: Iterable[Path]) -> tuple[list[Path], tuple[Finding, ...]]:
    """Split off label maps: files in folders called labels, masks, …, or whose name ends in _seg, _mask, … ."""
    scans, skipped = [], defaultdict(list)
    for path in files:
        folders = {part.lower() for part in path.relative_to(root).parts[:-1]}
        if folders & LABEL_FOLDERS or _LABEL_STEM.search(split_ending(path.name)[0]):
            skipped[path.parent].append(path)
        else:
            scans.append(path)
    if not scans:
        return [p for group in skipped.values() for p in group], ()
    notes = tuple(
        Finding(
            code="label-map",
            severity="note",
            case_id="",
            message=f"{len(group)} file(s) look like label maps and were not taken as scans",
            remedy="rename the folder or files if they are scans",
            path=str(folder),
            measured=float(len(group)),
        )
        for folder, group in sorted(skipped.items())
    )
    return scans, notes


def unique_ids(root: Path, names: Mapping[Path, Path]) -> dict[Path, str]:
    """Give every entry an id: its own name, with its folders in front where two share that name.

    Raises
    ------
    UsageError : two entries would still have the same id.
    """
    shared = defaultdict(list)
    for key, name in names.items():
        shared[safe_id(name.name)].append(key)
    ids: dict[Path, str] = {}
    for short, keys in shared.items():
        if len(keys) == 1:
            ids[keys[0]] = short
            continue
        for key in keys:
            ids[key] = safe_id("_".join(names[key].relative_to(root).parts))
    owner: dict[str, Path] = {}
    for key, case_id in ids.items():
        other = owner.setdefault(case_id, key)
        if other != key:
            raise UsageError(
                f"two files with the same case id {case_id!r}: {other} and {key}; rename one of them or remove it"
            )
    return ids


def _groups(files: Iterable[Path]) -> dict[Path, dict[str, Path]]:
    """Group files by stem; keys are the path without channel number and ending, values number ('' if none) → file."""
    found: dict[Path, dict[str, Path]] = defaultdict(dict)
    loose: list[Path] = []
    stems: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in sorted(files):
        match = _CHANNEL.match(split_ending(path.name)[0])
        if match is None:
            loose.append(path)
            continue
        _put(stems[path.parent / match["stem"]], match["number"], path)
    grouped_folders = {
        key.parent for key, members in stems.items() if "0000" in members and len(members) <= _MOST_CHANNELS
    }
    for key, members in stems.items():
        plausible = all(int(n) < _MOST_CHANNELS for n in members)
        if key.parent in grouped_folders and plausible:
            found[key].update(members)
        else:
            loose.extend(members.values())
    for path in loose:
        _put(found[path.parent / split_ending(path.name)[0]], "", path)
    return found


def _put(members: dict[str, Path], number: str, path: Path) -> None:
    other = members.setdefault(number, path)
    if other != path:
        raise UsageError(
            f"two files with the same case id {split_ending(path.name)[0]!r}: {other} and {path}; "
            "rename one of them or remove it"
        )


def _channels_by_folder(groups: Mapping[Path, Mapping[str, Path]]) -> dict[Path, set[str]]:
    found: dict[Path, set[str]] = defaultdict(set)
    for key, members in groups.items():
        if "" not in members:
            found[key.parent] |= set(members)
    return found


def _number(key: str) -> str:
    return f"{int(key):04d}" if key.isdigit() else key
