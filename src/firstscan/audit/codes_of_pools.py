"""Codes of findings on folders, names and pools, and on label maps that come back."""

from __future__ import annotations

from . import pool
from .kind import k

FOLDERS = (
    k("label-map", "note", "Files that look like label maps were not taken.", "Rename them if they are scans."),
    k(
        "not-a-scan",
        "note",
        "Files whose suffix is none of a scan were not taken.",
        "Name them with --channel if wanted.",
    ),
    k(
        "contrast-left-out",
        "note",
        "Files of contrasts that few scans have were not taken.",
        "Name the channels to use with --channel if these are wanted.",
    ),
    k("not-asked-for", "note", "Scans or series that do not fit --only.", "Nothing to do."),
    k("table-no-row", "warn", "Scans without a row in the table.", "Complete the table."),
    k("table-no-scan", "warn", "Rows of the table that name no scan.", "Correct case_id."),
    k("table-private", "note", "Columns that name or place persons are not taken.", "Nothing to do."),
    k("table-replaces", "note", "The table replaces what the source says.", "Nothing to do if the table is right."),
)

NAMES = (
    k(
        "looks-like-labels",
        "drop",
        "A file holds few distinct whole values on the grid of another one: it looks like a label map.",
        "Nothing to do if it is one. If it is a scan: --severity looks-like-labels=warn.",
    ),
    k(
        "converted-copy",
        "drop",
        "A DICOM series is there as a converted file, too: the same voxels at the same places. The file is kept.",
        "Nothing to do. To take the series instead of such files: --layout dicom.",
        "corners at most 0.1 voxel apart, and a correlation of 0.999 in the middle slice",
    ),
    k("name-encoding", "drop", "A file name is not written in UTF-8.", "Rename the file or its folder."),
    k("same-name", "drop or warn", "Two files make one case id.", "Rename one of the two files."),
    k(
        "numbered-names",
        "warn",
        "Numbered files were taken as a scan each, not as channels of one scan.",
        "Nothing to do if they are scans. If they are channels: --layout nnunet.",
    ),
)

PASSED_OVER = (
    k("not-fetched", "warn", "A link or pointer to data that is not there (git-annex, DVC, LFS).", "Fetch the data."),
    k("no-permission", "warn", "A file or folder may not be read.", "Get the right to read it."),
    k("own-results", "note", "A folder that firstscan wrote.", "Nothing to do."),
    k("hidden", "note", "Hidden files and folders.", "Nothing to do, or rename what is wanted."),
    k("format-not-read", "warn", "Images or archives in a format that is not read.", "Unpack or convert them."),
    k(
        "dicom-not-taken",
        "warn",
        "DICOM files that --layout, or the layout of the other files (BIDS, nnU-Net, …), leaves out.",
        "Take them with --layout dicom.",
    ),
    k("volumes-not-taken", "warn", "Scans of other formats in a DICOM source.", "Take them with --layout folder."),
    k("outside-images", "note", "Scans outside of the folder that the layout reads.", "Name their folder as SOURCE."),
    k("other-files", "note", "Files of other kinds.", "Nothing to do."),
)

POOL = (
    k("duplicate", "drop", "Byte for byte the same scan as another one, which stays.", "Remove one of the two."),
    k(
        "near-duplicate",
        "warn",
        "Nearly the same scan as another one.",
        "Look at both: the same scan in two versions should be annotated once.",
        f"nearer than {pool.NEAR_DUPLICATE_SHARE:.0%} of the median distance to the nearest neighbour",
    ),
    k(
        "wrong-modality",
        "warn",
        "CT in a pool of MR, or the reverse.",
        "Remove it, or state the modality with --modality.",
        f"where {pool.MODALITY_MAJORITY:.0%} of the pool are of the other kind",
    ),
    k(
        "spacing-outlier",
        "warn",
        "The coarsest edge of a voxel is far from the pool's.",
        "Look at this scan: is its spacing right, does it belong here?",
        f"{pool.SPACING_FACTOR:g}-fold the median and {pool.ROBUST_Z:g} robust deviations from it",
    ),
    k(
        "intensity-outlier",
        "note",
        "The range of intensities is far from the pool's.",
        "Nothing to do if this scanner stores its images in another scale.",
        f"{pool.INTENSITY_FACTOR:g}-fold the median and {pool.ROBUST_Z:g} robust deviations from it",
    ),
    k(
        "same-patient",
        "note",
        "Another scan of the same patient.",
        "Use --group-by patient to pick at most one scan of each patient.",
    ),
)

LABEL_MAPS = (
    k("label-missing", "drop or warn", "No label map came back for a pick.", "Save it where it says, collect again."),
    k("label-doubled", "drop", "Several label maps fit one pick, none newer than the others.", "Keep one of them."),
    k("label-older", "note", "An older version of a label map was not taken.", "Nothing to do if the newer is right."),
    k("label-untouched", "note", "A label map is as it was handed over.", "Look whether it was meant to be corrected."),
    k("label-unknown", "warn", "A label map belongs to no pick.", "Name it after a pick, or move it away."),
    k("label-no-scan", "drop", "The scan of a label map is gone.", "Put the scan back, or hand it off again."),
    k("label-unreadable", "drop", "A label map cannot be read.", "Save it again as one label map a scan."),
    k("label-empty", "drop", "Nothing is marked.", "Finish it, or collect with --allow-empty."),
    k(
        "label-geometry",
        "drop",
        "A label map does not lie on the scan's voxels.",
        "Export it with the scan as reference geometry.",
        "a corner more than 0.1 voxel off",
    ),
    k("label-classes", "drop", "A value that the class list does not name.", "Correct it, or name it with --classes."),
    k("label-names", "drop", "Segment names and values disagree with the class list.", "Put them in that order."),
    k("slices-missing", "warn", "Planned slices are still ignored.", "Annotate them, and collect again."),
    k(
        "slices-empty",
        "warn",
        "Nothing is marked in planned slices.",
        "Annotate them, or collect with --confirm-empty.",
    ),
)

SLICES = (
    k(
        "slices-unplannable",
        "warn",
        "No slices can be planned in a scan, so it was not offered for picking.",
        "Lower --least or widen --range, or annotate it whole.",
    ),
    k("slices-oblique", "note", "The slices of a scan are oblique: the nearest plane is named.", "Nothing to do."),
)

MODELS = (
    k("label-vetoed", "drop", "A label map of a scan that was vetoed.", "Nothing to do, or take the veto back."),
    k("label-left-out", "drop", "A label map of a scan that was left out.", "Repair the scan and select anew."),
    k("prediction-failed", "drop", "A scan could not be predicted.", "Repair what is said, and run it again."),
    k("prediction-lost", "warn", "The prediction that a label map began with is gone.", "Hand it over again."),
    k(
        "prediction-untouched",
        "drop or note",
        "A label map is the prediction that was handed over, unchanged.",
        "Look at it, and collect with --confirm-untouched if it is right.",
    ),
)
