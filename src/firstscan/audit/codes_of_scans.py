"""Codes of findings on single scans: files that do not serve, headers, DICOM series, voxels."""

from __future__ import annotations

from . import header, quality, series, stack, voxels
from .kind import k

_SPACING, _EXTENT, _UNUSUAL = header.IMPOSSIBLE_SPACING_MM, header.IMPOSSIBLE_EXTENT_MM, header.UNUSUAL_SPACING_MM
_AGAIN = "Copy or export this scan again."
_STRAIGHT = (
    "Nothing to do. Hand-offs and label maps refer to the resampled scan: draw labels on what is handed over, not on "
    "the series in the archive."
)

FATAL = (
    k("unreadable", "drop", "No reader understands the file, or its header makes no sense.", _AGAIN),
    k("truncated", "drop", "The file holds fewer voxels than its header promises.", _AGAIN),
    k("damaged", "drop", "The compressed data is broken, or its checksum is wrong.", _AGAIN),
    k("oversized", "drop", "The file inflates to far more data than its header promises.", "Export this scan again."),
    k("missing-file", "drop", "The file is gone or may not be opened.", "Restore the file or its read permission."),
    k("not-3d", "drop", "A 2D image, a time series or a colour image.", "Store one 3D scan a file, or leave it out."),
    k(
        "too-large",
        "drop",
        "The header claims more voxels than memory is taken for.",
        "Check the header; crop or downsample a scan that really is this large.",
        "more than 8 GiB of float32 voxels a channel",
    ),
    k(
        "missing-channel",
        "drop or note",
        "A channel that other scans have is not there.",
        "Add the file, or name the channels that all scans have with --channel.",
    ),
    k(
        "channel-geometry",
        "drop",
        "The channels of a scan do not lie on one grid.",
        "Resample the channels onto one grid, or name the channels to use with --channel.",
        f"{header.GEOMETRY_TOLERANCE:.1%} in spacing, {header.GEOMETRY_TOLERANCE} in direction cosines, 0.1 voxel in "
        "position",
    ),
    k("non-finite", "drop", "Voxels are NaN or infinite inside the scan.", "Export this scan again.", "any voxel"),
    k(
        "constant",
        "drop",
        "A channel holds one value everywhere.",
        "Export this scan again, or leave this channel out with --channel.",
    ),
    k(
        "spacing-implausible",
        "drop",
        "No scanner makes voxels of that size.",
        "Correct the voxel spacing in the header.",
        f"an edge below {_SPACING[0]} mm or above {_SPACING[1]:g} mm",
    ),
    k(
        "extent-implausible",
        "drop",
        "No field of view has that size.",
        "Correct the voxel spacing in the header (unit millimetre).",
        f"a side below {_EXTENT[0]:g} mm or above {_EXTENT[1]:g} mm",
    ),
    k(
        "channel-count",
        "drop",
        "The scan has another number of channels than most.",
        "Name the channels that all scans have with --channel, or select from each kind apart.",
        "another number than most scans of the pool",
    ),
    k(
        "not-orthogonal",
        "drop",
        "The axes of the grid are not at right angles (shear).",
        "Resample the scan onto a grid at right angles.",
        f"more than {header.AXES_REPAIRED:g} off, as a cosine",
    ),
)

HEADERS = (
    k(
        "axes-repaired",
        "note",
        "Rounding left the axes not quite at right angles; the nearest axes that are were taken.",
        "Nothing to do.",
        f"up to {header.AXES_REPAIRED:g} off, as a cosine; less than {header.AXES_EXACT:g} is not told",
    ),
    k(
        "too-few-slices",
        "drop or warn",
        "The scan has very few slices.",
        "Look at it: is it a localiser, or a part of a series?",
        f"drop below {header.FEWEST_SLICES}, warn below {header.FEW_SLICES}",
    ),
    k(
        "spacing-unusual",
        "warn",
        "Voxels of unusual size.",
        "Look at this scan: is its spacing right, is it a localiser?",
        f"an edge below {_UNUSUAL[0]} mm or above {_UNUSUAL[1]:g} mm",
    ),
    k(
        "orientation-missing",
        "warn",
        "A NIfTI file sets neither qform nor sform.",
        "Check left and right in a viewer, and store the orientation.",
    ),
    k(
        "orientation-conflict",
        "warn",
        "qform and sform of a NIfTI file disagree.",
        "Check the scan in a viewer, and store one orientation in both.",
        f"corners more than {header.ORIENTATION_SHARE:.0%} of the longest side apart, at least 1 mm",
    ),
    k(
        "spacing-conflict",
        "drop",
        "A NIfTI file with an sform alone states other voxel sizes in pixdim: programs differ in which they take.",
        "Find out which is right, and store it in both.",
        f"more than {header.SPACING_SHARE:.0%} apart",
    ),
    k(
        "crashed-reader",
        "drop",
        "The process that read it died.",
        "Remove or convert it, or use fewer --workers.",
    ),
)

DICOM = (
    k("localiser", "drop", "A series that plans others, by its name.", "Nothing to do: it is left out."),
    k(
        "mixed-orientation",
        "drop",
        "Slices of a series point in different directions.",
        "Leave it out, or split the series by orientation.",
        f"more than {series.ORIENTATION_TOLERANCE:g} in a direction cosine",
    ),
    k(
        "repeated-slices",
        "drop",
        "Several slices lie at one place, as in a time series.",
        "Split the series by time or echo, or remove the copies.",
        "less than 0.001 mm apart",
    ),
    k(
        "missing-slices",
        "drop",
        "A few steps between slices are far wider than usual.",
        "Export this series again, complete.",
        f"a step above {series.GAP_FACTOR:g} times the median, for at most {series.MOST_GAPS:.0%} of the steps",
    ),
    k(
        "sheared-slices",
        "warn",
        "Slices are shifted against each other, as with a tilted gantry; the series is resampled to a straight grid.",
        _STRAIGHT,
        f"a slice more than {stack.DRIFT_TOLERANCE:g} pixel beside the normal",
    ),
    k(
        "uneven-slices",
        "warn",
        "Steps between slices differ; the series is resampled to even steps.",
        _STRAIGHT,
        f"a step more than {stack.STEP_TOLERANCE:.0%} off the mean",
    ),
    k(
        "position-missing",
        "drop or warn",
        "No ImagePositionPatient. SpacingBetweenSlices, else SliceThickness, is used where it is there (warn).",
        "Check the order of slices, left and right in a viewer, or export the series again.",
    ),
    k("spacing-missing", "drop", "The files do not tell the size of pixels.", "Store PixelSpacing in the files."),
    k(
        "copied-files",
        "warn",
        "Files of a series are there twice (same SOPInstanceUID); one of each is read.",
        "Remove the copies.",
    ),
    k(
        "series-shared",
        "warn",
        "Several patients carry the same SeriesInstanceUID; they are read as separate series.",
        "Check that the folders really hold different patients.",
    ),
    k(
        "derived",
        "warn",
        "The series was computed from others (projection, reformat, subtraction, map: ImageType); it is left out.",
        'To take such series, too: --only "derived=*".',
    ),
    k(
        "repeated-series",
        "warn",
        "The same protocol was recorded again later in the study; the last one is kept, this one is left out.",
        'To take all of them: --only "repeated=*".',
    ),
    k("unreadable-file", "note", "A DICOM file cannot be read.", "Copy or export this file again."),
    k("not-an-image", "note", "A DICOM object that is no scan: DICOMDIR, report, contours.", "Nothing to do."),
)

VOXELS = (
    k(
        "nan-background",
        "warn",
        "NaN marks the background around the scan.",
        "Replace it by 0 outside the body.",
        f"most of the border is NaN; values beyond ±{voxels.ABSURD:g} count as infinite",
    ),
    k(
        "noisy",
        "warn",
        "Heavy noise.",
        "Look at this scan: is it good enough to be annotated?",
        f"noise above {quality.NOISE_SHARE:.0%} of the tissue contrast",
    ),
    k(
        "ghosting",
        "warn",
        "Ghosts beside the body.",
        "Look at this scan: the patient may have moved.",
        f"above {quality.GHOST_SHARE:.0%} of the body's signal",
    ),
    k(
        "cut-off",
        "note",
        "The body leaves the field of view.",
        "Nothing to do if the field of view ends there on purpose.",
        f"above {quality.CUT_SHARE:.0%} of its largest cross-section on one face",
    ),
)
