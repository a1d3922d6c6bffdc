"""Commands that list, check and measure scans: index, check, pretrain, extract, findings."""

from __future__ import annotations

from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (
        index,
        check,
        pretrain,
        extract,
        findings,
    ):
        app.command()(command)


def index(
    source: o.Source,
    *,
    out: o.Out,
    layout: o.Layout = "auto",
    channel: o.Channel = None,
    only: o.Only = None,
    pseudonyms: o.Pseudonyms = None,
    table: o.Table = None,
    severity: o.Severity = None,
    workers: o.Workers = None,
    overwrite: o.Overwrite = False,
) -> None:
    """List the scans of a folder as cases.csv, what was left out, and what was not looked at."""
    options = locals()
    from firstscan.steps.measuring.commands import CASES, run_index
    from firstscan.steps.measuring.index import described, found
    from firstscan.steps.running.config import IndexCommand

    from . import terminal

    pool = run_index(IndexCommand.of(**o.given_of(options)), out, o.settings_of(options))
    for line in described(pool):
        terminal.say(line)
    terminal.show_findings(pool.findings, found(pool), len(pool), out / "findings.csv", read=False)
    terminal.say(f"Scans: {out / CASES}")


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
    from firstscan.steps.measuring.commands import run_check
    from firstscan.steps.running.config import CheckCommand

    from . import terminal

    checked, found = run_check(CheckCommand.of(**o.given_of(options)), out, o.settings_of(options))
    terminal.show_findings(checked.pool.findings, found, len(checked.pool), out / "findings.csv")


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
    from firstscan.steps.measuring.commands import run_pretrain
    from firstscan.steps.running.config import PretrainCommand

    from . import terminal

    weights = run_pretrain(PretrainCommand.of(**o.given_of(options)), out, o.settings_of(options))
    if weights is not None:
        terminal.say(f"Weights: {weights}")


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
    from firstscan.steps.measuring.commands import run_extract
    from firstscan.steps.running.config import ExtractCommand

    from . import terminal

    measured = run_extract(ExtractCommand.of(**o.given_of(options)), out, o.settings_of(options))
    terminal.say(f"{len(measured)} scans, {measured.dim} dimensions: {out / 'features.parquet'}")


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
