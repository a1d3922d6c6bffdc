"""Results folder → hand-off folder, for one reader or several; what was handed over is noted in the results."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.names.pseudonyms import Pseudonyms
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.handoff.dealing import deal
from firstscan.handoff.material import Handed
from firstscan.handoff.registry import writer
from firstscan.handoff.trail import write_trail
from firstscan.steps.measuring.index import index
from firstscan.steps.reporting.written import current
from firstscan.steps.running.carried import note
from firstscan.steps.running.config import IndexConfig
from firstscan.steps.running.headers import known_headers
from firstscan.steps.running.history import HANDOFF
from firstscan.steps.running.identity import in_neutral, key_file, key_of
from firstscan.steps.running.origin import folders_behind, scans_of
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.selecting.slicing import write_slices
from firstscan.store import (
    Manifest,
    Workspace,
    atomic_write,
    file_sha256,
    identity,
    open_workspace,
    read_manifest,
    write_manifest,
)
from firstscan.store.slice_plans import slices_table

from . import owned_files as placed
from .label_maps import labels_of, read_ignore
from .prefilled import ignore_of
from .prelabel import classes_predicted, prelabels, set_aside, with_word
from .tool_folder import HandoffConfig, classes_of, handoff

PLACED = "handoff.json"
"""In ``work``: what a hand-off wrote and where it came from; ``null`` while it is being written."""
READERS = "readers.csv"


@dataclass(frozen=True)
class Asked:
    """One hand-off as it was asked for: the picks to hand over, dealt to readers (one, nameless, by default)."""

    config: HandoffConfig
    selection: Selection
    parts: Mapping[str, Selection]
    labels: Mapping[str, str]
    predicted: Mapping[str, str] = field(default_factory=dict)
    """The label maps among ``labels`` that are predictions."""

    @property
    def plain(self) -> dict[str, Any]:
        """What makes it this hand-off and no other."""
        config = self.config
        return {
            "target": config.target,
            "name": config.name,
            "files": config.files,
            "classes": dict(config.classes),
            "readers": config.readers,
            "overlap": config.overlap,
            "picks": list(self.selection.case_ids),
            **({"prelabel": sorted(self.predicted)} if config.prelabel else {}),
            **({} if self.selection.slices is None else {"slices": identity(slices_table(self.selection.slices))}),
        }


def run_handoff(
    selected: Path, config: HandoffConfig, out: Path, settings: Settings, *, scans: IndexConfig | None = None
) -> Handed:
    """Hand off the selection of a results folder; a hand-off that is complete is left as it is.

    ``out`` is new, empty, or holds an earlier hand-off. Whatever else lies in it, such as label maps drawn since, is
    never removed. ``scans`` says where the scans are, if the results do not.

    Raises
    ------
    UsageError : no selection there, or not where its scans are; ``out`` in use; a dealing that cannot be.
    DataError : scans or labels that do not serve.
    """
    scans = scans or scans_of(selected)
    key = key_of(selected)
    config = config.model_copy(update={"without": in_neutral(config.without, key)})
    asked = _asked(current(selected, settings), config, selected, key)
    inputs = {case_id: file_sha256(Path(path)) for case_id, path in asked.labels.items()}
    placed.refuse_foreign(out, PLACED, "hand-off")
    with open_workspace(out) as workspace:
        told = placed.before(workspace, PLACED)
        same = _same(out, read_manifest(out), told, asked, inputs, overwrite=settings.overwrite)
        if told is not None and same:
            return Handed(config.target, out / told["open_this"], told["message"])
        placed.clear(workspace, told, "hand-off")
        headers = known_headers(Run(workspace, settings), *folders_behind(selected))
        pool = index(scans, headers, key_file(selected))
        placed.begin(workspace, PLACED)
        handed = _write(workspace, asked, pool)
        told = {
            "open_this": str(handed.open_this.relative_to(out.absolute())),
            "message": handed.message,
            **_came_from(selected, scans, out, key),
        }
        given = {str(i.given.relative_to(out.absolute())): file_sha256(i.given) for i in handed.items if i.given}
        files = placed.tell(workspace, PLACED, told, editable=given)
        kept = [str(p.relative_to(out)) for p in files if not p.is_symlink() and not p.name.endswith(".nii.gz")]
        write_manifest(out, kind="handoff", version=__version__, config=asked.plain, inputs=inputs, files=kept)
    readers = {name: list(part.case_ids) for name, part in asked.parts.items()}
    note(selected, settings.progress, HANDOFF, target=config.target, folder=out.name, readers=readers)
    return replace(handed, open_this=out / told["open_this"])


def _asked(selection: Selection, config: HandoffConfig, results: Path, key: Pseudonyms | None) -> Asked:
    writer(config.target)
    left_out = frozenset(config.without)
    picks = tuple(pick for pick in selection.picks if pick.case_id not in left_out)
    if not picks:
        raise UsageError(f"--without names every one of the {len(selection)} picks: nothing is left to hand over")
    chosen = replace(selection, picks=picks, budget=len(picks))
    alone = config.readers == 1 and not config.overlap
    parts = {"": chosen} if alone else deal(chosen, config.readers, config.overlap)
    labels = labels_of(config.labels, chosen.case_ids, key) if config.labels else {}
    predicted = prelabels(results, config, chosen.case_ids, labels) if config.prelabel else {}
    return Asked(config, chosen, parts, {**labels, **predicted}, predicted)


def _came_from(selected: Path, scans: IndexConfig, out: Path, key: Pseudonyms | None) -> dict[str, Any]:
    """Return how a collection finds back: with neutral names without a word of where the scans are."""
    if key is not None:
        return {"results": os.path.relpath(selected.absolute(), out.absolute())}
    return {"results": str(selected.absolute()), "scans": scans.resolved()}


def _same(
    out: Path,
    manifest: Manifest | None,
    told: Mapping[str, Any] | None,
    asked: Asked,
    inputs: Mapping[str, str],
    *,
    overwrite: bool,
) -> bool:
    """Tell whether ``out`` holds this hand-off complete.  Raises UsageError where it holds another one."""
    if manifest is None or told is None:
        return False
    same = identity(manifest.config, manifest.inputs) == identity(asked.plain, inputs)
    if not same and not overwrite:
        raise UsageError(f"{out} holds another hand-off; choose another --out, or add --overwrite to replace it")
    return same and all((out / name).exists() for name in told["placed"])


def _write(workspace: Workspace, asked: Asked, pool: Pool) -> Handed:
    out, config = workspace.out.absolute(), asked.config
    named = classes_of(config, asked.labels) or (classes_predicted(asked.predicted) if asked.predicted else {})
    marked = read_ignore(config.labels) if config.labels else None
    made = {}
    for reader, part in asked.parts.items():
        folder = out / reader if reader else out
        folder.mkdir(exist_ok=True)
        labels = {case_id: path for case_id, path in asked.labels.items() if case_id in part.case_ids}
        predicted = asked.predicted.keys()
        made[reader] = handoff(
            part, pool, config, folder, labels=labels, classes=named, ignore=marked, predicted=predicted
        )
        copies = set_aside(folder, made[reader], predicted)
        modalities = {case.case_id: str(case.metadata.get("modality") or "") for case in pool.only(part.case_ids)}
        plan = None if part.slices is None else part.slices.only(part.case_ids)
        fresh = ignore_of(named or ({"target": 1} if config.target == "nnunet" else {}))
        ignore = None if plan is None else fresh if marked is None else marked
        write_trail(
            folder,
            made[reader],
            classes=named,
            modalities=modalities,
            reader=reader,
            plan=plan,
            ignore=ignore,
            predictions=copies,
        )
        write_slices(folder, plan)
    if "" in made:
        return with_word(made[""], asked.predicted)
    atomic_write(out / READERS, readers_table(asked.selection, asked.parts))
    dealt = ", ".join(f"{reader} ({len(part)})" for reader, part in asked.parts.items())
    shared = f"; the first {config.overlap} go to everyone" if config.overlap else ""
    message = f"A folder a reader: {dealt}{shared}. {next(iter(made.values())).message}"
    handed = Handed(config.target, out, message, tuple(item for one in made.values() for item in one.items))
    return with_word(handed, asked.predicted)


def readers_table(selection: Selection, parts: Mapping[str, Selection]) -> str:
    """Return who reads what as CSV: case_id, rank, readers (several are parted by semicolons)."""
    text = io.StringIO(newline="")
    writer_ = csv.writer(text, lineterminator="\n")
    writer_.writerow(("case_id", "rank", "readers"))
    for pick in sorted(selection.picks, key=lambda p: p.rank):
        given = [reader for reader, part in parts.items() if pick.case_id in part.case_ids]
        writer_.writerow((pick.case_id, pick.rank, ";".join(given)))
    return text.getvalue()
