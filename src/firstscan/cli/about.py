"""``firstscan about``: what a bug report has to say of the machine."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(about)


def about() -> None:
    """Say what this is running on: versions, platform, threads, GPU. It names no person and no folder."""
    import os
    import platform

    from firstscan.study.versions import versions

    from . import terminal

    rows = {**versions(), "processors": f"{os.cpu_count()} ({platform.machine()})", **_torch()}
    width = max(map(len, rows))
    for name, value in rows.items():
        terminal.say(f"{name:<{width}}  {value}")


def _torch() -> dict[str, str]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"threads": str(torch.get_num_threads()), "GPU": ", ".join(gpus) or "none that torch can use"}
