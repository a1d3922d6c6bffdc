"""How a step runs: nothing in here changes a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from firstscan.execution import Progress, Silent, run_cases
from firstscan.store import Workspace

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller chooses.

    ``workers`` None: one a CPU core, on a cluster one a core or GPU of it; ``devices`` and ``nodes`` share the
    training; ``group``: the processes of other nodes, once there are any; ``show_metadata`` is for the report.
    """

    workers: int | None = None
    engine: str = "local"
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    overwrite: bool = False
    show_metadata: bool = False
    group: Any = None
    progress: Progress = field(default_factory=Silent)


@contextmanager
def shown(progress: Progress, name: str, total: int) -> Iterator[Progress]:
    """Show a stage of ``total`` units."""
    progress.start(name, total)
    try:
        yield progress
    finally:
        progress.finish()


@dataclass(frozen=True, slots=True)
class Run:
    """An open output folder together with the settings of execution."""

    workspace: Workspace
    settings: Settings

    @property
    def progress(self) -> Progress:
        """Where the run reports what it is doing."""
        return self.settings.progress

    def cases(
        self,
        function: Callable[..., R],
        items: Sequence[tuple[str, T]],
        *,
        setup: Callable[[], Any] | None = None,
        shared: bool = False,
        gpu: bool | None = False,
        workers: int | None = None,
        cores: int = 1,
        sees: Sequence[Path] = (),
    ) -> Iterator[tuple[str, R | Exception]]:
        """Run ``function`` on every item where the caller chose; see :func:`firstscan.execution.run_cases`."""
        return run_cases(
            function,
            items,
            setup=setup,
            workers=workers or self.settings.workers,
            cores=cores,
            engine=self.settings.engine,
            shared=shared,
            gpu=gpu,
            sees=[path.absolute() for path in (self.workspace.holder, *sees)],
        )

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Progress]:
        """Show a stage of ``total`` units and log how long it took."""
        started = time.perf_counter()
        with shown(self.progress, name, total) as progress:
            yield progress
        self.workspace.log("stage", name=name, units=total, seconds=round(time.perf_counter() - started, 3))
