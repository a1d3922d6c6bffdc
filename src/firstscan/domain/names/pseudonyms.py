"""Neutral names in place of those of people, places and files.

A case id made of a folder name or a header says who was scanned. Where a pool has neutral names, nothing that is
written of it outside ``work/`` holds an original one: not the ids, not the columns of the metadata, not the findings.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from firstscan.domain.case import Case, Channel, MetadataValue
from firstscan.domain.finding import Finding

CASE, FILE = "case", "file"
OLDEST = 90
"""Ages above this are told as this: so few are older that an age would name them."""
_BODY_PARTS = """
abdomen adrenal ankle aorta bladder brain breast cardiac carotid cervix chest colon cspine elbow extremity eye femur
foot gallbladder hand head headneck heart hip kidney knee leg liver lspine lung neck orbit ovary pancreas pelvis
prostate rectum shoulder skull spine spleen stomach thorax thyroid tspine uterus wholebody wrist
"""
_WORDS_TEXT = """
2d 3d adc art arterial asl ax axial bold bone bravo c ce ciss contrast cor coronal ct cta ctac delayed diff dixon
dti dual dwi dyn early echo epi fast fat ffe fgre fiesta flair flash fs fse fspgr gad gd gre haste hr image in
inphase iv kernel late localizer lung mag map mdixon mip mpr mprage mr mra native nc non opp outphase pd pdw
perfusion pet phase plain portal post pre reg sag sagittal se sense series soft space spair spgr spir stir sub swi t1
t1ce t1gd t1w t2 t2f t2w te thick thin tirm tof tra trace transverse trufi tse ute vasc ven venous vibe water wb
with without
"""
_GENERIC_TEXT = """
case cases data dicom file files folder image images imagestr imagests labels patient patients scan scans series
slice slices studies study test train
"""
PLAIN: Mapping[str, frozenset[str]] = {
    "modality": frozenset({"ct", "mr", "other"}),
    "sex": frozenset({"f", "m", "o", "female", "male", "other"}),
    "body_part": frozenset(_BODY_PARTS.split()),
}
"""Texts of a column that name nobody and stay as they are."""
WORDS = frozenset(_WORDS_TEXT.split())
"""Words of a series description or channel name that say how it was made, and of whom nothing."""
_GENERIC = frozenset(_GENERIC_TEXT.split())
_IDENTIFIER = re.compile(
    r"patient|subject|person|(?:^|_)(?:id|ids|mrn|uid|nr|no|zip|plz|postcode)(?:$|_)|accession|_uid$|number$", re.I
)
_DATE = re.compile(r"^(\d{4})(?:-\d{2}(?:-\d{2})?|\d{4})(?:[T ].*)?$")
_FILE_NAME = re.compile(r"[^\s'\"]+\.(?:dcm|dicom|ima|nii|nii\.gz|gz|nrrd|nhdr|mha|mhd|hdr|img|mgz|zip)\b", re.I)
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_LEAST = 3
"""Shorter texts are not looked for in messages: every message holds some."""


@dataclass(frozen=True)
class Pseudonyms:
    """Which neutral name stands for which original one, by kind: ``case``, ``file``, or ``column`` and its name."""

    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, kind: str, original: str) -> str:
        """Return the neutral name of ``original``, or ``original`` where it has none (or is one)."""
        return self.names.get(kind, {}).get(original, original)

    def of_column(self, column: str, value: str) -> str:
        """Return the neutral name of a value of a column of the metadata, or ``value`` where it has none."""
        return self.of(f"column {column}", value)

    def originals(self, kind: str) -> dict[str, str]:
        """Return ``{neutral name: original}``."""
        return {name: original for original, name in self.names.get(kind, {}).items()}

    def with_names(self, kind: str, originals: Iterable[str]) -> Pseudonyms:
        """Return these and names for the ``originals`` that have none yet: ``kind-0001``, ….

        New ones are numbered in the order of their SHA-256, which tells nothing.
        """
        known = dict(self.names.get(kind, {}))
        new = sorted(set(originals) - known.keys(), key=lambda o: hashlib.sha256(f"{kind}:{o}".encode()).digest())
        taken = max((int(n.rpartition("-")[2]) for n in known.values()), default=0)
        word = re.sub(r"[^a-z0-9]+", "-", kind.removeprefix("column ").lower()).strip("-") or "name"
        known.update({o: f"{word}-{taken + i:04d}" for i, o in enumerate(new, start=1)})
        return Pseudonyms({**self.names, kind: known})


def neutral_cases(cases: Iterable[Case], names: Pseudonyms) -> tuple[tuple[Case, ...], Pseudonyms]:
    """Return the cases under neutral ids, channels and metadata, and all names that are in use by now."""
    cases = tuple(cases)
    names = names.with_names(CASE, (case.case_id for case in cases))
    columns: dict[str, set[str]] = {}
    for case in cases:
        for column, value in case.metadata.items():
            if _hidden(column, value):
                columns.setdefault(column, set()).add(str(value))
    for column, values in columns.items():
        names = names.with_names(f"column {column}", values)
    renamed = tuple(
        Case(names.of(CASE, case.case_id), neutral_channels(case.channels), neutral_row(case.metadata, names))
        for case in cases
    )
    return renamed, names


def neutral_row(row: Mapping[str, MetadataValue], names: Pseudonyms) -> dict[str, MetadataValue]:
    """Return a row of metadata with neutral values: numbers stay, dates become years, other texts neutral names."""
    return {column: _neutral_value(column, value, names) for column, value in row.items()}


def neutral_channels(channels: Collection[Channel]) -> tuple[Channel, ...]:
    """Return channels named by the technical words of their names; equal ones are numbered."""
    told: dict[str, int] = {}
    renamed = []
    for channel in channels:
        name = "_".join(w for token in re.split(r"[^a-z0-9]+", channel.name.lower()) for w in _technical(token))
        name = name or "series"
        told[name] = told.get(name, 0) + 1
        shown = name if told[name] == 1 else f"{name} ({told[name]})"
        renamed.append(Channel(shown, channel.path, channel.files, channel.component))
    return tuple(renamed)


def _technical(token: str) -> tuple[str, ...]:
    """Return the technical words that a token is made of without a rest (``t1post``: t1, post), else none."""
    if token in WORDS or re.fullmatch(r"0\d{3}", token):
        return (token,)
    for cut in range(2, len(token) - 1):
        if token[:cut] in WORDS and (rest := _technical(token[cut:])):
            return (token[:cut], *rest)
    return ()


def neutral_finding(finding: Finding, names: Pseudonyms, case: Case | None, source: str) -> Finding:
    """Return a finding that names its scan by its neutral id, or its file as ``file-0001``, and nothing else.

    ``case`` is the scan where it is known, in original words or in neutral ones; ``names`` holds its id, or the file.
    """
    file = names.names.get(FILE, {}).get(finding.path, "")
    shown = names.of(CASE, finding.case_id) if finding.case_id else file
    said = [finding.case_id if shown != finding.case_id else "", finding.path, *_parts(finding.path, source)]
    if case is not None:
        if case.case_id != shown:  # else its names are neutral already
            said += [case.case_id, *(c.name for c in case.channels), *(str(v) for v in case.metadata.values())]
        said += [text for channel in case.channels for text in (channel.path, *_parts(channel.path, source))]
    texts = (finding.message, finding.remedy)
    message, remedy = (_without(text, said, shown or "a file", source, quoted=case is None) for text in texts)
    return Finding(
        finding.code,
        finding.severity,
        names.of(CASE, finding.case_id),
        message,
        remedy,
        "" if finding.case_id else shown,
        finding.measured,
        finding.threshold,
    )


def _without(text: str, said: Iterable[str], shown: str, source: str, *, quoted: bool) -> str:
    if len(source) >= _LEAST:
        said = (*said, source)
    kept = {s for s in said if len(s) >= _LEAST and s.lower() not in _GENERIC and not s.isdigit()}
    for original in sorted(kept, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(original)}(?!\w)", lambda _: shown, text)
    text = _FILE_NAME.sub("a file", text)
    return _QUOTED.sub("(a name)", text) if quoted else text


def _parts(path: str, source: str) -> tuple[str, ...]:
    place, root = PurePath(path), PurePath(source)
    inside = place.relative_to(root) if source and place.is_relative_to(root) else PurePath(place.name)
    return (*inside.parts, str(inside), inside.stem) if path else ()


def _hidden(column: str, value: MetadataValue) -> bool:
    """Tell whether a value is to be named anew."""
    if value is None or isinstance(value, bool):
        return False
    if _IDENTIFIER.search(column):
        return True
    return isinstance(value, str) and value.lower() not in PLAIN.get(column, ()) and not _DATE.match(value)


def _neutral_value(column: str, value: MetadataValue, names: Pseudonyms) -> MetadataValue:
    if _hidden(column, value):
        return names.of_column(column, str(value))
    if isinstance(value, str) and (date := _DATE.match(value)):
        return int(date[1])
    if column == "age" and isinstance(value, int | float) and not isinstance(value, bool):
        return min(value, OLDEST)
    return value
