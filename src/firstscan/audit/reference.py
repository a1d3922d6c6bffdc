"""Every code that a finding can have: what it means, when it is raised, how it is taken, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firstscan.domain.errors import UsageError

from . import header, pool, quality, series, stack, voxels


@dataclass(frozen=True, slots=True)
class Kind:
    """One code.  ``severity``: as it is raised, several where it depends on the case (``drop or warn``).

    ``threshold``: when it is raised, in numbers; empty where there are none. ``stage``: what is looked at.
    ``fatal``: no strictness (``--audit``) keeps such a scan, because no network can be fed with it.
    """

    code: str
    severity: str
    meaning: str
    threshold: str
    remedy: str
    stage: str = "files"
    fatal: bool = False


_SPACING, _EXTENT, _UNUSUAL = header.IMPOSSIBLE_SPACING_MM, header.IMPOSSIBLE_EXTENT_MM, header.UNUSUAL_SPACING_MM
_AGAIN = "Copy or export this scan again."
_STRAIGHT = (
    "Nothing to do. Hand-offs and label maps refer to the resampled scan: draw labels on what is handed over, not on "
    "the series in the archive."
)


def _k(code: str, severity: str, meaning: str, remedy: str, threshold: str = "") -> Kind:
    return Kind(code, severity, meaning, threshold, remedy)


_FATAL = (
    _k("unreadable", "drop", "No reader understands the file, or its header makes no sense.", _AGAIN),
    _k("truncated", "drop", "The file holds fewer voxels than its header promises.", _AGAIN),
    _k("damaged", "drop", "The compressed data is broken, or its checksum is wrong.", _AGAIN),
    _k("oversized", "drop", "The file inflates to far more data than its header promises.", "Export this scan again."),
    _k("missing-file", "drop", "The file is gone or may not be opened.", "Restore the file or its read permission."),
    _k("not-3d", "drop", "A 2D image, a time series or a colour image.", "Store one 3D scan a file, or leave it out."),
    _k(
        "too-large",
        "drop",
        "The header claims more voxels than memory is taken for.",
        "Check the header; crop or downsample a scan that really is this large.",
        "more than 8 GiB of float32 voxels a channel",
    ),
    _k(
        "missing-channel",
        "drop or note",
        "A channel that other scans have is not there.",
        "Add the file, or name the channels that all scans have with --channel.",
    ),
    _k(
        "channel-geometry",
        "drop",
        "The channels of a scan do not lie on one grid.",
        "Resample the channels onto one grid, or name the channels to use with --channel.",
        f"{header.GEOMETRY_TOLERANCE:.1%} in spacing, {header.GEOMETRY_TOLERANCE} in direction cosines, 0.1 voxel in "
        "position",
    ),
    _k("non-finite", "drop", "Voxels are NaN or infinite inside the scan.", "Export this scan again.", "any voxel"),
    _k(
        "constant",
        "drop",
        "A channel holds one value everywhere.",
        "Export this scan again, or leave this channel out with --channel.",
    ),
    _k(
        "spacing-implausible",
        "drop",
        "No scanner makes voxels of that size.",
        "Correct the voxel spacing in the header.",
        f"an edge below {_SPACING[0]} mm or above {_SPACING[1]:g} mm",
    ),
    _k(
        "extent-implausible",
        "drop",
        "No field of view has that size.",
        "Correct the voxel spacing in the header (unit millimetre).",
        f"a side below {_EXTENT[0]:g} mm or above {_EXTENT[1]:g} mm",
    ),
    _k(
        "channel-count",
        "drop",
        "The scan has another number of channels than most.",
        "Name the channels that all scans have with --channel, or select from each kind apart.",
        "another number than most scans of the pool",
    ),
    _k(
        "not-orthogonal",
        "drop",
        "The axes of the grid are not at right angles (shear).",
        "Resample the scan onto a grid at right angles.",
        f"more than {header.AXES_REPAIRED:g} off, as a cosine",
    ),
)

_HEADERS = (
    _k(
        "axes-repaired",
        "note",
        "Rounding left the axes not quite at right angles; the nearest axes that are were taken.",
        "Nothing to do.",
        f"up to {header.AXES_REPAIRED:g} off, as a cosine; less than {header.AXES_EXACT:g} is not told",
    ),
    _k(
        "too-few-slices",
        "drop or warn",
        "The scan has very few slices.",
        "Look at it: is it a localiser, or a part of a series?",
        f"drop below {header.FEWEST_SLICES}, warn below {header.FEW_SLICES}",
    ),
    _k(
        "spacing-unusual",
        "warn",
        "Voxels of unusual size.",
        "Look at this scan: is its spacing right, is it a localiser?",
        f"an edge below {_UNUSUAL[0]} mm or above {_UNUSUAL[1]:g} mm",
    ),
    _k(
        "orientation-missing",
        "warn",
        "A NIfTI file sets neither qform nor sform.",
        "Check left and right in a viewer, and store the orientation.",
    ),
    _k(
        "orientation-conflict",
        "warn",
        "qform and sform of a NIfTI file disagree.",
        "Check the scan in a viewer, and store one orientation in both.",
        f"corners more than {header.ORIENTATION_SHARE:.0%} of the longest side apart, at least 1 mm",
    ),
    _k(
        "crashed-reader",
        "drop",
        "The process that read it died.",
        "Remove or convert it, or use fewer --workers.",
    ),
)

_DICOM = (
    _k("localiser", "drop", "A series that plans others, by its name.", "Nothing to do: it is left out."),
    _k(
        "mixed-orientation",
        "drop",
        "Slices of a series point in different directions.",
        "Leave it out, or split the series by orientation.",
        f"more than {series.ORIENTATION_TOLERANCE:g} in a direction cosine",
    ),
    _k(
        "repeated-slices",
        "drop",
        "Several slices lie at one place, as in a time series.",
        "Split the series by time or echo, or remove the copies.",
        "less than 0.001 mm apart",
    ),
    _k(
        "missing-slices",
        "drop",
        "A few steps between slices are far wider than usual.",
        "Export this series again, complete.",
        f"a step above {series.GAP_FACTOR:g} times the median, for at most {series.MOST_GAPS:.0%} of the steps",
    ),
    _k(
        "sheared-slices",
        "warn",
        "Slices are shifted against each other, as with a tilted gantry; the series is resampled to a straight grid.",
        _STRAIGHT,
        f"a slice more than {stack.DRIFT_TOLERANCE:g} pixel beside the normal",
    ),
    _k(
        "uneven-slices",
        "warn",
        "Steps between slices differ; the series is resampled to even steps.",
        _STRAIGHT,
        f"a step more than {stack.STEP_TOLERANCE:.0%} off the mean",
    ),
    _k(
        "position-missing",
        "drop or warn",
        "No ImagePositionPatient. SpacingBetweenSlices, else SliceThickness, is used where it is there (warn).",
        "Check the order of slices, left and right in a viewer, or export the series again.",
    ),
    _k("spacing-missing", "drop", "The files do not tell the size of pixels.", "Store PixelSpacing in the files."),
    _k(
        "copied-files",
        "warn",
        "Files of a series are there twice (same SOPInstanceUID); one of each is read.",
        "Remove the copies.",
    ),
    _k(
        "series-shared",
        "warn",
        "Several patients carry the same SeriesInstanceUID; they are read as separate series.",
        "Check that the folders really hold different patients.",
    ),
    _k(
        "derived",
        "warn",
        "The series was computed from others (projection, reformat, subtraction, map: ImageType); it is left out.",
        'To take such series, too: --only "derived=*".',
    ),
    _k(
        "repeated-series",
        "warn",
        "The same protocol was recorded again later in the study; the last one is kept, this one is left out.",
        'To take all of them: --only "repeated=*".',
    ),
    _k("unreadable-file", "note", "A DICOM file cannot be read.", "Copy or export this file again."),
    _k("not-an-image", "note", "A DICOM object that is no scan: DICOMDIR, report, contours.", "Nothing to do."),
)

_FOLDERS = (
    _k("label-map", "note", "Files that look like label maps were not taken.", "Rename them if they are scans."),
    _k(
        "not-a-scan",
        "note",
        "Files whose suffix is none of a scan were not taken.",
        "Name them with --channel if wanted.",
    ),
    _k(
        "contrast-left-out",
        "note",
        "Files of contrasts that few scans have were not taken.",
        "Name the channels to use with --channel if these are wanted.",
    ),
    _k("not-asked-for", "note", "Scans or series that do not fit --only.", "Nothing to do."),
    _k("table-no-row", "warn", "Scans without a row in the table.", "Complete the table."),
    _k("table-no-scan", "warn", "Rows of the table that name no scan.", "Correct case_id."),
    _k("table-private", "note", "Columns that name or place persons are not taken.", "Nothing to do."),
    _k("table-replaces", "note", "The table replaces what the source says.", "Nothing to do if the table is right."),
)

_VOXELS = (
    _k(
        "nan-background",
        "warn",
        "NaN marks the background around the scan.",
        "Replace it by 0 outside the body.",
        f"most of the border is NaN; values beyond ±{voxels.ABSURD:g} count as infinite",
    ),
    _k(
        "noisy",
        "warn",
        "Heavy noise.",
        "Look at this scan: is it good enough to be annotated?",
        f"noise above {quality.NOISE_SHARE:.0%} of the tissue contrast",
    ),
    _k(
        "ghosting",
        "warn",
        "Ghosts beside the body.",
        "Look at this scan: the patient may have moved.",
        f"above {quality.GHOST_SHARE:.0%} of the body's signal",
    ),
    _k(
        "cut-off",
        "note",
        "The body leaves the field of view.",
        "Nothing to do if the field of view ends there on purpose.",
        f"above {quality.CUT_SHARE:.0%} of its largest cross-section on one face",
    ),
)

_POOL = (
    _k("duplicate", "drop", "Byte for byte the same scan as another one, which stays.", "Remove one of the two."),
    _k(
        "near-duplicate",
        "warn",
        "Nearly the same scan as another one.",
        "Look at both: the same scan in two versions should be annotated once.",
        f"nearer than {pool.NEAR_DUPLICATE_SHARE:.0%} of the median distance to the nearest neighbour",
    ),
    _k(
        "wrong-modality",
        "warn",
        "CT in a pool of MR, or the reverse.",
        "Remove it, or state the modality with --modality.",
        f"where {pool.MODALITY_MAJORITY:.0%} of the pool are of the other kind",
    ),
    _k(
        "spacing-outlier",
        "warn",
        "The coarsest edge of a voxel is far from the pool's.",
        "Look at this scan: is its spacing right, does it belong here?",
        f"{pool.SPACING_FACTOR:g}-fold the median and {pool.ROBUST_Z:g} robust deviations from it",
    ),
    _k(
        "intensity-outlier",
        "note",
        "The range of intensities is far from the pool's.",
        "Nothing to do if this scanner stores its images in another scale.",
        f"{pool.INTENSITY_FACTOR:g}-fold the median and {pool.ROBUST_Z:g} robust deviations from it",
    ),
    _k(
        "same-patient",
        "note",
        "Another scan of the same patient.",
        "Use --group-by patient to pick at most one scan of each patient.",
    ),
)

_LABELS = (
    _k("label-missing", "drop or warn", "No label map came back for a pick.", "Save it where it says, collect again."),
    _k("label-doubled", "drop", "Several label maps fit one pick, none newer than the others.", "Keep one of them."),
    _k("label-older", "note", "An older version of a label map was not taken.", "Nothing to do if the newer is right."),
    _k(
        "label-untouched", "note", "A label map is as it was handed over.", "Look whether it was meant to be corrected."
    ),
    _k("label-unknown", "warn", "A label map belongs to no pick.", "Name it after a pick, or move it away."),
    _k("label-no-scan", "drop", "The scan of a label map is gone.", "Put the scan back, or hand it off again."),
    _k("label-unreadable", "drop", "A label map cannot be read.", "Save it again as one label map a scan."),
    _k("label-empty", "drop", "Nothing is marked.", "Finish it, or collect with --allow-empty."),
    _k(
        "label-geometry",
        "drop",
        "A label map does not lie on the scan's voxels.",
        "Export it with the scan as reference geometry.",
        "a corner more than 0.1 voxel off",
    ),
    _k("label-classes", "drop", "A value that the class list does not name.", "Correct it, or name it with --classes."),
    _k("label-names", "drop", "Segment names and values disagree with the class list.", "Put them in that order."),
    _k("slices-missing", "warn", "Planned slices are still ignored.", "Annotate them, and collect again."),
    _k(
        "slices-empty",
        "warn",
        "Nothing is marked in planned slices.",
        "Annotate them, or collect with --confirm-empty.",
    ),
)


_NAMES = (
    _k(
        "looks-like-labels",
        "drop",
        "A file holds few distinct whole values on the grid of another one: it looks like a label map.",
        "Nothing to do if it is one. If it is a scan: --severity looks-like-labels=warn.",
    ),
    _k("name-encoding", "drop", "A file name is not written in UTF-8.", "Rename the file or its folder."),
    _k("same-name", "drop or warn", "Two files make one case id.", "Rename one of the two files."),
    _k(
        "numbered-names",
        "warn",
        "Numbered files were taken as a scan each, not as channels of one scan.",
        "Nothing to do if they are scans. If they are channels: --layout nnunet.",
    ),
)

_PASSED_OVER = (
    _k("not-fetched", "warn", "A link or pointer to data that is not there (git-annex, DVC, LFS).", "Fetch the data."),
    _k("no-permission", "warn", "A file or folder may not be read.", "Get the right to read it."),
    _k("own-results", "note", "A folder that firstscan wrote.", "Nothing to do."),
    _k("hidden", "note", "Hidden files and folders.", "Nothing to do, or rename what is wanted."),
    _k("format-not-read", "warn", "Images or archives in a format that is not read.", "Unpack or convert them."),
    _k("dicom-not-taken", "warn", "DICOM files beside scans of other formats.", "Take them with --layout dicom."),
    _k("volumes-not-taken", "warn", "Scans of other formats in a DICOM source.", "Take them with --layout folder."),
    _k("outside-images", "note", "Scans outside of the folder that the layout reads.", "Name their folder as SOURCE."),
    _k("other-files", "note", "Files of other kinds.", "Nothing to do."),
)

_PLANS = (
    _k(
        "slices-unplannable",
        "warn",
        "No slices can be planned in a scan, so it was not offered for picking.",
        "Lower --least or widen --range, or annotate it whole.",
    ),
    _k("slices-oblique", "note", "The slices of a scan are oblique: the nearest plane is named.", "Nothing to do."),
)

_ROUNDS = (
    _k("label-vetoed", "drop", "A label map of a scan that was vetoed.", "Nothing to do, or take the veto back."),
    _k("label-left-out", "drop", "A label map of a scan that was left out.", "Repair the scan and select anew."),
    _k("prediction-failed", "drop", "A scan could not be predicted.", "Repair what is said, and run it again."),
    _k("prediction-lost", "warn", "The prediction that a label map began with is gone.", "Hand it over again."),
    _k(
        "prediction-untouched",
        "drop or note",
        "A label map is the prediction that was handed over, unchanged.",
        "Look at it, and collect with --confirm-untouched if it is right.",
    ),
)


def _group(kinds: Sequence[Kind], stage: str, *, fatal: bool = False) -> tuple[Kind, ...]:
    return tuple(Kind(k.code, k.severity, k.meaning, k.threshold, k.remedy, stage, fatal) for k in kinds)


LABELS, PLANS, ROUNDS = "label maps that come back", "plans by slice", "rounds with a model"
KINDS: tuple[Kind, ...] = (
    *_group(_FATAL, "scans that no network can be fed with", fatal=True),
    *_group(_HEADERS, "headers"),
    *_group(_DICOM, "DICOM series"),
    *_group(_FOLDERS, "folders and tables"),
    *_group(_NAMES, "names"),
    *_group(_PASSED_OVER, "files that were not looked at"),
    *_group(_VOXELS, "voxels"),
    *_group(_POOL, "the pool"),
    *_group(_LABELS, LABELS),
    *_group(_PLANS, PLANS),
    *_group(_ROUNDS, ROUNDS),
)
"""Every code, by what is looked at."""


def kind_of(code: str) -> Kind:
    """Return what is known of a code.

    Raises
    ------
    UsageError : no finding has it.
    """
    found = next((kind for kind in KINDS if kind.code == code), None)
    if found is None:
        raise UsageError(unknown_code(code, [kind.code for kind in KINDS]))
    return found


def unknown_code(code: str, known: Iterable[str]) -> str:
    """Say that no finding has ``code``, and which one may be meant."""
    listed = sorted(known)
    like = difflib.get_close_matches(code, listed, n=1)
    hint = f"do you mean {like[0]!r}?" if like else f"known: {', '.join(listed)}"
    return f"no finding has the code {code!r}; {hint}"


def markdown() -> str:
    """Return the reference as the page ``docs/findings.md``."""
    lines = [
        "# Findings",
        "",
        "What `findings.csv` may say of a scan. `drop` leaves it out of the pool, `warn` keeps it and shows it, `note`",
        "informs. `--audit strict` turns warnings into drops, `--audit off` leaves out only what cannot be used;",
        "`--severity CODE=drop|warn|note|off` sets one code for scans that are read. The same text in a terminal:",
        "`firstscan findings CODE`.",
        "",
        "This page is made from the code (`src/firstscan/audit/reference.py`) by `python scripts/findings.py`.",
    ]
    for stage in dict.fromkeys(kind.stage for kind in KINDS):
        lines += ["", f"## {stage[0].upper()}{stage[1:]}", ""]
        lines += ["| code | severity | meaning | threshold | what to do |", "|---|---|---|---|---|"]
        lines += [
            f"| `{k.code}` | {k.severity} | {k.meaning} | {k.threshold or '–'} | {k.remedy} |"
            for k in KINDS
            if k.stage == stage
        ]
    return "\n".join(lines) + "\n"
