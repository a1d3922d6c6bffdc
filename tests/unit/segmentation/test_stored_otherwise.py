"""Label maps that are stored along other axes than their scans are turned before anything is trained on them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from firstscan.domain.errors import DataError
from firstscan.segmentation.aligning import read_laid_on
from firstscan.segmentation.dataset import check_dataset, read_dataset
from firstscan.segmentation.grids import Grid, read_grid, read_labels, sitk, write_labels
from firstscan.segmentation.nnunet.segmenter import NnUnet
from firstscan.segmentation.unet.segmenter import Unet

WAYS = {"flipped": "RPS", "permuted": "SLA", "both": "PIR"}


def stored_otherwise(path, way):
    """Store a label map along other axes; where it lies in the patient stays."""
    image = sitk().ReadImage(str(path))
    sitk().WriteImage(sitk().DICOMOrient(image, WAYS[way]), str(path))


@pytest.fixture(params=WAYS)
def turned(raw_dataset, request):
    """The data set of two tiny scans, one label map stored along other axes; and both as they should be read."""
    want = {n: read_labels(raw_dataset.folder / "labelsTr" / f"{n}.nii.gz")[0] for n in "ab"}
    stored_otherwise(raw_dataset.folder / "labelsTr" / "a.nii.gz", request.param)
    raw_dataset.want = want
    return raw_dataset


def test_such_a_label_map_fits_its_scan(turned):
    dataset = read_dataset(turned.folder)
    assert check_dataset(dataset) == ()
    for case in dataset.cases:
        np.testing.assert_array_equal(read_laid_on(case.label, read_grid(case.images[0])), turned.want[case.name])


def test_unet_learns_the_same_from_it(raw_dataset, tmp_path):
    settings = Unet(iterations=2, patch=16)
    settings.train(raw_dataset.folder, tmp_path / "straight", seed=0)
    for way, name in (("both", "a"), ("flipped", "b")):
        stored_otherwise(raw_dataset.folder / "labelsTr" / f"{name}.nii.gz", way)
    settings.train(raw_dataset.folder, tmp_path / "turned", seed=0)
    straight, other = ((tmp_path / n / "unet.pt").read_bytes() for n in ("straight", "turned"))
    assert straight == other


def test_nnunet_gets_it_on_the_arrays_of_the_scan(turned, tmp_path, fake):
    NnUnet(epochs=2).train(turned.folder, tmp_path / "m", seed=0)
    seen = tmp_path / "m" / "raw" / "Dataset001_Picks"
    for name in "ab":
        labels, grid = read_labels(seen / "labelsTr" / f"{name}.nii.gz")
        np.testing.assert_array_equal(labels, turned.want[name])
        assert grid.is_same(read_grid(seen / "imagesTr" / f"{name}_0000.nii.gz"))
    assert (seen / "dataset.json").is_file()
    assert {p.name for p in turned.folder.iterdir()} == {"dataset.json", "imagesTr", "imagesTs", "labelsTr"}


def test_a_data_set_without_one_is_linked_as_it_is(raw_dataset, tmp_path, fake):
    NnUnet(epochs=2).train(raw_dataset.folder, tmp_path / "m", seed=0)
    assert (tmp_path / "m" / "raw" / "Dataset001_Picks").resolve() == raw_dataset.folder.resolve()


def test_other_voxels_are_still_refused(raw_dataset):
    path = raw_dataset.folder / "labelsTr" / "a.nii.gz"
    labels, grid = read_labels(path)
    shifted = Grid(grid.shape, grid.spacing_mm, (grid.origin_mm[0] + 0.5, *grid.origin_mm[1:]), grid.direction)
    write_labels(labels, shifted, path)
    stored_otherwise(path, "both")
    with pytest.raises(DataError, match="a: the label map has another geometry"):
        check_dataset(read_dataset(raw_dataset.folder))


def test_a_tenth_of_a_voxel_is_the_limit_everywhere(raw_dataset):
    path = raw_dataset.folder / "labelsTr" / "a.nii.gz"
    labels, grid = read_labels(path)
    for share, fits in ((0.09, True), (0.11, False)):
        x, y, z = grid.origin_mm
        moved = Grid(grid.shape, grid.spacing_mm, (x + share, y, z), grid.direction)
        write_labels(labels, moved, path)
        assert bool(grid.difference(moved)) is not fits
        if fits:
            assert check_dataset(read_dataset(raw_dataset.folder)) == ()
        else:
            with pytest.raises(DataError):
                check_dataset(read_dataset(raw_dataset.folder))


def test_a_copy_is_made_where_links_cannot_be(turned, tmp_path, fake, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    NnUnet(epochs=2).train(turned.folder, tmp_path / "m", seed=0)
    seen = tmp_path / "m" / "raw" / "Dataset001_Picks"
    shutil.rmtree(turned.folder)
    assert (seen / "imagesTr" / "b_0000.nii.gz").is_file()
    np.testing.assert_array_equal(read_labels(seen / "labelsTr" / "b.nii.gz")[0], turned.want["b"])
