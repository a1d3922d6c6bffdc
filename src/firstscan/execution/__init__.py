"""Where work runs: in this process, in several local ones, or on a Ray cluster, behind one call."""

from .cases import Engine, WorkerDied, check_engine, run_cases, usable_cores
from .progress import Progress, Silent
from .session import engine_session

__all__ = [
    "Engine",
    "Progress",
    "Silent",
    "WorkerDied",
    "check_engine",
    "engine_session",
    "run_cases",
    "usable_cores",
]
