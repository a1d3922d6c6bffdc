"""Commands for labels: handoff, collect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (
        handoff,
        collect,
    ):
        app.command()(command)


def handoff(
    results: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    *,
    to: o.Target,
    out: o.Out,
    labels: o.Labels = None,
    classes: o.Classes = None,
    readers: o.Readers = 1,
    overlap: o.Overlap = 0,
    prelabel: o.Prelabel = False,
    without: o.Without = None,
    name: o.DatasetName = "firstscan",
    files: o.Files = "link",
    overwrite: o.Overwrite = False,
) -> None:
    """Write the picks as a folder that a labelling tool or nnU-Net opens as it is."""
    options = locals()
    from firstscan.steps.annotating.handoff import run_handoff
    from firstscan.steps.annotating.tool_folder import HandoffConfig
    from firstscan.store.lock import holding

    from . import terminal

    given = o.given_of({k: v for k, v in options.items() if k not in {"results", "to"}})
    handed = run_handoff(results, HandoffConfig.of(target=to, **given), out, o.settings_of(options))
    terminal.say(f"Open this: {handed.open_this}")
    terminal.tell(handed.message)
    if holding(results / "work") == "firstscan review":
        terminal.tell(
            "Note: the review page of this batch is open; what is decided there from now on is not in this hand-off."
        )
    if to == "nnunet" and labels is not None:
        terminal.next_step(f"firstscan train {terminal.typed(out)} --out model")
    else:
        terminal.next_step(f"firstscan collect {terminal.typed(out)} --out FOLDER", when="When it is annotated")


def collect(
    handoffs: Annotated[list[Path], typer.Argument(help="Folders that `firstscan handoff` wrote.")],
    *,
    out: o.Out,
    classes: o.Classes = None,
    consensus: o.Consensus = "first",
    allow_empty: o.AllowEmpty = False,
    confirm_empty: o.ConfirmEmpty = False,
    confirm_untouched: o.ConfirmUntouched = False,
    workers: o.Workers = None,
    overwrite: o.Overwrite = False,
) -> None:
    """Gather the finished labels of hand-offs: checked, compared between readers, ready to train on."""
    options = locals()
    from firstscan.steps.collecting.collect import CollectConfig, require_labels, run_collect

    from . import terminal

    given = o.given_of({k: v for k, v in options.items() if k != "handoffs"})
    done = run_collect(handoffs, CollectConfig.of(**given), out, o.settings_of(options))
    terminal.show_collection(done)
    require_labels(done)
