"""The offline cohort: MNI152 anatomy warped, re-contrasted and degraded as four invented sites would."""

from .cohort import Cohort, CohortRow, generate, template_paths

__all__ = ["Cohort", "CohortRow", "generate", "template_paths"]
