"""The pool: every scan that could be annotated, and what was left out and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from .case import Case, repeated
from .display import table
from .errors import UsageError
from .finding import Finding, dropped_ids
from .names.pseudonyms import CASE, FILE, Pseudonyms, neutral_cases, neutral_finding

MOST_COLUMNS = 6
"""Columns of metadata that a notebook shows."""
UNSHOWN = frozenset({"patient", "study_uid", "series_uid"})
"""Columns that it never shows."""


@dataclass(frozen=True)
class Pool:
    """An immutable set of cases, ordered by case id, with the findings made so far.

    ``source`` is what the user pointed at, ``layout`` how it was read (``folder``, ``bids``, …). ``pseudonyms`` is the
    key to the neutral names of the pool, None where its names are those of the source.
    """

    source: str
    cases: tuple[Case, ...]
    findings: tuple[Finding, ...] = ()
    layout: str = "folder"
    pseudonyms: Pseudonyms | None = None
    _by_id: dict[str, Case] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.cases, key=lambda c: c.case_id))
        by_id = {c.case_id: c for c in ordered}
        if len(by_id) != len(ordered):
            twice = repeated([c.case_id for c in ordered])
            raise UsageError(f"case ids must be unique; these appear twice: {', '.join(twice[:5])}")
        object.__setattr__(self, "cases", ordered)
        object.__setattr__(self, "_by_id", by_id)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __contains__(self, case_id: object) -> bool:
        return case_id in self._by_id

    def __getitem__(self, case_id: str) -> Case:
        return self._by_id[case_id]

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Ids of every case, sorted."""
        return tuple(self._by_id)

    def only(self, case_ids: Collection[str]) -> Pool:
        """Return the pool restricted to ``case_ids`` (findings are kept)."""
        wanted = frozenset(case_ids)
        return replace(self, cases=tuple(c for c in self.cases if c.case_id in wanted))

    def with_findings(self, findings: Collection[Finding]) -> Pool:
        """Return the pool with ``findings`` added and every case dropped by them removed.

        Where the pool has neutral names the findings get them, too.
        """
        if (names := self.pseudonyms) is not None:
            findings = tuple(neutral_finding(f, names, self._by_id.get(f.case_id), self.source) for f in findings)
        gone = dropped_ids(findings)
        return replace(
            self,
            cases=tuple(c for c in self.cases if c.case_id not in gone),
            findings=(*self.findings, *findings),
        )

    def neutral(self, names: Pseudonyms) -> Pool:
        """Return the pool under neutral names: those of ``names``, and new ones for what has none there yet."""
        left_out = {f.case_id for f in self.findings if f.case_id and f.case_id not in self._by_id}
        cases, names = neutral_cases(self.cases, names)
        names = names.with_names(CASE, left_out)
        names = names.with_names(FILE, {f.path for f in self.findings if not f.case_id and f.path})
        told = tuple(neutral_finding(f, names, self._by_id.get(f.case_id), self.source) for f in self.findings)
        return replace(self, cases=cases, findings=told, pseudonyms=names)

    def _repr_html_(self) -> str:
        """Show the scans as a table: id, channels, and what is known of them; neither patients nor folders.

        Notebooks are passed on with what they show.
        """
        names = dict.fromkeys(name for case in self.cases for name in case.metadata)
        known = [name for name in names if name not in UNSHOWN][:MOST_COLUMNS]
        gone = len({f.case_id for f in self.findings if f.severity == "drop" and f.case_id})
        name = PurePath(self.source).name
        caption = f"{len(self):,} scans of {name} (layout {self.layout}{f'; {gone:,} left out' if gone else ''})"
        rows = (
            (case.case_id, ", ".join(c.name for c in case.channels), *(case.metadata.get(n) for n in known))
            for case in self
        )
        return table(caption, ("scan", "channels", *known), rows, len(self))
