"""Labels came back → the next scans: train, predict the rest of the pool, choose by a query rule, go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.handoff.names import safe_names
from firstscan.segmentation.dataset import ENDING
from firstscan.segmentation.unet.segmenter import Unet
from firstscan.selection.amend import ROUNDS
from firstscan.selection.queries.measures import VERSION, Aggregate, CaseMeasures
from firstscan.selection.queries.registry import DEFAULT_RULE, rule_class
from firstscan.selection.queries.rounds import next_round
from firstscan.steps.annotating.predicted import PREDICTIONS
from firstscan.steps.annotating.tool_folder import all_linkable
from firstscan.steps.measuring.index import index
from firstscan.steps.reporting.report import STORY
from firstscan.steps.running.batch_config import Scalar
from firstscan.steps.running.config import Config
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
from firstscan.store import file_sha256, identity, load_json, open_workspace

from .ensemble import Labelled, train_members, with_modality
from .labelled_scans import came_labelled
from .predicted import check_class_order, grids_of, keep_label_maps
from .predictions import ByModel, ByOthers, Source, find_predictions, measured_pool


class NextConfig(Config):
    """Another round: ``labels`` came back (a folder of label maps, or what ``firstscan collect`` made), ``more`` scans.

    ``rule`` chooses them, with parameters ``option`` and ``seed``; ``aggregate`` says which voxels stand for a scan
    (None: the predicted foreground, for rules that ask). ``members`` networks are trained from several seeds, ``steps``
    training steps each (None: the segmenter's); ``predictions`` is a folder of another program's probability maps,
    which takes their place. ``classes`` names the label values where nothing beside the labels does.
    """

    labels: Path
    more: int = Field(ge=1)
    rule: str = DEFAULT_RULE
    aggregate: Aggregate | None = None
    members: int = Field(default=3, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seed: int = Field(default=42, ge=0, lt=2**32)
    predictions: Path | None = None
    classes: Mapping[str, int] = Field(default_factory=dict)
    option: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    def rule_options(self) -> dict[str, Any]:
        """Return the parameters of the rule.

        Raises
        ------
        UsageError : an unknown rule or parameter, or an aggregation for a rule that averages no voxels.
        """
        kind = rule_class(self.rule)
        known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
        options = dict(self.option)
        if self.aggregate is not None:
            if "aggregate" not in known:
                raise UsageError(f"--aggregate: rule {self.rule} averages no voxels; leave it out")
            options["aggregate"] = self.aggregate
        if unknown := sorted(set(options) - known):
            valid = f"its options are {', '.join(sorted(known))}" if known else "it has no options"
            raise UsageError(f"rule {self.rule!r} has no option {', '.join(map(repr, unknown))}; {valid}")
        kind(**options)
        return options


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
    if config.predictions is None:
        _require_members(config)
    require_folder(out)
    with open_workspace(out) as workspace:
        run = Run(workspace, settings)
        batch = read_batch(out)
        last = batch.manifest.config.get(AMENDMENTS, [{}])[-1]
        labelled, findings = came_labelled(batch, config.labels, config.classes, key_of(out))
        if "next" in last and last["key"] == _key(config, labelled, batch.selection.case_ids[: last["before"]]):
            return NextRound(out, batch.selection, last["next"], findings, already=True)
        key = _key(config, labelled, batch.selection.case_ids)
        _require_room(batch, labelled, config.more)
        pool = with_modality(
            index(scans_of(out), known_headers(run, *folders_behind(out)), key_file(out)).only(batch.features.case_ids),
            _modalities(workspace.work / STORY),
        )
        _require_scans(pool, batch, labelled)
        source, absent = _source(run, config, labelled, pool, batch)
        open_ids = _open(batch, labelled)
        measures, failed = measured_pool(run, source, open_ids)
        _require_left(open_ids, failed, config.more)
        selection = _chosen(batch, config, options, measures, labelled=labelled, failed=failed)
        told = _told(config, labelled, absent, failed)
        selection = _with_told(selection, told)
        pending = [i for i in selection.case_ids if i not in labelled.labels and i in pool and source.covers(i)]
        lost = keep_label_maps(run, source, _targets(out, pending, pool), selection)
        entry = {
            "next": config.more,
            "key": key,
            "before": len(batch.selection),
            "rule": config.rule,
            "labelled": sorted(labelled.labels),
        }
        write_batch(run, batch, selection, entry)
    return NextRound(out, selection, config.more, (*findings, *failed, *lost))


def _require_members(config: NextConfig) -> None:
    least = getattr(rule_class(config.rule), "least_members", 1)
    if config.members < least:
        raise UsageError(f"--members {config.members}: rule {config.rule} needs at least {least} members to compare")


def _key(config: NextConfig, labelled: Labelled, before: tuple[str, ...]) -> str:
    asked = {k: v for k, v in config.resolved().items() if k not in {"labels", "predictions"}}
    given = None
    if config.predictions is not None:
        files = sorted(p for p in config.predictions.rglob("*") if p.is_file())
        given = [[p.relative_to(config.predictions).as_posix(), file_sha256(p)] for p in files]
    return identity(__version__, VERSION, asked, dict(labelled.hashes), labelled.ignore, list(before), given)


def _open(batch: Batch, labelled: Labelled) -> list[str]:
    """Return the scans that can be picked: not labelled, not a pick already, neither excluded nor vetoed."""
    gone = {entry["removed"] for entry in batch.selection.diagnostics.get("replacements", ())}
    closed = {
        *batch.config.labelled,
        *batch.config.exclude,
        *labelled.labels,
        *batch.selection.case_ids,
        *batch.selection.diagnostics.get(VETOED, {}),
        *gone,
    }
    return sorted(set(batch.features.case_ids) - closed)


def _require_room(batch: Batch, labelled: Labelled, more: int) -> None:
    left = len(_open(batch, labelled))
    if more > left:
        remedy = "Ask for fewer, or add scans." if left else "The pool is used up: add scans."
        raise DataError(f"--more {more}: only {left} scan(s) are left to add. {remedy}")


def _require_left(open_ids: list[str], failed: tuple[Finding, ...], more: int) -> None:
    if len(open_ids) - len(failed) < more:
        raise DataError(
            f"--more {more}: {len(failed)} of the {len(open_ids)} scans that are left could not be predicted. "
            f"{failed[0].case_id}: {failed[0].message}"
        )


def _require_scans(pool: Pool, batch: Batch, labelled: Labelled) -> None:
    gone = [i for i in (*labelled.labels, *_open(batch, labelled)) if i not in pool]
    if gone:
        raise DataError(
            f"{len(gone)} scan(s) of the batch are not where they were: {', '.join(gone[:5])}; bring them back to "
            f"{pool.source}"
        )


def _source(
    run: Run, config: NextConfig, labelled: Labelled, pool: Pool, batch: Batch
) -> tuple[Source, tuple[str, ...]]:
    """Return where predictions come from, and the classes that no label map holds."""
    if config.predictions is not None:
        wanted = _open(batch, labelled)
        files = find_predictions(config.predictions, {*wanted, *labelled.labels, *batch.selection.case_ids})
        missing = [i for i in wanted if i not in files]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(wanted)} scans that are left have no prediction in {config.predictions}: "
                f"{', '.join(missing[:5])}; predict them, or leave --predictions out"
            )
        grids = grids_of(pool.only(files), batch.features)
        ordered = dict(sorted(labelled.classes.items(), key=lambda kv: kv[1]))
        others = ByOthers(files, grids, ordered)
        return others, check_class_order(others, labelled)
    unet = Unet(**({} if config.steps is None else {"iterations": config.steps}), device=_device(run.settings.device))
    unet.check()
    contents = {case.case_id: _content(batch, case.case_id, case.paths) for case in pool}
    seeds = [int(identity(config.seed, "member", m), 16) % 2**31 for m in range(config.members)]
    trained = train_members(run, labelled, pool, contents, unet, seeds=seeds)
    as_stored = all_linkable(pool.only(labelled.labels))
    source = ByModel(trained.models, unet, pool, as_stored, trained.classes, contents, trained.networks)
    return source, trained.absent


def _device(asked: str) -> Any:
    return asked if asked == "cuda" else "cpu"


def _content(batch: Batch, case_id: str, paths: tuple[str, ...]) -> str:
    """Return what a scan's voxels depend on: what was read then, and whether its files were touched since."""
    stats = [Path(p).stat() for p in paths]
    return identity(batch.manifest.inputs.get(case_id, ""), [[s.st_size, s.st_mtime_ns] for s in stats])


def _chosen(
    batch: Batch,
    config: NextConfig,
    options: Mapping[str, Any],
    measures: Mapping[str, CaseMeasures],
    *,
    labelled: Labelled,
    failed: tuple[Finding, ...],
) -> Selection:
    ids = batch.features.case_ids
    with_labels = tuple(dict.fromkeys((*batch.config.labelled, *labelled.labels)))
    known = batch.config.model_copy(update={"labelled": with_labels})
    unusable = [*batch.selection.diagnostics.get(VETOED, {}), *(f.case_id for f in failed)]
    number = len(batch.selection.diagnostics.get(ROUNDS, ()))
    return next_round(
        batch.selection,
        batch.used,
        measures,
        config.more,
        config.rule,
        seed=int(identity(config.seed, "next", number), 16) % 2**32,
        constraints=constraints_of(known, ids, unusable),
        **options,
    )


def _told(
    config: NextConfig, labelled: Labelled, absent: tuple[str, ...], failed: tuple[Finding, ...]
) -> dict[str, Any]:
    return {
        "labels": len(labelled.labels),
        "classes": dict(labelled.classes),
        "classes_absent": list(absent),
        "model": "predictions of another program" if config.predictions is not None else "unet",
        "steps": config.steps,
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
