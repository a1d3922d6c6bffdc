from pathlib import Path

import numpy as np
import pytest

from firstscan.domain.finding import Finding
from firstscan.report.privacy import flat, last_part, nameless, without_folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/a/b.nii.gz ends early", "b.nii.gz ends early"),
        ("see '/data/My Scans/b.nii.gz', please", "see 'b.nii.gz', please"),
        ("see “x” in /data/a/b.nii.gz; again", "see “x” in b.nii.gz; again"),
        (r"C:\Users\Jo\scan.nrrd is short", "scan.nrrd is short"),
        (r"\\server\share\scan.nrrd is short", "scan.nrrd is short"),
        ("~/scans/b.nii", "b.nii"),
        ("T/U, and/or 12/15 mm, 95 %", "T/U, and/or 12/15 mm, 95 %"),
        ("sub-01/anat/T1w stays", "sub-01/anat/T1w stays"),
    ],
)
def test_absolute_paths_lose_their_folders(text: str, shown: str) -> None:
    assert without_folders(text) == shown


def test_a_known_path_may_hold_spaces() -> None:
    finding = Finding(
        "x", "warn", "c", "/data/J Doe/s 1.nii is odd", "open /data/J Doe/s 1.nii", path="/data/J Doe/s 1.nii"
    )
    clean = nameless(finding)
    assert (clean.message, clean.remedy, clean.path) == ("s 1.nii is odd", "open s 1.nii", "")


@pytest.mark.parametrize("path", ["/a/b/scans", "/a/b/scans/", "scans", r"D:\x\scans"])
def test_last_part(path: str) -> None:
    assert last_part(path) == "scans"


def test_settings_are_flat_plain_and_without_folders() -> None:
    rows = flat({"a": {"b": 0.1, "c": None}, "out": "/x/y/out", "p": Path("/x/z"), "on": True, "l": [1, 2], "e": (),
                 "strata": np.zeros(7)})  # fmt: skip
    assert rows == (
        ("a.b", "0.1"),
        ("a.c", "not set"),
        ("out", "out"),
        ("p", "z"),
        ("on", "yes"),
        ("l", "1, 2"),
        ("e", "none"),
        ("strata", "7 values"),
    )
