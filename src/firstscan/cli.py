"""The command line: one thin command a step. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

INTERRUPTED = 130
EXECUTION = frozenset({"out", "features", "workers", "engine", "device", "overwrite"})
"""Options that say where and how to run, and never what comes out."""

app = typer.Typer(
    help="Choose which 3D scans to annotate first: no label, no task model needed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[str, typer.Argument(help="Folder of scans, or a table (CSV, TSV, Parquet) that lists them.")]
Layout = Annotated[str, typer.Option(help="How the source is read; recognised by default.")]
Out = Annotated[Path, typer.Option(help="Folder for the results; made if it is not there.")]
Budget = Annotated[int, typer.Option(help="How many scans to pick.")]
StrategyName = Annotated[str, typer.Option(help="How to pick; `firstscan strategies` lists the names.")]
Seed = Annotated[int, typer.Option(help="Same seed, same machine: same picks.")]
Preset = Annotated[str, typer.Option(help="fast (CPU), paper (the published network), auto (by device).")]
Channel = Annotated[list[str] | None, typer.Option(help="Use only this channel; repeat for several.")]
Exclude = Annotated[Path | None, typer.Option(help="File of case ids that must not be picked.")]
Include = Annotated[Path | None, typer.Option(help="File of case ids that are picked first.")]
Labelled = Annotated[Path | None, typer.Option(help="File of case ids that are annotated already.")]
GroupBy = Annotated[list[str] | None, typer.Option(help="Pick at most one scan per value of this column.")]
ThinStrata = Annotated[
    str | None, typer.Option(help="cscs: strata under 3 scans are skipped (fill) or scored (score).")
]
Option = Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a further parameter of the strategy.")]
Modality = Annotated[str | None, typer.Option(help="Read every scan as ct, mr or other.")]
Audit = Annotated[str, typer.Option(help="How strictly findings are taken: strict, normal or off.")]
Severity = Annotated[list[str] | None, typer.Option(help="CODE=drop|warn|note|off: how to take one kind of finding.")]
Checkpoint = Annotated[Path | None, typer.Option(help="Start training from these weights.")]
Region = Annotated[str, typer.Option(help="Average signals over the foreground, or over all voxels (as published).")]
TrainSteps = Annotated[int | None, typer.Option(help="Training steps, instead of the preset's.")]
Workers = Annotated[int | None, typer.Option(help="Processes that read scans; one a CPU core by default.")]
Engine = Annotated[str, typer.Option(help="Where work runs: local.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of other settings in --out.")]


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
    source: Source,
    *,
    budget: Budget,
    out: Out,
    strategy: StrategyName = "cscs",
    seed: Seed = 42,
    preset: Preset = "auto",
    layout: Layout = "auto",
    channel: Channel = None,
    exclude: Exclude = None,
    include: Include = None,
    labelled: Labelled = None,
    group_by: GroupBy = None,
    thin_strata: ThinStrata = None,
    option: Option = None,
    modality: Modality = None,
    audit: Audit = "normal",
    severity: Severity = None,
    checkpoint: Checkpoint = None,
    region: Region = "foreground",
    train_steps: TrainSteps = None,
    workers: Workers = None,
    engine: Engine = "local",
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Scans in, a ranked and explained first batch out."""
    options = locals()
    from firstscan.steps.config import SelectCommand
    from firstscan.steps.select import select as run

    _show(run(SelectCommand.of(**_given(options)), out, _settings(options)))


@app.command()
def demo(
    out: Out = Path("firstscan-demo"),
    workers: Workers = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Run the main job on 40 invented scans, offline: the quickest way to see a report."""
    options = locals()
    from firstscan.steps.demo import demo as run

    _show(run(out, _settings(options)))


@app.command()
def index(
    source: Source, *, out: Out, layout: Layout = "auto", channel: Channel = None, overwrite: Overwrite = False
) -> None:
    """List the scans of a folder as cases.csv; no voxel is read."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.commands import CASES, run_index
    from firstscan.steps.config import IndexConfig
    from firstscan.steps.index import found

    pool = run_index(IndexConfig.of(**_given(options)), out, _settings(options))
    terminal.show_findings(pool.findings, found(pool), len(pool), None)
    terminal.say(f"Scans: {out / CASES}")


@app.command()
def check(
    source: Source,
    *,
    out: Out,
    layout: Layout = "auto",
    channel: Channel = None,
    modality: Modality = None,
    audit: Audit = "normal",
    severity: Severity = None,
    workers: Workers = None,
    engine: Engine = "local",
    overwrite: Overwrite = False,
) -> None:
    """Read every scan once and list what is wrong, with remedies, in findings.csv."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.commands import run_check
    from firstscan.steps.config import CheckCommand

    checked, found = run_check(CheckCommand.of(**_given(options)), out, _settings(options))
    terminal.show_findings(checked.pool.findings, found, len(checked.pool), out / "findings.csv")


@app.command()
def pretrain(
    source: Source,
    *,
    out: Out,
    seed: Seed = 42,
    preset: Preset = "auto",
    layout: Layout = "auto",
    channel: Channel = None,
    modality: Modality = None,
    audit: Audit = "normal",
    severity: Severity = None,
    checkpoint: Checkpoint = None,
    train_steps: TrainSteps = None,
    workers: Workers = None,
    engine: Engine = "local",
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Train the network on the scans and keep its weights."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.commands import run_pretrain
    from firstscan.steps.config import PretrainCommand

    weights = run_pretrain(PretrainCommand.of(**_given(options)), out, _settings(options))
    terminal.say(f"Weights: {weights}")


@app.command()
def extract(
    source: Source,
    *,
    out: Out,
    seed: Seed = 42,
    preset: Preset = "auto",
    layout: Layout = "auto",
    channel: Channel = None,
    modality: Modality = None,
    audit: Audit = "normal",
    severity: Severity = None,
    checkpoint: Checkpoint = None,
    region: Region = "foreground",
    train_steps: TrainSteps = None,
    workers: Workers = None,
    engine: Engine = "local",
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Measure every scan: embedding and uncertainty, as features.parquet."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.commands import run_extract
    from firstscan.steps.config import ExtractCommand

    table = run_extract(ExtractCommand.of(**_given(options)), out, _settings(options))
    terminal.say(f"{len(table)} scans, {table.dim} dimensions: {out / 'features.parquet'}")


@app.command()
def pick(
    features: Annotated[
        Path, typer.Argument(help="A Parquet table with case_id, embedding, uncertainty; or its folder.")
    ],
    *,
    budget: Budget,
    out: Out,
    strategy: StrategyName = "cscs",
    seed: Seed = 42,
    exclude: Exclude = None,
    include: Include = None,
    labelled: Labelled = None,
    group_by: GroupBy = None,
    thin_strata: ThinStrata = None,
    option: Option = None,
    overwrite: Overwrite = False,
) -> None:
    """Pick from features you have: no scan is read."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.config import PickConfig
    from firstscan.steps.pick import run_pick

    selection, table = run_pick(features, PickConfig.of(**_given(options)), out, _settings(options))
    terminal.show_selection(selection, len(table), _reading(selection, table))
    terminal.say(f"\nSelection: {out / 'selection.csv'}")


@app.command()
def report(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select`.")], workers: Workers = None
) -> None:
    """Draw the report of a results folder again."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.report import report as run

    terminal.say(f"Report: {run(out, _settings(options))}")


@app.command()
def strategies() -> None:
    """List the strategies, one line each."""
    from firstscan import terminal
    from firstscan.selection import describe

    described = describe()
    width = max(map(len, described))
    for name, summary in described.items():
        terminal.say(f"{name:<{width}}  {summary}")


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
        from firstscan import terminal

        return terminal.explain(error, debug=debug)
    if result == INTERRUPTED:
        from firstscan import terminal

        terminal.complain("interrupted; run the same command again to go on from here.")
    return result if isinstance(result, int) else 0


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return a command's options as its step's config takes them; what was not given is left to the config."""
    from firstscan.steps.pick import read_ids, read_options, read_severities

    given = {k: v for k, v in options.items() if k not in EXECUTION and v is not None}
    for name in ("exclude", "include", "labelled"):
        if name in given:
            given[name] = read_ids(given[name])
    if "severity" in given:
        given["severity"] = read_severities(given["severity"])
    if "option" in given:
        given["option"] = read_options(given["option"])
    return given


def _settings(options: dict[str, Any]) -> Any:
    """Return how to run, from a command's options."""
    from firstscan import terminal
    from firstscan.domain.errors import UsageError
    from firstscan.steps.run import Settings

    given = {k: options[k] for k in ("workers", "engine", "device", "overwrite") if k in options}
    if given.get("workers") is not None and given["workers"] < 1:
        raise UsageError(f"--workers {given['workers']}: at least 1 process is needed")
    return Settings(**given, progress=terminal.progress())


def _reading(selection: Any, features: Any) -> tuple[str, ...]:
    from firstscan.report import ReportData
    from firstscan.report.words import reading

    return reading(ReportData(selection, features, "", len(features), 0))


def _show(selected: Any) -> None:
    from firstscan import terminal
    from firstscan.store import read_features

    if selected.already:
        terminal.say("Already done: nothing has changed since.")
    terminal.show_findings(selected.pool.findings, selected.found, len(selected.pool), selected.out / "findings.csv")
    features = read_features(selected.out)
    terminal.show_selection(selected.selection, len(selected.pool), _reading(selected.selection, features))
    terminal.say(f"\nSelection: {selected.out / 'selection.csv'}")
    terminal.say(f"Report:    {selected.out / 'report.html'}")


if __name__ == "__main__":
    main()
