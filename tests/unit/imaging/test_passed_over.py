"""What was not looked at is counted, by reason."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from phantoms import head, save

from firstscan.domain.errors import DataError
from firstscan.imaging import index

SMALL = (12, 14, 10)


def scan(path, seed=0):
    return save(path, head(SMALL, seed=seed))


def found(pool):
    return {f.code: (f.severity, f.measured) for f in pool.findings}


def message(pool, code):
    return next(f.message for f in pool.findings if f.code == code)


def test_formats_that_are_not_read_and_other_files(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    for name in ("m.mnc", "pair.hdr", "disk.img", "z.nii.xz", "case9.zip", "deep/er/a.TAR.GZ", "b.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name in ("README", "notes.txt", "more.txt"):
        (tmp_path / name).write_text("x")
    pool = index(tmp_path)
    assert pool.case_ids == ("p0",)
    assert found(pool) == {"format-not-read": ("warn", 7.0), "other-files": ("note", 3.0)}
    assert ".nii.xz (1)" in message(pool, "format-not-read")
    assert ".tar.gz (1)" in message(pool, "format-not-read")
    assert message(pool, "other-files").endswith(".txt (2), README (1)")


def test_files_that_belong_to_scans_are_looked_at(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    (tmp_path / "p0.json").write_text("{}")
    save(tmp_path / "p1.mhd", head(SMALL))  # its voxels are in p1.raw
    (tmp_path / "dataset_description.json").write_text("{}")
    pool = index(tmp_path)
    assert pool.case_ids == ("p0", "p1")
    assert not pool.findings


def test_dicom_beside_other_formats(tmp_path):
    scan(tmp_path / "converted.nii.gz")
    for name in ("s1/0.dcm", "s1/1.DCM", "s2/IM0", "s2/000017", "DICOMDIR"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(50))
    (tmp_path / "s2" / "LICENSE").write_text("x")
    assert {f.code for f in index(tmp_path).findings} == {"not-an-image", "other-files"}  # they hold no image
    pool = index(tmp_path, layout="folder")
    assert pool.case_ids == ("converted",)
    assert found(pool) == {"dicom-not-taken": ("warn", 5.0), "other-files": ("note", 1.0)}
    assert "s1 (2), s2 (2)" in message(pool, "dicom-not-taken")
    assert "--layout dicom" in next(f.remedy for f in pool.findings if f.code == "dicom-not-taken")


@pytest.mark.data
def test_what_is_no_dicom_beside_dicom(data_dir, tmp_path):
    for path in sorted((data_dir / "dicom" / "Study3").rglob("*.dcm"))[:3]:
        shutil.copy(path, tmp_path)
    for name in ("report.pdf", "note", "more.zip"):
        (tmp_path / name).write_bytes(b"x" * 400)
    pool = index(tmp_path)
    assert pool.layout == "dicom"
    assert found(pool)["other-files"] == ("note", 2.0)
    assert found(pool)["format-not-read"] == ("warn", 1.0)
    scan(tmp_path / "p0.nii.gz")
    assert found(index(tmp_path, layout="dicom"))["volumes-not-taken"] == ("warn", 1.0)


def pointers(root: Path, names, kind):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            path.symlink_to("../../.git/annex/objects/xx/MD5E-s1--01.nii.gz")
        elif kind == "annex":
            path.write_text("/annex/objects/MD5E-s1--01.nii.gz\n")
        elif kind == "lfs":
            path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 132735\n")
        else:
            path.with_name(f"{path.name}.dvc").write_text("outs:\n- md5: 00\n")


@pytest.mark.parametrize("kind", ["link", "annex", "lfs", "dvc"])
def test_what_was_not_fetched(tmp_path, kind):
    names = [f"sub-{i:02d}/anat/sub-{i:02d}_T1w.nii.gz" for i in (1, 2)]
    pointers(tmp_path, names, kind)
    with pytest.raises(DataError, match=r"2 file\(s\) are links or pointers to data that is not here") as error:
        index(tmp_path)
    assert "sub-01/anat/sub-01_T1w.nii.gz" in str(error.value)
    assert "git annex get" in str(error.value)
    assert "empty" not in str(error.value)
    scan(tmp_path / "sub-03/anat/sub-03_T1w.nii.gz")
    pool = index(tmp_path)
    assert pool.case_ids == ("sub-03",)
    assert found(pool) == {"not-fetched": ("warn", 2.0)}


def test_a_fetched_file_beside_its_dvc_entry(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    (tmp_path / "p0.nii.gz.dvc").write_text("outs: []")
    assert found(index(tmp_path)) == {"other-files": ("note", 1.0)}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folders_without_permission(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    scan(tmp_path / "closed" / "p1.nii.gz")
    (tmp_path / "closed").chmod(0)
    try:
        pool = index(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert pool.case_ids == ("p0",)
    assert found(pool) == {"no-permission": ("warn", 1.0)}


def test_a_folder_that_cannot_be_listed_is_said(tmp_path, monkeypatch):
    scan(tmp_path / "p0.nii.gz")
    scan(tmp_path / "closed" / "p1.nii.gz")
    real = os.scandir

    def scandir(path="."):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    pool = index(tmp_path)
    assert pool.case_ids == ("p0",)
    assert found(pool) == {"no-permission": ("warn", 1.0)}
    assert message(pool, "no-permission").endswith("closed")


def test_results_and_hand_offs_are_not_searched(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    manifest = {"schema_version": 1, "kind": "handoff", "identity": "0", "config": {}, "inputs": {}, "files": {}}
    for name, body in (
        ("out/manifest.json", manifest),
        ("batch/handoff.json", {"target": "mitk", "picks": [], "reader": ""}),
        ("running/work/log.jsonl", {}),
        ("other/manifest.json", {"name": "a web application"}),
    ):
        scan(tmp_path / name.split("/")[0] / "images" / f"{name.split('/')[0]}.nii.gz")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(body))
    (tmp_path / "running/work/run.lock").touch()
    pool = index(tmp_path)
    assert pool.case_ids == ("other", "p0")
    assert found(pool) == {"own-results": ("note", 3.0)}
    assert index(tmp_path / "out").case_ids == ("out",)


def test_hidden_files(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    scan(tmp_path / ".p1.nii.gz")
    scan(tmp_path / ".archive" / "p2.nii.gz")
    (tmp_path / "._p0.nii.gz").write_bytes(b"x")  # what macOS leaves behind
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    pool = index(tmp_path)
    assert pool.case_ids == ("p0",)
    assert found(pool) == {"hidden": ("note", 2.0)}


def test_what_lies_beside_the_images_of_nnunet(tmp_path):
    scan(tmp_path / "imagesTr" / "p0_0000.nii.gz")
    scan(tmp_path / "imagesTs" / "p1_0000.nii.gz")
    scan(tmp_path / "labelsTr" / "p0.nii.gz")
    pool = index(tmp_path)
    assert pool.case_ids == ("p0",)
    assert found(pool) == {"outside-images": ("note", 2.0)}


def test_an_empty_folder_is_still_called_so(tmp_path):
    with pytest.raises(DataError, match="the folder is empty"):
        index(tmp_path)


def test_names_that_are_no_utf8_cost_only_their_files(tmp_path):
    scan(tmp_path / "p0.nii.gz")
    other = scan(tmp_path / "p1.nii.gz", 1)
    odd = os.fsencode(tmp_path) + b"/Kn\xe4e.nii.gz"
    try:
        os.rename(os.fsencode(other), odd)  # noqa: PTH104  # a name that is no text
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    pool = index(tmp_path)
    assert pool.case_ids == ("p0",)
    (finding,) = pool.findings
    assert (finding.code, finding.severity) == ("name-encoding", "drop")
    assert finding.path == str(tmp_path / "Kn\\xe4e.nii.gz")
    json.dumps([finding.message, finding.case_id]).encode()
    assert finding.case_id.startswith("Kn_e-")


def test_a_pointer_is_told_from_a_small_scan(tmp_path):
    tiny = scan(tmp_path / "a.nii.gz")
    tiny.write_bytes(gzip.compress(bytes(400)))
    assert index(tmp_path).case_ids == ("a",)
