"""BIDS trees (and FeTA, which is BIDS-like): one case a session, one channel a contrast."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from firstscan.domain.case import Case, Channel, MetadataValue
from firstscan.domain.finding import Finding
from firstscan.domain.names.label_maps import names_labels
from firstscan.imaging.files import safe_id, split_ending
from firstscan.imaging.metadata import clean_metadata
from firstscan.imaging.sources.naming import one_of_each_name

SUFFIXES = (
    "T1w",
    "T2w",
    "FLAIR",
    "PDw",
    "PDT2",
    "T2starw",
    "UNIT1",
    "T1rho",
    "angio",
    "inplaneT1",
    "inplaneT2",
    "SWI",
    "ct",
    "CT",
    "pet",
)
"""Suffixes that are one 3D scan; label maps, diffusion and functional series, field maps are not."""
_NAME = re.compile(r"^(?P<entities>sub-[^_]+(?:_[A-Za-z]+-[^_]+)*)_(?P<suffix>[A-Za-z0-9]+)$")
_ENOUGH = 0.8
_SIDECAR = {
    "Manufacturer": "manufacturer",
    "ManufacturersModelName": "scanner",
    "MagneticFieldStrength": "field_strength",
    "InstitutionName": "site",
}


def is_bids(files: Iterable[Path]) -> bool:
    """Tell whether most volumes are named with BIDS entities."""
    names = [split_ending(p.name)[0] for p in files]
    return bool(names) and sum(_NAME.match(n) is not None for n in names) > 0.5 * len(names)


def is_feta(files: Iterable[Path]) -> bool:
    """Tell FeTA from other BIDS-like trees: super-resolution reconstructions (``rec-``) with ``dseg`` beside them."""
    names = [split_ending(p.name)[0] for p in files]
    return any("_rec-" in n and n.endswith("_T2w") for n in names) and any(n.endswith("_dseg") for n in names)


def read_bids(
    root: Path, files: Iterable[Path], wanted: Iterable[str] | None = None
) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Group volumes by subject and session, with the suffix as channel.

    Contrasts that fewer than 80 % of the cases have are left out with a note, unless ``wanted`` names them. Repeats of
    one contrast (``run-``, ``acq-``, …) become cases of their own.
    """
    sessions: dict[tuple[str, str], dict[str, dict[str, Path]]] = defaultdict(lambda: defaultdict(dict))
    other: Counter[str] = Counter()
    scans, doubled = one_of_each_name(root, list(files))
    for path in scans:
        match = _NAME.match(split_ending(path.name)[0])
        suffix = match["suffix"] if match else ""
        if match is None or suffix not in SUFFIXES or "derivatives" in path.relative_to(root).parts:
            other[suffix or "other"] += 1
            continue
        if names_labels(split_ending(path.name)[0]):
            other[f"{suffix} of a label map"] += 1
            continue
        entities = dict(e.split("-", 1) for e in match["entities"].split("_"))
        sessions[entities["sub"], entities.get("ses", "")][match["entities"]][suffix] = path
    groups = _merged(sessions)
    usual = set(wanted or ()) or _usual_channels(groups)
    participants = _participants(root)
    cases, seen_less = [], Counter[str]()
    for name, members in sorted(groups.items()):
        kept = {s: p for s, p in members.items() if s in usual}
        seen_less.update(s for s in members if s not in usual)
        if kept:
            cases.append(_case(name, kept, participants))
    return tuple(cases), (*doubled, *_notes(other, "not-a-scan", root), *_notes(seen_less, "contrast-left-out", root))


def _merged(sessions: Mapping[tuple[str, str], Mapping[str, dict[str, Path]]]) -> dict[str, dict[str, Path]]:
    """Join the entity groups of a session into one case where their contrasts do not repeat."""
    groups: dict[str, dict[str, Path]] = {}
    for (subject, session), members in sessions.items():
        count = Counter(s for suffixes in members.values() for s in suffixes)
        if max(count.values()) > 1:
            groups.update(members)
            continue
        name = f"sub-{subject}" + (f"_ses-{session}" if session else "")
        groups[name] = {s: p for suffixes in members.values() for s, p in suffixes.items()}
    return groups


def _usual_channels(groups: Mapping[str, Mapping[str, Path]]) -> set[str]:
    count = Counter(s for members in groups.values() for s in members)
    usual = {s for s, n in count.items() if n >= _ENOUGH * len(groups)}
    return usual or {s for s, _ in count.most_common(1)}


def _case(name: str, members: Mapping[str, Path], participants: Mapping[str, dict[str, MetadataValue]]) -> Case:
    order = sorted(members, key=SUFFIXES.index)
    subject = name.split("_", maxsplit=1)[0]
    known: dict[str, MetadataValue] = {"patient": subject}
    known |= _sidecar(members[order[0]])
    known |= participants.get(subject, {})
    return Case(
        case_id=safe_id(name),
        channels=tuple(Channel(name=s, path=str(members[s])) for s in order),
        metadata=MappingProxyType(known),
    )


def _participants(root: Path) -> dict[str, dict[str, MetadataValue]]:
    path = root / "participants.tsv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {r["participant_id"]: clean_metadata(r, skip=("participant_id",)) for r in rows if r.get("participant_id")}


def _sidecar(path: Path) -> dict[str, MetadataValue]:
    sidecar = path.with_name(split_ending(path.name)[0] + ".json")
    if not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    found = content if isinstance(content, dict) else {}
    return clean_metadata({ours: found[theirs] for theirs, ours in _SIDECAR.items() if theirs in found})


def _notes(count: Mapping[str, int], code: str, root: Path) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            code=code,
            severity="note",
            case_id="",
            message=f"{n} file(s) with suffix {suffix!r} were not taken",
            remedy="name the channels to use with --channel if these are wanted",
            path=str(root),
            measured=float(n),
        )
        for suffix, n in sorted(count.items())
    )
