"""Commands for models: train, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (
        train,
        evaluate,
    ):
        app.command()(command)


def train(
    dataset: Annotated[Path, typer.Argument(help="What `firstscan collect` made, or an nnU-Net raw data set.")],
    *,
    out: o.Out,
    segmenter: Annotated[str, typer.Option(help="unet (small, built in) or nnunet.")] = "unet",
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE: a setting of the segmenter.")] = None,
    seed: o.Seed = 42,
    predict: Annotated[
        Path | None, typer.Option(help="Scans to segment afterwards: any SOURCE that select takes.")
    ] = None,
    overwrite: o.Overwrite = False,
) -> None:
    """Train a segmenter on annotated scans, and segment others with it."""
    options = locals()
    from firstscan.segmentation.registry import segmenter as made
    from firstscan.steps.running.typed import read_options
    from firstscan.steps.training.train import batch_behind, dataset_in, run_train

    from . import terminal

    trainer = made(segmenter, read_options(option or ()))
    run_train(dataset_in(dataset), trainer, out, o.settings_of(options), seed=seed, images=predict)
    terminal.say(f"Model: {out / 'model'}")
    if predict is None:
        terminal.say("To segment scans with it: the same command with --predict SOURCE")
    else:
        terminal.say(f"Predictions: {out / 'predictions'}")
        terminal.next_step(
            f"firstscan evaluate {terminal.typed(out / 'predictions')} LABELS --out scores", when="To score them"
        )
    batch = batch_behind(dataset)
    if batch is not None:
        labelled = terminal.typed(dataset / "labelled.csv")
        terminal.next_step(
            f"firstscan extend {terminal.typed(batch)} --more 5 --labelled {labelled}", when="For more scans"
        )


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label maps.")],
    labels: Annotated[Path, typer.Argument(help="Folder of true label maps of the same names.")],
    *,
    out: o.Out,
    overwrite: o.Overwrite = False,
) -> None:
    """Score predictions against label maps: Dice, 95 % Hausdorff distance, surface Dice."""
    options = locals()
    from firstscan.steps.training.evaluate import SCORES, run_evaluate, summed

    from . import terminal

    scores = run_evaluate(predictions, labels, out, o.settings_of(options))
    for line in summed(scores):
        terminal.say(line)
    terminal.say(f"Scores of every scan: {out / SCORES}")
