"""The steps from tissue maps to a scan, each on small arrays with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from firstscan.demo.sites import SITES, Contrast
from firstscan.demo.synth import (
    Anatomy,
    Grid,
    Warp,
    anatomy,
    averaged_slices,
    biased,
    head_box_mm,
    moved,
    random_warp,
    rician,
    sample,
    signal,
    smooth_field,
    stored,
    tissue_labels,
)

SHAPE = (40, 44, 36)


def ball(shape=SHAPE, radius=0.8):
    axes = [np.linspace(-1, 1, n) for n in shape]
    distance = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    return (distance < radius).astype(np.float32)


def template():
    brain, wm = ball(), ball(radius=0.4)
    gm = (ball(radius=0.6) - wm).astype(np.float32)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-40.0, -44.0, -36.0]
    return Anatomy(brain, gm, wm, np.zeros(SHAPE, np.float32), affine)


def still_warp():
    return Warp(np.eye(3), np.ones(3), np.zeros(3), np.zeros((3, 9, 9, 9)), 0.0)


def template_grid():
    return Grid(SHAPE, (2.0, 2.0, 2.0), (-40.0, -44.0, -36.0))


def test_a_warp_that_moves_nothing_returns_the_template():
    brain, gm, wm, texture = sample(template(), still_warp(), template_grid())
    np.testing.assert_allclose(brain, template().brain, atol=1e-5)
    np.testing.assert_allclose(gm, template().gm, atol=1e-5)
    np.testing.assert_allclose(wm, template().wm, atol=1e-5)
    assert not texture.any()


def test_a_larger_head_fills_more_of_the_grid_and_its_box_grows():
    grown = Warp(np.eye(3), np.full(3, 1.2), np.zeros(3), np.zeros((3, 9, 9, 9)), 0.0)
    grid = Grid((60, 66, 54), (2.0, 2.0, 2.0), (-60.0, -66.0, -54.0))
    small, large = (sample(template(), warp, grid)[0].sum() for warp in (still_warp(), grown))
    assert large / small == pytest.approx(1.2**3, rel=0.03)
    sides = [np.ptp(head_box_mm(template(), warp), axis=0) for warp in (still_warp(), grown)]
    np.testing.assert_allclose(sides[1] / sides[0], 1.2, rtol=1e-6)


def test_sampling_follows_millimetres_not_voxels():
    fine = Grid((80, 88, 72), (1.0, 1.0, 1.0), (-40.0, -44.0, -36.0))
    coarse = sample(template(), still_warp(), template_grid())[0].sum() * 8
    assert sample(template(), still_warp(), fine)[0].sum() == pytest.approx(coarse, rel=0.02)


def test_random_warps_repeat_for_a_seed_and_differ_between_heads():
    first, again, other = (random_warp(np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.displacement_mm, again.displacement_mm)
    assert np.abs(first.displacement_mm - other.displacement_mm).max() > 1.0
    np.testing.assert_allclose(first.rotation @ first.rotation.T, np.eye(3), atol=1e-12)


def places(*shape):
    return tuple(np.linspace(0, 1, n) for n in shape)


def test_a_spline_of_equal_control_points_is_constant():
    np.testing.assert_allclose(smooth_field(places(9, 11, 7), np.full((4, 5, 6), 3.0)), 3.0, rtol=1e-12)


def test_a_spline_never_leaves_the_range_of_its_control_points():
    points = np.random.default_rng(0).normal(size=(5, 5, 5))
    field = smooth_field(places(20, 21, 22), points)
    assert points.min() <= field.min() < field.max() <= points.max()


def test_a_head_has_one_shape_whatever_the_field_of_view():
    warp = random_warp(np.random.default_rng(5))
    whole = sample(template(), warp, Grid((50, 54, 46), (2.0, 2.0, 2.0), (-50.0, -54.0, -46.0)))[0]
    part = sample(template(), warp, Grid((30, 34, 26), (2.0, 2.0, 2.0), (-30.0, -34.0, -26.0)))[0]
    np.testing.assert_allclose(part, whole[10:40, 10:44, 10:36], atol=1e-5)


def test_anatomy_halves_the_resolution_and_keeps_places_in_millimetres():
    wm = np.zeros((20, 20, 20), np.float32)
    wm[8:12, 8:12, 8:12] = 1.0
    t1 = np.zeros_like(wm)
    t1[4:16, 4:16, 4:16] = 0.5
    t1[wm > 0] = 1.0
    gm = ((t1 > 0) - wm).astype(np.float32) * np.float32(0.8)
    affine = np.eye(4)
    affine[:3, 3] = [100.0, 50.0, -30.0]
    halved = anatomy(t1, gm, wm, affine)
    weights = halved.wm / halved.wm.sum()
    centre = np.array([(weights * i).sum() for i in np.indices(halved.wm.shape)])
    np.testing.assert_allclose(halved.affine[:3, :3] @ centre + halved.affine[:3, 3], [109.5, 59.5, -20.5], atol=1e-5)
    assert (halved.gm + halved.wm <= halved.brain + 1e-6).all()


def test_thick_slices_average_their_neighbours():
    image = np.arange(24, dtype=np.float32).reshape(2, 2, 6)
    thick = averaged_slices(image, 2)
    assert thick.shape == (2, 2, 3)
    np.testing.assert_allclose(thick[0, 0], [0.5, 2.5, 4.5])


def test_labels_name_the_likeliest_tissue():
    values = [(0.2, 0.1, 0.0), (1.0, 0.1, 0.1), (1.0, 0.7, 0.2), (1.0, 0.2, 0.7)]
    brain, gm, wm = (np.array([[column]], np.float32) for column in zip(*values, strict=True))
    np.testing.assert_array_equal(tissue_labels(brain, gm, wm)[0, 0], [0, 1, 2, 3])


def test_contrasts_of_the_sites_order_the_tissues_differently():
    anat = template()
    orders = set()
    for site in SITES:
        image = signal(site.contrast, anat.brain, anat.gm, anat.wm, anat.texture)
        labels = tissue_labels(anat.brain, anat.gm, anat.wm)
        orders.add(tuple(np.argsort([image[labels == k].mean() for k in (1, 2, 3)])))
        assert image[labels == 0].max() == 0
    assert len(orders) == 3


def test_signal_is_never_negative():
    anat = template()
    texture = np.full(SHAPE, -9.0, np.float32)
    assert signal(Contrast("dark", 0.1, 0.5, 1.0, 1.0), anat.brain, anat.gm, anat.wm, texture).min() == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_motion_spoils_edges_leaves_ghosts_and_keeps_the_place(axis):
    image = ball()
    spoiled = moved(image, spacing_mm=(2.0, 2.0, 2.0), severity=1.2, axis=axis, rng=np.random.default_rng(3))
    change = np.sqrt(((spoiled - image) ** 2).mean() / (image**2).mean())
    assert 0.1 < change < 0.6
    assert spoiled[image == 0].mean() > 0.02
    assert np.corrcoef(spoiled.ravel(), image.ravel())[0, 1] > 0.85


def test_more_severe_motion_changes_more():
    image = ball()

    def change(severity):
        return np.mean(
            [
                np.abs(
                    moved(
                        image,
                        spacing_mm=(2.0, 2.0, 2.0),
                        severity=severity,
                        axis=0,
                        rng=np.random.default_rng(seed),
                    )
                    - image
                ).mean()
                for seed in range(5)
            ]
        )

    assert change(0.01) < change(0.5) < change(1.5)


def bias_field(grid):
    image = np.ones(grid.shape, np.float32)
    return np.log(biased(image, template(), grid, strength=0.2, rng=np.random.default_rng(0)))


def test_bias_is_smooth_positive_and_about_the_strength_asked_for():
    field = bias_field(Grid((60, 60, 60), (3.0, 3.0, 3.0), (-90.0, -90.0, -90.0)))
    assert field.std() == pytest.approx(0.2, rel=0.3)
    assert np.abs(np.diff(field, axis=0)).max() < 0.1


def test_bias_does_not_depend_on_the_field_of_view():
    wide = bias_field(Grid((60, 60, 60), (3.0, 3.0, 3.0), (-90.0, -90.0, -90.0)))
    tight = bias_field(Grid((40, 40, 40), (3.0, 3.0, 3.0), (-60.0, -60.0, -60.0)))
    np.testing.assert_allclose(wide[10:50, 10:50, 10:50], tight, atol=1e-5)


def test_noise_is_rician():
    rng = np.random.default_rng(0)
    air = rician(np.zeros(SHAPE, np.float32), sigma=0.1, rng=rng)
    tissue = rician(np.ones(SHAPE, np.float32), sigma=0.1, rng=rng)
    assert air.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)
    assert tissue.std() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("site", SITES, ids=lambda s: s.name)
def test_storing_keeps_every_voxel_in_its_place(site):
    image = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    affine = Grid((5, 6, 7), (1.0, 2.0, 3.0), (-4.0, 5.0, 6.0)).affine
    voxels, stored_affine = stored(image, affine, axes=site.axes, flips=site.flips)
    index = np.array([1, 2, 3])
    place = stored_affine[:3, :3] @ index + stored_affine[:3, 3]
    original = np.rint(np.linalg.inv(affine)[:3, :3] @ (place - affine[:3, 3])).astype(int)
    assert voxels[tuple(index)] == image[tuple(original)]
