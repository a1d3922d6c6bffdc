"""Labels came back → the next scans: train, predict the rest of the pool, choose by a query rule, go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.handoff.names import safe_names
from firstscan.segmentation.dataset import ENDING
from firstscan.selection.amend import ROUNDS
from firstscan.selection.queries.measures import VERSION, Aggregate, CaseMeasures
from firstscan.selection.queries.registry import DEFAULT_RULE, rule_class
from firstscan.selection.queries.rounds import next_round
from firstscan.steps.annotating.predicted import PREDICTIONS
from firstscan.steps.measuring.index import index
from firstscan.steps.reporting.report import STORY
from firstscan.steps.running.config import Config, Scalar
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
from .predicted import keep_label_maps
from .predictions import measured_pool
from .sources import Standing, Wanted, wanted_source


class NextConfig(Config):
    """Another round: ``labels`` came back (a folder of label maps, or what ``firstscan collect`` made), ``more`` scans.

    ``rule`` chooses them, with parameters ``option`` and ``seed``; ``aggregate`` says which voxels stand for a scan
    (None: the predicted foreground, for rules that ask). ``members`` networks are trained from several seeds, ``steps``
    training steps each (None: the segmenter's); with ``segmenter`` nnunet they are its folds. ``setting`` holds
    settings of the segmenter. A ``model`` or several that were trained before take their place, or ``predictions``, a
    folder of another program's probability maps. ``classes`` names the label values where nothing beside the labels
    does.
    """

    labels: Path
    more: int = Field(ge=1)
    rule: str = DEFAULT_RULE
    aggregate: Aggregate | None = None
    members: int = Field(default=3, ge=1)
    steps: int | None = Field(default=None, ge=1)
    seed: int = Field(default=42, ge=0, lt=2**32)
    segmenter: Literal["unet", "nnunet"] = "unet"
    setting: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)
    model: tuple[Path, ...] = ()
    predictions: Path | None = None
    classes: Mapping[str, int] = Field(default_factory=dict)
    option: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> NextConfig:
        if self.model and self.predictions is not None:
            raise ValueError("--model and --predictions: one of them predicts; leave the other out")
        place = "--model" if self.model else "--predictions" if self.predictions is not None else None
        trained = {"segmenter": self.segmenter != "unet", "setting": bool(self.setting), "steps": self.steps}
        given = next((name for name, value in trained.items() if value), None)
        if place is not None and given is not None:
            raise ValueError(f"--{given} is about training, and with {place} nothing is trained; leave one of them out")
        if self.steps is not None and self.segmenter == "nnunet":
            raise ValueError("--steps is about unet; for nnunet say --setting epochs=N")
        if self.steps is not None and "iterations" in self.setting:
            raise ValueError("--steps and --setting iterations say the same; leave one of them out")
        return self

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
        require_room(batch, labelled, config.more)
        pool = with_modality(
            index(scans_of(out), known_headers(run, *folders_behind(out)), key_file(out)).only(batch.features.case_ids),
            _modalities(workspace.work / STORY),
        )
        require_scans(pool, batch, labelled)
        left = open_ids(batch, labelled)
        source, absent = wanted.made(Standing(run, labelled, pool, batch))
        measures, failed = measured_pool(run, source, left)
        require_left(left, failed, config.more)
        selection = _chosen(batch, config, options, measures, labelled=labelled, failed=failed)
        told = _told(config, wanted, labelled, absent, failed)
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
    config: NextConfig, wanted: Wanted, labelled: Labelled, absent: tuple[str, ...], failed: tuple[Finding, ...]
) -> dict[str, Any]:
    return {
        "labels": len(labelled.labels),
        "classes": dict(labelled.classes),
        "classes_absent": list(absent),
        "model": wanted.name,
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
