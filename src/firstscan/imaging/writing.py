"""Arrays → files, for the demo cohort and for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from firstscan.domain.arrays import Float

from ._sitk import sitk


def write_image(
    path: str | Path,
    voxels: Shaped[np.ndarray, "x y z"],
    affine_lps: Float[np.ndarray, "4 4"],
    dtype: str | None = None,
) -> None:
    """Write one volume; the ending of ``path`` chooses NIfTI (compressed where it ends in .gz), NRRD or MetaImage.

    Parameters
    ----------
    voxels : (x, y, z), any numeric dtype, stored as ``dtype`` where given, else as it is (bool as uint8).
    affine_lps : voxel index → LPS mm; its axes must be orthogonal.
    """
    lib = sitk()
    array = voxels.astype(dtype or ("uint8" if voxels.dtype == bool else voxels.dtype), copy=False)
    image = lib.GetImageFromArray(np.ascontiguousarray(array.T))
    spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection([float(d) for d in (affine_lps[:3, :3] / spacing).ravel()])
    image.SetOrigin([float(o) for o in affine_lps[:3, 3]])
    lib.WriteImage(image, str(path), useCompression=str(path).lower().endswith((".gz", ".nrrd")))
