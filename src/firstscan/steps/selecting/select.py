"""The main job: scans in, a ranked and explained first batch out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from firstscan._version import __version__
from firstscan.domain.finding import Finding, dropped_ids
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Selection
from firstscan.steps.running.config import SelectCommand
from firstscan.steps.running.headers import headers_of
from firstscan.steps.running.results import FEATURES, FINDINGS, REPORT, TRAINING, selection_files
from firstscan.steps.running.run import Settings
from firstscan.store import read_findings, read_selection, write_selection

from .covariates import covariates, stored
from .index import index
from .pick import check_request, check_strategy, pick
from .pipeline import Started, measured, opened, settled, started
from .slicing import settle


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
    check_strategy(config)
    with opened(out, settings) as run:
        pool = index(config, headers_of(run))
        config = settled(config, settings.device)
        with started("select", pool, config, run) as begun:
            already = begun.done
            selection = read_selection(out) if already else _choose(begun, config)
    if already:
        _redraw_if_asked(out, settings)
    findings = read_findings(out / FINDINGS)
    usable = begun.found - len(dropped_ids(findings))
    return Selected(selection, findings, begun.found, usable, out, already)


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
    write_selection(begun.out, selection, {case.case_id: case.paths for case in pool}, __version__)
    checkpoint = "" if config.checkpoint is None else config.checkpoint.name
    told = gathered(
        result.checked, result.crops, result.learned, begun.config, found=begun.found, checkpoint=checkpoint
    )
    told = replace(told, show_metadata=begun.run.settings.show_metadata)
    write_report(begun.run, selection, result.features, told)
    begun.finish("select", (FINDINGS, TRAINING, FEATURES, *selection_files(selection), REPORT))
    return selection
