"""Where work runs: in this process or in several local ones, behind one call."""

from .cases import Engine, WorkerDied, run_cases
from .progress import Progress, Silent

__all__ = ["Engine", "Progress", "Silent", "WorkerDied", "run_cases"]
