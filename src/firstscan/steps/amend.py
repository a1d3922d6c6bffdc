"""Change a finished batch: replace one pick, or add more; everything else stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.selection import Selection
from firstscan.selection import Constraints, Quota, adjust, replace_pick
from firstscan.selection import extend as more_picks
from firstscan.store import (
    Manifest,
    amending,
    load_json,
    open_workspace,
    read_features,
    read_findings,
    read_manifest,
    read_selection,
    write_manifest,
    write_selection,
)

from .config import PickConfig, parse_quota
from .results import FEATURES, REPORT, SELECTION
from .run import Run, Settings

AMENDMENTS = "amendments"
_KEPT = ("signal_audit", "adjusted_for")

Change = Callable[[Selection, FeatureTable, Constraints], Selection]


def replace(out: Path, case_id: str, why: str, settings: Settings) -> Selection:
    """Replace a pick of the results in ``out`` by the best substitute of its stratum; the log of it is kept.

    Raises
    ------
    UsageError : no results there, ``case_id`` is not a pick, or nothing can replace it.
    """

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

    def change(selection: Selection, features: FeatureTable, constraints: Constraints) -> Selection:
        taken = {*selection.case_ids, *constraints.exclude, *constraints.labelled}
        left = len(set(features.case_ids) - taken)
        if more > left:
            raise DataError(f"--more {more}: only {left} scan(s) are left to add. Ask for fewer, or add scans.")
        longer = more_picks(selection, features, more, constraints=constraints)
        kept = {k: selection.diagnostics[k] for k in _KEPT if k in selection.diagnostics}
        return changed(longer, diagnostics={**longer.diagnostics, **kept})

    entry = {"extend": more, **({"labelled": list(labelled)} if labelled else {})}
    return _amend(out, change, entry, settings)


def _amend(out: Path, change: Change, entry: dict[str, Any], settings: Settings) -> Selection:
    if not out.is_dir():
        raise UsageError(f"{out} is not a results folder of firstscan select or firstscan pick")
    with open_workspace(out) as workspace:
        manifest = read_manifest(out)
        if manifest is None or not {FEATURES, "selection.json"} <= set(manifest.files):
            raise UsageError(
                f"{out} holds no finished selection. Make one with: firstscan select SOURCE --budget B --out {out}"
            )
        config = PickConfig.of(**{k: v for k, v in manifest.config.items() if k in PickConfig.model_fields})
        features = read_features(out / FEATURES)
        used = adjust(features, config.adjust) if config.adjust else features
        entries = (*manifest.config.get(AMENDMENTS, ()), entry)
        labelled = [*config.labelled, *(i for given in entries for i in given.get("labelled", ()))]
        _require_known(entry.get("labelled", ()), features.case_ids, manifest)
        selection = change(read_selection(out), used, _constraints(config, labelled, features.case_ids))
        with amending(out, (*SELECTION, REPORT)):
            _write(Run(workspace, settings), selection, features, manifest, entry)
    return selection


def _require_known(labelled: Sequence[str], known: Sequence[str], manifest: Manifest) -> None:
    """Raise UsageError where a scan is named that was neither measured nor left out on purpose."""
    unknown = sorted(set(labelled) - set(known) - set(manifest.inputs))
    if unknown:
        raise UsageError(f"--labelled names {len(unknown)} case(s) that are not in the pool: {', '.join(unknown[:5])}")


def _constraints(config: PickConfig, labelled: Sequence[str], known: Sequence[str]) -> Constraints:
    ids = frozenset(known)
    return Constraints(
        exclude=tuple(i for i in config.exclude if i in ids and i not in labelled),
        labelled=tuple(dict.fromkeys(i for i in labelled if i in ids)),
        group_by=config.group_by,
        quotas=tuple(Quota(*parse_quota(text)) for text in config.quota),
        cost_column=config.cost_column,
        minutes=config.minutes,
    )


def _write(run: Run, selection: Selection, features: FeatureTable, manifest: Manifest, entry: dict[str, Any]) -> None:
    from .report import STORY, told, write_report

    out, kept = run.workspace.out, run.workspace.work / STORY
    story = told(load_json(kept), read_findings(out / "findings.csv")) if kept.is_file() else None
    paths = {} if story is None else {i: case.paths for i, case in story.cases.items()}
    write_selection(out, selection, paths, __version__)
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
