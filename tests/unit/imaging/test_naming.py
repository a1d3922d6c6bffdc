"""Names that make one case id: a finding for the files concerned, never an end of the whole pool."""

from __future__ import annotations

import unicodedata

import pytest
from phantoms import head, save

from firstscan.imaging import index

SMALL = (12, 14, 10)


def test_two_unicode_forms_of_one_name(tmp_path):
    names = [unicodedata.normalize(form, "éte") for form in ("NFC", "NFD")]
    paths = [save(tmp_path / f"{name}.nii.gz", head(SMALL, seed=i)) for i, name in enumerate(names)]
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system keeps one of the two forms")
    save(tmp_path / "plain.nii.gz", head(SMALL))
    pool = index(tmp_path)
    assert len(pool) == 3
    assert {case.path for case in pool} == {str(p) for p in (*paths, tmp_path / "plain.nii.gz")}
    assert [(f.code, f.severity) for f in pool.findings] == [("same-name", "warn")] * 2
    assert {f.case_id for f in pool.findings} < set(pool.case_ids)
    assert all("\\u0301" in f.message or "\\xe9" in f.message for f in pool.findings)  # the names look alike


def test_ids_that_clean_to_one(tmp_path):
    for i, name in enumerate(("a b", "a_b", "a+b")):
        save(tmp_path / f"{name}.nii.gz", head(SMALL, seed=i))
    for i, name in enumerate(("x/y_z", "x_y/z", "q/z")):
        save(tmp_path / f"{name}.nii.gz", head(SMALL, seed=i))
    pool = index(tmp_path)
    assert len(pool) == 6
    assert sum(case_id.startswith("a_b-") for case_id in pool.case_ids) == 3
    assert {f.code for f in pool.findings} == {"same-name"}
    assert pool.case_ids == index(tmp_path).case_ids


def test_two_formats_of_one_name_are_left_out_in_bids_as_well(tmp_path):
    for i in (1, 2):
        save(tmp_path / f"sub-0{i}/anat/sub-0{i}_T1w.nii.gz", head(SMALL, seed=i))
    save(tmp_path / "sub-01/anat/sub-01_T1w.nii", head(SMALL, seed=3))
    pool = index(tmp_path)
    assert pool.layout == "bids"
    assert pool.case_ids == ("sub-02",)
    assert [(f.code, f.severity) for f in pool.findings] == [("same-name", "drop")] * 2
