"""Case ids that are unique: what happens where two files would have the same one."""

from __future__ import annotations

import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firstscan.domain.case import Case, repeated
from firstscan.domain.finding import Finding
from firstscan.imaging.files import digest, safe_id, split_ending

_CHUNK = 1 << 20
_GZIP_BITS = 31


@dataclass(frozen=True, slots=True)
class Named:
    """Case ids by key, and a warning for each that had to be told apart from another by a hash."""

    ids: dict[Path, str]
    findings: tuple[Finding, ...]


def named_apart(root: Path, keys: Sequence[Path]) -> Named:
    """Give every key (a path without ending) an id: its own name, with its folders in front where two share that name.

    Names that are still the same once they are safe (two forms of one letter, ``a b`` and ``a_b``) get a hash each.
    """
    shared = defaultdict(list)
    for key in keys:
        shared[safe_id(key.name)].append(key)
    ids: dict[Path, str] = {}
    for short, same in shared.items():
        for key in same:
            ids[key] = short if len(same) == 1 else safe_id("_".join(key.relative_to(root).parts))
    owners = defaultdict(list)
    for key, case_id in ids.items():
        owners[case_id].append(key)
    findings = []
    for case_id, same in owners.items():
        if len(same) == 1:
            continue
        for key in same:
            alone = len({other.parent for other in same}) == 1
            ids[key] = f"{safe_id(key.name) if alone else case_id}-{digest(str(key.relative_to(root)))}"
            others = ", ".join(ascii(other.name)[1:-1] for other in same if other != key)
            findings.append(_alike(ids[key], key, others))
    return Named(ids, tuple(findings))


def apart(cases: Iterable[Case]) -> tuple[tuple[Case, ...], tuple[Finding, ...]]:
    """Return cases with unique ids: those of one id get a hash of their path each, and a warning."""
    listed = tuple(cases)
    twice = set(repeated(case.case_id for case in listed))
    if not twice:
        return listed, ()
    told, findings = [], []
    for case in listed:
        if case.case_id in twice:
            new = f"{case.case_id}-{digest(case.path)}"
            findings.append(_alike(new, Path(case.path), "another scan"))
            case = replace(case, case_id=new)  # noqa: PLW2901
        told.append(case)
    return tuple(told), tuple(findings)


def one_of_each_name(root: Path, files: Sequence[Path]) -> tuple[list[Path], list[Finding]]:
    """Leave out files of one folder and name but for the ending (``c0.nii`` and ``c0.nii.gz``).

    Which of them is the scan nobody can tell, and reading libraries take one for the other. Where one is the other one
    compressed, the uncompressed one stays.
    """
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        groups[path.parent / split_ending(path.name)[0]].append(path)
    doubled = {key: group for key, group in groups.items() if len(group) > 1}
    if not doubled:
        return list(files), []
    gone: set[Path] = set()
    findings = []
    for key, group in sorted(doubled.items()):
        plain = _uncompressed(group)
        gone |= {path for path in group if path != plain}
        findings += [_doubled(root, key, path, group, plain) for path in group if path != plain]
    return [path for path in files if path not in gone], findings


def _uncompressed(group: Sequence[Path]) -> Path | None:
    """Return the one of two files that the other one is compressed from; None where they differ."""
    packed = [path for path in group if path.name.lower().endswith(".gz")]
    plain = [path for path in group if path not in packed]
    if len(packed) != 1 or len(plain) != 1 or packed[0].name.lower() != f"{plain[0].name.lower()}.gz":
        return None
    try:
        return plain[0] if _inflates_to(packed[0], plain[0]) else None
    except (OSError, zlib.error):
        return None


def _inflates_to(packed: Path, plain: Path) -> bool:
    """Tell whether a gzip file of one member holds the bytes of another file; stops at the first that differ."""
    stream = zlib.decompressobj(_GZIP_BITS)
    with packed.open("rb") as source, plain.open("rb") as other:
        while block := stream.unconsumed_tail or source.read(_CHUNK):
            content = stream.decompress(block, _CHUNK)
            if content != other.read(len(content)):
                return False
        return stream.eof and not other.read(1)


def _doubled(root: Path, key: Path, path: Path, group: Sequence[Path], plain: Path | None) -> Finding:
    case_id = f"{safe_id('_'.join(key.relative_to(root).parts))}-{digest(path.name)}"
    if plain is not None:
        message, remedy = f"{path.name} is {plain.name} compressed, which stays in the pool", "remove one of the two"
    else:
        others = " and ".join(other.name for other in group if other != path)
        message = f"{path.name} has the same name as {others} but for the ending, and which is the scan is not known"
        remedy = "rename one of them, move it, or remove it"
    return Finding("same-name", "drop", case_id, message, remedy, str(path))


def _alike(case_id: str, key: Path, others: str) -> Finding:
    forms = "" if unicodedata.is_normalized("NFC", key.name) else " (in another Unicode form)"
    return Finding(
        code="same-name",
        severity="warn",
        case_id=case_id,
        message=f"its name{forms} makes the same case id as {others}; a hash keeps them apart",
        remedy="rename one of the two files",
        path=str(key),
    )
