"""Commands that change a batch: review, replace, extend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (
        review,
        replace,
        extend,
    ):
        app.command()(command)


def review(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any that is free.")] = 0,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your browser.")] = True,
) -> None:
    """Look at the picks in your browser and steer them: veto, replace, pin, resize, export."""
    options = locals()
    from firstscan.review.server import review as run

    from . import terminal

    def ready(address: str) -> None:
        terminal.say(f"Review page: {address}")
        terminal.say("Only this machine can open it. Ctrl-C ends it; every action is kept in history.jsonl.")

    run(out, o.settings_of(options), port=port, show=show, ready=ready)


def replace(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    case_id: Annotated[str, typer.Argument(help="The pick that is unusable.")],
    *,
    why: Annotated[str, typer.Option(help="The reason, for the log.")] = "unusable",
    workers: o.Workers = None,
) -> None:
    """Replace a pick by the best substitute of its stratum."""
    options = locals()
    from firstscan.steps.steering.amend import replace as run

    from . import terminal

    selection = run(out, case_id, why, o.settings_of(options))
    done = selection.diagnostics["replacements"][-1]
    terminal.say(f"{done['removed']} → {done['substitute']} (rank {done['rank']}, from the {done['from']})")
    terminal.say(f"Selection: {out / 'selection.csv'}")


def extend(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    *,
    more: Annotated[int, typer.Option(help="How many scans to add; the earlier picks stay.")],
    labelled: o.Labelled = None,
    workers: o.Workers = None,
) -> None:
    """Add scans to a batch that is annotated already or being annotated."""
    options = locals()
    from firstscan.steps.steering.amend import extend as run

    from . import terminal

    selection = run(out, more, o.settings_of(options), labelled=o.given_of(options).get("labelled", ()))
    terminal.say(f"Added: {', '.join(selection.case_ids[-more:])}")
    terminal.say(f"Selection: {out / 'selection.csv'}, now {len(selection)} scans")
    done = "" if labelled is None else f" --without {terminal.typed(labelled)}"
    terminal.next_step(f"firstscan handoff {terminal.typed(out)} --to TOOL{done} --out FOLDER")
