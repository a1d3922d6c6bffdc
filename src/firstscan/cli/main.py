"""The command line: one thin command a step. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from . import about, after, rounds, studies
from . import options as o

INTERRUPTED = 130

app = typer.Typer(
    help="Choose which 3D scans to annotate first: no label, no task model needed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def every_command(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error; allowed anywhere.")
    ] = False,
) -> None:
    """Take options that belong to every command; ``--debug`` is read in :func:`main`."""
    del debug


@app.command()
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
    from firstscan.steps.running.config import SelectCommand
    from firstscan.steps.selecting.select import select as run

    _show(run(SelectCommand.of(**o.given_of(options)), out, o.settings_of(options)))


@app.command()
def demo(
    out: o.Out = Path("firstscan-demo"),
    workers: o.Workers = None,
    device: o.Device = "auto",
    overwrite: o.Overwrite = False,
) -> None:
    """Run the main job on 40 invented scans, offline: the quickest way to see a report."""
    options = locals()
    from firstscan.steps.selecting.demo import demo as run

    _show(run(out, o.settings_of(options)))


@app.command()
def index(
    source: o.Source,
    *,
    out: o.Out,
    layout: o.Layout = "auto",
    channel: o.Channel = None,
    only: o.Only = None,
    pseudonyms: o.Pseudonyms = None,
    table: o.Table = None,
    workers: o.Workers = None,
    overwrite: o.Overwrite = False,
) -> None:
    """List the scans of a folder as cases.csv, what was left out, and what was not looked at."""
    options = locals()
    from firstscan.steps.running.config import IndexConfig
    from firstscan.steps.selecting.commands import CASES, run_index
    from firstscan.steps.selecting.index import described, found

    from . import terminal

    pool = run_index(IndexConfig.of(**o.given_of(options)), out, o.settings_of(options))
    for line in described(pool):
        terminal.say(line)
    terminal.show_findings(pool.findings, found(pool), len(pool), out / "findings.csv", read=False)
    terminal.say(f"Scans: {out / CASES}")


@app.command()
def check(
    source: o.Source,
    *,
    out: o.Out,
    layout: o.Layout = "auto",
    channel: o.Channel = None,
    only: o.Only = None,
    pseudonyms: o.Pseudonyms = None,
    table: o.Table = None,
    modality: o.Modality = None,
    audit: o.Audit = "normal",
    severity: o.Severity = None,
    workers: o.Workers = None,
    engine: o.Engine = "local",
    overwrite: o.Overwrite = False,
) -> None:
    """Read every scan once and list what is wrong, with remedies, in findings.csv."""
    options = locals()
    from firstscan.steps.running.config import CheckCommand
    from firstscan.steps.selecting.commands import run_check

    from . import terminal

    checked, found = run_check(CheckCommand.of(**o.given_of(options)), out, o.settings_of(options))
    terminal.show_findings(checked.pool.findings, found, len(checked.pool), out / "findings.csv")


@app.command()
def pretrain(
    source: o.Source,
    *,
    out: o.Out,
    seed: o.Seed = 42,
    preset: o.Preset = "auto",
    layout: o.Layout = "auto",
    channel: o.Channel = None,
    only: o.Only = None,
    pseudonyms: o.Pseudonyms = None,
    table: o.Table = None,
    modality: o.Modality = None,
    audit: o.Audit = "normal",
    severity: o.Severity = None,
    checkpoint: o.Checkpoint = None,
    train_steps: o.TrainSteps = None,
    workers: o.Workers = None,
    engine: o.Engine = "local",
    device: o.Device = "auto",
    devices: o.Devices = 1,
    nodes: o.Nodes = 1,
    overwrite: o.Overwrite = False,
) -> None:
    """Train the network on the scans and keep its weights."""
    options = locals()
    from firstscan.steps.running.config import PretrainCommand
    from firstscan.steps.selecting.commands import run_pretrain

    from . import terminal

    weights = run_pretrain(PretrainCommand.of(**o.given_of(options)), out, o.settings_of(options))
    if weights is not None:
        terminal.say(f"Weights: {weights}")


@app.command()
def extract(
    source: o.Source,
    *,
    out: o.Out,
    seed: o.Seed = 42,
    preset: o.Preset = "auto",
    layout: o.Layout = "auto",
    channel: o.Channel = None,
    only: o.Only = None,
    pseudonyms: o.Pseudonyms = None,
    table: o.Table = None,
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
    overwrite: o.Overwrite = False,
) -> None:
    """Measure every scan: embedding and uncertainty, as features.parquet."""
    options = locals()
    from firstscan.steps.running.config import ExtractCommand
    from firstscan.steps.selecting.commands import run_extract

    from . import terminal

    measured = run_extract(ExtractCommand.of(**o.given_of(options)), out, o.settings_of(options))
    terminal.say(f"{len(measured)} scans, {measured.dim} dimensions: {out / 'features.parquet'}")


@app.command()
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
    from firstscan.steps.running.config import PickConfig
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


@app.command()
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


@app.command()
def strategies() -> None:
    """List the strategies, one line each."""
    from firstscan.selection import describe

    from . import terminal

    described = describe()
    width = max(map(len, described))
    for name, summary in described.items():
        terminal.say(f"{name:<{width}}  {summary}")


@app.command()
def findings(code: Annotated[str | None, typer.Argument(help="One code; all of them without.")] = None) -> None:
    """Explain what a finding means, when it is raised, and what to do about it."""
    from firstscan.audit.reference import KINDS, kind_of

    from . import terminal

    if code is not None:
        kind = kind_of(code)
        told = {"Severity": kind.severity, "Means": kind.meaning, "Raised": kind.threshold, "Remedy": kind.remedy}
        terminal.say(f"{kind.code} ({kind.stage})")
        for name, text in told.items():
            terminal.say(f"  {name + ':':<10}{text or 'there is no number to it'}")
        return
    width = max(len(kind.code) for kind in KINDS)
    for stage in dict.fromkeys(kind.stage for kind in KINDS):
        terminal.say(f"{stage[0].upper()}{stage[1:]}:")
        for kind in (k for k in KINDS if k.stage == stage):
            terminal.say(f"  {kind.code:<{width}}  {kind.severity:<12}  {kind.meaning}")


after.register(app)
rounds.register(app)
studies.register(app)
about.register(app)


def main() -> None:
    """Run the command line and exit: 0 done, 2 wrong usage, 3 the data cannot serve, 130 interrupted."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors are printed to stderr, as one block each."""
    debug = "--debug" in arguments
    try:
        result = app(args=[a for a in arguments if a != "--debug"], prog_name="firstscan", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except Exception as error:
        from . import terminal

        return terminal.explain(error, debug=debug)
    if result == INTERRUPTED:
        from . import terminal

        terminal.complain("interrupted; run the same command again to go on from here.")
    return result if isinstance(result, int) else 0


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


if __name__ == "__main__":
    main()
