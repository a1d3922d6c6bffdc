"""Pool → usable pool: every scan is read once, and what is wrong with it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from firstscan._version import __version__
from firstscan.audit import apply_policy, check_pool
from firstscan.domain.case import Case
from firstscan.domain.errors import DataError
from firstscan.domain.finding import Finding, dropped_ids
from firstscan.domain.pool import Pool
from firstscan.domain.volume import CaseSummary
from firstscan.execution import WorkerDied
from firstscan.imaging import inspect
from firstscan.steps.running.config import CheckConfig, Modality
from firstscan.steps.running.run import Run
from firstscan.store import CaseCache, identity, load_json, to_plain

Signature = tuple[tuple[int, int], ...]
Inspected = tuple[CaseSummary | None, tuple[Finding, ...]]


@dataclass(frozen=True)
class Checked:
    """The usable ``pool`` with all findings, and by case id what one reading told (``summaries``).

    ``signatures`` holds size and time of change of every file as they were when it was read.
    """

    pool: Pool
    summaries: Mapping[str, CaseSummary]
    signatures: Mapping[str, Signature]

    @property
    def inputs(self) -> dict[str, str]:
        """What a result depends on, by case id: files and metadata of usable cases, the reason for those left out."""
        prints = self.fingerprints
        used = {
            case.case_id: identity(prints[case.case_id], dict(case.metadata), [c.name for c in case.channels])
            for case in self.pool
        }
        return {f.case_id: f"left out: {f.code}" for f in self.pool.findings if f.severity == "drop"} | used

    @property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the files of every usable case, by case id."""
        return {case_id: self.summaries[case_id].fingerprint for case_id in self.pool.case_ids}


def check(pool: Pool, config: CheckConfig, run: Run) -> Checked:
    """Read every case that has changed since it was last read, and drop what cannot be used.

    Raises
    ------
    UsageError : a finding code that does not exist.
    DataError : the worker processes cannot do their work (a full disk, …); never for bad scans.
    """
    apply_policy((), config.audit, config.severity)  # refuses what it does not know before any scan is read
    cache = CaseCache(run.workspace.folder("summaries"))
    signatures = {case.case_id: signature(case) for case in pool}
    paths = {
        case.case_id: cache.path(case.case_id, _key(case, signatures[case.case_id], config), ".json") for case in pool
    }
    known: dict[str, Inspected] = {}
    for case in pool:
        stored = cache.read_or_none(paths[case.case_id], _read)
        if stored is not None:
            known[case.case_id] = stored
    todo = [(case.case_id, (case, config.modality)) for case in pool if case.case_id not in known]
    with run.stage("Reading scans", len(pool)) as progress:
        progress.advance(len(known))
        for case_id, result in run.cases(_inspect, todo, sees=[Path(pool.source)]):
            known[case_id] = _settled(pool[case_id], result)
            if signatures[case_id] and not isinstance(result, Exception):
                cache.write_json(paths[case_id], {"summary": known[case_id][0], "findings": known[case_id][1]})
            progress.advance()
    return _assembled(pool, known, signatures, config)


def signature(case: Case) -> Signature:
    """Return (size, time of change in ns) of every file; empty where one is missing."""
    try:
        stats = [Path(path).stat() for path in case.paths]
    except OSError:
        return ()
    return tuple((s.st_size, s.st_mtime_ns) for s in stats)


def _key(case: Case, signed: Signature, config: CheckConfig) -> str:
    channels = [asdict(channel) for channel in case.channels]
    return identity(__version__, case.case_id, channels, signed, case.metadata.get("modality"), config.modality)


def _inspect(item: tuple[Case, Modality | None]) -> Inspected:
    case, modality = item
    return inspect(case, modality=modality)


def _settled(case: Case, result: Inspected | Exception) -> Inspected:
    if isinstance(result, WorkerDied | MemoryError):
        message = str(result) or "the memory is too small for this scan"
        remedy = "remove or convert this file, or use fewer --workers"
        return None, (Finding("crashed-reader", "drop", case.case_id, message, remedy, case.path),)
    if isinstance(result, Exception):
        raise result
    return result


def _assembled(
    pool: Pool, known: Mapping[str, Inspected], signatures: Mapping[str, Signature], config: CheckConfig
) -> Checked:
    """Judge every reading by the policy, then what is left as a pool."""
    single = [f for case_id in pool.case_ids for f in _judged(*known[case_id], config)]
    readable = pool.with_findings(single)
    summaries = {case_id: s for case_id in readable.case_ids if (s := known[case_id][0]) is not None}
    together = apply_policy(check_pool(summaries.values(), readable), config.audit, config.severity)
    checked = readable.with_findings(together)
    return Checked(checked, {i: summaries[i] for i in checked.case_ids}, signatures)


def _judged(summary: CaseSummary | None, findings: tuple[Finding, ...], config: CheckConfig) -> tuple[Finding, ...]:
    """Return the findings of one case with their severity set; what kept it from being read stays a drop."""
    judged = apply_policy(findings, config.audit, config.severity)
    if summary is None and not dropped_ids(judged):
        return tuple(f for f in findings if f.severity == "drop")
    return judged


def require_usable(checked: Checked, total: int, findings_file: Path) -> None:
    """Raise DataError where no scan is usable, naming the reasons and where they are listed."""
    if len(checked.pool):
        return
    reasons = Counter(f.code for f in checked.pool.findings if f.severity == "drop")
    listed = ", ".join(f"{n} {code}" for code, n in reasons.most_common(5))
    raise DataError(
        f"None of the {total} scan(s) in {checked.pool.source} can be used ({listed}). "
        f"What is wrong with each, and what to do about it, is in {findings_file}."
    )


def _read(path: Path) -> Inspected:
    try:
        body = load_json(path)
        summary = body["summary"]
        findings = tuple(Finding(**f) for f in body["findings"])
        return None if summary is None else CaseSummary(**_tuples(summary)), findings
    except (DataError, TypeError) as error:
        raise ValueError(str(error)) from error


def _tuples(body: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in to_plain(body).items()}
