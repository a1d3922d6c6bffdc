"""Numbers at the end of names: channels where several scans have the same ones on one grid, else scans."""

from __future__ import annotations

import json

import pytest
from phantoms import AFFINE, head, save

from firstscan.imaging import index


def put(root, *names, shape=(12, 14, 10)):
    for i, name in enumerate(names):
        save(root / f"{name}.nii.gz", head(shape, seed=i))


def numbered(stem, count):
    return [f"{stem}_{i:04d}" for i in range(count)]


def codes(pool):
    return [(f.code, f.severity) for f in pool.findings]


@pytest.mark.parametrize("count", [2, 8])
def test_one_name_with_numbers_is_a_scan_each(tmp_path, count):
    put(tmp_path, *numbered("IMG", count))
    pool = index(tmp_path)
    assert pool.case_ids == tuple(numbered("IMG", count))
    assert codes(pool) == [("numbered-names", "warn")]
    assert f"{count} numbered file(s), such as IMG_0000" in pool.findings[0].message
    assert "--layout nnunet" in pool.findings[0].remedy
    assert [len(case.channels) for case in index(tmp_path, layout="nnunet")] == [count]


def test_names_with_other_numbers_each_are_scans(tmp_path):
    put(tmp_path, *numbered("IMG", 7), *numbered("SCAN", 3), *numbered("OLD", 2))
    pool = index(tmp_path)
    assert len(pool) == 12
    assert codes(pool) == [("numbered-names", "warn")]


def test_numbers_on_different_grids_are_scans(tmp_path):
    for number, shape in enumerate([(12, 14, 10), (12, 14, 11)]):
        put(tmp_path, f"a_{number:04d}", f"b_{number:04d}", shape=shape)
    pool = index(tmp_path)
    assert len(pool) == 4
    assert "different grids" in pool.findings[0].message


def test_numbers_with_gaps_are_scans(tmp_path):
    put(tmp_path, "a_0000", "a_0007", "b_0000", "b_0007")
    assert len(index(tmp_path)) == 4


def test_a_different_number_each_is_not_even_asked_about(tmp_path):
    put(tmp_path, "anna_0000", "berta_0001", "carl_0002")
    pool = index(tmp_path)
    assert pool.case_ids == ("anna_0000", "berta_0001", "carl_0002")
    assert not pool.findings


def test_channels_of_several_scans_also_in_folders_of_their_own(tmp_path):
    put(tmp_path / "flat", *numbered("p1", 2), *numbered("p2", 2))
    put(tmp_path / "nested", *(f"{p}/{name}" for p in ("p3", "p4") for name in numbered(p, 2)))
    for folder in ("flat", "nested"):
        pool = index(tmp_path / folder)
        assert [len(case.channels) for case in pool] == [2, 2]
        assert not pool.findings


def test_one_series_beside_channels_changes_nothing_for_them(tmp_path):
    put(tmp_path, *numbered("p1", 2), *numbered("p2", 2), *numbered("stack", 18))
    pool = index(tmp_path)
    assert {len(case.channels) for case in pool if case.case_id in {"p1", "p2"}} == {2}
    assert len(pool) == 20


def test_a_description_says_how_many_channels_there_are(tmp_path):
    put(tmp_path / "imagesTr", *numbered("IMG", 3))
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}}))
    assert index(tmp_path).case_ids == tuple(numbered("IMG", 3))
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "T2", "2": "PD"}}))
    assert [[c.name for c in case.channels] for case in index(tmp_path)] == [["T1", "T2", "PD"]]


def test_layout_folder_takes_every_file_for_a_scan(tmp_path):
    put(tmp_path, *numbered("p1", 2), *numbered("p2", 2))
    pool = index(tmp_path, layout="folder")
    assert len(pool) == 4
    assert not pool.findings


def test_nrrd_grids_are_compared_as_well(tmp_path):
    for i, stem in enumerate(("a", "b")):
        for number in range(2):
            save(tmp_path / f"{stem}_{number:04d}.nrrd", head((12, 14, 10 + number), seed=i), AFFINE)
    assert len(index(tmp_path)) == 4
