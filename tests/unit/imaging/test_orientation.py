from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from firstscan.imaging.orientation import Placed, canonical

AXES = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1.0, -1.0), repeat=3)
]
TILT = np.array([[0.96, -0.26, 0.1], [0.25, 0.96, 0.12], [-0.13, -0.09, 0.99]])


@pytest.mark.parametrize("tilt", [np.eye(3), np.linalg.qr(TILT)[0]], ids=["straight", "oblique"])
@pytest.mark.parametrize(("order", "signs"), AXES)
def test_axes_are_turned_as_simpleitk_turns_them(order, signs, tilt):
    direction = tilt @ (np.eye(3)[:, list(order)] * np.array(signs))
    voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    image = sitk.GetImageFromArray(voxels.T)
    image.SetSpacing((0.5, 1.25, 3.0))
    image.SetOrigin((-7.0, 11.0, 13.0))
    image.SetDirection(direction.ravel().tolist())
    expected = sitk.DICOMOrient(image, "LPS")

    found = canonical(Placed(voxels, np.array([0.5, 1.25, 3.0]), direction, np.array([-7.0, 11.0, 13.0])))

    np.testing.assert_array_equal(found.voxels, sitk.GetArrayFromImage(expected).T)
    np.testing.assert_allclose(found.spacing_mm, expected.GetSpacing())
    np.testing.assert_allclose(found.direction.ravel(), expected.GetDirection(), atol=1e-12)
    np.testing.assert_allclose(found.origin_mm, expected.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(found.affine[:3, 3], expected.TransformIndexToPhysicalPoint((0, 0, 0)), atol=1e-9)
    last = [n - 1 for n in found.voxels.shape]
    np.testing.assert_allclose(
        (found.affine @ [*last, 1.0])[:3], expected.TransformIndexToPhysicalPoint(last), atol=1e-9
    )
