"""Commands for what comes after a batch: change it, hand it over, compare strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (replace, extend, study):
        app.command()(command)


def replace(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    case_id: Annotated[str, typer.Argument(help="The pick that is unusable.")],
    *,
    why: Annotated[str, typer.Option(help="The reason, for the log.")] = "unusable",
    workers: o.Workers = None,
) -> None:
    """Replace a pick by the best substitute of its stratum."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.amend import replace as run

    selection = run(out, case_id, why, o.settings_of(options))
    done = selection.diagnostics["replacements"][-1]
    terminal.say(f"{done['removed']} → {done['substitute']} (rank {done['rank']}, from the {done['from']})")
    terminal.say(f"Selection: {out / 'selection.csv'}")


def extend(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    *,
    more: Annotated[int, typer.Option(help="How many scans to add; the earlier picks stay.")],
    workers: o.Workers = None,
) -> None:
    """Add scans to a batch that is annotated already or being annotated."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.amend import extend as run

    selection = run(out, more, o.settings_of(options))
    terminal.say(f"Added: {', '.join(selection.case_ids[-more:])}")
    terminal.say(f"Selection: {out / 'selection.csv'}, now {len(selection)} scans")


def study(
    plan: Annotated[Path, typer.Argument(help="The plan, a YAML file.")],
    *,
    out: o.Out,
    workers: o.Workers = None,
    device: o.Device = "auto",
    overwrite: o.Overwrite = False,
) -> None:
    """Compare strategies: select, train and score many times, and say what the numbers support."""
    options = locals()
    from firstscan import terminal
    from firstscan.study.run import run_plan_file

    done = run_plan_file(plan, out, o.settings_of(options))
    failed = f", {done.failed} failed (see scores.parquet)" if done.failed else ""
    terminal.say(f"{done.cells} cells{failed}: {out}")
