from dataclasses import replace

import numpy as np
import pytest

from firstscan.domain.errors import DataError
from firstscan.segmentation.dataset import check_dataset, read_dataset
from firstscan.segmentation.grids import read_channels, read_grid, read_labels, sitk, write_labels


def test_labels_round_trip_with_their_grid(raw_dataset, tmp_path):
    labels, grid = read_labels(raw_dataset.folder / "labelsTr" / "a.nii.gz")
    assert labels.shape == (20, 18, 16)
    assert grid.difference(raw_dataset.grid) == ""
    write_labels(labels, grid, tmp_path / "x.nii.gz")
    again, grid_again = read_labels(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(again, labels)
    assert grid_again.difference(grid) == ""
    assert read_grid(tmp_path / "x.nii.gz").difference(grid) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": (20, 18, 15)}, "20×18×16 against 20×18×15"),
        ({"spacing_mm": (1.0, 1.0, 2.1)}, "spacing"),
        ({"origin_mm": (3.0, -4.0, 6.0)}, "origin"),
        ({"direction": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}, "direction"),
    ],
)
def test_a_difference_of_grids_is_said_in_words(raw_dataset, change, words):
    assert words in raw_dataset.grid.difference(replace(raw_dataset.grid, **change))


def test_fractions_are_no_labels(tmp_path):
    image = sitk().GetImageFromArray(np.full((4, 4, 4), 0.5, np.float32))
    sitk().WriteImage(image, str(tmp_path / "p.nii.gz"))
    with pytest.raises(DataError, match="whole numbers"):
        read_labels(tmp_path / "p.nii.gz")


@pytest.mark.parametrize("value", [np.float32("nan"), np.float32("inf"), np.int64(2**32 + 1), np.uint32(2**32 - 1)])
def test_values_that_no_label_can_have_are_refused(tmp_path, value):
    image = sitk().GetImageFromArray(np.full((4, 4, 4), value))
    sitk().WriteImage(image, str(tmp_path / "p.nrrd"))
    with pytest.raises(DataError, match="must lie within"):
        read_labels(tmp_path / "p.nrrd")


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"not an image")
    for read in (read_labels, read_grid, lambda p: read_channels([p])):
        with pytest.raises(DataError, match=r"broken\.nii\.gz"):
            read(tmp_path / "broken.nii.gz")


def test_channels_must_share_a_grid(raw_dataset, tmp_path):
    grid = replace(raw_dataset.grid, spacing_mm=(1.0, 1.0, 1.0))
    write_labels(np.zeros(grid.shape, np.int32), grid, tmp_path / "other.nii.gz")
    with pytest.raises(DataError, match="another grid"):
        read_channels([raw_dataset.folder / "imagesTr" / "a_0000.nii.gz", tmp_path / "other.nii.gz"])


def test_reads_a_raw_dataset(raw_dataset):
    dataset = read_dataset(raw_dataset.folder)
    assert [c.name for c in dataset.cases] == ["a", "b"]
    assert dict(dataset.classes) == raw_dataset.classes
    assert check_dataset(dataset) == ()


def test_an_absent_class_is_reported_not_refused(raw_dataset):
    for name in ("a", "b"):
        path = raw_dataset.folder / "labelsTr" / f"{name}.nii.gz"
        labels, grid = read_labels(path)
        write_labels(np.where(labels == 1, 0, labels), grid, path)
    assert check_dataset(read_dataset(raw_dataset.folder)) == ("ball",)


def test_missing_labels_are_named(raw_dataset):
    (raw_dataset.folder / "labelsTr" / "b.nii.gz").unlink()
    with pytest.raises(DataError, match=r"1 of 2 picks have no label map.*: b"):
        read_dataset(raw_dataset.folder)


def test_values_outside_the_class_list_and_other_grids_are_named_together(raw_dataset):
    path = raw_dataset.folder / "labelsTr" / "a.nii.gz"
    labels, grid = read_labels(path)
    write_labels(np.where(labels == 1, 7, labels), grid, path)
    write_labels(labels, replace(grid, origin_mm=(0.0, 0.0, 0.0)), raw_dataset.folder / "labelsTr" / "b.nii.gz")
    with pytest.raises(DataError, match=r"2 label map.*a: .*\[7\].*b: .*another geometry"):
        check_dataset(read_dataset(raw_dataset.folder))


def test_no_dataset_json(tmp_path):
    with pytest.raises(DataError, match="firstscan handoff"):
        read_dataset(tmp_path)
