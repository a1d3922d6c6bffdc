import json

import numpy as np
import pytest
import torch
from monai.losses.dice import DiceCELoss
from pydantic import ValidationError

from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.slices import outside_ignored
from firstscan.segmentation.dataset import read_dataset
from firstscan.segmentation.evaluate import score_folder
from firstscan.segmentation.grids import read_grid, read_labels, write_labels
from firstscan.segmentation.registry import segmenter
from firstscan.segmentation.unet import draws as drawing
from firstscan.segmentation.unet import training
from firstscan.segmentation.unet.segmenter import Unet

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


PATCH = (16, 16, 16)


def drawn(labels, patch=PATCH, spacing=(1.0, 1.0, 1.0), steps=300, share=0.67, seed=0):
    """Return the draws of one scan, its padded arrays, and the patches of every step."""
    image = np.zeros((1, *labels.shape), np.float32)
    draws = drawing.draw(
        [drawing.spots_of(labels)], patch, spacing, steps=steps, batch=1, foreground_share=share, seed=seed
    )
    padded = [training._padded(image, labels, patch)]
    cut = [training._patches(padded, training.Drawn.at(draws, s), patch)[1] for s in range(steps)]
    return draws, cut


def test_the_stated_share_of_patches_is_centred_on_foreground():
    labels = np.zeros((60, 60, 60), np.int64)
    labels[50, 50, 50] = 1
    _, patches = drawn(labels)
    hits = sum(bool((p == 1).any()) for p in patches) / len(patches)
    assert hits == pytest.approx(0.67 + 0.33 * (10 / 45) ** 3, abs=0.07)


def test_patches_of_sparse_labels_are_centred_on_annotated_voxels():
    labels = np.full((40, 40, 48), drawing.IGNORED)
    labels[:, :, 24] = 0
    labels[10, 30, 24] = 1
    _, patches = drawn(labels)
    assert all(bool((p[0, 0, :, :, 8] != drawing.IGNORED).any()) for p in patches)
    assert 0.5 < sum(bool((p == 1).any()) for p in patches) / len(patches) < 0.95


def test_scans_smaller_than_the_patch_are_padded_and_the_padding_is_not_annotated():
    _, patches = drawn(np.ones((5, 20, 7), np.int64), steps=2, share=1.0)
    for patch in patches:
        assert patch.shape == (1, 1, 16, 16, 16)
        assert int((patch == 1).sum()) == 5 * 16 * 7
        assert int((patch == drawing.IGNORED).sum()) == 16**3 - 5 * 16 * 7


def still(patches, **changed):
    """Return draws that change nothing, for ``patches`` patches, but what is ``changed``."""
    values = {name: torch.zeros(patches) for name in ("brightness", "blur", "noise")}
    values |= {name: torch.ones(patches) for name in ("contrast", "gamma")}
    values |= {name: torch.zeros(patches, dtype=torch.int64) for name in ("case", "noise_at")}
    values |= {"start": torch.zeros(patches, 3, dtype=torch.int64), "matrix": torch.eye(3).expand(patches, 3, 3)}
    return training.Drawn(**{**values, **changed})


NOISE = torch.from_numpy(drawing.normal_numbers())


def test_augmentation_moves_image_and_labels_together():
    blob = torch.zeros(4, 1, 24, 32, 16)
    blob[:, :, 8:16, 10:20, 4:10] = 1
    labels = np.zeros((24, 32, 16), np.int64)
    draws = drawing.draw(
        [drawing.spots_of(labels)], (24, 32, 16), (1.0, 1.0, 1.0), steps=1, batch=4, foreground_share=0.5, seed=1
    )
    images, labels = training.augmented(blob * 10, blob.long(), training.Drawn.at(draws, 0), NOISE)
    assert set(labels.unique().tolist()) <= {0.0, 1.0}
    for image, mask in zip(images, labels, strict=True):
        assert image[mask == 1].mean() > image[mask == 0].mean() + 3


def test_draws_that_change_nothing_change_nothing():
    image = torch.randn(2, 3, 8, 16, 12)
    image[0, 0, 0, 0, 0] = 9
    labels = torch.arange(2 * 8 * 16 * 12).view(2, 1, 8, 16, 12) % 5 - 1
    images, turned = training.augmented(image, labels, still(2), NOISE)
    torch.testing.assert_close(images, image, atol=1e-4, rtol=1e-4)
    assert torch.equal(turned, labels.float())


def test_rotation_keeps_volume_on_an_anisotropic_patch():
    """A rigid rotation in voxel units neither grows nor shrinks a box, whatever the patch's proportions."""
    angle = np.pi / 9
    rotation = torch.tensor(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]]
    ).float()
    x = np.stack(np.meshgrid(*(np.arange(n) - n / 2 + 0.5 for n in (24, 48, 32)), indexing="ij"))
    box = (np.abs(x[0]) < 6) & (np.abs(x[1]) < 12) & (np.abs(x[2]) < 8)
    labels = torch.from_numpy(box)[None, None].long()
    _, turned = training.augmented(labels.float(), labels, still(1, matrix=rotation[None]), NOISE)
    assert float(turned.sum()) == pytest.approx(float(labels.sum()), rel=0.03)
    assert not torch.equal(turned, labels.float())


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_anisotropic_scans_are_turned_in_the_plane_of_their_slices_only(coarse):
    """A sheet that is one voxel thick stays one, in its place: no voxel of it leaves its slice."""
    spacing = [1.0, 1.0, 1.0]
    spacing[coarse] = 8.0
    labels = np.full((24, 24, 24), drawing.IGNORED)
    labels[tuple(11 if a == coarse else slice(None) for a in range(3))] = 0
    draws = drawing.draw(
        [drawing.spots_of(labels)], labels.shape, spacing, steps=1, batch=16, foreground_share=0.5, seed=0
    )
    batch = torch.from_numpy(labels)[None, None].expand(16, 1, 24, 24, 24)
    _, turned = training.augmented(batch.float(), batch, training.Drawn.at(draws, 0), NOISE)
    assert not np.allclose(draws.matrix, np.eye(3))
    for patch in turned[:, 0]:
        known = np.unique(np.argwhere(patch.numpy() != drawing.IGNORED)[:, coarse])
        assert known.tolist() == [11]


def test_scans_of_like_spacing_are_turned_about_every_axis_as_in_the_patient():
    spacing = np.array([1.0, 1.0, 2.0])
    labels = np.zeros((16, 16, 16), np.int64)
    draws = drawing.draw(
        [drawing.spots_of(labels)],
        PATCH,
        tuple(map(float, spacing)),
        steps=20,
        batch=2,
        foreground_share=0.0,
        seed=0,
    )
    in_mm = draws.matrix.reshape(-1, 3, 3) * spacing[None, :, None] / spacing[None, None, :]
    gram = in_mm.transpose(0, 2, 1) @ in_mm
    scale = gram[:, 0, 0]
    np.testing.assert_allclose(gram, scale[:, None, None] * np.eye(3), atol=1e-5)
    assert (np.abs(in_mm[:, 0, 2]) > 0.01).any()


def test_ignored_voxels_have_no_gradient_and_all_others_have():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 6, 6, 6, requires_grad=True)
    labels = torch.randint(-1, 3, (2, 1, 6, 6, 6))
    training.loss_of(logits, labels).backward()
    ignored = (labels == drawing.IGNORED).expand_as(logits)
    assert not logits.grad[ignored].any()
    assert (logits.grad[~ignored] != 0).all()


def test_the_loss_is_monais_where_every_voxel_is_annotated():
    torch.manual_seed(1)
    logits, labels = torch.randn(2, 3, 5, 6, 7), torch.randint(0, 3, (2, 1, 5, 6, 7))
    theirs = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)(logits, labels)
    torch.testing.assert_close(training.loss_of(logits, labels), theirs, atol=1e-5, rtol=1e-5)


def test_the_loss_over_ignored_voxels_is_that_of_the_others():
    torch.manual_seed(2)
    logits, labels = torch.randn(1, 3, 4, 4, 8), torch.randint(0, 3, (1, 1, 4, 4, 8))
    sparse = labels.clone()
    sparse[..., 4:] = drawing.IGNORED
    expected = training.loss_of(logits[..., :4], labels[..., :4])
    torch.testing.assert_close(training.loss_of(logits, sparse), expected, atol=1e-5, rtol=1e-5)


def test_a_batch_without_an_annotated_voxel_trains_nothing():
    logits = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    loss = training.loss_of(logits, torch.full((1, 1, 4, 4, 4), drawing.IGNORED))
    loss.backward()
    assert torch.isfinite(loss)
    assert not logits.grad.any()


def sparse(folder, every=4):
    """Ignore all but every so manyth slice of both scans."""
    for name in ("a", "b"):
        path = folder / "labelsTr" / f"{name}.nii.gz"
        labels, grid = read_labels(path)
        kept = tuple(range(1, labels.shape[2], every))
        write_labels(outside_ignored(labels, 2, kept, 3), grid, path)
    told = json.loads((folder / "dataset.json").read_text())
    told["labels"]["ignore"] = 3
    (folder / "dataset.json").write_text(json.dumps(told))


def test_learns_from_every_fourth_slice_and_never_predicts_the_ignore_value(raw_dataset, tmp_path):
    truth = {n: read_labels(raw_dataset.folder / "labelsTr" / f"{n}.nii.gz")[0] for n in ("a", "b")}
    sparse(raw_dataset.folder)
    settings = QUICK.model_copy(update={"iterations": 60})
    notes = []
    settings.train(raw_dataset.folder, tmp_path / "m", seed=0, progress=lambda d, n, m: notes.append((d, n)))
    assert notes[-1] == (120, 120)  # sparse labels are trained for longer
    settings.predict(tmp_path / "m", raw_dataset.folder / "imagesTs", tmp_path / "p")
    for name, labels in truth.items():
        found = read_labels(tmp_path / "p" / f"{name}.nii.gz")[0]
        assert set(np.unique(found)) <= {0, 1, 2}
        assert (found == labels).mean() > 0.8


def test_a_label_map_without_an_annotated_slice_is_refused_by_name(raw_dataset, tmp_path):
    sparse(raw_dataset.folder)
    path = raw_dataset.folder / "labelsTr" / "b.nii.gz"
    labels, grid = read_labels(path)
    write_labels(np.full_like(labels, 3), grid, path)
    with pytest.raises(DataError, match=r"b: every voxel .* is ignored"):
        QUICK.train(raw_dataset.folder, tmp_path / "m", seed=0)


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


def test_a_lane_trains_as_a_single_training_does_and_is_used_again(raw_dataset):
    from firstscan.segmentation.unet.graph import Lane
    from firstscan.segmentation.unet.segmenter import _prepared

    settings = QUICK.model_copy(update={"iterations": 4, "patch": 16})
    cases, spacing, _ = _prepared(read_dataset(raw_dataset.folder), settings.largest_voxels)
    patch = drawing.patch_of([c[0].shape[1:] for c in cases], settings.patch)
    with training.pinned(1, 3):
        alone = training.fit(settings, cases, 2, patch, spacing, seed=3, progress=lambda *_: None)
    padded = [training._padded(image, labels, patch) for image, labels in cases]
    draws = drawing.draw(
        [drawing.spots_of(labels) for _, labels in cases],
        patch, spacing, steps=4, batch=2, foreground_share=settings.foreground_share, seed=3,
    )  # fmt: skip
    lane = Lane(training.build(settings, 1, 3), patch, settings.learning_rate, room=(5, (40, 40, 40), 9), device="cpu")
    found = []
    for _ in range(2):
        with training.pinned(1, 3):
            first = training.build(settings, 1, 3).state_dict()
            lane.begin(first, padded, draws)
            for _ in range(4):
                lane.step()
        found.append({name: weight.clone() for name, weight in lane.weights().items()})
    assert all(torch.equal(weight, found[1][name]) for name, weight in found[0].items())
    outputs = []
    for weights_of in (alone, found[0]):
        network = training.build(settings, 1, 3).eval()
        network.load_state_dict(weights_of)
        outputs.append(network(torch.from_numpy(padded[0][0][None, :, :16, :16, :16])).detach())
    torch.testing.assert_close(*outputs, atol=2e-3, rtol=2e-2)
    with pytest.raises(ValueError, match="room"):
        lane.begin(first, padded * 3, draws)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 10, 250])
def test_any_number_of_steps_has_a_learning_rate_each_that_never_exceeds_the_peak(steps):
    rates = training.learning_rates(1e-2, steps)
    assert len(rates) == steps
    assert all(np.isfinite(rate) and 0 < rate <= 1e-2 * (1 + 1e-9) for rate in rates)
