"""Source → pool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from firstscan.audit import apply_policy
from firstscan.audit.policy import UNREADABLE
from firstscan.domain.errors import UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.pool import Pool
from firstscan.imaging import index as find_scans
from firstscan.imaging import with_channels
from firstscan.imaging.dicom.headers import Headers, read_headers
from firstscan.steps.running.config import CheckCommand, IndexCommand, IndexConfig
from firstscan.steps.running.identity import named

_SHOWN = 4
NAMES = frozenset({"name-encoding", "same-name"})
"""Codes of files that cannot be told from others or opened by their name; where they are left out they stay so."""
UNNAMED = "image"
"""What the layouts call the only channel of a scan."""


def index(config: IndexConfig, headers: Headers = read_headers, key: Path | None = None) -> Pool:
    """Return the scans of ``config.source`` (:func:`firstscan.imaging.index`); ``headers`` reads those of DICOM files.

    ``key``: the file that keeps neutral names, see :func:`firstscan.steps.running.identity.named`.

    Raises
    ------
    UsageError : no such source, an unknown layout, channel or column, a wrong table, an unknown finding code.
    DataError : no scan in it.
    """

    def found(channels: tuple[str, ...]) -> Pool:
        pool = find_scans(
            config.source,
            layout=config.layout,
            channels=channels or None,
            only=config.only,
            table=config.table,
            headers=headers,
            judged=_policy(config),
        )
        return named(pool, key, pseudonyms=config.pseudonyms)

    try:
        return found(config.channel)
    except UsageError:
        if not config.channel or config.pseudonyms is False:
            raise
        everything = found(())  # channels may be called by their neutral names, too, as findings call them
        if everything.pseudonyms is None:
            raise
        return with_channels(everything, config.channel)


def _policy(config: IndexConfig) -> Callable[[Iterable[Finding]], tuple[Finding, ...]]:
    """Return what gives findings of the index their severity; those that no network can be fed with stay drops."""
    if not isinstance(config, IndexCommand):
        return apply_policy
    audit = config.audit if isinstance(config, CheckCommand) else "normal"
    severity = config.severity

    def judged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
        found = tuple(findings)
        fixed = [f for f in found if f.code in UNREADABLE | NAMES and f.severity == "drop"]
        return (*fixed, *apply_policy((f for f in found if f not in fixed), audit, severity))

    return judged


def described(pool: Pool) -> tuple[str, ...]:
    """Return in a few lines how the source was read: layout, channels, and what is known of the scans."""
    kinds = Counter(tuple(c.name for c in case.channels) for case in pool)
    shown = [f"{_joined(names)} ({n} scan{'s' * (n > 1)})" for names, n in kinds.most_common(_SHOWN)]
    more = f"; and {len(kinds) - _SHOWN} other sets" if len(kinds) > _SHOWN else ""
    lines = [f"Read as layout {pool.layout}.", f"Channels: {'; '.join(shown)}{more}."]
    known = [f"{name}: {_summed(name, pool)}" for name in dict.fromkeys(n for case in pool for n in case.metadata)]
    return (*lines, *(["Known of the scans:", *(f"  {text}" for text in known)] if known else ()))


def _joined(names: tuple[str, ...]) -> str:
    return "one, without a name" if names == (UNNAMED,) else ", ".join(names)


def _summed(column: str, pool: Pool) -> str:
    """Return the values of a column with their counts where they are few; of patients only how many there are."""
    given = [str(v) for case in pool if (v := case.metadata.get(column)) is not None]
    values = Counter(given)
    if column != "patient" and len(values) <= _SHOWN:
        text = ", ".join(f"{value} ({n})" for value, n in values.most_common())
    else:
        text = f"{len(values)} different values" if len(values) > 1 else "one value"
    return text if len(given) == len(pool) else f"{text}; not known for {len(pool) - len(given)}"


def found(pool: Pool) -> int:
    """Return how many scans the source holds, those left out included."""
    return len(set(pool.case_ids) | {f.case_id for f in pool.findings if f.severity == "drop" and f.case_id})
