"""Commands that compare strategies: plans, studies, one cell again, several studies together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (study, plans, rerun, compare):
        app.command()(command)


def study(
    plan: Annotated[str, typer.Argument(help="A plan (YAML file), or the name of one of `firstscan plans`.")],
    *,
    out: o.Out,
    workers: o.Workers = None,
    engine: o.Engine = "local",
    device: o.Device = "auto",
    overwrite: o.Overwrite = False,
) -> None:
    """Compare strategies: select, train and score many times, and say what the numbers support."""
    options = locals()
    from firstscan.study.reference import plan_path
    from firstscan.study.run import run_plan_file

    from . import terminal

    done = run_plan_file(plan_path(plan), out, o.settings_of(options))
    failed = f", of which {done.failed} failed; the same command tries these again" if done.failed else ""
    terminal.say(f"{done.cells} cells{failed}.")
    terminal.say(f"Open this: {out / 'study.html'}")
    terminal.say(f"Scores:    {out / 'scores.parquet'}")
    terminal.say(f"For a paper: tables.tex, tables.md, curves.svg and differences.svg in {out}")


def plans(
    name: Annotated[str | None, typer.Argument(help="Print this plan, to keep and change a copy.")] = None,
) -> None:
    """List the plans that come with firstscan, or print one: firstscan plans feta > mine.yaml."""
    from firstscan.study.reference import describe_plans, shipped

    from . import terminal

    if name is not None:
        terminal.say(shipped(name).read_text(encoding="utf-8").rstrip())
        return
    for known, what in describe_plans().items():
        terminal.tell(f"{known}: {what}")
    terminal.say("\nRun one as it is in the folder that holds its data: firstscan study NAME --out FOLDER")
    terminal.say("Print one, to keep and change a copy:               firstscan plans NAME > mine.yaml")


def rerun(
    recorded: Annotated[Path, typer.Argument(help="Results folder of `firstscan study`.")],
    cell: Annotated[str, typer.Argument(help="STRATEGY:BUDGET:SELECTION_SEED, and :TRAINING_SEED if it is not 0.")],
    *,
    out: o.Out,
    plan: Annotated[Path | None, typer.Option(help="The same plan, where the scans lie elsewhere by now.")] = None,
    workers: o.Workers = None,
    engine: o.Engine = "local",
    device: o.Device = "auto",
    overwrite: o.Overwrite = False,
) -> None:
    """Do one cell of a study again and say whether it gives the same picks and scores."""
    options = locals()
    from firstscan.study.rerun import rerun as run

    from . import terminal

    for line in run(recorded, cell, out, o.settings_of(options), plan=plan).lines:
        terminal.say(line)


def compare(
    studies: Annotated[list[Path], typer.Argument(help="Results folders of `firstscan study`, one a pool.")],
    *,
    out: o.Out,
    overwrite: o.Overwrite = False,
) -> None:
    """Join studies of several pools: one page, one set of tables, ranks over pools and budgets."""
    options = locals()
    from firstscan.study.publishing.compare import compare as run

    from . import terminal

    terminal.say(f"Open this: {run(studies, out, o.settings_of(options))}")
    terminal.say(f"For a paper: tables.tex, tables.md, curves.svg and differences.svg in {out}")
