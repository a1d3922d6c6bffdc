"""The main job: scans in, a ranked and explained first batch out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from firstscan._version import __version__
from firstscan.domain.errors import UsageError
from firstscan.domain.finding import Finding, dropped_ids
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.steps.measuring.covariates import covariates, known_columns, stored
from firstscan.steps.measuring.pipeline import Started, indexed, measured, measured_files, opened, settled, started
from firstscan.steps.running.batch_config import SelectCommand
from firstscan.steps.running.config import INSTANT
from firstscan.steps.running.results import FINDINGS, REPORT, selection_files
from firstscan.steps.running.run import Settings
from firstscan.steps.selecting.pick import (
    check_names,
    check_request,
    check_strategy,
    in_neutral_names,
    pick,
    require_room,
)
from firstscan.steps.selecting.slice_findings import slice_findings
from firstscan.steps.selecting.slicing import settle
from firstscan.store import read_findings, read_selection, write_findings, write_selection


@dataclass(frozen=True)
class Selected:
    """The batch, what was found out about the scans, and whether all of it was there ``already``."""

    selection: Selection
    findings: tuple[Finding, ...]
    found: int
    usable: int
    out: Path
    already: bool


def select(config: SelectCommand, out: Path, settings: Settings) -> Selected:
    """Do everything from reading the scans to the report; what an earlier run finished is not done again.

    Raises
    ------
    UsageError : wrong settings, or ``out`` holds another result.  DataError : the scans cannot serve.
    """
    check_strategy(config, uncertain=config.preset != INSTANT)
    _check_features(config)
    with opened(out, settings) as run:
        pool = indexed(config, run)
        config = settled(in_neutral_names(config, pool.pseudonyms), settings.device)
        check_names(config, pool.case_ids, known_columns(pool), left_out(pool))
        require_room(config, frozenset(pool.case_ids), left_out(pool))
        with started("select", pool, config, run) as begun:
            already = begun.done
            selection = read_selection(out) if already else _choose(begun, config)
    if already:
        _redraw_if_asked(out, settings)
    findings = read_findings(out / FINDINGS)
    usable = begun.found - len(dropped_ids(findings))
    return Selected(selection, findings, begun.found, usable, out, already)


def _check_features(config: SelectCommand) -> None:
    """Raise UsageError where a feature group is named that is not measured: before any scan is read."""
    if not config.features:
        return
    from firstscan.steps.measuring.extract import GROUPS

    there = (*GROUPS, *([config.encoder] if config.encoder else []))
    unknown = [name for name in config.features if name not in there]
    if unknown:
        raise UsageError(f"--features: there is no feature group {unknown[0]!r}; there are: {', '.join(there)}")


def left_out(pool: Pool) -> dict[str, str]:
    """Return why a scan was left out, by case id."""
    return {f.case_id: f.message for f in reversed(pool.findings) if f.severity == "drop" and f.case_id}


def _redraw_if_asked(out: Path, settings: Settings) -> None:
    """Draw the report again where it shows metadata and should not, or the other way round."""
    from firstscan.steps.reporting.report import report, shows_metadata

    if shows_metadata(out) != settings.show_metadata:
        report(out, settings)


def _choose(begun: Started, config: SelectCommand) -> Selection:
    from firstscan.steps.reporting.report import gathered, write_report

    usable = begun.checked.pool
    asked = settle(config, usable.case_ids, covariates(begun.checked), stored(begun.checked), left_out(usable))
    check_request(asked.config, usable.case_ids, asked.columns, left_out(usable))
    result = measured(begun, config)
    pool = result.checked.pool
    selection = pick(result.features, config, left_out(pool), begun.run.progress)
    paths = None if pool.pseudonyms is not None else {case.case_id: case.paths for case in pool}
    write_selection(begun.out, selection, paths, __version__)
    said = slice_findings(selection, result.features, {case.case_id: case.path for case in pool})
    checked = replace(result.checked, pool=pool.with_findings(said))
    if said:
        write_findings(begun.out / FINDINGS, checked.pool.findings)
    checkpoint = "" if config.first_weights is None else config.first_weights.name
    told = gathered(checked, result.crops, result.learned, begun.config, found=begun.found, checkpoint=checkpoint)
    told = replace(told, show_metadata=begun.run.settings.show_metadata)
    write_report(begun.run, selection, result.features, told)
    begun.finish("select", (FINDINGS, *measured_files(config), *selection_files(selection), REPORT))
    return selection
