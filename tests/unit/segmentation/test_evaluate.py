"""The scorer against values computed by hand and against an independent surface computation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from firstscan.domain.errors import DataError
from firstscan.segmentation.evaluate import score_case, score_files, score_folder
from firstscan.segmentation.grids import read_labels, write_labels


def cube(shape, low, high, value=1):
    labels = np.zeros(shape, np.int32)
    labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return labels


def test_perfect_prediction():
    label = cube((10, 10, 10), (2, 2, 2), (7, 7, 7))
    (score,) = score_case("a", label, label, (1.0, 1.0, 1.0), {"x": 1})
    assert (score.dice, score.hd95_mm, score.nsd, score.status) == (1.0, 0.0, 1.0, "ok")


def test_a_shifted_cube_by_hand():
    """A 4³ cube shifted by 2 of 3 mm voxels along x: half overlaps, Dice 0.5; surfaces lie 0 to 6 mm apart."""
    label = cube((12, 8, 8), (2, 2, 2), (6, 6, 6))
    ours = cube((12, 8, 8), (4, 2, 2), (8, 6, 6))
    (score,) = score_case("a", ours, label, (3.0, 1.0, 1.0), {"x": 1}, tolerance_mm=1.0)
    assert score.dice == pytest.approx(0.5)
    assert score.hd95_mm == pytest.approx(6.0)
    assert 0 < score.nsd < 1


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 1.0, 2.5)])
def test_hd95_and_nsd_match_an_independent_computation(spacing):
    rng = np.random.default_rng(0)
    blobs = [ndimage.gaussian_filter(rng.normal(size=(16, 18, 20)), 3) > 0.02 for _ in range(2)]
    ours, label = (b.astype(np.int32) for b in blobs)
    (score,) = score_case("a", ours, label, spacing, {"x": 1}, tolerance_mm=1.0)

    def surface(mask):
        return mask & ~ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))

    a, b = surface(blobs[0]), surface(blobs[1])
    to_b = ndimage.distance_transform_edt(~b, sampling=spacing)[a]
    to_a = ndimage.distance_transform_edt(~a, sampling=spacing)[b]
    assert score.hd95_mm == pytest.approx(max(np.percentile(to_b, 95), np.percentile(to_a, 95)), rel=1e-4)
    if spacing == (1.0, 1.0, 1.0):
        near = (to_b <= 1.0).sum() + (to_a <= 1.0).sum()
        assert score.nsd == pytest.approx(near / (len(to_a) + len(to_b)), rel=1e-4)


def test_empty_masks_follow_the_rules_with_the_image_diagonal():
    shape, spacing = (3, 4, 12), (1.0, 1.0, 1.0)
    none, some = cube(shape, (0, 0, 0), (0, 0, 0)), cube(shape, (0, 0, 0), (2, 2, 2))
    both, one, other = (
        score_case("a", p, t, spacing, {"x": 1})[0] for p, t in ((none, none), (some, none), (none, some))
    )
    assert (both.dice, both.hd95_mm, both.nsd, both.status) == (1.0, 0.0, 1.0, "both_empty")
    for score in (one, other):
        assert (score.dice, score.hd95_mm, score.nsd, score.status) == (0.0, 13.0, 0.0, "one_empty")


def test_touching_the_border_is_still_a_surface():
    label = cube((6, 6, 6), (0, 0, 0), (6, 6, 6))
    ours = cube((6, 6, 6), (0, 0, 0), (5, 6, 6))
    (score,) = score_case("a", ours, label, (1.0, 1.0, 1.0), {"x": 1})
    assert math.isfinite(score.hd95_mm)
    assert score.hd95_mm == pytest.approx(1.0)


def test_a_folder_is_scored_in_the_order_of_its_labels(raw_dataset):
    labels = {n: raw_dataset.folder / "labelsTr" / f"{n}.nii.gz" for n in ("b", "a")}
    seen = []
    scores = score_folder(
        raw_dataset.folder / "labelsTr", labels, raw_dataset.classes, progress=lambda d, n, m: seen.append((d, n, m))
    )
    assert [(s.case_id, s.name, s.label) for s in scores] == [
        ("b", "ball", 1),
        ("b", "box", 2),
        ("a", "ball", 1),
        ("a", "box", 2),
    ]
    assert seen == [(1, 2, "b"), (2, 2, "a")]


def test_another_geometry_is_refused_by_name(raw_dataset, tmp_path):
    path = raw_dataset.folder / "labelsTr" / "a.nii.gz"
    labels, grid = read_labels(path)
    write_labels(labels, replace(grid, spacing_mm=(1.0, 1.0, 1.0)), tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match=r"a: the prediction has another geometry.*spacing"):
        score_files("a", tmp_path / "a.nii.gz", path, raw_dataset.classes)


def test_values_that_are_no_class_are_refused_on_either_side(raw_dataset, tmp_path):
    path = raw_dataset.folder / "labelsTr" / "a.nii.gz"
    labels, grid = read_labels(path)
    write_labels(labels + 5, grid, tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match="the prediction holds the values"):
        score_files("a", tmp_path / "a.nii.gz", path, raw_dataset.classes)
    with pytest.raises(DataError, match="the label map holds the values"):
        score_files("a", path, tmp_path / "a.nii.gz", raw_dataset.classes)


def test_missing_predictions_are_named(raw_dataset, tmp_path):
    with pytest.raises(DataError, match=r"1 of 1 predictions are missing.*: a"):
        score_folder(tmp_path, {"a": raw_dataset.folder / "labelsTr" / "a.nii.gz"}, raw_dataset.classes)


def test_spacing_that_float32_has_rounded_changes_no_score():
    ours, truth = cube((12,) * 3, (3,) * 3, (8,) * 3), cube((12,) * 3, (3, 4, 3), (8, 9, 8))
    exact, rounded = (
        score_case("a", ours, truth, (1.0, s, 1.0), {"x": 1})[0] for s in (1.0, float(np.float32(1.0000001)))
    )
    assert rounded.nsd == exact.nsd
