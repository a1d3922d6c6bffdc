"""How a step runs: nothing in here changes a result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from firstscan.execution import Progress, Silent
from firstscan.store import Workspace


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller chooses: ``workers`` None means one process a CPU core; ``show_metadata`` is for the report."""

    workers: int | None = None
    engine: str = "local"
    device: str = "auto"
    devices: int = 1
    overwrite: bool = False
    show_metadata: bool = False
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True, slots=True)
class Run:
    """An open output folder together with the settings of execution."""

    workspace: Workspace
    settings: Settings

    @property
    def progress(self) -> Progress:
        """Where the run reports what it is doing."""
        return self.settings.progress

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Progress]:
        """Show a stage of ``total`` units and log how long it took."""
        started = time.perf_counter()
        self.progress.start(name, total)
        try:
            yield self.progress
        finally:
            self.progress.finish()
        self.workspace.log("stage", name=name, units=total, seconds=round(time.perf_counter() - started, 3))
