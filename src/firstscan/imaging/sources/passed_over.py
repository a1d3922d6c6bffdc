"""What was not looked at, and why: one finding a reason, with the number of files and some of their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from firstscan.domain.errors import DataError
from firstscan.domain.finding import Finding, Severity
from firstscan.imaging.dicom.tags import is_dicom as begins_as_dicom
from firstscan.imaging.files import digest, is_other, is_volume, printable, safe_id, split_ending

NOT_READ = {
    ".mgz": "FreeSurfer", ".mgh": "FreeSurfer", ".hdr": "Analyze or NIfTI pair", ".img": "Analyze or NIfTI pair",
    ".img.gz": "Analyze or NIfTI pair", ".hdr.gz": "Analyze or NIfTI pair", ".nii.bz2": "NIfTI, bzip2",
    ".nii.xz": "NIfTI, xz", ".nii.zst": "NIfTI, Zstandard", ".zip": "archive", ".tar": "archive", ".tar.gz": "archive",
    ".tgz": "archive", ".tar.bz2": "archive", ".7z": "archive", ".rar": "archive", ".mnc": "MINC", ".par": "Philips",
    ".rec": "Philips", ".xml.rec": "Philips", ".vtk": "VTK", ".vti": "VTK", ".gipl": "GIPL", ".gipl.gz": "GIPL",
    ".npy": "NumPy", ".npz": "NumPy", ".h5": "HDF5", ".hdf5": "HDF5", ".mat": "MATLAB", ".tif": "TIFF",
    ".tiff": "TIFF", ".brik": "AFNI", ".brik.gz": "AFNI", ".head": "AFNI", ".mif": "MRtrix", ".mif.gz": "MRtrix",
    ".czi": "Zeiss", ".nd2": "Nikon", ".ima.gz": "DICOM, compressed", ".dcm.gz": "DICOM, compressed",
}  # fmt: skip
"""Endings of images and archives that are not read, and what they mean."""
_DICOM_ENDINGS = (".dcm", ".ima", ".dicom")
_VOXELS_BESIDE = (".raw", ".zraw", ".raw.gz")
"""Endings of files in which MetaImage and NRRD headers keep their voxels."""
_USED = frozenset(
    {"dataset.json", "dataset_description.json", "participants.tsv", "participants.json", "manifest.json"}
)
_SHOWN, _ENDINGS_SHOWN = 3, 8
_REASONS: dict[str, tuple[Severity, str, str]] = {
    "not-fetched": (
        "warn",
        "{n} file(s) are links or pointers to data that is not here (git-annex, DVC or Git LFS): {names}",
        "fetch them (datalad get, git annex get, dvc pull or git lfs pull) and run this again",
    ),
    "no-permission": (
        "warn",
        "{n} folder(s) or file(s) may not be read by this user: {names}",
        "ask for the permission to read them, or name the folder with the scans",
    ),
    "own-results": (
        "note",
        "{n} folder(s) hold results or hand-offs of firstscan and were not searched: {names}",
        "nothing to do; name such a folder itself to take scans from it",
    ),
    "hidden": (
        "note",
        "{n} hidden file(s) or folder(s) were not looked at: {names}",
        "rename what holds scans, without the dot in front",
    ),
    "format-not-read": (
        "warn",
        "{n} file(s) of formats that are not read: {names}",
        "convert or unpack those that are scans to NIfTI, NRRD or MetaImage",
    ),
    "dicom-not-taken": (
        "warn",
        "{n} DICOM file(s) were not looked at, because the source is read as layout {kind}: {names}",
        "read them in a run of their own with --layout dicom, or move them to a folder of their own",
    ),
    "volumes-not-taken": (
        "warn",
        "{n} file(s) in other formats were not looked at, because the source is read as DICOM: {names}",
        "read them in a run of their own with --layout folder",
    ),
    "outside-images": (
        "note",
        "{n} file(s) beside the folder imagesTr were not taken as scans: {names}",
        "name their folder as the source if they are wanted",
    ),
    "other-files": ("note", "{n} file(s) of other kinds were not looked at: {names}", "nothing to do"),
}


def passed_over(root: Path, passed: Mapping[str, Sequence[Path]], files: Iterable[Path], kind: str) -> list[Finding]:
    """Return a finding for each reason why files below ``root`` were passed over.

    Parameters
    ----------
    passed : what the walk passed over, by code.
    files : those it found that no layout was given.
    kind : the layout.

    A file whose name is no UTF-8 is a scan that is left out; all other findings are about no scan.
    """
    groups = {code: list(paths) for code, paths in passed.items()}
    misnamed = [path for path in groups.pop("name-encoding", []) if is_volume(path.name)]
    for path in files:
        groups.setdefault(_code(path, kind), []).append(path)
    found = [_finding(root, code, paths, kind) for code, paths in sorted(groups.items()) if paths]
    return [*found, *(_misnamed(path) for path in misnamed)]


def sidecars(files: Collection[Path]) -> set[Path]:
    """Return the files that belong to volumes or describe the source, and are read with them."""
    stems = {path.parent / split_ending(path.name)[0] for path in files if is_volume(path.name) or is_other(path.name)}
    return {
        path
        for path in files
        if path.name in _USED
        or (path.suffix.lower() in {".json", ".hdr"} and path.with_suffix("") in stems)
        or (path.name.lower().endswith(_VOXELS_BESIDE) and path.parent / path.name.split(".")[0] in stems)
    }


def nothing_found(root: Path, layout: str, findings: Sequence[Finding], endings: Sequence[str]) -> DataError:
    """Return the error that says why there is no scan below ``root``."""
    reason = "".join(f"\n  {f.path}: {f.message}" if f.path != str(root) else f"\n  {f.message}" for f in findings[:5])
    remedies = "".join(f"\n  To do: {f.remedy}" for f in findings[:1] if f.severity != "note")
    if not findings and root.is_dir() and next(root.iterdir(), None) is None:
        return DataError(f"no scan found in {root}: the folder is empty. Is it the right one?")
    forced = "" if layout == "auto" else f" (read with --layout {layout})"
    return DataError(
        f"no scan found in {root}{forced}; files that end in {', '.join(endings)} and DICOM files are read. "
        f"Is it the right folder?{reason}{remedies}"
    )


def _code(path: Path, kind: str) -> str:
    name = path.name.lower()
    if is_volume(path.name):
        return "volumes-not-taken" if kind == "dicom" else "outside-images"
    if _not_read(name):
        return "format-not-read"
    if kind != "dicom" and is_dicom(path):
        return "dicom-not-taken"
    return "other-files"


def _not_read(name: str) -> str:
    """Return the known ending of an image or archive that is not read; the longest counts."""
    return max((ending for ending in NOT_READ if name.endswith(ending)), key=len, default="")


def is_dicom(path: Path) -> bool:
    """Tell whether a file is called like a DICOM file or, without an ending that says anything, begins like one."""
    if path.name.lower().endswith(_DICOM_ENDINGS) or path.name.lower() == "dicomdir":
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        return begins_as_dicom(path)
    except OSError:
        return False


def _finding(root: Path, code: str, paths: Sequence[Path], kind: str) -> Finding:
    severity, message, remedy = _REASONS[code]
    text = message.format(n=len(paths), names=_named(root, code, paths), kind=kind)
    return Finding(code, severity, "", text, remedy, printable(root), float(len(paths)))


def _named(root: Path, code: str, paths: Sequence[Path]) -> str:
    """Return some names; of formats and other kinds the endings with their numbers, of DICOM files their folders."""
    if code in {"format-not-read", "other-files"}:
        counts = Counter(_not_read(p.name.lower()) or p.suffix.lower() or p.name for p in paths)
        often = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_ENDINGS_SHOWN]
        shown = [f"{ending} ({n})" for ending, n in often]
        return ", ".join(shown) + (", …" if len(counts) > len(shown) else "")
    if code in {"dicom-not-taken", "outside-images", "volumes-not-taken"}:
        folders = Counter(p.parent for p in paths)
        shown = [f"{_within(root, folder)} ({n})" for folder, n in sorted(folders.items())[:_SHOWN]]
        return ", ".join(shown) + (", …" if len(folders) > len(shown) else "")
    return ", ".join(_within(root, p) for p in paths[:_SHOWN]) + (", …" if len(paths) > _SHOWN else "")


def _within(root: Path, path: Path) -> str:
    return printable(path.relative_to(root)) if path.is_relative_to(root) else printable(path)


def _misnamed(path: Path) -> Finding:
    return Finding(
        code="name-encoding",
        severity="drop",
        case_id=f"{safe_id(split_ending(path.name)[0])}-{digest(str(path))}",
        message=f"the name of {printable(path.name)} is not written in UTF-8, so it cannot be opened by the readers",
        remedy="rename the file or its folder, for example with convmv -f latin1 -t utf8",
        path=printable(path),
    )
