import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from firstscan.domain.errors import DataError, UsageError
from firstscan.segmentation import unet_training
from firstscan.segmentation.evaluate import score_folder
from firstscan.segmentation.grids import read_grid, read_labels, write_labels
from firstscan.segmentation.registry import segmenter
from firstscan.segmentation.unet import Unet

QUICK = Unet(iterations=30, features=8, patch=16, learning_rate=1e-2)


def weights(folder):
    return torch.load(folder / "unet.pt", weights_only=True)


def test_learns_an_easy_shape_and_predicts_on_the_scans_own_grid(raw_dataset, tmp_path):
    notes = []
    settings = QUICK.model_copy(update={"iterations": 80})
    settings.train(raw_dataset.folder, tmp_path / "m", seed=0, progress=lambda d, n, m: notes.append((d, n)))
    assert notes[-1] == (80, 80)
    settings.predict(tmp_path / "m", raw_dataset.folder / "imagesTs", tmp_path / "p")
    labels = {n: raw_dataset.folder / "labelsTr" / f"{n}.nii.gz" for n in ("a", "b")}
    scores = score_folder(tmp_path / "p", labels, raw_dataset.classes)
    assert np.mean([s.dice for s in scores]) > 0.6
    assert read_grid(tmp_path / "p" / "a.nii.gz").difference(raw_dataset.grid) == ""


def test_same_seed_same_weights_other_seed_other_weights(raw_dataset, tmp_path):
    settings = QUICK.model_copy(update={"iterations": 3})
    for folder, seed in (("x", 1), ("y", 1), ("z", 2)):
        torch.rand(3)  # the caller's generator must not matter
        settings.train(raw_dataset.folder, tmp_path / folder, seed=seed)
    x, y, z = (weights(tmp_path / f) for f in "xyz")
    assert all(torch.equal(x[k], y[k]) for k in x)
    assert any(not torch.equal(x[k], z[k]) for k in x)


def test_the_callers_generator_and_threads_are_left_alone(raw_dataset, tmp_path):
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    QUICK.model_copy(update={"iterations": 1}).train(raw_dataset.folder, tmp_path / "m", seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_one_pick_and_an_absent_class_train(raw_dataset, tmp_path):
    for part, name in (("imagesTr", "b_0000"), ("labelsTr", "b")):
        (raw_dataset.folder / part / f"{name}.nii.gz").unlink()
    path = raw_dataset.folder / "labelsTr" / "a.nii.gz"
    labels, grid = read_labels(path)
    write_labels(np.where(labels == 1, 0, labels), grid, path)
    QUICK.model_copy(update={"iterations": 2}).train(raw_dataset.folder, tmp_path / "m", seed=0)
    assert json.loads((tmp_path / "m" / "unet.json").read_text())["absent_classes"] == ["ball"]


def test_sampler_centres_the_stated_share_on_foreground():
    label = np.zeros((60, 60, 60), np.int64)
    label[50, 50, 50] = 1
    cases = [(np.zeros((1, 60, 60, 60), np.float32), label)]
    sampler = unet_training.Sampler(cases, (16, 16, 16), 0.67, np.random.default_rng(0))
    hits = sum(bool(sampler.batch(1)[1].any()) for _ in range(300)) / 300
    assert hits == pytest.approx(0.67 + 0.33 * (10 / 45) ** 3, abs=0.07)


def test_scans_smaller_than_the_patch_are_padded():
    cases = [(np.ones((1, 5, 20, 7), np.float32), np.ones((5, 20, 7), np.int64))]
    images, labels = unet_training.Sampler(cases, (16, 16, 16), 1.0, np.random.default_rng(0)).batch(2)
    assert images.shape == labels.shape == (2, 1, 16, 16, 16)


def test_augmentation_moves_image_and_labels_together():
    rng = np.random.default_rng(1)
    blob = torch.zeros(4, 1, 24, 32, 16)
    blob[:, :, 8:16, 10:20, 4:10] = 1
    images, labels = unet_training.augmented(blob * 10, blob.long(), rng)
    assert set(labels.unique().tolist()) <= {0.0, 1.0}
    for image, mask in zip(images, labels, strict=True):
        assert image[mask == 1].mean() > image[mask == 0].mean() + 3


def test_rotation_keeps_volume_on_an_anisotropic_patch(monkeypatch):
    """A rigid rotation in voxel units neither grows nor shrinks a ball, whatever the patch's proportions."""
    angle = np.pi / 9
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0, 0], [np.sin(angle), np.cos(angle), 0, 0], [0, 0, 1, 0]])
    monkeypatch.setattr(unet_training, "_affine", lambda rng: rotation)
    x = np.stack(np.meshgrid(*(np.arange(n) - n / 2 + 0.5 for n in (24, 48, 32)), indexing="ij"))
    box = (np.abs(x[0]) < 6) & (np.abs(x[1]) < 12) & (np.abs(x[2]) < 8)
    labels = torch.from_numpy(box)[None, None].long()
    _, turned = unet_training.augmented(labels.float(), labels, np.random.default_rng(0))
    assert float(turned.sum()) == pytest.approx(float(labels.sum()), rel=0.03)


def test_predicting_without_a_model_says_so(tmp_path):
    with pytest.raises(DataError, match="firstscan train"):
        QUICK.predict(tmp_path, tmp_path, tmp_path / "p")


def test_settings_are_closed():
    with pytest.raises(ValidationError):
        Unet(epochs=3)
    with pytest.raises(UsageError, match="unet: epochs"):
        segmenter("unet", {"epochs": 3})
    with pytest.raises(UsageError, match=r"choose one of: .*unet"):
        segmenter("vnet", {})
    assert segmenter("unet", {"iterations": 3}) == Unet(iterations=3)
