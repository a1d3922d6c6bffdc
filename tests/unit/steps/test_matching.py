"""Which label map belongs to which scan; a scan is never its own."""

from __future__ import annotations

import pytest

from firstscan.domain.errors import DataError
from firstscan.steps.annotating.matching import match_labels, refuse_scans


@pytest.fixture
def put(tmp_path):
    def touch(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return touch


@pytest.mark.parametrize(
    ("case_id", "label"),
    [
        ("c0", "c0.seg.nrrd"),
        ("pat0", "pat0_seg.nrrd"),
        ("pat0", "labelsTr/pat0.nii.gz"),
        ("p0", "p0_label_map.nii.gz"),
        ("p0", "mask_p0.mha"),
        ("p0", "p0_GTV.nii.gz"),
        ("volume-3", "segmentation-3.nii"),
        ("case_00000_imaging", "case_00000/segmentation.nii.gz"),
        ("case_1_ct", "case_1/labels/liver_mask.nii.gz"),
        ("a_t1", "a/t1_seg.nii.gz"),
        ("patient001_frame01", "patient001/patient001_frame01_gt.nii.gz"),
        ("p1_ct", "p1_ct-label.nrrd"),
        ("a_b", "a b_seg.nii.gz"),
    ],
)
def test_names_that_belong_together(put, case_id, label):
    if label == "case_1/labels/liver_mask.nii.gz":
        assert match_labels(put(label), [case_id]) == {}  # what liver means is not known
    else:
        root = put(label)
        assert match_labels(root, [case_id, "other"]) == {case_id: str(root / label)}


def test_scans_and_label_maps_in_one_folder(put):
    root = put(*(f"pat{i}{end}" for i in range(3) for end in (".nrrd", "_seg.nrrd")))
    ids = [f"pat{i}" for i in range(3)]
    scans = [root / f"pat{i}.nrrd" for i in range(3)]
    expected = {f"pat{i}": str(root / f"pat{i}_seg.nrrd") for i in range(3)}
    assert match_labels(root, ids, scans=scans) == expected
    assert match_labels(root, ids) == expected
    (root / "pat1_seg.nrrd").unlink()
    assert match_labels(root, ids, scans=scans) == {k: v for k, v in expected.items() if k != "pat1"}


def test_a_scan_is_refused_as_its_own_label_map(put):
    root = put("pat0.nrrd")
    taken = match_labels(root, ["pat0"])
    with pytest.raises(DataError, match=r"1 scan\(s\) were found where label maps are expected.*pat0"):
        refuse_scans(taken, [root / "pat0.nrrd"])
    refuse_scans(taken, [root / "another.nrrd"])


def test_the_label_map_of_another_contrast_is_not_taken(put):
    root = put("p1_mr_seg.nii.gz")
    assert match_labels(root, ["p1_ct", "p1_mr"]) == {"p1_mr": str(root / "p1_mr_seg.nii.gz")}


def test_two_label_maps_of_one_scan_are_told(put):
    with pytest.raises(DataError, match=r"p0: 2 label maps fit .*keep one of them"):
        match_labels(put("p0_seg.nii.gz", "p0_mask.nii.gz"), ["p0"])
