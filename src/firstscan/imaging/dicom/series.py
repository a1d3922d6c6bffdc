"""DICOM images → series: one patient each, no image twice; which series are derived, or repeats of another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from firstscan.domain.case import MetadataValue
from firstscan.domain.finding import Finding

from .tags import Slice

Series = list[Slice]
"""The images of one series, in order along their normal."""
Row = dict[str, MetadataValue]

DERIVED_KINDS = {
    "a maximum or minimum intensity projection": ("MIP", "MAXIP", "MINIP", "PROJECTION IMAGE", "PJN"),
    "a reformatted series": ("MPR", "REFORMATTED", "CPR", "CSA MPR", "CSA MPR CURVED", "MPR THICK", "3DSURFACE", "VRT"),
    "a subtraction": ("SUBTRACTION", "SUBTRACT", "SUB"),
    "a map computed from diffusion": ("ADC", "ADC_UNSPECIFIED", "FA", "TRACEW", "TRACE", "EADC", "EXP", "TENSOR"),
    "a computed map": ("T1 MAP", "T2 MAP", "T2_STAR MAP", "R2 MAP", "CBF", "CBV", "MTT", "TTP", "TMAX", "RCBV", "RCBF"),
    "a screenshot or summary image": ("SCREEN SAVE", "CSAPARALLEL", "DOSE_INFO", "DOSE INFO", "CSA BLACK IMAGE"),
}  # fmt: skip
"""What a series is that was computed from others, by the values of ImageType that say so."""
_KIND_OF = {value: kind for kind, values in DERIVED_KINDS.items() for value in values}
_MULTIPLE_WORDS = ("MIP", "MPR", "MINIP", "SUBTRACTION")


def series_of(images: Iterable[Slice]) -> tuple[list[Series], tuple[Finding, ...]]:
    """Return the series of ``images``, and findings on images that are there twice and on patients in one series.

    Images with one SeriesInstanceUID are one series only if they are of one patient. Of several files with one
    SOPInstanceUID at one place the first by path is kept, a complete one before one that is cut short.
    """
    groups: dict[tuple[str, MetadataValue], Series] = defaultdict(list)
    patients: dict[str, set[MetadataValue]] = defaultdict(set)
    for image in images:
        patient = image.metadata.get("patient")
        groups[image.series, patient].append(image)
        patients[image.series].add(patient)
    findings: list[Finding] = []
    series = []
    for (uid, _), members in groups.items():
        kept = _once(members)
        if len(kept) < len(members):
            findings.append(_copied(members, kept))
        if len(patients[uid]) > 1:
            findings.append(_shared(members, len(patients[uid])))
        series.append(sorted(kept, key=lambda s: (s.along_normal, s.instance, s.path)))
    return series, tuple(findings)


def told(series: Series) -> Row:
    """Return what can be asked of a series with ``--only``: metadata, modality, description, derived, repeated."""
    first = series[0]
    kind = derived_kind(first.image_type)
    return {
        **first.metadata,
        "modality": first.modality,
        "description": first.description,
        "derived": "yes" if kind else "no",
    }


def without_derived(listed: Sequence[Series], only: Iterable[str]) -> tuple[list[Series], tuple[Finding, ...]]:
    """Leave out the series that were computed from others, unless ``only`` asks for them.

    It does where it says something of ``derived``, or where its descriptions fit derived series only.
    """
    wanted = list(only)
    if _asks("derived", wanted) or (
        _asks("description", wanted) and all(derived_kind(s[0].image_type) for s in listed)
    ):
        return list(listed), ()
    kept, findings = [], []
    for series in listed:
        kind = derived_kind(series[0].image_type)
        if not kind:
            kept.append(series)
            continue
        words = "\\".join(series[0].image_type)
        message = f"series {series[0].description!r} is {kind} (ImageType {words}); it is left out"
        findings.append(_warning("derived", message, 'to take such series, too: --only "derived=*"', series))
    return kept, tuple(findings)


def last_of_repeats(listed: Sequence[Series], only: Iterable[str]) -> tuple[list[Series], tuple[Finding, ...]]:
    """Of several recordings of one protocol in a study keep the last, unless ``only`` says something of ``repeated``.

    Recordings are repeats when patient, study, description, kind of image, settings (echo time, contrast agent, …) and
    grid are the same, and the series are told apart by their numbers or times. Series without description never are.
    """
    if _asks("repeated", only):
        return list(listed), ()
    groups: dict[tuple[object, ...], list[Series]] = defaultdict(list)
    for number, series in enumerate(listed):
        first = series[0]
        distinct = "" if first.description and (first.number or first.when) else number
        size = (first.rows, first.columns, len(series), first.frames, first.spacing_mm)
        what = (first.description, first.modality, first.image_type, first.protocol)
        groups[first.metadata.get("patient"), first.study, *what, *size, distinct].append(series)
    gone: dict[int, Finding] = {}
    for repeats in groups.values():
        *earlier, last = sorted(repeats, key=lambda s: (s[0].when, s[0].number, s[0].series))
        for series in earlier:
            message = (
                f"series {series[0].number} {series[0].description!r} was recorded again in the same study as series "
            )
            message += f"{last[0].number}, which is kept; this one is left out"
            gone[id(series)] = _warning("repeated-series", message, 'to take all of them: --only "repeated=*"', series)
    return [s for s in listed if id(s) not in gone], tuple(gone.values())


def plain_patterns(only: Iterable[str]) -> list[str]:
    """Return ``only`` without what is said of ``repeated``, which no single series tells of itself."""
    return [text for text in only if text.partition("=")[0] != "repeated"]


def derived_kind(image_type: Sequence[str]) -> str:
    """Say what a derived series is; empty for an original one, or one that was only processed or exported again."""
    values = [value.strip().upper() for value in image_type]
    if not values or values[0] != "DERIVED":
        return ""
    for value in values[1:]:
        if value in _KIND_OF:
            return _KIND_OF[value]
        parts = value.replace("_", " ").split()
        if known := next((word for word in _MULTIPLE_WORDS if word in parts), ""):
            return _KIND_OF[known]
    return ""


def _asks(column: str, only: Iterable[str]) -> bool:
    return any(text.partition("=")[0] == column for text in only)


def _once(members: Series) -> Series:
    """Return the images without copies of one another."""
    kept: dict[object, Slice] = {}
    for image in sorted(members, key=lambda s: (s.missing_bytes > 0, s.path)):
        kept.setdefault((image.sop, image.instance, image.position_mm) if image.sop else image.path, image)
    return list(kept.values())


def _copied(members: Series, kept: Series) -> Finding:
    paths = {image.path for image in kept}
    copies = [image for image in members if image.path not in paths]
    message = f"{len(copies)} file(s) of series {members[0].description!r} are copies of others (same SOPInstanceUID); "
    message += f"one of each is read, that in {Path(kept[0].path).parent.name}"
    return _warning("copied-files", message, "remove the copies", copies)


def _shared(members: Series, count: int) -> Finding:
    message = f"{count} patients carry the same SeriesInstanceUID; they are read as separate series"
    remedy = "check that the folders really hold different patients: an anonymiser may have mixed up the identifiers"
    return _warning("series-shared", message, remedy, members)


def _warning(code: str, message: str, remedy: str, images: Series) -> Finding:
    return Finding(code, "warn", "", message, remedy, str(Path(images[0].path).parent), float(len(images)))
