"""Where work runs: in this process, in several local ones, or on a Ray cluster, behind one call."""

from .beside import Beside
from .cases import Engine, check_engine, run_cases
from .memory import freed_memory_kept
from .progress import Progress, Silent
from .session import engine_session
from .work import WorkerDied, usable_cores

__all__ = [
    "Beside",
    "Engine",
    "Progress",
    "Silent",
    "WorkerDied",
    "check_engine",
    "engine_session",
    "freed_memory_kept",
    "run_cases",
    "usable_cores",
]
