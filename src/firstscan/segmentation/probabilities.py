"""Probability maps that another program wrote: ``.npz`` as nnU-Net saves them, or NIfTI with a volume a class."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from firstscan.domain.arrays import Float
from firstscan.domain.errors import DataError

from .grids import Grid, grid_of, read_any, sitk

KEY = "probabilities"
"""The array in a ``.npz``: (class, z, y, x), as ``nnUNetv2_predict --save_probabilities`` writes it."""
ENDINGS = (".npz", ".nii.gz", ".nii")


def read_probabilities(path: Path, grid: Grid, classes: int) -> Float[np.ndarray, "class x y z"]:
    """Return the class probabilities of one scan, background first, along its stored axes.

    Parameters
    ----------
    grid : of the scan as it is stored; the probabilities must lie on it.
    classes : how many there are with the background. A 3D NIfTI file holds the foreground of a single class.

    Raises
    ------
    DataError : it cannot be read, lies on another grid, or holds another number of classes.
    """
    values, own = _of_npz(path) if path.suffix == ".npz" else _of_image(path)
    if values.ndim == 3 and classes == 2:
        values = np.stack([1 - values, values])
    if values.ndim != 4:
        raise DataError(f"{path.name}: one volume a class is expected, the background first; found {values.ndim}D")
    if len(values) != classes:
        raise DataError(
            f"{path.name} holds {len(values)} classes with the background, the labels have {classes}; predict with a "
            "model of the same classes in the same order"
        )
    if values.shape[1:] != grid.shape:
        raise DataError(
            f"{path.name} lies on another grid than its scan: {_by(values.shape[1:])} against {_by(grid.shape)} "
            "voxels; save probabilities on the scan's own grid"
        )
    if own is not None and (found := grid.difference(own)):
        raise DataError(f"{path.name} lies on another grid than its scan: {found}; is it the prediction of this scan?")
    return values.astype(np.float32)


def _of_npz(path: Path) -> tuple[np.ndarray, None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if KEY not in file:
                raise DataError(f"{path.name} holds no array {KEY!r}; found: {', '.join(file.files) or 'nothing'}")
            values = np.asarray(file[KEY])
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path.name} cannot be read as probabilities: {error}") from error
    return values.transpose(*range(values.ndim - 3), -1, -2, -3) if values.ndim >= 3 else values, None


def _of_image(path: Path) -> tuple[np.ndarray, Grid]:
    image = read_any(path)
    if image.GetNumberOfComponentsPerPixel() > 1:  # a vector a voxel: z, y, x, class
        return sitk().GetArrayFromImage(image).transpose(3, 2, 1, 0), grid_of(image)
    values = sitk().GetArrayFromImage(image)
    if image.GetDimension() == 4:
        return values.transpose(0, 3, 2, 1), grid_of(image[:, :, :, 0])
    return values.T, grid_of(image)


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)
