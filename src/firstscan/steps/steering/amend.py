"""Change a finished batch: replace one pick, or add more; everything else stays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.selection import Constraints, Quota, adjust, replace_pick
from firstscan.selection import extend as more_picks
from firstscan.steps.running.batch_config import PickConfig, parse_quota
from firstscan.steps.running.identity import in_neutral, key_of
from firstscan.steps.running.results import FEATURES, FINDINGS, REPORT, SELECTION, SLICES
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.selecting.slicing import as_chosen, replanned
from firstscan.steps.selecting.trust import with_pacing, with_signals
from firstscan.store import (
    Manifest,
    amending,
    atomic_write,
    dump_json,
    load_json,
    open_workspace,
    read_features,
    read_findings,
    read_manifest,
    read_selection,
    write_manifest,
    write_selection,
)

AMENDMENTS = "amendments"
VETOED = "vetoed"
"""The diagnostic that holds, by case id, why a scan must not come back into the batch."""
UNDER_WAY = "change.json"
"""In ``work`` while a change is made: what was asked for, so that a killed run's change is not made twice."""
KEPT = ("signal_audit", "adjusted_for", VETOED, "rounds")
"""Diagnostics that outlive a change of the batch."""

Change = Callable[[Selection, FeatureTable, Constraints], Selection]


def replace(out: Path, case_id: str, why: str, settings: Settings) -> Selection:
    """Replace a pick of the results in ``out`` by the best substitute of its stratum; the log of it is kept.

    Raises
    ------
    UsageError : no results there, ``case_id`` is not a pick, or nothing can replace it.
    """

    case_id = in_neutral((case_id,), key_of(out))[0] if out.is_dir() else case_id

    def change(selection: Selection, features: FeatureTable, constraints: Constraints) -> Selection:
        return replace_pick(selection, features, case_id, why=why, constraints=constraints)

    return _amend(out, change, {"replace": case_id, "why": why}, settings)


def extend(out: Path, more: int, settings: Settings, *, labelled: Sequence[str] = ()) -> Selection:
    """Add ``more`` picks to the results in ``out``; the earlier ones stay and count as annotated.

    ``labelled`` names scans besides them that are annotated already; those are never picked from here on.

    Raises
    ------
    UsageError : no results there, or ``labelled`` names a scan that is not in the pool.
    DataError : fewer scans are left than asked for.
    """

    if more < 1:
        raise UsageError(f"--more {more}: at least 1 scan has to be added")

    labelled = in_neutral(labelled, key_of(out)) if out.is_dir() else labelled

    def change(selection: Selection, features: FeatureTable, constraints: Constraints) -> Selection:
        taken = {*selection.case_ids, *constraints.exclude, *constraints.labelled}
        left = len(set(features.case_ids) - taken)
        if more > left:
            raise DataError(f"--more {more}: only {left} scan(s) are left to add. Ask for fewer, or add scans.")
        longer = with_signals(
            more_picks(selection, features, more, constraints=constraints), features, changed(constraints, exclude=())
        )
        kept = {k: selection.diagnostics[k] for k in KEPT if k in selection.diagnostics}
        return with_pacing(changed(longer, diagnostics={**longer.diagnostics, **kept}), features, constraints)

    entry = {"extend": more, **({"labelled": list(labelled)} if labelled else {})}
    return _amend(out, change, entry, settings)


@dataclass(frozen=True, eq=False)
class Batch:
    """A finished batch: how it was made, the ``features`` that were measured, and the ones it was ``used`` with."""

    manifest: Manifest
    config: PickConfig
    features: FeatureTable
    used: FeatureTable
    selection: Selection


def read_batch(out: Path) -> Batch:
    """Return the finished batch in ``out``.

    Raises
    ------
    UsageError : there is none.
    """
    manifest = read_manifest(out)
    if manifest is None or not {FEATURES, "selection.json"} <= set(manifest.files):
        raise UsageError(
            f"{out} holds no finished selection. Make one with: firstscan select SOURCE --budget B --out {out}"
        )
    told = {k: v for k, v in manifest.config.items() if k in PickConfig.model_fields}
    if isinstance(told.get("features"), str):  # firstscan 0.2 kept the fingerprint of the table under this name
        del told["features"]
    config = PickConfig.of(**told)
    named = (i for entry in manifest.config.get(AMENDMENTS, ()) for i in entry.get("labelled", ()))
    config = _with_labelled(config, named)
    features, selection = read_features(out / FEATURES), read_selection(out)
    used = adjust(features, config.adjust) if config.adjust else features
    config, used = as_chosen(config, used, selection)
    return Batch(manifest, config, features, used, selection)


def _require_known(labelled: Sequence[str], known: Sequence[str], manifest: Manifest) -> None:
    """Raise UsageError where a scan is named that was neither measured nor left out on purpose."""
    unknown = sorted(set(labelled) - set(known) - set(manifest.inputs))
    if unknown:
        raise UsageError(f"--labelled names {len(unknown)} case(s) that are not in the pool: {', '.join(unknown[:5])}")


def _with_labelled(config: PickConfig, named: Iterable[str]) -> PickConfig:
    """Return the settings with more scans that are annotated already."""
    return config.model_copy(update={"labelled": tuple(dict.fromkeys((*config.labelled, *named)))})


def constraints_of(config: PickConfig, known: Collection[str], exclude: Collection[str] = ()) -> Constraints:
    """Return the constraints of a batch among the scans ``known``, with ``exclude`` added to those left out."""
    ids = frozenset(known)
    labelled = tuple(i for i in config.labelled if i in ids)
    return Constraints(
        exclude=tuple(i for i in dict.fromkeys((*config.exclude, *exclude)) if i in ids and i not in labelled),
        labelled=labelled,
        group_by=config.group_by,
        quotas=tuple(Quota(*parse_quota(text)) for text in config.quota),
        cost_column=config.cost_column,
        minutes=config.minutes,
    )


def require_folder(out: Path) -> None:
    """Raise UsageError where ``out`` is no folder: a change must not make one."""
    if not out.is_dir():
        raise UsageError(f"{out} is not a results folder of firstscan select or firstscan pick")


def write_batch(run: Run, batch: Batch, selection: Selection, entry: dict[str, Any]) -> None:
    """Put ``selection`` in the place of the batch, in one step; ``entry`` goes into the manifest's log of changes.

    A plan by slice goes on: see :func:`firstscan.steps.selecting.slicing.replanned`.
    """
    selection = replanned(selection, batch.selection.slices, batch.features)
    with amending(run.workspace.out, (*SELECTION, SLICES, REPORT)):
        _write(run, selection, batch.features, batch.manifest, entry)


def _amend(out: Path, change: Change, entry: dict[str, Any], settings: Settings) -> Selection:
    require_folder(out)
    with open_workspace(out) as workspace:
        batch, done = read_batch(out), workspace.work / UNDER_WAY
        changes = batch.manifest.config.get(AMENDMENTS, ())
        asked = {"change": entry, "number": len(changes) + 1}
        if done.is_file() and load_json(done) == {**asked, "number": len(changes)} and changes[-1:] == [entry]:
            done.unlink()  # a run that was killed had made this very change, and nobody was told
            return batch.selection
        atomic_write(done, dump_json(asked))
        named = entry.get("labelled", ())
        _require_known(named, batch.features.case_ids, batch.manifest)
        config, vetoed = _with_labelled(batch.config, named), batch.selection.diagnostics.get(VETOED, {})
        selection = change(batch.selection, batch.used, constraints_of(config, batch.features.case_ids, vetoed))
        write_batch(Run(workspace, settings), batch, selection, entry)
        done.unlink()
    return selection


def _write(run: Run, selection: Selection, features: FeatureTable, manifest: Manifest, entry: dict[str, Any]) -> None:
    from firstscan.steps.reporting.report import STORY, told, write_report

    out, kept = run.workspace.out, run.workspace.work / STORY
    findings = read_findings(out / FINDINGS) if (out / FINDINGS).is_file() else ()
    story = told(load_json(kept), findings) if kept.is_file() else None
    neutral = key_of(out) is not None
    paths = {} if story is None else story.paths
    write_selection(out, selection, None if neutral else paths, __version__)
    if story is not None and REPORT in manifest.files:
        write_report(run, selection, features, story)
    write_manifest(
        out,
        kind=manifest.kind,
        version=manifest.version,
        config={**manifest.config, AMENDMENTS: [*manifest.config.get(AMENDMENTS, ()), entry]},
        inputs=manifest.inputs,
        files=manifest.files,
    )
