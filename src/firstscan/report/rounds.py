"""What is said of the picks that a model had a say in: how many, by which rule, and what is unsure of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from firstscan.selection.amend import ROUNDS
from firstscan.selection.queries.registry import registry

from .data import ReportData
from .gain import when_to_stop
from .privacy import without_folders


def rounds_of(data: ReportData) -> Sequence[Mapping[str, Any]]:
    """Return the rounds of a batch, first one first; empty where every pick was chosen without labels."""
    return tuple(data.selection.diagnostics.get(ROUNDS, ()))


def labels_used(data: ReportData) -> str:
    """Return in a sentence or two which picks labels had a say in."""
    rounds = rounds_of(data)
    if not rounds:
        return "No label was used."
    added = _added(data)
    first = len(data.selection) - added
    return (
        f"The first {first:,} were chosen without any label, {added:,} by what a model predicts that was trained on "
        "labels."
    )


def in_methods(data: ReportData) -> list[str]:
    """Return the sentences of a methods section: on the seed's end of the cold start, and on each round."""
    rounds = rounds_of(data)
    if not rounds:
        return ["No annotation entered the selection."]
    first = len(data.selection) - _added(data)
    said = [f"No annotation entered the selection of the first {first:,} volumes."]
    for number, told in enumerate(rounds, start=1):
        parameters = ", ".join(f"{k} {v}" for k, v in told["options"].items())
        said.append(
            f"In round {number}, {_model(told)} was applied to the remaining {told['predicted']:,} volumes, and "
            f"{len(told['picks']):,} were added by the query rule “{told['rule']}”{_reference(told['rule'])}"
            + (f" with {parameters}" if parameters else "")
            + f" (seed {told['seed']})."
        )
    return said


def on_trust(data: ReportData) -> list[tuple[Literal["caution", "note"], str, str]]:
    """Return (level, title, text) of what to know of the last round, as a verdict holds them."""
    rounds = rounds_of(data)
    if not rounds:
        return []
    told = rounds[-1]
    rule = registry().get(told["rule"])
    how = f" ({rule.summary})" if rule is not None else ""
    text = (
        f"Round {len(rounds)} added {len(told['picks'])} scans by rule {told['rule']}{how}, from {_model(told)}. Which "
        "rule helps on your task is not known: no run of firstscan has compared them, and published comparisons on "
        "volumes find none that beats a random draw everywhere."
    )
    made: list[tuple[Literal["caution", "note"], str, str]] = [("note", "The last round", text)]
    made.append(("note", "Whether another round helps", when_to_stop(data.selection)))
    if empty := told.get("nothing_predicted"):
        text = (
            f"The model marked nothing in {len(empty)} scan(s): {_listed(empty)}. How unsure it is was averaged over "
            "the voxels that it finds likeliest. Too few labels or training steps are the usual cause."
        )
        made.append(("caution", "Scans without any prediction", text))
    if absent := told.get("classes_absent"):
        text = f"No label map holds {_listed(absent)}: the model cannot know them, and no rule can ask for them."
        made.append(("caution", "Classes that were never labelled", text))
    if lost := told.get("not_predicted"):
        text = f"{len(lost)} scan(s) could not be predicted and were not offered: {_listed(list(lost))}."
        made.append(("caution", "Scans that could not be predicted", without_folders(text)))
    return made


def _added(data: ReportData) -> int:
    picks = set(data.selection.case_ids)
    return len({i for told in rounds_of(data) for i in told["picks"] if i in picks})


def _model(told: Mapping[str, Any]) -> str:
    members, labels = told["members"], told.get("labels", told["covered"])
    if str(told.get("model")) == "unet":
        kind = "a small 3D U-Net" if members == 1 else f"an ensemble of {members} small 3D U-Nets"
        return f"{kind} trained on {labels:,} annotated volumes"
    return f"the prediction of another program ({members} of each volume)"


def _reference(name: str) -> str:
    rule = registry().get(name)
    return f" ({rule.reference})" if rule is not None and rule.reference else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
