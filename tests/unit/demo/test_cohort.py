"""The written cohort: files, labels, table, faults, and the same bytes for the same seed."""

from __future__ import annotations

import csv
import gzip
import hashlib

import numpy as np
import pytest
import SimpleITK as sitk

from firstscan.demo import cohort as cohort_module
from firstscan.demo import generate, template_paths
from firstscan.demo.cohort import COLUMNS
from firstscan.domain.errors import DataError, UsageError

N = 12


def read(path):
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0).astype(np.float32), affine


def write(path, voxels, affine, dtype):
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.astype(dtype).transpose(2, 1, 0)))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    calls = []
    folder = tmp_path_factory.mktemp("demo")
    made = generate(folder, seed=42, read=read, write=write, n=N, progress=lambda *c: calls.append(c))
    return folder, made, calls


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def usable(cohort):
    return [row for row in cohort.rows if row.usable]


def test_images_labels_and_table_are_there(written):
    folder, cohort, calls = written
    assert len(list(cohort.images.iterdir())) == len(list(cohort.labels.iterdir())) == len(cohort.rows) == N
    assert {p.name for p in folder.iterdir()} == {"images", "labels", "cohort.csv"}
    assert len(usable(cohort)) == N - 2
    assert calls == [(i, N) for i in range(1, N + 1)]


def test_the_table_says_what_was_done(written):
    folder, cohort, _ = written
    with cohort.table.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert tuple(lines[0]) == COLUMNS
    assert [line["case_id"] for line in lines] == [row.case_id for row in cohort.rows]
    assert all((folder / line["path"]).is_file() and (folder / line["label"]).is_file() for line in lines)
    assert {line["hard"] for line in lines} == {"true", "false"}
    assert all(("motion" in line["done"]) == (line["hard"] == "true") for line in lines)


def test_labels_lie_on_the_grid_of_their_image_and_hold_the_tissues(written):
    folder, cohort, _ = written
    for row in usable(cohort):
        image, affine = read(folder / row.path)
        labels, label_affine = read(folder / row.label)
        assert image.shape == labels.shape
        np.testing.assert_allclose(affine, label_affine, atol=1e-3)
        shares = np.bincount(labels.astype(int).ravel(), minlength=4)[1:] / (labels > 0).sum()
        assert len(shares) == 3
        assert (shares > [0.02, 0.3, 0.2]).all()


def test_scans_are_finite_and_the_head_stands_out_of_the_air(written):
    folder, cohort, _ = written
    for row in usable(cohort):
        image, _ = read(folder / row.path)
        labels, _ = read(folder / row.label)
        assert np.isfinite(image).all()
        assert image[labels > 1].mean() > 4 * image[labels == 0].mean()


def test_sites_differ_in_contrast_scale_spacing_and_orientation(written):
    folder, cohort, _ = written
    ratio, scale, spacing, codes = {}, {}, {}, {}
    for row in usable(cohort):
        image, affine = read(folder / row.path)
        labels, _ = read(folder / row.label)
        if not row.hard:
            ratio[row.site] = image[labels == 2].mean() / image[labels == 3].mean()
        scale[row.site] = image.max()
        spacing[row.site] = tuple(np.linalg.norm(affine[:3, :3], axis=0).round(2))
        codes[row.site] = tuple(np.argmax(np.abs(affine[:3, :3]), axis=0))
    assert ratio["aster"] < ratio["cedar"] < 1 < ratio["dune"] < ratio["birch"]
    assert max(scale.values()) > 1e5 * min(scale.values())
    assert len(set(spacing.values())) == 4
    assert len(set(codes.values())) == 2


def test_scans_of_one_patient_share_their_anatomy_but_not_their_image(written):
    folder, cohort, _ = written
    volumes_ml = {}
    for row in usable(cohort):
        labels, affine = read(folder / row.label)
        volumes_ml.setdefault(row.patient, []).append((labels == 3).sum() * abs(np.linalg.det(affine[:3, :3])) / 1000)
    aster, cedar = volumes_ml[cohort.rows[0].patient]
    assert aster == pytest.approx(cedar, rel=0.03)
    assert np.std([v[0] for v in volumes_ml.values()]) > 10


def test_the_duplicate_repeats_its_original_byte_by_byte(written):
    folder, cohort, _ = written
    copy = next(row for row in cohort.rows if "copy" in row.done)
    original = next(row for row in cohort.rows if row.case_id == copy.done.rsplit(" ", 1)[1])
    assert (folder / copy.path).read_bytes() == (folder / original.path).read_bytes()
    assert (folder / copy.label).read_bytes() == (folder / original.label).read_bytes()
    assert not copy.usable


def test_the_truncated_file_ends_too_early(written):
    folder, cohort, _ = written
    broken = next(row for row in cohort.rows if "cut off" in row.done)
    with pytest.raises(EOFError), gzip.open(folder / broken.path) as stream:
        stream.read()
    assert not broken.usable


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads(written, tmp_path):
    folder, _, _ = written
    generate(tmp_path, seed=42, read=read, write=write, n=N, workers=1)
    assert digests(tmp_path) == digests(folder)


def test_another_seed_gives_other_scans(written, tmp_path):
    folder, _, _ = written
    generate(tmp_path, seed=43, read=read, write=write, n=8)
    mine, theirs = digests(tmp_path), digests(folder)
    assert not set(mine.values()) & set(theirs.values())


def test_files_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.nii.gz").write_bytes(b"keep me")
    with pytest.raises(UsageError, match=r"mine\.nii\.gz"):
        generate(tmp_path, seed=1, read=read, write=write, n=8)
    assert {p.name for p in tmp_path.iterdir()} == {"images"}


def test_an_interrupted_run_leaves_no_table(tmp_path):
    written = []

    def failing(path, *args):
        if len(written) > 3:
            raise OSError("no space left on device")
        written.append(path)
        write(path, *args)

    with pytest.raises(OSError, match="no space left"):
        generate(tmp_path, seed=1, read=read, write=failing, n=8)
    assert not (tmp_path / "cohort.csv").exists()


def test_a_missing_template_is_named(monkeypatch):
    monkeypatch.setattr(cohort_module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="nilearn is not installed"):
        template_paths()
