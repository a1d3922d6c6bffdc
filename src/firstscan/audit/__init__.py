"""Pure checks on headers, voxels and the pool → findings. Nothing here prints, or raises for bad data."""

from .header import channel_geometry_problem, check_header, check_orientation, check_voxel_sizes
from .policy import STRICTNESS, apply_policy
from .pool import (
    check_channel_count,
    check_duplicates,
    check_intensity_outliers,
    check_modality,
    check_near_duplicates,
    check_patients,
    check_pool,
    check_spacing_outliers,
)
from .quality import check_quality, cut_share, ghost_share, noise_share
from .series import check_series
from .voxels import check_constant, check_finite

__all__ = [
    "STRICTNESS",
    "apply_policy",
    "channel_geometry_problem",
    "check_channel_count",
    "check_constant",
    "check_duplicates",
    "check_finite",
    "check_header",
    "check_intensity_outliers",
    "check_modality",
    "check_near_duplicates",
    "check_orientation",
    "check_patients",
    "check_pool",
    "check_quality",
    "check_series",
    "check_spacing_outliers",
    "check_voxel_sizes",
    "cut_share",
    "ghost_share",
    "noise_share",
]
