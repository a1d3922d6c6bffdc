"""Commands for what comes after a batch: change it, hand it over, compare strategies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (review, replace, extend, handoff, train, evaluate, study):
        app.command()(command)


def review(
    out: Annotated[Path, typer.Argument(help="Results folder of `firstscan select` or `firstscan pick`.")],
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any that is free.")] = 0,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your browser.")] = True,
) -> None:
    """Look at the picks in your browser and steer them: veto, replace, pin, resize, export."""
    options = locals()
    from firstscan import terminal
    from firstscan.review.server import review as run

    def ready(address: str) -> None:
        terminal.say(f"Review page: {address}")
        terminal.say("Only this machine can open it. Ctrl-C ends it; every action is kept in review.jsonl.")

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


def handoff(
    results: Annotated[Path, typer.Argument(help="Results folder of `firstscan select`.")],
    *,
    to: Annotated[str, typer.Option(help="Which tool: nnunet, monailabel, mitk, slicer, bids, csv, …")],
    out: o.Out,
    labels: Annotated[Path | None, typer.Option(help="Folder of label maps to hand over with the scans.")] = None,
    name: Annotated[str, typer.Option(help="What the data set is called in the tool.")] = "firstscan",
    files: Annotated[str, typer.Option(help="link or copy the scans.")] = "link",
    overwrite: o.Overwrite = False,
) -> None:
    """Write the picks as a folder that a labelling tool or nnU-Net opens as it is."""
    options = locals()
    from firstscan import terminal
    from firstscan.domain.errors import UsageError
    from firstscan.steps.config import IndexConfig
    from firstscan.steps.handoff import HandoffConfig, run_handoff
    from firstscan.store import read_manifest

    manifest = read_manifest(results)
    if manifest is None or "source" not in manifest.config:
        raise UsageError(f"{results} is not a results folder of firstscan select, so where its scans are is not known")
    config = HandoffConfig.of(target=to, name=name, labels=labels, files=files)
    scans = IndexConfig.of(**{k: v for k, v in manifest.config.items() if k in IndexConfig.model_fields})
    handed = run_handoff(scans, results, config, out, o.settings_of(options))
    terminal.say(f"Open this: {handed.open_this}")
    terminal.say(handed.message)


def train(
    dataset: Annotated[Path, typer.Argument(help="An nnU-Net raw data set, as `firstscan handoff` writes.")],
    *,
    out: o.Out,
    segmenter: Annotated[str, typer.Option(help="unet (small, built in) or nnunet.")] = "unet",
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a setting of the segmenter.")] = None,
    seed: o.Seed = 42,
    predict: Annotated[Path | None, typer.Option(help="Folder of scans to segment afterwards.")] = None,
    overwrite: o.Overwrite = False,
) -> None:
    """Train a segmenter on annotated scans, and segment others with it."""
    options = locals()
    from firstscan import terminal
    from firstscan.segmentation.registry import segmenter as made
    from firstscan.steps.pick import read_options
    from firstscan.steps.train import run_train

    trainer = made(segmenter, read_options(option or ()))
    run_train(dataset, trainer, out, o.settings_of(options), seed=seed, images=predict)
    terminal.say(f"Model: {out / 'model'}")
    if predict is not None:
        terminal.say(f"Predictions: {out / 'predictions'}")


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label maps.")],
    labels: Annotated[Path, typer.Argument(help="Folder of true label maps of the same names.")],
    *,
    out: o.Out,
    overwrite: o.Overwrite = False,
) -> None:
    """Score predictions against label maps: Dice, 95 % Hausdorff distance, surface Dice."""
    options = locals()
    from firstscan import terminal
    from firstscan.steps.evaluate import SCORES, run_evaluate

    scores = run_evaluate(predictions, labels, out, o.settings_of(options))
    for name in dict.fromkeys(s.name for s in scores):
        dice = [s.dice for s in scores if s.name == name]
        terminal.say(f"{name}: mean Dice {sum(dice) / len(dice):.3f} over {len(dice)} scans")
    terminal.say(f"Scores: {out / SCORES}")


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
