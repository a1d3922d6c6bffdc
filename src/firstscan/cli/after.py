"""Commands for what comes after a batch: change it, hand it over, gather labels, train, score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as o


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (review, replace, extend, handoff, collect, train, evaluate):
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
        terminal.say("Only this machine can open it. Ctrl-C ends it; every action is kept in review.jsonl.")

    run(out, o.settings_of(options), port=port, show=show, ready=ready)
    _say_what_is_open(out)


def _say_what_is_open(out: Path) -> None:
    """Say what was decided on the review page and is not in the batch."""
    from firstscan.review.decisions import left_open

    from . import terminal

    if said := left_open(out):
        listed = "; ".join(said)
        terminal.tell(
            f"Note: decisions of the review are not in this batch yet: {listed}. Export it on the review page."
        )


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

    from . import terminal

    given = o.given_of({k: v for k, v in options.items() if k not in {"results", "to"}})
    handed = run_handoff(results, HandoffConfig.of(target=to, **given), out, o.settings_of(options))
    terminal.say(f"Open this: {handed.open_this}")
    terminal.tell(handed.message)
    _say_what_is_open(results)
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
    from firstscan.steps.annotating.collect import CollectConfig, require_labels, run_collect

    from . import terminal

    given = o.given_of({k: v for k, v in options.items() if k != "handoffs"})
    done = run_collect(handoffs, CollectConfig.of(**given), out, o.settings_of(options))
    terminal.show_collection(done)
    require_labels(done)


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
    from firstscan.steps.selecting.pick import read_options
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
