"""A plain folder, nested or flat: single volumes, or nnU-Net ``_0000`` channel groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from firstscan.domain.case import Case, Channel
from firstscan.domain.finding import Finding
from firstscan.imaging.sources.label_maps import As, as_found, looking_like_labels, without_labels
from firstscan.imaging.sources.naming import Named, named_apart, one_of_each_name
from firstscan.imaging.sources.numbered import Group, grouped


def read_folder(
    root: Path,
    files: Iterable[Path],
    channel_names: Mapping[str, str] | None = None,
    *,
    numbers: str = "asked",
    judged: As = as_found,
    beside_scans: bool = False,
) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Group volumes below ``root`` into cases.

    Parameters
    ----------
    files : volumes, anywhere below ``root``.
    channel_names : what the channel numbers mean (``{"0": "T1"}``, nnU-Net's dataset.json).
    numbers : what ``_0000`` at the end of a name is: a ``channel``, part of the name of a ``scan``, or what names and
        grids of all files say (``asked``).
    beside_scans : there are scans in another format, too, so that files called after label maps are none.
    judged : the severity of what is found, which decides whether a file that looks like a label map is a scan.

    Returns
    -------
    (cases, findings): label maps are left out, by name with one note, by content with a finding each; so are
    files of one name but for the ending. Cases that lack a channel which others in the same folder have are dropped.
    """
    scans, notes = without_labels(root, files, beside_scans=beside_scans)
    named = {_number(k): v for k, v in (channel_names or {}).items()}
    scans, doubled = one_of_each_name(root, scans)
    groups, asked = grouped(root, scans, numbers=numbers, channels=len(named))
    groups, labels = looking_like_labels(root, groups, scans, judged=judged)
    told = named_apart(root, [group.key for group in groups])
    cases = [_case(group, told, named) for group in groups]
    return tuple(cases), (
        *notes,
        *doubled,
        *asked,
        *labels.with_ids(told.ids),
        *told.findings,
        *_incomplete(groups, told, named),
    )


def _case(group: Group, told: Named, named: Mapping[str, str]) -> Case:
    channels = tuple(
        Channel(name=named.get(number, number) or "image", path=str(path)) for number, path in group.files.items()
    )
    return Case(case_id=told.ids[group.key], channels=channels)


def _incomplete(groups: Iterable[Group], told: Named, named: Mapping[str, str]) -> list[Finding]:
    """Drop the groups that lack a channel which others in their folder have."""
    groups = list(groups)
    full: dict[Path, set[str]] = defaultdict(set)
    for group in groups:
        if group.is_numbered:
            full[group.key.parent] |= set(group.files)
    findings = []
    for group in groups:
        missing = sorted(full[group.key.parent] - set(group.files)) if group.is_numbered else []
        if missing:
            names = ", ".join(named.get(n, n) for n in missing)
            findings.append(
                Finding(
                    code="missing-channel",
                    severity="drop",
                    case_id=told.ids[group.key],
                    message=f"channel {names} is missing; other scans in {group.key.parent.name} have it",
                    remedy="add the missing file, or name the channels to use with --channel",
                    path=str(next(iter(group.files.values()))),
                    measured=float(len(group.files)),
                    threshold=float(len(group.files) + len(missing)),
                )
            )
    return findings


def _number(key: str) -> str:
    return f"{int(key):04d}" if key.isdigit() else key
