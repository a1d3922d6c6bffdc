"""Label maps are never scans: by name, by folder, and by content where names are silent."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import AFFINE, head, save

from firstscan.audit import apply_policy
from firstscan.imaging import index
from firstscan.imaging.sources import label_content

SHAPE = (24, 26, 22)


def regions(dtype=np.uint8, values=3):
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    return np.clip((1 - np.linalg.norm(grid, axis=0)) * values * 1.5, 0, values).astype(int).astype(dtype)


def scan(path, seed=0, **kwargs):
    return save(path, head(SHAPE, seed=seed), **kwargs)


def codes(pool):
    return sorted((f.code, f.severity) for f in pool.findings)


def test_kits_lits_and_acdc(tmp_path):
    for i in range(3):
        scan(tmp_path / f"kits/case_{i:05d}/imaging.nii.gz", i)
        save(tmp_path / f"kits/case_{i:05d}/segmentation.nii.gz", regions())
        scan(tmp_path / f"lits/volume-{i}.nii", i)
        save(tmp_path / f"lits/segmentation-{i}.nii", regions())
        scan(tmp_path / f"acdc/patient{i}/patient{i}_frame01.nii.gz", i)
        save(tmp_path / f"acdc/patient{i}/patient{i}_frame01_gt.nii.gz", regions())
    assert index(tmp_path / "kits").case_ids == tuple(f"case_{i:05d}_imaging" for i in range(3))
    assert index(tmp_path / "lits").case_ids == tuple(f"volume-{i}" for i in range(3))
    assert index(tmp_path / "acdc").case_ids == tuple(f"patient{i}_frame01" for i in range(3))
    assert [f.measured for f in index(tmp_path).findings] == [9.0]


def test_every_usual_word_and_slicers_segmentations(tmp_path):
    scan(tmp_path / "p0.nrrd")
    words = ("gt", "msk", "roi", "GTV", "lesion", "tumor", "contour", "manual", "label_map", "seg", "mask", "Label")
    for name in (*(f"p0_{word}.nii.gz" for word in words), "p0.seg.nrrd", "p0-label.nrrd"):
        save(tmp_path / name, regions())
    pool = index(tmp_path)
    assert pool.case_ids == ("p0",)
    assert [(f.code, f.measured) for f in pool.findings] == [("label-map", 14.0)]


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_silent_name_is_looked_into(tmp_path, ending, dtype):
    for i in range(2):
        scan(tmp_path / f"p{i}{ending}", i)
        save(tmp_path / f"p{i}_liver{ending}", regions(dtype))
    pool = index(tmp_path)
    assert pool.case_ids == ("p0", "p1")
    assert codes(pool) == [("looks-like-labels", "drop")] * 2
    assert not {f.case_id for f in pool.findings} & set(pool.case_ids)


def test_the_same_name_in_another_folder_is_a_neighbour(tmp_path):
    for i in range(2):
        scan(tmp_path / f"images/p{i}.nii.gz", i)
        save(tmp_path / f"truth_by_anna/p{i}.nii.gz", regions())
    assert index(tmp_path).case_ids == ("p0", "p1")


def test_many_classes_are_told_by_their_regions(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    blocks = np.kron(np.arange(1, 101).reshape(5, 5, 4), np.ones((5, 6, 6))).astype(np.uint8)[:24, :26, :22]
    save(tmp_path / "p0_organs.nii.gz", blocks)
    assert index(tmp_path).case_ids == ("p0",)


def test_what_only_resembles_a_label_map_stays_a_scan(tmp_path):
    scan(tmp_path / "a.nii.gz")
    coarse = (head(SHAPE) / 8).astype(np.uint8)  # some hundred grey values, without regions
    save(tmp_path / "b.nii", coarse)
    elsewhere = AFFINE.copy()
    elsewhere[0, 3] = 40.0
    save(tmp_path / "c.nii.gz", regions(), elsewhere)  # on a grid of its own
    save(tmp_path / "d.nii.gz", np.zeros(SHAPE, np.uint8))  # nothing in it
    save(tmp_path / "e.nii.gz", regions(np.int16) - 1024)  # below 0
    pool = index(tmp_path)
    assert pool.case_ids == ("a", "b", "c", "d", "e")
    assert not pool.findings


def test_files_that_are_all_alike_are_all_scans(tmp_path):
    for i in range(3):
        save(tmp_path / f"p{i}.nii.gz", np.roll(regions(), i, axis=0))
    assert index(tmp_path).case_ids == ("p0", "p1", "p2")


def test_only_label_maps_are_taken_with_a_warning(tmp_path):
    for i in range(2):
        save(tmp_path / f"p{i}_seg.nii.gz", regions())
    pool = index(tmp_path)
    assert pool.case_ids == ("p0_seg", "p1_seg")
    assert codes(pool) == [("label-map", "warn")]


def test_severity_takes_them_back(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    save(tmp_path / "p0_liver.nii.gz", regions())
    pool = index(tmp_path, judged=lambda found: apply_policy(found, overrides={"looks-like-labels": "warn"}))
    assert pool.case_ids == ("p0", "p0_liver")
    assert [(f.code, f.severity, f.case_id) for f in pool.findings] == [("looks-like-labels", "warn", "p0_liver")]


def test_channels_may_hold_few_values(tmp_path):
    for i in range(2):
        scan(tmp_path / f"p{i}_0000.nii.gz", i)
        save(tmp_path / f"p{i}_0001.nii.gz", regions())
    pool = index(tmp_path)
    assert [len(case.channels) for case in pool] == [2, 2]


def test_a_silent_label_map_beside_channels(tmp_path):
    for i in range(2):
        scan(tmp_path / f"p{i}_0000.nii.gz", i)
        save(tmp_path / f"p{i}.nii.gz", regions())
    pool = index(tmp_path)
    assert pool.case_ids == ("p0", "p1")
    assert [c.path.endswith("_0000.nii.gz") for case in pool for c in case.channels] == [True, True]


def test_ordinary_scans_are_not_read(tmp_path, monkeypatch):
    for i in range(4):
        scan(tmp_path / f"p{i}.nii.gz", i)
        save(tmp_path / f"p{i}_seg.nii.gz", regions())
    monkeypatch.setattr(label_content, "_nifti", None)
    monkeypatch.setattr(label_content, "_blocks", None)
    assert len(index(tmp_path)) == 4


def test_a_damaged_file_is_left_for_its_reader(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    for name, share in (("p1.nii.gz", 0.5), ("p2.nii.gz", 0)):
        path = save(tmp_path / name, regions())
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    (tmp_path / "p3.nrrd").write_bytes(b"NRRD0004\nnonsense\n\n")
    assert len(index(tmp_path)) == 4
