"""What each option of the command line is called and means; commands share them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

EXECUTION = frozenset(
    {
        "out",
        "measured",
        "workers",
        "engine",
        "device",
        "devices",
        "nodes",
        "overwrite",
        "show_metadata",
        "port",
        "show",
    }
)
"""Options that say where and how to run and what to show, and never what is picked."""


def _folder(name: str | Path) -> Path:
    """Return a folder's path; an empty name, as from an unset shell variable, is no folder."""
    if not str(name).strip():
        raise typer.BadParameter("the name of a folder is needed; found an empty one")
    return Path(name)


Source = Annotated[str, typer.Argument(help="Folder of scans, or a table (CSV, TSV, Parquet) that lists them.")]
Layout = Annotated[str, typer.Option(help="How the source is read; recognised by default.")]
Out = Annotated[
    Path, typer.Option(parser=_folder, metavar="FOLDER", help="Folder for the results; made if it is not there.")
]
Budget = Annotated[int | None, typer.Option(help="How many scans to pick; or --slices.")]
Slices = Annotated[
    int | None, typer.Option(help="How many slices to annotate, of more scans: evenly spaced in each, every 4th.")
]
Every = Annotated[int | None, typer.Option(help="Annotate every K-th slice of each pick only.")]
Least = Annotated[int, typer.Option(help="At least so many slices of a scan; with --slices or --every.")]
Range = Annotated[
    str | None, typer.Option(help="FROM:TO: plan slices only here, in mm from the top of the scan (or 25%:75%).")
]
SliceAxis = Annotated[
    str | None, typer.Option(help="axial, coronal or sagittal slices, instead of those that a scan was acquired in.")
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        help="What the strategy sees: embedding, positions, appearance, texture, shape, an --encoder; repeat for more."
    ),
]
StrategyName = Annotated[str, typer.Option(help="How to pick; `firstscan strategies` lists the names.")]
Seed = Annotated[int, typer.Option(help="Same seed, same machine: same picks.")]
Preset = Annotated[
    str, typer.Option(help="fast (CPU), paper (the published network), auto (by device), instant (no network).")
]
Channel = Annotated[list[str] | None, typer.Option(help="Use only this channel; repeat for several.")]
Only = Annotated[
    list[str] | None, typer.Option(help="COLUMN=PATTERN: only such scans or DICOM series, as modality=MR.")
]
Pseudonyms = Annotated[
    bool | None,
    typer.Option("--pseudonyms/--no-pseudonyms", help="Neutral names for scans and metadata; by default for DICOM."),
]
Table = Annotated[
    Path | None, typer.Option(help="More columns of the scans (CSV, TSV, Parquet), one row each, joined by case_id.")
]
Exclude = Annotated[Path | None, typer.Option(help="File of case ids that must not be picked.")]
Include = Annotated[Path | None, typer.Option(help="File of case ids that are picked first.")]
Labelled = Annotated[Path | None, typer.Option(help="File of case ids that are annotated already.")]
GroupBy = Annotated[list[str] | None, typer.Option(help="Pick at most one scan per value of this column.")]
Quota = Annotated[list[str] | None, typer.Option(help="COLUMN=GROUP:MIN-MAX: bounds on the scans of a group.")]
Minutes = Annotated[
    float | None, typer.Option(help="Annotation time of the whole batch, by --cost-column or by the next two.")
]
MinutesPerScan = Annotated[float, typer.Option(help="Minutes to open a scan and find one's way in it.")]
MinutesPerSlice = Annotated[float, typer.Option(help="Minutes to annotate a slice.")]
CostColumn = Annotated[str | None, typer.Option(help="Column with the minutes that each scan takes.")]
Adjust = Annotated[list[str] | None, typer.Option(help="Take what this column explains off the signals.")]
Stability = Annotated[int | None, typer.Option(help="Repeat the choice under so many seeds and pools.")]
ThinStrata = Annotated[
    str | None, typer.Option(help="cscs: strata under 3 scans are skipped (fill) or scored (score).")
]
Option = Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a further parameter of the strategy.")]
Modality = Annotated[str | None, typer.Option(help="Read every scan as ct, mr or other.")]
Audit = Annotated[str, typer.Option(help="How strictly findings are taken: strict, normal or off.")]
Severity = Annotated[list[str] | None, typer.Option(help="CODE=drop|warn|note|off: how to take one kind of finding.")]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Start training from these weights; with --encoder, the encoder's weights.")
]
Encoder = Annotated[
    str | None,
    typer.Option(help="Also embed scans with a pretrained encoder (docs/encoders.md): ct-fm, dinov2, torchscript, …"),
]
InputSize = Annotated[str | None, typer.Option(help="Voxels that the encoder takes: 96 or XxYxZ.")]
Spacing = Annotated[str | None, typer.Option(help="Spacing in mm that the encoder takes: 1.5, XxYxZ, or fit.")]
Window = Annotated[
    str | None, typer.Option(help="LOW:HIGH intensities for the encoder, as -175:250 or 0.5%:99.5% of the patient's.")
]
Region = Annotated[str, typer.Option(help="Average signals over the foreground, or over all voxels (as published).")]
TrainSteps = Annotated[int | None, typer.Option(help="Training steps, instead of the preset's.")]
Target = Annotated[
    str, typer.Option(help="slicer, slicercart, monailabel, mitk, itksnap, nnunet, bids, dicom-list or csv.")
]
Labels = Annotated[
    Path | None, typer.Option(help="Label maps to hand over with the scans: a folder, or what collect made.")
]
DatasetName = Annotated[str, typer.Option(help="What the data set is called in the tool.")]
Files = Annotated[str, typer.Option(help="link or copy the scans.")]
Readers = Annotated[int, typer.Option(help="Deal the batch to so many readers, a folder each.")]
Overlap = Annotated[int, typer.Option(help="So many scans, the first ones, go to every reader.")]
Without = Annotated[Path | None, typer.Option(help="File of case ids to leave out, such as collect's labelled.csv.")]
Classes = Annotated[
    list[str] | None, typer.Option(help="NAME=VALUE,…: the classes, without background; repeat for more.")
]
Consensus = Annotated[
    str, typer.Option(help="Where several readers labelled a scan: the first one's, or the majority of each voxel.")
]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Take label maps in which nothing is marked, too.")]
ConfirmEmpty = Annotated[
    bool,
    typer.Option("--confirm-empty", help="Planned slices in which nothing is marked were looked at: they are empty."),
]
ConfirmUntouched = Annotated[
    bool,
    typer.Option("--confirm-untouched", help="Predictions that came back unchanged were looked at: they are right."),
]
Prelabel = Annotated[
    bool, typer.Option("--prelabel", help="Hand over predictions of `firstscan next` as label maps to correct.")
]
Workers = Annotated[int | None, typer.Option(help="Processes or threads at work; one a CPU core by default.")]
Engine = Annotated[str, typer.Option(help="Where work runs: local, or ray (a cluster; see docs/cluster.md).")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Devices = Annotated[int, typer.Option(help="GPUs (or CPU processes) of a machine that share the training.")]
Nodes = Annotated[int, typer.Option(help="Machines that share the training; see docs/cluster.md.")]
ShowMetadata = Annotated[bool, typer.Option("--show-metadata", help="Show the picks' metadata in the report.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the results of other settings in --out.")]


def given_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return a command's options as its step's config takes them; what was not given is left to the config."""
    from firstscan.steps.running.typed import read_classes, read_ids, read_options, read_severities

    given = {k: v for k, v in options.items() if k not in EXECUTION and v is not None}
    for name in ("exclude", "include", "labelled", "without"):
        if name in given:
            given[name] = read_ids(given[name])
    if "severity" in given:
        given["severity"] = read_severities(given["severity"])
    for name in ("option", "setting"):
        if name in given:
            given[name] = read_options(given[name])
    if "classes" in given:
        given["classes"] = read_classes(given["classes"])
    return given


def settings_of(options: dict[str, Any]) -> Any:
    """Return how to run, from a command's options."""
    from firstscan.domain.errors import UsageError
    from firstscan.steps.running.run import Settings

    from . import terminal

    names = ("workers", "engine", "device", "devices", "nodes", "overwrite", "show_metadata")
    given = {name: options[name] for name in names if name in options}
    if given.get("workers") is not None and given["workers"] < 1:
        raise UsageError(f"--workers {given['workers']}: at least 1 process is needed")
    if given.get("nodes", 1) < 1:
        raise UsageError(f"--nodes {given['nodes']}: at least 1 machine is needed")
    return Settings(**given, progress=terminal.progress())
