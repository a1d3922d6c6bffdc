"""Pure checks on headers, voxels and the pool → findings. Nothing here prints, or raises for bad data."""

from .header import channel_geometry_problem, check_header
from .pool import check_duplicates
from .voxels import check_constant, check_finite

__all__ = ["channel_geometry_problem", "check_constant", "check_duplicates", "check_finite", "check_header"]
