"""Label maps and channels on disk: arrays in stored order with the grid they live on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from firstscan.domain.arrays import Float, LabelMap
from firstscan.domain.axes import TOLERANCE_VOXELS, rounded_axes_allowed
from firstscan.domain.errors import DataError
from firstscan.domain.silence import silenced

from .layers import flattened, segments_of
from .whole import has_place, is_whole, require_written

T = TypeVar("T")

_ROUNDED = 1e-3
"""How far apart, in voxels, the corners of grids may lie of files that were written from one another."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where voxels lie: ``shape``, ``spacing_mm``, ``origin_mm`` along stored axes (x, y, z), and ``direction``."""

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]

    def difference(self, other: Grid) -> str:
        """Say in words how ``other`` differs from this grid; empty where it does not."""
        if self.shape != other.shape:
            return f"shape {_by(self.shape)} against {_by(other.shape)} voxels"
        if self.apart(other) <= TOLERANCE_VOXELS:
            return ""
        told = (("spacing_mm", " mm"), ("origin_mm", " mm"), ("direction", ""))
        ours, theirs, name, unit = max(
            ((getattr(self, n), getattr(other, n), n, u) for n, u in told),
            key=lambda both: float(np.abs(np.subtract(both[0], both[1])).max()),
        )
        return f"{name.removesuffix('_mm')} {_listed(ours)} against {_listed(theirs)}{unit}"

    def is_same(self, other: Grid) -> bool:
        """Tell whether two grids are one up to the rounding of files, so that arrays can be compared as they are."""
        return self.shape == other.shape and self.apart(other) <= _ROUNDED

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel index → mm, LPS."""
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(self.direction, (3, 3)) @ np.diag(self.spacing_mm)
        affine[:3, 3] = self.origin_mm
        return affine

    def apart(self, other: Grid) -> float:
        """Return how far the corners of ``other`` lie from the same corners of this grid, at most, in its voxels."""
        last = np.array(self.shape) - 1
        corners = np.array([[x, y, z, 1.0] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
        there = corners @ (np.linalg.inv(self.affine) @ other.affine).T
        return float(np.abs(there - corners).max())


def read_labels(path: Path) -> tuple[LabelMap, Grid]:
    """Return a label map (x, y, z) as int32 with its grid; the layers of a ``.seg.nrrd`` are laid over each other.

    Raises
    ------
    DataError : the file cannot be read, is not 3D, or holds values that are not whole numbers.
    """
    image = _single(read_any(path))
    values = _flat(path, image)
    if values.ndim != 3:
        raise DataError(f"{path.name}: a label map has 3 dimensions; found {values.ndim}. Export one label map a scan.")
    if values.size and not -(2**31) <= values.min() <= values.max() < 2**31:
        raise DataError(f"{path.name}: label values must lie within ±2,147,483,647, and be finite. Export it again.")
    whole = values.astype(np.int32)
    if values.dtype.kind == "f" and not np.array_equal(whole, values):
        raise DataError(
            f"{path.name}: label values must be whole numbers; found fractions. "
            "Resample label maps with nearest-neighbour interpolation, or threshold probabilities first."
        )
    return whole.T, grid_of(image)


def read_channels(paths: Sequence[Path]) -> tuple[Float[np.ndarray, "channel x y z"], Grid]:
    """Return the channels of one scan (channel, x, y, z) as float32 with the grid they share.

    Raises
    ------
    DataError : a file cannot be read, or the channels do not lie on one grid.
    """
    images = [read_any(p) for p in paths]
    grid = grid_of(images[0])
    for path, image in zip(paths[1:], images[1:], strict=True):
        if found := grid.difference(grid_of(image)):
            raise DataError(f"{path.name} lies on another grid than {paths[0].name}: {found}; register the channels")
    voxels = np.stack([sitk().GetArrayFromImage(i).astype(np.float32).T for i in images])
    if voxels.ndim != 4:
        raise DataError(f"{paths[0].name}: expected one 3D volume a file; split 4D files into channels first")
    return voxels, grid


def _header(path: Path) -> Any:
    """Return SimpleITK's reader of a file, its header read and its voxels not."""
    _require_own_voxels(path)
    _require_place(path)
    reader = sitk().ImageFileReader()
    reader.SetFileName(str(path))
    try:
        _with_rounded_axes(reader.ReadImageInformation)
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    return reader


def read_grid(path: Path) -> Grid:
    """Return the grid of a file without loading its voxels."""
    reader = _header(path)
    return Grid(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())


def read_segments(path: Path) -> dict[str, int]:
    """Return the names and values that 3D Slicer keeps in a ``.seg.nrrd``; empty for any other file."""
    reader = _header(path)
    return {segment.name: segment.value for segment in segments_of(_said(reader))}


def write_labels(labels: LabelMap, grid: Grid, path: Path) -> None:
    """Write a label map (x, y, z) on ``grid``, as the smallest unsigned type that holds its values.

    Raises OSError where the disk is full.
    """
    image = sitk().GetImageFromArray(labels.T.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(grid.direction)
    sitk().WriteImage(image, str(path), useCompression=True)
    require_written(path)


@cache
def sitk() -> Any:
    """Return SimpleITK, its C++ warnings silenced."""
    import SimpleITK

    module: Any = SimpleITK
    module.ProcessObject.SetGlobalWarningDisplay(False)
    return module


def _require_own_voxels(path: Path) -> None:
    plain = path.with_suffix("")
    if path.name.endswith(".nii.gz") and plain.exists():
        raise DataError(
            f"{path.name} lies beside {plain.name}, whose voxels SimpleITK would read for both. Keep one of the two, "
            "or put them into different folders."
        )


def _require_place(path: Path) -> None:
    if not has_place(path):
        raise DataError(f"{path.name}: its rotation holds numbers that are not finite. Copy or export it again.")


def read_any(path: Path) -> Any:
    """Return a whole file as SimpleITK's image, of any dimension.  Raises DataError where it cannot be read."""
    _require_own_voxels(path)
    _require_place(path)
    try:
        image = _with_rounded_axes(lambda: sitk().ReadImage(str(path)))
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    if not is_whole(path):
        raise DataError(
            f"{path.name} is cut short: it holds less than its header promises. Copy or export it again; if it was "
            "made a moment ago, the disk may be full."
        )
    return image


def _with_rounded_axes(read: Callable[[], T]) -> T:
    """Read a NIfTI file; where its axes are not quite at right angles, make them right, as scans are read."""
    with silenced():
        try:
            return read()
        except RuntimeError as error:
            if "orthonormal" not in str(error):
                raise
            with rounded_axes_allowed():
                return read()


def _single(image: Any) -> Any:
    """Return the one volume of a file that holds a list of a single one, as MITK writes label maps."""
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetNumberOfComponentsPerPixel() == 1 and "vector" in image.GetPixelIDTypeAsString():
        image = sitk().VectorIndexSelectionCast(image, 0)
    return image


def _said(file: Any) -> dict[str, str]:
    """Return what the header of an image or reader says besides its geometry."""
    return {key: file.GetMetaData(key) for key in file.GetMetaDataKeys()}


def _flat(path: Path, image: Any) -> Any:
    """Return the voxels of an image (z, y, x), one label map also where they lie in several layers."""
    values = sitk().GetArrayFromImage(image)
    if image.GetDimension() != 3 or values.ndim != 4:
        return values
    segments = segments_of(_said(image))
    if not segments:
        return values
    try:
        return flattened(values, segments)
    except ValueError as error:
        raise DataError(f"{path.name}: {error}. Save the segmentation in 3D Slicer again.") from error


def _unreadable(path: Path, error: RuntimeError) -> DataError:
    last = str(error).strip().splitlines()[-1].removeprefix("sitk::ERROR: ")
    why = "no reader knows its format" if last.startswith("Unable to determine ImageIO reader") else last
    return DataError(f"{path.name} cannot be read as an image ({why}): is it cut short? Copy or export it again.")


def grid_of(image: Any) -> Grid:
    """Return the grid of a 3D image of SimpleITK."""
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def _by(shape: Sequence[int]) -> str:
    return "×".join(str(n) for n in shape)


def _listed(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
