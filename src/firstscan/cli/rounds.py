"""Commands for the rounds after the first batch: what a model trained on the labels would have next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("next")(next_)
    app.command()(rules)


def next_(
    results: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    *,
    labels: Annotated[Path, typer.Option(help="Label maps that came back: what collect made, or a folder of them.")],
    more: Annotated[
        int | None, typer.Option(help="How many scans to add; the earlier picks stay. Or --slices.")
    ] = None,
    slices: o.Slices = None,
    every: o.Every = None,
    least: o.Least = 1,
    slice_axis: o.SliceAxis = None,
    range: o.Range = None,
    minutes_per_scan: o.MinutesPerScan = 5.0,
    minutes_per_slice: o.MinutesPerSlice = 1.5,
    slices_by: Annotated[
        str, typer.Option(help="even spacing, or where the model is unsure: entropy, information or margin.")
    ] = "even",
    slice_aggregate: Annotated[
        str, typer.Option(help="sum or mean of a slice's voxels in and beside the predicted foreground.")
    ] = "sum",
    rule: Annotated[str, typer.Option(help="How to pick; `firstscan rules` lists the names.")] = "herding",
    aggregate: Annotated[
        str | None,
        typer.Option(
            help="Voxels that count for a scan: foreground (as predicted; the default), boundary, top or classes."
        ),
    ] = None,
    members: Annotated[int, typer.Option(help="Networks to train, from several seeds.")] = 3,
    steps: Annotated[int | None, typer.Option(help="Training steps of each network, instead of unet's.")] = None,
    seed: o.Seed = 42,
    segmenter: Annotated[str, typer.Option(help="What is trained: unet (small, built in) or nnunet.")] = "unet",
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a setting of the segmenter.")] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="What `firstscan train` made, used as it is; repeat for an ensemble."),
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Probability maps of another program, instead of training; see docs/next.md.")
    ] = None,
    curve: Annotated[
        bool,
        typer.Option("--curve", help="Measure what another round can be expected to gain: 8 small trainings more."),
    ] = False,
    classes: o.Classes = None,
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a further parameter of the rule.")] = None,
    workers: o.Workers = None,
    device: o.Device = "auto",
) -> None:
    """Train on the labels so far, predict the rest of the pool, and add the scans that help most."""
    options = locals()
    from firstscan.steps.training.next_config import NextConfig
    from firstscan.steps.training.next_round import run_next

    from . import terminal

    given = o.given_of({k: v for k, v in options.items() if k != "results"})
    done = run_next(results, NextConfig.of(**given), o.settings_of(options))
    if done.already:
        terminal.say("Already done: nothing has changed since. For another round, collect the new labels first.")
    for finding in done.findings:
        where = f"{finding.case_id}: " if finding.case_id else ""
        terminal.tell(f"Note: {where}{finding.message}; {finding.remedy}")
    for pick in done.selection.picks[-done.added :]:
        terminal.say(f"{pick.rank:>4}  {pick.case_id}  {pick.reason}")
    terminal.say(f"Selection: {results / 'selection.csv'}, now {len(done.selection)} scans")
    if done.selection.slices is not None:
        terminal.say(f"Slices:    {results / 'slices.csv'}")
    from firstscan.report.gain import when_to_stop

    terminal.say(when_to_stop(done.selection))
    table = labels / "labelled.csv" if labels.is_dir() else labels
    without = f" --without {terminal.typed(table)}" if table.is_file() else ""
    terminal.next_step(f"firstscan handoff {terminal.typed(results)} --to TOOL --prelabel{without} --out FOLDER")


def rules() -> None:
    """List the rules of `firstscan next`, one line each."""
    from firstscan.selection.queries.registry import rules as described

    from . import terminal

    found = described()
    width = max(map(len, found))
    for name, summary in found.items():
        terminal.say(f"{name:<{width}}  {summary}")
