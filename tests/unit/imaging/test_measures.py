"""Feature groups that need no network depend on the patient alone: not on padding, air, storage or intensity scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from phantoms import AFFINE, head, save

from firstscan.domain.case import Case, Channel
from firstscan.domain.volume import Crop
from firstscan.imaging import read_volume, standardise
from firstscan.imaging.measures import LARGEST_GROUP, TEXTURE_NUMBERS, appearance, projected, shape, texture
from firstscan.imaging.standardise import summarise

SIZE, SPACING_MM = 40, 1.1


def measured(path: Path) -> dict[str, np.ndarray]:
    """Measure a stored scan as the steps do."""
    volume = read_volume(Case("x", (Channel("image", str(path)),)), modality="mr")
    crop = standardise(volume, spacing_mm=SPACING_MM, size=SIZE)
    summary = summarise(volume, fingerprint="", file_type="nifti")
    return {"appearance": appearance(crop), "texture": texture(crop), "shape": shape(summary)}


def noiseless() -> np.ndarray:
    """A head whose tissue varies from place to place, in air of exactly 0."""
    voxels = head(noise=0)
    waves = np.sin(np.arange(voxels.shape[0]) / 2)[:, None, None] * np.cos(np.arange(voxels.shape[2]) / 3)
    return np.where(voxels > 0, voxels * (1 + 0.1 * waves), 0).astype(np.float32)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return measured(save(tmp_path_factory.mktemp("plain") / "scan.nii.gz", noiseless()))


def close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], atol: float = 2e-3) -> None:
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=atol, err_msg=name)


def test_padding_with_zeros_changes_nothing(plain, tmp_path):
    padded = np.pad(noiseless(), ((9, 3), (0, 12), (5, 7)))
    affine = AFFINE.copy()
    affine[:3, 3] = -AFFINE[:3, :3] @ [9, 0, 5]
    close(measured(save(tmp_path / "padded.nii.gz", padded, affine)), plain)


def test_air_of_any_amount_changes_next_to_nothing(tmp_path):
    noisy = head(noise=0.02)
    air = np.hypot(*np.random.default_rng(1).normal(0, 20, (2, *[n + 16 for n in noisy.shape]))).astype(np.float32)
    air[8:-8, 8:-8, 8:-8] = noisy
    close(measured(save(tmp_path / "air.nii.gz", air)), measured(save(tmp_path / "plain.nii.gz", noisy)), atol=0.03)


@pytest.mark.parametrize(
    ("order", "flipped"), [((2, 0, 1), (False, True, False)), ((1, 0, 2), (True, True, True)), ((0, 2, 1), (True,) * 3)]
)
def test_storage_order_changes_nothing(plain, tmp_path, order, flipped):
    voxels = noiseless()
    affine = AFFINE.copy()
    for axis, turn in enumerate(flipped):
        if turn:
            voxels = np.flip(voxels, axis)
            affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
            affine[:3, axis] *= -1
    stored = np.ascontiguousarray(voxels.transpose(order))
    close(measured(save(tmp_path / "turned.nii.gz", stored, affine[:, [*order, 3]])), plain)


def test_the_scale_of_intensities_changes_nothing(plain, tmp_path):
    close(measured(save(tmp_path / "scaled.nii.gz", noiseless() * 17)), plain)


def test_what_differs_between_patients_shows(plain, tmp_path):
    wider = measured(save(tmp_path / "wide.nii.gz", noiseless(), np.diag([-1.3, -1.0, 1.0, 1.0])))
    assert wider["shape"][0] - plain["shape"][0] == pytest.approx(np.log(1.3), abs=0.05)
    np.testing.assert_allclose(wider["shape"][1:3], plain["shape"][1:3], atol=0.05)
    assert wider["shape"][3] - plain["shape"][3] == pytest.approx(np.log(1.3) / 3, abs=0.02)
    grain = noiseless() * np.random.default_rng(0).normal(1, 0.2, noiseless().shape).astype(np.float32)
    grainy = measured(save(tmp_path / "grain.nii.gz", grain))
    assert grainy["texture"][0] > plain["texture"][0] + 0.5  # more detail at the finest scale
    np.testing.assert_allclose(grainy["shape"], plain["shape"], atol=0.02)


def test_each_channel_counts_and_a_crop_without_patient_is_finite():
    rng = np.random.default_rng(0)
    voxels = rng.normal(size=(2, SIZE, SIZE, SIZE)).astype(np.float32)
    mask = np.zeros((SIZE, SIZE, SIZE), dtype=bool)
    mask[5:-5, 5:-5, 5:-5] = True
    two, one = Crop("x", voxels, mask, 1.0), Crop("x", voxels[:1], mask, 1.0)
    assert texture(two).shape == (2 * TEXTURE_NUMBERS,)
    np.testing.assert_array_equal(texture(two)[:TEXTURE_NUMBERS], texture(one))
    assert appearance(two).shape == appearance(one).shape == (LARGEST_GROUP,)
    empty = Crop("x", voxels, np.zeros_like(mask), 1.0)
    assert np.isfinite(texture(empty)).all()
    assert np.isfinite(appearance(empty)).all()


def test_projection_is_fixed_and_keeps_distances():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 1728)).astype(np.float32)
    kept = np.stack([projected(row, "appearance") for row in x])
    ratios = np.linalg.norm(kept[1:] - kept[0], axis=1) / np.linalg.norm(x[1:] - x[0], axis=1)
    assert 0.8 < ratios.min() < ratios.max() < 1.2
    assert not np.array_equal(kept[0], projected(x[0], "positions"))
    np.testing.assert_array_equal(projected(x[0, :20], "appearance"), x[0, :20])
