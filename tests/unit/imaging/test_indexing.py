from __future__ import annotations

import gzip
import json
import shutil

import pytest
from phantoms import head, save

from firstscan.domain.errors import DataError, UsageError
from firstscan.imaging import index


def test_nested_files_become_cases_named_after_the_file(tmp_path):
    save(tmp_path / "b" / "two.nii.gz")
    save(tmp_path / "one.nrrd")
    save(tmp_path / "three.mha")
    pool = index(tmp_path)
    assert pool.case_ids == ("one", "three", "two")
    assert pool.layout == "folder"
    assert pool["two"].path == str(tmp_path / "b" / "two.nii.gz")


def test_hidden_files_and_folders_are_skipped(tmp_path):
    save(tmp_path / "one.nii.gz")
    shutil.copy(tmp_path / "one.nii.gz", tmp_path / "._one.nii.gz")
    save(tmp_path / ".cache" / "two.nii.gz")
    (tmp_path / "notes.txt").write_text("x")
    assert index(tmp_path).case_ids == ("one",)


def test_channel_groups_become_one_case(tmp_path):
    for number in ("0000", "0001"):
        for name in ("p1", "p2"):
            save(tmp_path / f"{name}_{number}.nii.gz")
    pool = index(tmp_path)
    assert pool.case_ids == ("p1", "p2")
    assert [c.name for c in pool["p1"].channels] == ["0000", "0001"]


def test_a_missing_channel_drops_the_case(tmp_path):
    for name in ("p1_0000", "p1_0001", "p2_0000"):
        save(tmp_path / f"{name}.nii.gz")
    pool = index(tmp_path)
    assert pool.case_ids == ("p1",)
    assert [(f.code, f.severity, f.case_id) for f in pool.findings] == [("missing-channel", "drop", "p2")]


def test_a_series_of_numbered_scans_is_not_one_case(tmp_path):
    source = save(tmp_path / "scan_0000.nii.gz")
    for i in range(1, 20):
        shutil.copy(source, tmp_path / f"scan_{i:04d}.nii.gz")
    assert len(index(tmp_path)) == 20


def test_years_are_not_channels(tmp_path):
    save(tmp_path / "anna_2021.nii.gz")
    save(tmp_path / "berta_2022.nii.gz")
    assert index(tmp_path).case_ids == ("anna_2021", "berta_2022")


def test_nnunet_names_its_channels_and_keeps_labels_out(tmp_path):
    save(tmp_path / "imagesTr" / "p1_0000.nii.gz")
    save(tmp_path / "imagesTr" / "p1_0001.nii.gz")
    save(tmp_path / "labelsTr" / "p1.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "FLAIR"}}))
    pool = index(tmp_path)
    assert pool.layout == "nnunet"
    assert [c.name for c in pool["p1"].channels] == ["T1", "FLAIR"]
    only = index(tmp_path, channels=["FLAIR"])
    assert [c.name for c in only["p1"].channels] == ["FLAIR"]
    with pytest.raises(UsageError, match=r"'T2'.*'FLAIR', 'T1'"):
        index(tmp_path, channels=["T2"])


def test_label_folders_and_label_names_are_left_out_with_a_note(tmp_path):
    save(tmp_path / "images" / "p1.nii.gz")
    save(tmp_path / "images" / "p1_seg.nii.gz")
    save(tmp_path / "labels" / "p1.nii.gz")
    pool = index(tmp_path)
    assert pool.case_ids == ("p1",)
    assert {f.code for f in pool.findings} == {"label-map"}
    assert {f.severity for f in pool.findings} == {"note"}


def test_same_name_in_two_folders_is_told_apart_by_the_folder(tmp_path):
    save(tmp_path / "a" / "t1.nii.gz")
    save(tmp_path / "b" / "t1.nii.gz")
    save(tmp_path / "b" / "other.nii.gz")
    assert index(tmp_path).case_ids == ("a_t1", "b_t1", "other")


def test_two_files_of_one_name_are_left_out_and_end_nothing(tmp_path):
    first = save(tmp_path / "one.nii.gz")
    second = save(tmp_path / "one.nii", head(seed=1))
    save(tmp_path / "two.nii.gz")
    pool = index(tmp_path)
    assert pool.case_ids == ("two",)
    assert {(f.code, f.severity, f.path) for f in pool.findings} == {
        ("same-name", "drop", str(first)),
        ("same-name", "drop", str(second)),
    }


def test_a_compressed_copy_beside_its_scan_is_left_out_alone(tmp_path):
    plain = save(tmp_path / "one.nii")
    (tmp_path / "one.nii.gz").write_bytes(gzip.compress(plain.read_bytes()))
    pool = index(tmp_path)
    assert [(case.case_id, case.path) for case in pool] == [("one", str(plain))]
    assert [(f.code, f.severity) for f in pool.findings] == [("same-name", "drop")]


def test_folders_that_cannot_serve(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        index(tmp_path / "absent")
    file = save(tmp_path / "x" / "one.nii.gz")
    with pytest.raises(UsageError, match="is a file"):
        index(file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no scan found"):
        index(tmp_path / "empty")
    with pytest.raises(UsageError, match="unknown layout"):
        index(tmp_path, layout="martian")


def test_a_loop_of_links_ends(tmp_path):
    save(tmp_path / "a" / "one.nii.gz")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert index(tmp_path).case_ids == ("one",)


@pytest.mark.parametrize("name", ["a b", "qu'ote\"s", "new\nline", "脑 扫描", "../up", "-dash", "é", "a" * 200])
def test_hostile_names_give_safe_unique_ids(tmp_path, name):
    save(tmp_path / f"{name.replace('/', '_')}.nii.gz") if len(name) < 200 else None
    save(tmp_path / "plain.nii.gz")
    for case_id in index(tmp_path).case_ids:
        assert not set(case_id) & set("/\\\n'\" ")
        assert not case_id.startswith((".", "-"))
        assert 0 < len(case_id) <= 120
