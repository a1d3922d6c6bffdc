"""A folder or table of scans → a Pool."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstscan.domain.case import Case
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.imaging.dicom.headers import NO_DICOM, Header, Headers, read_headers
from firstscan.imaging.files import VOLUME_ENDINGS, is_other, is_volume, split_ending
from firstscan.imaging.formats.other_formats import header_beside

from .beside import BOTH, Beside, read_both
from .choosing import choose
from .label_maps import As, as_found
from .layouts.bids import is_bids, is_feta, read_bids
from .layouts.brats import brats_year, read_brats
from .layouts.dicom import read_dicom
from .layouts.folder import read_folder
from .layouts.msd import read_msd
from .layouts.table import read_table
from .naming import apart
from .passed_over import is_dicom, nothing_found, passed_over, sidecars
from .tabular import TABLE_ENDINGS, join, read_sheet
from .walking import walk

Found = tuple[tuple[Case, ...], tuple[Finding, ...]]

_CHANNEL_GROUP = re.compile(r"_000\d$")
LAYOUTS = ("auto", "folder", "nnunet", "msd", "bids", "feta", "brats2021", "brats2023", "dicom", "table")


def index(
    source: str | Path,
    *,
    layout: str = "auto",
    channels: Sequence[str] | None = None,
    only: Sequence[str] = (),
    table: Path | None = None,
    headers: Headers = read_headers,
    judged: As = as_found,
) -> Pool:
    """Find the scans below ``source``, and say what was not looked at.

    Headers are read of DICOM files, and where names leave open whether files are channels or label maps; voxels only
    of what may be a label map by its size and lies on the grid of another file.

    Parameters
    ----------
    source : a folder of scans, or a table (CSV, TSV, Parquet) that lists them.
    layout : ``auto`` recognises it, and reads both where DICOM files lie beside scans in other formats in a plain
        folder; or one of the names in ``LAYOUTS``, which reads one of them.
    channels : names of the channels to keep, in that order; all when None. Cases that lack one are dropped.
    only : which scans (DICOM: series), each ``COLUMN=PATTERN`` on what the source or the table tells of them.
    table : more columns of the scans, one row each, joined by case id (CSV, TSV, Parquet).
    headers : reads the headers of DICOM files, or knows already what they tell.
    judged : gives findings the severity that the user wants; a scan that none drops any more stays in the pool.

    Raises
    ------
    UsageError : ``source`` is missing or not a folder, unknown layout, channel or column, a ``table`` that fits
        no scan.
    DataError : there is no scan in ``source``, or none that fits ``only``.
    """
    root = Path(source)
    if layout not in LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    if not root.exists():
        raise UsageError(f"{root} does not exist; name the folder that holds the scans")
    sheet = None if table is None else read_sheet(table)
    of_sheet = () if sheet is None else sheet.columns
    early = [text for text in only if text.partition("=")[0] not in of_sheet]
    if root.is_dir():
        kind, (cases, findings) = _read(root, layout, channels=channels, only=early, headers=headers, judged=judged)
    elif root.suffix.lower() in TABLE_ENDINGS and layout in {"auto", "table"}:
        kind, (cases, findings) = "table", read_table(root)
    else:
        raise UsageError(f"{root} is a file; name the folder that holds the scans, or a table (CSV, Parquet) of them")
    if not cases:
        raise nothing_found(root, layout, findings, VOLUME_ENDINGS)
    cases, alike = apart(cases)
    findings = judged((*findings, *alike))
    if sheet is not None:
        left_out = {f.case_id for f in findings if f.case_id}
        cases, joined = join(cases, sheet, left_out)
        findings = (*findings, *joined)
    late = [text for text in only if text not in early] if kind in {"dicom", BOTH} else only
    cases, findings = _only(cases, findings, late, root)
    pool = Pool(source=str(source), cases=cases, layout=kind)
    return with_channels(pool, channels, findings) if channels else pool.with_findings(findings)


def _only(cases: Sequence[Case], findings: Sequence[Finding], only: Sequence[str], root: Path) -> Found:
    """Return the cases that fit ``only``, and the findings without those on the other cases."""
    kept, left_out = choose(cases, lambda case: case.metadata, only, noun="scans", path=str(root))
    gone = {case.case_id for case in cases} - {case.case_id for case in kept}
    return tuple(kept), (*(f for f in findings if f.case_id not in gone), *left_out)


def _read(
    root: Path,
    layout: str,
    *,
    channels: Sequence[str] | None,
    only: Sequence[str],
    headers: Headers,
    judged: As,
) -> tuple[str, Found]:
    start = _images_folder(root) if layout in {"auto", "nnunet", "msd"} else root
    walked = walk(root)
    everything = [path for path in walked.files if start == root or path.is_relative_to(start)]
    files = [path for path in everything if is_volume(path.name)]
    description = _description(root)
    kind = layout if layout != "auto" else _recognise(root, start, everything, description)
    names = _channel_names(description)
    if kind == "folder":
        files += [path for path in everything if is_other(path.name) and _is_own_scan(path)]
    numbers = {"nnunet": "channel", "folder": "scan" if layout == "folder" else "asked"}.get(kind, "asked")
    foreign: list[Path] = []
    noted = _noting(headers, foreign)

    def read_plain(*, beside_scans: bool) -> Found:
        return read_folder(root, files, numbers=numbers, judged=judged, beside_scans=beside_scans)

    readers: Mapping[str, Callable[[], Found]] = {
        "folder": lambda: read_plain(beside_scans=False),
        "nnunet": lambda: read_folder(start, files, names, numbers=numbers, judged=judged),
        "msd": lambda: read_msd(start, files, names),
        "bids": lambda: read_bids(root, files, channels),
        "feta": lambda: read_bids(root, files, channels),
        "brats2021": lambda: read_brats(root, files, kind),
        "brats2023": lambda: read_brats(root, files, kind),
        "dicom": lambda: read_dicom(root, everything, only, noted),
    }
    if kind == "table":
        raise UsageError(f"{root} is a folder; layout 'table' needs a CSV, TSV or Parquet file")
    looked_at = sidecars(walked.files) | set(files)
    left = [path for path in walked.files if path not in looked_at]
    series = [path for path in left if is_dicom(path)] if (layout, kind) == ("auto", "folder") else []
    if series:
        order = Beside(root, series, only, noted, judged)
        (cases, findings), both = read_both(order, lambda scans: read_plain(beside_scans=scans))
        left = sorted({*left} - {*series} | {*foreign})
        kind = BOTH if both else kind
    else:
        cases, findings = readers[kind]()
        left = foreign if kind == "dicom" else left
    return kind, (cases, (*findings, *passed_over(root, walked.passed, left, kind)))


def _noting(headers: Headers, foreign: list[Path]) -> Headers:
    """Return what reads headers, and adds the files that are no DICOM files to ``foreign``."""

    def read(files: Sequence[Path]) -> list[Header]:
        told = list(headers(files))
        foreign.extend(path for path, header in zip(files, told, strict=True) if header == NO_DICOM)
        return told

    return read


def _is_own_scan(path: Path) -> bool:
    """Tell whether a file of the rarer formats is a scan: it has a header, and is no derivative of FreeSurfer."""
    if path.suffix.lower() == ".img":
        return header_beside(path) is not None
    return not ((path.parent / "orig.mgz").is_file() and path.name != "orig.mgz")


def _images_folder(root: Path) -> Path:
    return root / "imagesTr" if (root / "imagesTr").is_dir() else root


def _recognise(root: Path, start: Path, everything: Sequence[Path], description: Mapping[str, Any]) -> str:
    files = [path for path in everything if is_volume(path.name)]
    if start != root:
        four_dimensional = "channel_names" not in description and "modality" in description
        grouped = any(_CHANNEL_GROUP.search(split_ending(path.name)[0]) for path in files)
        return "msd" if four_dimensional and not grouped else "nnunet"
    if not files:
        others = any(is_other(path.name) and _is_own_scan(path) for path in everything)
        return "folder" if others else "dicom"
    if is_bids(files):
        return "feta" if is_feta(files) else "bids"
    return brats_year(files) or "folder"


def with_channels(pool: Pool, channels: Sequence[str], findings: Sequence[Finding] = ()) -> Pool:
    """Return the pool with only ``channels``, in that order; a case that lacks one is dropped.

    ``findings``: those that are to join the pool besides.

    Raises
    ------
    UsageError : no case has one of the channels.
    """
    known = sorted({c.name for case in pool for c in case.channels})
    unknown = [name for name in channels if name not in known]
    if unknown:
        raise UsageError(
            f"no scan has a channel {', '.join(map(repr, unknown))}; there are {', '.join(map(repr, known))}"
        )
    chosen, lacking = [], []
    for case in pool:
        by_name = {c.name: c for c in case.channels}
        missing = [name for name in channels if name not in by_name]
        if not missing:
            chosen.append(replace(case, channels=tuple(by_name[name] for name in channels)))
            continue
        lacking.append(
            Finding(
                code="missing-channel",
                severity="drop",
                case_id=case.case_id,
                message=f"channel {', '.join(missing)} is missing",
                remedy="add the missing file, or leave this channel out of --channel",
                path=case.path,
            )
        )
    kept = {case.case_id for case in chosen}
    others = [f for f in findings if not (f.code == "missing-channel" and f.severity == "drop")]
    if not kept:
        raise DataError(f"no scan has all of the channels {', '.join(channels)}")
    return replace(pool, cases=tuple(chosen)).with_findings([*others, *lacking])


def _description(root: Path) -> Mapping[str, Any]:
    """Return the content of dataset.json; empty where there is none."""
    path = root / "dataset.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}); correct it or remove it") from error
    return content if isinstance(content, dict) else {}


def _channel_names(description: Mapping[str, Any]) -> dict[str, str]:
    names = description.get("channel_names", description.get("modality"))
    return {str(k): str(v) for k, v in names.items()} if isinstance(names, dict) else {}
