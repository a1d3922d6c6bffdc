"""Shape letters used in every signature, written with jaxtyping.

Legend: ``case`` scans in the pool · ``dim`` embedding dimensions · ``channel`` image channels ·
``x y z`` voxels along the canonical axes (R→L, A→P, I→S reversed as in LPS+: x grows to the left,
y to the posterior, z to the superior) · ``view`` the nine views of one case · ``class`` label values.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

Embeddings = Float[np.ndarray, "case dim"]
PerCase = Float[np.ndarray, "case"]
Strata = Int[np.ndarray, "case"]
Voxels = Float[np.ndarray, "channel x y z"]
Mask = Bool[np.ndarray, "x y z"]
LabelMap = Int[np.ndarray, "x y z"]

__all__ = ["Bool", "Embeddings", "Float", "Int", "LabelMap", "Mask", "PerCase", "Strata", "Voxels"]
