"""Commands that make a batch: select, demo, pick, report, strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (
        select,
        demo,
        pick,
        report,
        strategies,
    ):
        app.command()(command)


def select(
    source: o.Source,
    *,
    out: o.Out,
    budget: o.Budget = None,
    slices: o.Slices = None,
    every: o.Every = None,
    least: o.Least = 1,
    slice_axis: o.SliceAxis = None,
    range: o.Range = None,
    features: o.Features = None,
    strategy: o.StrategyName = "coverage",
    seed: o.Seed = 42,
    preset: o.Preset = "auto",
    layout: o.Layout = "auto",
    channel: o.Channel = None,
    only: o.Only = None,
    pseudonyms: o.Pseudonyms = None,
    table: o.Table = None,
    exclude: o.Exclude = None,
    include: o.Include = None,
    labelled: o.Labelled = None,
    group_by: o.GroupBy = None,
    quota: o.Quota = None,
    minutes: o.Minutes = None,
    minutes_per_scan: o.MinutesPerScan = 5.0,
    minutes_per_slice: o.MinutesPerSlice = 1.5,
    cost_column: o.CostColumn = None,
    adjust: o.Adjust = None,
    stability: o.Stability = None,
    thin_strata: o.ThinStrata = None,
    option: o.Option = None,
    modality: o.Modality = None,
    audit: o.Audit = "normal",
    severity: o.Severity = None,
    checkpoint: o.Checkpoint = None,
    region: o.Region = "foreground",
    encoder: o.Encoder = None,
    input_size: o.InputSize = None,
    spacing: o.Spacing = None,
    window: o.Window = None,
    train_steps: o.TrainSteps = None,
    workers: o.Workers = None,
    engine: o.Engine = "local",
    device: o.Device = "auto",
    devices: o.Devices = 1,
    show_metadata: o.ShowMetadata = False,
    overwrite: o.Overwrite = False,
) -> None:
    """Scans in, a ranked and explained first batch out."""
    options = locals()
    from firstscan.steps.main_job.select import select as run
    from firstscan.steps.running.batch_config import SelectCommand

    _show(run(SelectCommand.of(**o.given_of(options)), out, o.settings_of(options)))


def demo(
    out: o.Out = Path("firstscan-demo"),
    workers: o.Workers = None,
    device: o.Device = "auto",
    overwrite: o.Overwrite = False,
) -> None:
    """Run the main job on 40 invented scans, offline: the quickest way to see a report."""
    options = locals()
    from firstscan.steps.main_job.demo import demo as run

    _show(run(out, o.settings_of(options)))


def pick(
    measured: Annotated[
        Path,
        typer.Argument(metavar="FEATURES", help="A Parquet table with case_id, embedding, uncertainty; or its folder."),
    ],
    *,
    out: o.Out,
    budget: o.Budget = None,
    slices: o.Slices = None,
    every: o.Every = None,
    least: o.Least = 1,
    slice_axis: o.SliceAxis = None,
    range: o.Range = None,
    features: o.Features = None,
    strategy: o.StrategyName = "coverage",
    seed: o.Seed = 42,
    table: o.Table = None,
    exclude: o.Exclude = None,
    include: o.Include = None,
    labelled: o.Labelled = None,
    group_by: o.GroupBy = None,
    quota: o.Quota = None,
    minutes: o.Minutes = None,
    minutes_per_scan: o.MinutesPerScan = 5.0,
    minutes_per_slice: o.MinutesPerSlice = 1.5,
    cost_column: o.CostColumn = None,
    adjust: o.Adjust = None,
    stability: o.Stability = None,
    thin_strata: o.ThinStrata = None,
    option: o.Option = None,
    overwrite: o.Overwrite = False,
) -> None:
    """Pick from features you have: no scan is read."""
    options = locals()
    from firstscan.steps.running.batch_config import PickConfig
    from firstscan.steps.running.origin import known_scans
    from firstscan.steps.selecting.pick import run_pick

    from . import terminal

    selection, used = run_pick(measured, PickConfig.of(**o.given_of(options)), out, o.settings_of(options))
    terminal.show_selection(selection, len(used), _reading(selection, used))
    terminal.say(f"\nSelection: {out / 'selection.csv'}")
    if selection.slices is not None:
        terminal.say(f"Slices:    {out / 'slices.csv'}")
    if known_scans(out) is not None:
        terminal.next_step(f"firstscan handoff {terminal.typed(out)} --to TOOL --out FOLDER")


def report(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select`.")],
    *,
    show_metadata: o.ShowMetadata = False,
    workers: o.Workers = None,
) -> None:
    """Draw the report of a results folder again."""
    options = locals()
    from firstscan.steps.reporting.report import report as run

    from . import terminal

    terminal.say(f"Report: {run(out, o.settings_of(options))}")


def strategies() -> None:
    """List the strategies, one line each."""
    from firstscan.selection import describe

    from . import terminal

    described = describe()
    width = max(map(len, described))
    for name, summary in described.items():
        terminal.say(f"{name:<{width}}  {summary}")


def _reading(selection: Any, features: Any) -> tuple[str, ...]:
    from firstscan.report import ReportData
    from firstscan.report.slices import in_short
    from firstscan.report.words import reading
    from firstscan.steps.selecting.trust import warnings_of

    told = ReportData(selection, features, "", len(features), 0)
    return (
        *in_short(told),
        *reading(told),
        *(f"Note: {text}." for text in map(_bare, warnings_of(selection.diagnostics))),
    )


def _bare(sentence: str) -> str:
    return sentence.rstrip(".")


def _show(selected: Any) -> None:
    from firstscan.store import read_features

    from . import terminal

    if selected.already:
        terminal.say("Already done: nothing has changed since.")
    terminal.show_findings(selected.findings, selected.found, selected.usable, selected.out / "findings.csv")
    features = read_features(selected.out)
    terminal.show_selection(selected.selection, selected.usable, _reading(selected.selection, features))
    terminal.say(f"\nSelection: {selected.out / 'selection.csv'}")
    if selected.selection.slices is not None:
        terminal.say(f"Slices:    {selected.out / 'slices.csv'}")
    terminal.say(f"Report:    {selected.out / 'report.html'}")
    terminal.next_step(f"firstscan handoff {terminal.typed(selected.out)} --to TOOL --out FOLDER")
