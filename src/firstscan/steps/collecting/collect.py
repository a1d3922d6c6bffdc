"""Hand-off folders → the labels that came back: checked, compared between readers, and ready to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding
from firstscan.execution import Progress
from firstscan.steps.annotating import owned_files as placed
from firstscan.steps.annotating.label_maps import COLLECTED, LABELLED
from firstscan.steps.annotating.tool_folder import checked_classes
from firstscan.steps.running.config import Config
from firstscan.steps.running.history import note
from firstscan.steps.running.results import FINDINGS, moved_inputs, refusal
from firstscan.steps.running.run import Run, Settings
from firstscan.store import (
    Workspace,
    atomic_write,
    differences,
    file_sha256,
    open_workspace,
    read_findings,
    read_manifest,
    write_findings,
    write_manifest,
)

from .agreement import Agreement, agreement_table, compare
from .corrections import CORRECTIONS, Correction, corrections_table, judged
from .looking import drawn_maps, examined_maps
from .returned import Part, parts_of, results_of, source_of
from .returned_folders import about_missing, about_parts
from .returned_map import Drawn
from .standing import LABELS, Marks, keys_of, labelled_table, marks_of, standing
from .training_set import Taken, write_training_set

AGREEMENT = "agreement.csv"


class CollectConfig(Config):
    """What counts as a label: ``classes`` (name → value; those of the hand-off where empty), and empty ones or not.

    ``consensus`` says which label map stands for a scan that several readers labelled: the ``first`` reader's, or the
    ``majority`` of each voxel. ``confirm_empty``: planned slices in which nothing is marked were looked at and show
    nothing. ``confirm_untouched``: predictions that came back unchanged were looked at and are right.
    """

    classes: Mapping[str, int] = Field(default_factory=dict)
    consensus: Literal["first", "majority"] = "first"
    allow_empty: bool = False
    confirm_empty: bool = False
    confirm_untouched: bool = False

    @field_validator("classes")
    @classmethod
    def _named(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        return checked_classes(value)


@dataclass(frozen=True)
class Collected:
    """What came back: the label map of each scan in rank order, what is wrong, how far readers agree.

    ``asked`` are the ids that were handed over, ``dataset`` the folder to train on (None, with the reason in
    ``no_dataset``, where there is none), ``results`` the results folder behind the hand-offs, if known.
    ``corrections``: what was changed in predictions that were handed over.
    """

    out: Path
    asked: tuple[str, ...]
    labels: tuple[Taken, ...]
    findings: tuple[Finding, ...]
    agreement: tuple[Agreement, ...]
    classes: Mapping[str, int]
    dataset: Path | None
    no_dataset: str
    results: Path | None
    corrections: tuple[Correction, ...] = ()


def run_collect(handoffs: Sequence[Path], config: CollectConfig, out: Path, settings: Settings) -> Collected:
    """Gather the finished labels of hand-offs in ``out``; nothing in a hand-off is touched.

    Writes ``labels/``, ``labelled.csv``, ``findings.csv``, ``agreement.csv`` where scans were read twice,
    ``corrections.csv`` where predictions were handed over, and a data set to train on. What is missing or wrong is a
    finding and is not taken.

    Raises
    ------
    UsageError : no hand-offs, class lists that differ, or ``out`` holds something else.
    """
    parts = parts_of(handoffs)
    known = _classes(parts, config)
    inputs = _inputs(parts)
    asked = {
        "handoffs": [str(path.absolute()) for path in handoffs],
        "classes": dict(config.classes),
        "consensus": config.consensus,
        "allow_empty": config.allow_empty,
        "confirm_empty": config.confirm_empty,
        "confirm_untouched": config.confirm_untouched,
    }
    _outside(out, parts)
    placed.refuse_foreign(out, COLLECTED, "collection")
    with open_workspace(out) as workspace:
        again = _guard(out, asked, inputs, overwrite=settings.overwrite)
        placed.clear(workspace, placed.before(workspace, COLLECTED), "collection")
        placed.begin(workspace, COLLECTED)
        results = results_of(parts)
        done = replace(_collect(parts, known, config, workspace, settings), results=results)
        _tell(workspace, done)
        files = [LABELLED, FINDINGS, *([AGREEMENT] if done.agreement else [])]
        files += [CORRECTIONS] if done.corrections else []
        files += [str(taken.path.relative_to(out)) for taken in done.labels]
        write_manifest(out, kind="collect", version=__version__, config=asked, inputs=inputs, files=files)
    if results is not None and not again:
        folders, labelled = [path.name for path in handoffs], [taken.case_id for taken in done.labels]
        note(results, settings.progress, action="collect", folder=out.name, handoffs=folders, labelled=labelled)
    return done


def _outside(out: Path, parts: Sequence[Part]) -> None:
    """Raise UsageError where ``out`` lies in a hand-off: its label maps would be taken for returned ones."""
    for part in parts:
        if out.resolve().is_relative_to(part.trail.folder.resolve()):
            raise UsageError(f"--out {out} lies in the hand-off {part.trail.folder}; choose a folder outside of it")


def _tell(workspace: Workspace, done: Collected) -> None:
    """Keep what was written; label maps that somebody corrects afterwards are no longer ours to replace."""
    maps = [path for place in (LABELS, "Dataset*/labelsTr") for path in workspace.out.glob(f"{place}/*.nii.gz")]
    editable = {str(path.relative_to(workspace.out)): file_sha256(path) for path in maps}
    told = {"results": None if done.results is None else str(done.results.absolute())}
    placed.tell(workspace, COLLECTED, told, editable=editable)


def _collect(
    parts: Sequence[Part], known: Mapping[str, int], config: CollectConfig, workspace: Workspace, settings: Settings
) -> Collected:
    out = workspace.out
    ranks = _ranks(parts)
    source = source_of(parts, Run(workspace, settings))
    empty = {"allow_empty": config.allow_empty, "confirm_empty": config.confirm_empty}
    drawn, lost = drawn_maps(parts, known, source, workspace, **empty)
    found = examined_maps(drawn, settings)
    examined, corrections = judged(parts, drawn, found, known, confirmed=config.confirm_untouched)
    usable: dict[str, dict[str, Drawn]] = {}
    for item, result in zip(drawn, examined, strict=True):
        if result.usable:
            usable.setdefault(item.case_id, {})[item.reader] = item
    values = {(d.case_id, d.reader): e.values for d, e in zip(drawn, examined, strict=True)}
    classes = dict(known) or {f"class {v}": v for v in sorted({v for key in keys_of(usable) for v in values[key]})}
    findings = [*lost, *about_parts(parts), *about_missing(parts, usable)]
    findings += [one for result in examined for one in result.findings]
    marks = marks_of(parts, classes)
    agreement = _compared(usable, classes, marks, settings.progress)
    labels = standing(usable, values, ranks, config.consensus, out, marks=marks)
    dataset, why_not = write_training_set(
        labels, parts, source, classes, out, ignore=None if marks is None else marks.final
    )
    atomic_write(out / LABELLED, labelled_table(labels, ranks, out))
    write_findings(out / FINDINGS, findings)
    if agreement:
        atomic_write(out / AGREEMENT, agreement_table(agreement))
    if corrections:
        atomic_write(out / CORRECTIONS, corrections_table(corrections))
    kept = read_findings(out / FINDINGS)
    return Collected(out, tuple(ranks), labels, kept, agreement, classes, dataset, why_not, None, corrections)


def _classes(parts: Sequence[Part], config: CollectConfig) -> dict[str, int]:
    """Return the class list to check against; empty where none is known.

    Raises
    ------
    UsageError : hand-offs with different lists, and none given.
    """
    if config.classes:
        return dict(config.classes)
    lists = [dict(part.trail.classes) for part in parts if part.trail.classes]
    if any(other != lists[0] for other in lists[1:]):
        raise UsageError("the hand-offs have different class lists; say which counts with --classes NAME=VALUE,…")
    return lists[0] if lists else {}


def _inputs(parts: Sequence[Part]) -> dict[str, str]:
    """Return the content of every label map that came back, by reader and scan."""
    return {
        f"{part.reader}: {case_id}": _content(found.path)
        for part in parts
        for case_id, found in part.returned.labels.items()
        if found.path is not None
    }


def _content(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return "unreadable"


def _guard(out: Path, asked: Mapping[str, Any], inputs: Mapping[str, str], *, overwrite: bool) -> bool:
    """Tell whether ``out`` holds this very collection.  Raises UsageError where it holds another one."""
    manifest = read_manifest(out)
    if manifest is None:
        return False
    changed = [*differences(manifest.config, asked), *moved_inputs(manifest.inputs, inputs, "label map")]
    if changed and not overwrite:
        raise refusal(out, changed)
    return not changed


def _ranks(parts: Sequence[Part]) -> dict[str, int]:
    """Return the rank of every scan that was handed over, in rank order."""
    ranks = {step.case_id: step.rank for part in parts for step in part.trail.steps}
    return dict(sorted(ranks.items(), key=lambda pair: (pair[1], pair[0])))


def _compared(
    usable: Mapping[str, Mapping[str, Drawn]], classes: Mapping[str, int], marks: Marks | None, progress: Progress
) -> tuple[Agreement, ...]:
    shared = {case_id: by_reader for case_id, by_reader in usable.items() if len(by_reader) > 1}
    if not shared:
        return ()
    rows: list[Agreement] = []
    progress.start("Comparing readers", len(shared))
    for case_id, by_reader in sorted(shared.items()):
        copies = {reader: item.copy for reader, item in by_reader.items()}
        rows.extend(compare(case_id, copies, classes, ignore=None if marks is None else marks.came))
        progress.advance(1, case_id)
    progress.finish()
    return tuple(rows)


def require_labels(done: Collected) -> None:
    """Raise DataError where nothing came back that could be taken."""
    if not done.labels:
        raise DataError(
            f"no label map of the {len(done.asked)} scans could be taken; {done.out / FINDINGS} says for each what was "
            "found and what to do"
        )
