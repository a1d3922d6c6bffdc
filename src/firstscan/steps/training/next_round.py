"""Labels came back → the next scans: train, predict the rest of the pool, choose by a query rule, go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.handoff.names import safe_names
from firstscan.segmentation.dataset import ENDING
from firstscan.selection.amend import ROUNDS
from firstscan.selection.queries.measures import VERSION, CaseMeasures
from firstscan.selection.queries.rounds import next_round
from firstscan.steps.annotating.predicted import PREDICTIONS
from firstscan.steps.measuring.index import index
from firstscan.steps.reporting.report import STORY
from firstscan.steps.running.headers import known_headers
from firstscan.steps.running.identity import key_file, key_of
from firstscan.steps.running.origin import folders_behind, scans_of
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.steering.amend import (
    AMENDMENTS,
    VETOED,
    Batch,
    constraints_of,
    read_batch,
    require_folder,
    write_batch,
)
from firstscan.store import identity, load_json, open_workspace

from .candidates import open_ids, require_left, require_room, require_scans
from .ensemble import Labelled, with_modality
from .labelled_scans import came_labelled
from .next_config import NextConfig
from .predicted import keep_label_maps
from .predictions import measured_pool
from .sliced_round import scans_to_add, with_plan
from .sources import Standing, Wanted, wanted_source


@dataclass(frozen=True)
class NextRound:
    """The grown batch, how many picks are new, and what was said of scans and labels; ``already``: nothing was done."""

    out: Path
    selection: Selection
    added: int
    findings: tuple[Finding, ...] = ()
    already: bool = False


def run_next(out: Path, config: NextConfig, settings: Settings) -> NextRound:
    """Add picks to the results in ``out`` by what a model is unsure of; the earlier ones stay.

    The same command goes on where it was interrupted, and does nothing once it is done. Networks, measures and label
    maps are kept in ``out/work``; predictions of all picks without a label go to ``out/predictions``, for a hand-off.

    Raises
    ------
    UsageError : no results there, an unknown rule or option, labels of scans that are not in the pool.
    DataError : labels or predictions that do not serve, or fewer scans left than asked for.
    """
    options = config.rule_options()
    wanted = wanted_source(config, settings)
    wanted.require_members(config.rule)
    require_folder(out)
    with open_workspace(out) as workspace:
        run = Run(workspace, settings)
        batch = read_batch(out)
        last = batch.manifest.config.get(AMENDMENTS, [{}])[-1]
        labelled, findings = came_labelled(batch, config.labels, config.classes, key_of(out))
        if "next" in last and last["key"] == _key(config, wanted, labelled, batch.selection.case_ids[: last["before"]]):
            return NextRound(out, batch.selection, last["next"], findings, already=True)
        key = _key(config, wanted, labelled, batch.selection.case_ids)
        left = open_ids(batch, labelled)
        require_room(len(left), config.more or 1)
        more, unplanned = scans_to_add(config, batch, left)
        require_room(len(left) - len(unplanned), more)
        pool = with_modality(
            index(scans_of(out), known_headers(run, *folders_behind(out)), key_file(out)).only(batch.features.case_ids),
            _modalities(workspace.work / STORY),
        )
        require_scans(pool, batch, labelled)
        standing = Standing(run, labelled, pool, batch)
        source, absent = wanted.made(standing)
        measures, failed = measured_pool(run, source, left)
        gone = (*failed, *unplanned)
        require_left(left, gone, more)
        grown = _chosen(batch, config, options, measures, labelled=labelled, unusable=gone, more=more)
        selection = with_plan(
            _with_told(grown, _told(config, wanted, labelled, absent, failed)), batch, config, measures
        )
        pending = [i for i in selection.case_ids if i not in labelled.labels and i in pool and source.covers(i)]
        lost = keep_label_maps(run, source, _targets(out, pending, pool), selection)
        entry = {
            "next": more,
            "key": key,
            "before": len(batch.selection),
            "rule": config.rule,
            "labelled": sorted(labelled.labels),
        }
        write_batch(run, batch, selection, entry, planned=config.slicing is not None)
    return NextRound(out, selection, more, (*findings, *unplanned, *failed, *lost))


def _key(config: NextConfig, wanted: Wanted, labelled: Labelled, before: tuple[str, ...]) -> str:
    asked = {k: v for k, v in config.resolved().items() if k not in {"labels", "predictions", "model"}}
    return identity(__version__, VERSION, asked, dict(labelled.hashes), labelled.ignore, list(before), wanted.given())


def _chosen(
    batch: Batch,
    config: NextConfig,
    options: Mapping[str, Any],
    measures: Mapping[str, CaseMeasures],
    *,
    labelled: Labelled,
    unusable: tuple[Finding, ...],
    more: int,
) -> Selection:
    ids = batch.features.case_ids
    with_labels = tuple(dict.fromkeys((*batch.config.labelled, *labelled.labels)))
    known = batch.config.model_copy(update={"labelled": with_labels})
    closed = [*batch.selection.diagnostics.get(VETOED, {}), *(f.case_id for f in unusable)]
    number = len(batch.selection.diagnostics.get(ROUNDS, ()))
    return next_round(
        batch.selection,
        batch.used,
        measures,
        more,
        config.rule,
        seed=int(identity(config.seed, "next", number), 16) % 2**32,
        constraints=constraints_of(known, ids, closed),
        **options,
    )


def _told(
    config: NextConfig, wanted: Wanted, labelled: Labelled, absent: tuple[str, ...], failed: tuple[Finding, ...]
) -> dict[str, Any]:
    return {
        "labels": len(labelled.labels),
        "classes": dict(labelled.classes),
        "classes_absent": list(absent),
        "model": wanted.name,
        "steps": config.steps,
        **(
            {} if config.slicing is None else {"slices_by": config.slices_by, "slice_aggregate": config.slice_aggregate}
        ),
        "not_predicted": {f.case_id: f.message for f in failed},
    }


def _with_told(selection: Selection, told: Mapping[str, Any]) -> Selection:
    rounds = [*selection.diagnostics[ROUNDS]]
    rounds[-1] = {**rounds[-1], **told}
    return replace(selection, diagnostics={**selection.diagnostics, ROUNDS: rounds})


def _targets(out: Path, case_ids: Sequence[str], pool: Pool) -> dict[str, Path]:
    names = safe_names(pool.case_ids)
    return {i: out / PREDICTIONS / f"{names[i]}{ENDING}" for i in case_ids}


def _modalities(story: Path) -> Mapping[str, str]:
    return dict(load_json(story).get("modalities", {})) if story.is_file() else {}
