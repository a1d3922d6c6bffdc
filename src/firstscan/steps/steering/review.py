"""A finished batch, held open to be steered: chosen again under wishes, and put in the place of the old one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from firstscan.domain.case import Case
from firstscan.domain.errors import UsageError
from firstscan.domain.finding import Finding
from firstscan.domain.selection import Selection
from firstscan.selection import Constraints, replace_pick, select
from firstscan.selection.geometry import Density, typicality
from firstscan.steps.reporting.report import Story
from firstscan.steps.reporting.written import standing, story_of, write_standing
from firstscan.steps.running.replay import VETOED, State
from firstscan.steps.running.results import FINDINGS
from firstscan.steps.running.run import Run, Settings
from firstscan.steps.selecting.trust import with_pacing
from firstscan.store import open_workspace, read_findings

from .amend import KEPT, Batch, constraints_of, read_batch, require_folder

NEIGHBOURS = 20


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asks of a batch: its size, its strategy, ids that must not be in it, and ids that must."""

    budget: int
    strategy: str
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Held:
    """A batch that nobody else can change meanwhile; ``story`` is None where no scan is known, only features."""

    run: Run
    batch: Batch
    story: Story | None
    findings: tuple[Finding, ...]

    @property
    def out(self) -> Path:
        """The results folder."""
        return self.run.workspace.out

    @property
    def cases(self) -> Mapping[str, Case]:
        """The scans by case id; empty where only features are known."""
        return {} if self.story is None else self.story.cases

    @property
    def closed(self) -> dict[str, str]:
        """Why a scan can never be picked, by case id: it is annotated already, or was excluded from the start."""
        config = self.batch.config
        return {**dict.fromkeys(config.exclude, "excluded"), **dict.fromkeys(config.labelled, "labelled")}


@contextmanager
def held(out: Path, settings: Settings) -> Iterator[Held]:
    """Open the finished batch in ``out`` and hold it against other runs.

    Raises
    ------
    UsageError : no finished batch there, or another run holds it.
    """
    require_folder(out)
    read_batch(out)
    with open_workspace(out) as workspace:
        run = Run(workspace, settings)
        standing(run)
        findings = read_findings(out / FINDINGS) if (out / FINDINGS).is_file() else ()
        yield Held(run, read_batch(out), story_of(run), findings)


class Chooser:
    """Chooses batches from one feature table; typicality is computed once, over the whole pool.

    With no wish but those of the results themselves it gives what they hold.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._kept = {k: v for k, v in batch.selection.diagnostics.items() if k in KEPT and k != VETOED}
        self.density = self._density()
        used = batch.used
        self.table = used if used.typicality is not None else replace(used, typicality=self.density.values)
        self.choose = lru_cache(maxsize=128)(self._choose)

    def substituted(self, selection: Selection, case_id: str, why: str, exclude: Sequence[str] = ()) -> Selection:
        """Return the selection with the best substitute in the place of ``case_id``, as ``firstscan replace`` does.

        Raises
        ------
        UsageError : nothing can take its place.
        """
        left_out = tuple(i for i in exclude if i != case_id)
        return replace_pick(selection, self.table, case_id, why=why, constraints=self._constraints(left_out))

    def swapped(self, selection: Selection, removed: str, wanted: str, exclude: Sequence[str] = ()) -> Selection | None:
        """Return the selection with ``wanted`` in the place of ``removed``, or None where a constraint forbids it."""
        constraints = self._constraints(tuple(i for i in exclude if i not in {removed, wanted}))
        known = {*selection.case_ids, wanted, *constraints.labelled}
        limited = replace(constraints, exclude=())
        before = {k: v for k, v in selection.diagnostics.items() if k != "replacements"}
        try:
            return replace_pick(
                replace(selection, diagnostics=before), self.table.only(known), removed, why="pinned",
                constraints=limited,
            )  # fmt: skip
        except UsageError:
            return None

    def most(self, exclude: Sequence[str]) -> int:
        """Return the largest budget there can be."""
        constraints = self._constraints(tuple(exclude))
        return len(self.table) - len({*constraints.exclude, *constraints.labelled} - {*self.annotated} | {*exclude})

    def _choose(self, wishes: Wishes) -> Selection:
        """Return the batch by the ordinary selection.

        Raises
        ------
        UsageError : an unknown strategy, or constraints that cannot hold together.
        """
        config = self._batch.config
        options = config.strategy_options() if wishes.strategy == config.strategy else {}
        limits, include = self._constraints(wishes.exclude), self._included(wishes)
        labelled = tuple(i for i in limits.labelled if i not in include)  # an annotated pick stays one, in the batch
        constraints = replace(limits, include=include, labelled=labelled)
        with threadpool_limits(1):  # threads that wait for a core beside other work cost seconds, one costs a little
            chosen = select(
                self.table, wishes.budget, wishes.strategy, config.seed,
                constraints=constraints, groups=config.features or None, **options,
            )  # fmt: skip
        chosen = with_pacing(chosen, self.table, constraints)
        return replace(chosen, diagnostics={**chosen.diagnostics, **self._measured(chosen), **self._kept})

    def _included(self, wishes: Wishes) -> tuple[str, ...]:
        gone = frozenset(wishes.exclude)
        given = (i for i in (*self._batch.config.include, *self.annotated) if i not in gone)
        return tuple(dict.fromkeys((*given, *wishes.include)))

    @property
    def annotated(self) -> tuple[str, ...]:
        """The picks that are annotated already: a batch of another size or strategy keeps them."""
        done = frozenset(self._batch.config.labelled)
        return tuple(i for i in self._batch.selection.case_ids if i in done)

    def _constraints(self, exclude: tuple[str, ...]) -> Constraints:
        return constraints_of(self._batch.config, self.table.case_ids, exclude)

    def _density(self) -> Density:
        """Return the typicality of every scan, for those that take part as the ordinary selection computes it."""
        used, config = self._batch.used, self._batch.config
        if used.typicality is not None:
            return Density(used.typicality, neighbours=None, exact=True, recall=None)
        neighbours = int(config.strategy_options().get("neighbours", NEIGHBOURS))
        taking_part = sorted(set(used.case_ids) - set(config.exclude))
        row = {case_id: i for i, case_id in enumerate(used.case_ids)}
        rows = np.array([row[i] for i in taking_part], dtype=np.intp)
        found = typicality(used.embeddings[rows], neighbours)
        values = (
            np.empty(len(used)) if len(rows) == len(used) else typicality(used.embeddings, neighbours).values.copy()
        )
        values[rows] = found.values
        return replace(found, values=values)

    def _measured(self, chosen: Selection) -> dict[str, Any]:
        if "typicality_neighbours" not in chosen.diagnostics:
            return {}
        return {
            "typicality_neighbours": self.density.neighbours,
            "neighbours_exact": self.density.exact,
            "neighbour_recall": self.density.recall,
        }


def published(held: Held, state: State, selection: Selection) -> Held:
    """Bring the batch of a state into the files of the results, the report excepted; return the results as they are."""
    batch = held.batch
    manifest = write_standing(
        held.run, batch.manifest, selection, state, features=batch.features, story=held.story, report=False
    )
    return replace(held, batch=replace(batch, manifest=manifest, selection=selection))


def drawn(held: Held) -> None:
    """Draw the report again where it shows an earlier batch."""
    standing(held.run)
