"""Feature table → selection."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from firstscan._version import __version__
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.features import FeatureTable
from firstscan.domain.finding import dropped_ids
from firstscan.domain.names.pseudonyms import Pseudonyms
from firstscan.domain.selection import Selection
from firstscan.execution import Progress
from firstscan.imaging.sources.tabular import columns_of, read_sheet
from firstscan.selection import Constraints, Quota, adjust
from firstscan.selection import select as choose
from firstscan.selection.checks import check_uncertainty
from firstscan.selection.history import begun
from firstscan.selection.registry import strategy_class
from firstscan.steps.measuring.covariates import with_columns
from firstscan.steps.running.batch_config import PickConfig, parse_quota
from firstscan.steps.running.identity import in_neutral, key_of, neutral_quota
from firstscan.steps.running.origin import known_scans, note_origin
from firstscan.steps.running.results import FEATURES, FINDINGS, finished, guard, selection_files
from firstscan.steps.running.run import Settings
from firstscan.store import (
    file_sha256,
    open_workspace,
    read_features,
    read_findings,
    read_manifest,
    read_selection,
    write_features,
    write_manifest,
    write_selection,
)

from .slice_findings import in_words, slice_findings
from .slicing import planned, settle
from .trust import with_pacing, with_trust

P = TypeVar("P", bound=PickConfig)


def pick(
    features: FeatureTable,
    config: PickConfig,
    left_out: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Selection:
    """Choose the batch, and say how far it can be trusted.

    Parameters
    ----------
    left_out : why a case is not in ``features``, by case id; such cases may be named in ``exclude`` and ``labelled``.

    Raises
    ------
    UsageError : unknown ids, strategy, column or options, impossible constraints.
    DataError : a budget above what is usable, an included case that cannot be used.
    """
    reasons = left_out or {}
    asked = settle(config, features.case_ids, features.covariates, features.geometry, reasons)
    wanted = asked.config
    check_request(wanted, features.case_ids, asked.columns, reasons)
    constraints = constraints_of(wanted, reasons)
    adjusted = adjust(features, config.adjust) if config.adjust else features
    used = replace(adjusted, covariates=asked.columns)
    options, groups = config.strategy_options(), config.features or None
    selection = choose(
        used, wanted.budget, config.strategy, config.seed, constraints=constraints, groups=groups, **options
    )
    selection = with_pacing(selection, used, constraints)
    trusted = with_trust(selection, used, config, constraints, progress)
    trusted = begun(trusted, pool=len(features), labelled=len(constraints.labelled))
    return planned(replace(trusted, features=adjusted), features, wanted, asked.refused)


def in_neutral_names(config: P, key: Pseudonyms | None) -> P:
    """Return the settings with scans and groups by their neutral names, if they have such."""
    if key is None:
        return config
    lists = {name: in_neutral(getattr(config, name), key) for name in ("exclude", "include", "labelled")}
    return config.model_copy(update={**lists, "quota": tuple(neutral_quota(text, key) for text in config.quota)})


def check_strategy(config: PickConfig, *, uncertain: bool = True) -> None:
    """Raise UsageError where the strategy does not exist or refuses its options: before any scan is read.

    ``uncertain``: uncertainty will be there.
    """
    kind = strategy_class(config.strategy)
    options = config.strategy_options()
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(options) - set(known))
    if unknown:
        valid = f"its options are {', '.join(known)}" if known else "it has no options"
        raise UsageError(f"strategy {config.strategy!r} has no option {', '.join(map(repr, unknown))}; {valid}")
    chooser = kind(**options)
    check_uncertainty(config.strategy, needed=chooser.needs_uncertainty(), measured=uncertain)


def check_request(
    config: PickConfig, usable: Collection[str], columns: Mapping[str, np.ndarray], left_out: Mapping[str, str]
) -> None:
    """Raise what is wrong with the ids, columns and size asked for, before anything expensive is done.

    Whether all constraints can hold together is found by a rehearsal: a random draw under the same constraints.
    """
    ids = frozenset(usable)
    check_names(config, ids, columns, left_out)
    require_room(config, ids, left_out)
    if ids and config.budget and (config.group_by or config.include or config.quota or config.minutes):
        rehearsal = FeatureTable(
            tuple(usable), np.arange(len(ids), dtype=np.float64)[:, None], np.zeros(len(ids)), covariates=columns
        )
        choose(rehearsal, config.budget, "random", config.seed, constraints=constraints_of(config, left_out))


def check_names(
    config: PickConfig, usable: Collection[str], columns: Collection[str], left_out: Mapping[str, str]
) -> None:
    """Raise where an option names a scan or a column that is not there: known as soon as the scans are indexed."""
    ids = frozenset(usable)
    for option in ("exclude", "include", "labelled"):
        unknown = [i for i in getattr(config, option) if i not in ids and i not in left_out]
        if unknown:
            like = difflib.get_close_matches(unknown[0], sorted(ids), n=1)
            hint = f" (do you mean {like[0]!r}?)" if like else ""
            raise UsageError(
                f"--{option} names {len(unknown)} case(s) that are not in the pool: {', '.join(unknown[:5])}{hint}"
            )
    lost = [i for i in config.include if i in left_out]
    if lost:
        raise DataError(
            f"--include names {lost[0]!r}, which cannot be used: {left_out[lost[0]]}. Repair the scan or take it off "
            "the list."
        )
    _require_columns(config, columns)


def constraints_of(config: PickConfig, left_out: Collection[str]) -> Constraints:
    """Return the conditions that a batch was asked to keep; ids that were left out anyway are not named in them."""
    return Constraints(
        exclude=tuple(i for i in config.exclude if i not in left_out),
        include=config.include,
        labelled=tuple(i for i in config.labelled if i not in left_out),
        group_by=config.group_by,
        quotas=tuple(Quota(*parse_quota(text)) for text in config.quota),
        cost_column=config.cost_column,
        minutes=config.minutes,
    )


def _require_columns(config: PickConfig, columns: Collection[str]) -> None:
    asked = {
        "group-by": config.group_by,
        "quota": [parse_quota(text)[0] for text in config.quota],
        "cost-column": [config.cost_column] if config.cost_column else [],
        "adjust": config.adjust,
    }
    for option, names in asked.items():
        missing = [c for c in names if c not in columns]
        if missing:
            known = ", ".join(sorted(columns)) or "none"
            raise UsageError(f"--{option} {missing[0]}: there is no such column; there are: {known}")


def require_room(config: PickConfig, ids: frozenset[str], left_out: Collection[str]) -> None:
    """Raise DataError where more scans are asked for than can be picked."""
    closed = ids & {*config.exclude, *config.labelled}
    free = len(ids) - len(closed)
    if config.budget is not None and config.budget > free:
        sliced = config.slicing is not None
        why = [f"{len(left_out)} of {len(ids) + len(left_out)} were left out, see findings.csv"] if left_out else []
        why += (
            [f"{len(closed)} are excluded{', too short to plan slices in,' * sliced} or labelled already"]
            if closed
            else []
        )
        because = f" ({'; '.join(why)})" if why else ""
        remedy = f"Ask for at most {free}, or add scans." if free else "Add scans, or shorten the lists of ids."
        raise DataError(f"--budget {config.budget}: only {free} scan(s) can be picked{because}. {remedy}")


def _with_table(features: FeatureTable, table: Path, folder: Path, progress: Progress) -> FeatureTable:
    """Return the features with a table's columns; what does not fit is said. ``folder``: where they were measured."""
    findings = read_findings(folder / FINDINGS) if (folder / FINDINGS).is_file() else ()
    columns = columns_of(read_sheet(table), features.case_ids, dropped_ids(findings))
    joined, replaced = with_columns(features, columns)
    for finding in (*columns.findings, *replaced):
        progress.say(f"Note: {finding.message}; {finding.remedy}")
    return joined


def run_pick(features_path: Path, config: PickConfig, out: Path, settings: Settings) -> tuple[Selection, FeatureTable]:
    """Pick from a feature table and write the selection; return both.

    In a results folder that ``firstscan extract`` made, the selection joins the features there.
    """
    check_strategy(config)
    features = read_features(features_path)
    file = features_path / FEATURES if features_path.is_dir() else features_path
    key = key_of(file.parent)
    config = in_neutral_names(config, key)
    plain = {**config.resolved(), "features_content": file_sha256(file)}
    if config.table is not None:
        if key is not None:
            raise UsageError(
                f"the scans of {file.parent} have neutral names, and a table would bring its own words in: give "
                "--table to firstscan select or firstscan extract instead, which take them in under neutral names"
            )
        if file.resolve() == (out / FEATURES).resolve():
            raise UsageError(f"--table adds columns to the features, and {out} holds those; choose another --out")
        features = _with_table(features, config.table, file.parent, settings.progress)
        plain["table_content"] = file_sha256(config.table)
    asked = settle(config, features.case_ids, features.covariates, features.geometry)
    check_request(asked.config, features.case_ids, asked.columns, {})
    with open_workspace(out):
        manifest = read_manifest(out)
        joins = manifest is not None and manifest.kind == "extract" and FEATURES in manifest.files
        if not (joins and file.resolve() == (out / FEATURES).resolve()):
            manifest = guard(out, "pick", plain, overwrite=settings.overwrite)
            if manifest is not None and finished(out, manifest, "pick", manifest.inputs):
                return read_selection(out), features
        selection = pick(features, config, progress=settings.progress)
        for line in in_words(slice_findings(selection, features)):
            settings.progress.say(f"Note: {line}")
        write_features(out / FEATURES, features)
        write_selection(out, selection, {} if key is None else None, __version__)
        if (scans := known_scans(file.parent)) is not None:
            note_origin(out, file.parent, scans)
        files = (FEATURES, *selection_files(selection))
        write_manifest(out, kind="pick", version=__version__, config=plain, inputs={}, files=files)
    return selection, features
