"""A review under way: actions in, a state out; each action is on the disk before it counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial

from firstscan.domain.errors import UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.selection import strategies
from firstscan.selection.history import AGAIN, HISTORY, history_of
from firstscan.steps.running.history import NAME, NOTE, RECORDS, Event, History, event
from firstscan.steps.running.replay import EXPORT, UNDO, WHOLE, Frame, State, replay
from firstscan.steps.selecting.batch import ANOTHER, framed_by, in_full, kept_batch
from firstscan.steps.selecting.slicing import replanned
from firstscan.steps.steering.review import Chooser, Held, Wishes, drawn, published
from firstscan.store import to_plain

from .asking import Request, StaleError, UnknownNameError
from .leaving import difference

LONGEST_REASON = 500


class Session:
    """The review of one results folder; safe to call from several threads."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.chooser = Chooser(held.batch)
        self.rows = {case_id: i for i, case_id in enumerate(self.chooser.table.case_ids)}
        self._lock = threading.RLock()
        self._history = History(held.out)
        self.notes = [f"the last line of {NAME} was cut short and does not count"] * self._history.cut_short
        self.state = self._found = replay(self._history.events)
        self.notes += _noted(self._history.events)
        self._framed = lru_cache(maxsize=8)(partial(framed_by, held.out))

    @property
    def events(self) -> tuple[Event, ...]:
        """Every action so far, oldest first; what was handed over and collected is none."""
        return tuple(e for e in self._history.events if e.action not in RECORDS)

    def act(self, request: Request) -> State:
        """Do what is asked, write it down, bring the results' files there, and return the new state.

        Raises
        ------
        UnknownNameError : a scan, strategy or action that is not there.
        StaleError : the batch has changed since ``request.seq``.
        UsageError, DataError : it cannot be done; then nothing has changed, but for files that cannot be written: what
            was done stands in the history, and the files follow with the next action or command.
        """
        actions: Mapping[str, Callable[[Request], Event]] = {
            "accept": self._mark, "unaccept": self._mark, "veto": self._veto, "allow": self._allow,
            "replace": self._replace, "pin": self._pin, "unpin": self._mark, "budget": self._anew,
            "strategy": self._anew, UNDO: self._undo, EXPORT: self._export,
        }  # fmt: skip
        if request.action not in actions:
            raise UnknownNameError(f"there is no action {request.action!r}")
        if request.case_id is not None and request.case_id not in self.rows:
            raise UnknownNameError(f"there is no scan {request.case_id!r} in this pool")
        if len(request.why) > LONGEST_REASON:
            raise UsageError(f"A reason has at most {LONGEST_REASON} characters; found {len(request.why)}.")
        with self._lock:
            self._require(request.seq)
            self._write(actions[request.action](request))
            return self.state

    def leave(self) -> tuple[str, ...]:
        """Wait for the action under way, draw the report of the batch as it is, and say what this review changed."""
        with self._lock:
            drawn(self.held)
            return difference(self._found, self.state)

    def tried(self, budget: int, strategy: str) -> Selection:
        """Return the batch of that size and strategy under the present wishes; nothing is changed.

        Raises
        ------
        UnknownNameError : no such strategy.  UsageError : no such batch.
        """
        if strategy not in strategies():
            raise UnknownNameError(f"there is no strategy {strategy!r}")
        with self._lock:
            state = self.state
        fewest, most = self.bounds(state)
        if not fewest <= budget <= most:
            raise UsageError(f"The batch can hold {fewest} to {most} scans; found {budget}.")
        chosen = self.chooser.choose(Wishes(budget, strategy, state.unwanted, state.held))
        return self._planned(self._shown(state, chosen))

    def substitute_of(self, case_id: str) -> Mapping[str, str]:
        """Return the ``substitute`` that a veto of a pick would bring, and where it comes ``from``; nothing is changed.

        Raises
        ------
        UsageError : nothing can take its place.
        """
        with self._lock:
            done = self._substituted(case_id, ANOTHER).diagnostics["replacements"][-1]
        return {"substitute": str(done["substitute"]), "from": str(done["from"])}

    @contextmanager
    def unchanged(self, seq: int) -> Iterator[None]:
        """Hold the batch while it is handed on.

        Raises
        ------
        StaleError : the batch has changed since ``seq``.
        """
        with self._lock:
            self._require(seq)
            yield

    def bounds(self, state: State) -> tuple[int, int]:
        """Return the smallest and the largest batch there can be."""
        always = (*self.held.batch.config.include, *self.chooser.annotated)
        kept = {*state.held, *always} - {*state.unwanted}
        return max(1, len(kept)), self.chooser.most(state.unwanted)

    def selection(self, state: State) -> Selection:
        """Return the batch of a state in full: its strata, scores and diagnostics too."""
        return in_full(self.held.out, state, self.held.batch.features, self._framed(state.frame))

    def strategy(self, state: State) -> str:
        """Return the name of the strategy that a state's batch comes from."""
        return state.frame.strategy or self._framed(state.frame).strategy

    def _planned(self, selection: Selection) -> Selection:
        """Return the batch with its plan by slice as an export would write it, where the results have one."""
        return replanned(selection, self.held.batch.selection.slices, self.held.batch.features)

    def _require(self, seq: int | None) -> None:
        if seq is not None and seq != self.state.seq:
            raise StaleError("The batch has been changed in another window; it is shown as it is now.")

    def _write(self, entry: Event) -> None:
        before = self.state
        self._history.append(entry)
        self.state = replay(self._history.events)
        if (self.state.picks, self.state.unwanted) != (before.picks, before.unwanted):
            self.held = published(self.held, self.state, self.selection(self.state))
        if entry.action == EXPORT:
            drawn(self.held)

    def _mark(self, request: Request) -> Event:
        pick = self._picked(request)
        return event("review", request.action, pick.case_id)

    def _veto(self, request: Request) -> Event:
        case_id, why = self._named(request), request.why.strip()
        if not why:
            raise UsageError("A veto needs a reason.")
        if case_id in self.state.vetoed:
            raise UsageError(f"{case_id} is vetoed already: {self.state.vetoed[case_id]}.")
        if self.state.pick(case_id) is None:
            return event("review", "veto", case_id, why)
        return self._substitution("veto", case_id, why)

    def _replace(self, request: Request) -> Event:
        return self._substitution("replace", self._picked(request).case_id, request.why.strip() or ANOTHER)

    def _substitution(self, action: str, case_id: str, why: str) -> Event:
        done = self._substituted(case_id, why)
        row = done.diagnostics["replacements"][-1]
        pick = next(p for p in done if p.case_id == row["substitute"])
        detail = {"from": row["from"], "removed": case_id, "pick": to_plain(pick)}
        return event("review", action, case_id, why, detail)

    def _substituted(self, case_id: str, why: str) -> Selection:
        try:
            return self.chooser.substituted(self.selection(self.state), case_id, why, self.state.unwanted)
        except UsageError as error:
            raise UsageError(f"{error}, or make the batch smaller first") from error

    def _allow(self, request: Request) -> Event:
        case_id = self._named(request)
        if case_id not in self.state.unwanted:
            raise UsageError(f"{case_id} is not vetoed.")
        return event("review", "allow", case_id)

    def _pin(self, request: Request) -> Event:
        case_id = self._named(request)
        closed = self.held.closed.get(case_id)
        if closed is not None:
            raise UsageError(f"{case_id} cannot be pinned: it is {closed} in the settings of this selection.")
        if self.state.pick(case_id) is not None:
            return event("review", "pin", case_id)
        current = self.selection(self.state)
        stratum = current.strata.get(case_id)
        free = [p for p in reversed(self.state.picks) if p.case_id not in self.state.held]
        for old in sorted(free, key=lambda p: stratum is None or p.stratum != stratum):
            done = self.chooser.swapped(current, old.case_id, case_id, self.state.unwanted)
            if done is not None:
                pick = next(p for p in done if p.case_id == case_id)
                pick = replace(pick, reason=f"pinned in the review, in the place of {old.case_id}")
                place = "same stratum" if stratum is not None and old.stratum == stratum else "whole pool"
                detail = {"from": place, "removed": old.case_id, "pick": to_plain(pick)}
                return event("review", "pin", case_id, request.why.strip(), detail)
        why = "every pick is accepted or pinned; take one of them off, or ask for a larger batch" if not free else (
            "the groups, quotas or minutes of this selection leave no place for it"
        )  # fmt: skip
        raise UsageError(f"{case_id} cannot be pinned: {why}.")

    def _anew(self, request: Request) -> Event:
        budget = request.budget if request.budget is not None else len(self.state.picks)
        strategy = request.strategy if request.strategy is not None else self.strategy(self.state)
        chosen = self.tried(budget, strategy)
        detail = {"budget": budget, "strategy": strategy, "picks": to_plain(chosen.picks), "file": self._kept(chosen)}
        return event("review", request.action, detail=detail)

    def _kept(self, chosen: Selection) -> str:
        """Keep a batch that was chosen anew, with how it came about; return its file."""
        began = next(e for e in reversed(self._history.events) if e.action in WHOLE)
        first = self._framed(Frame(began.seq, 0, file=str(began.detail["file"])))
        told = {"strategy": chosen.strategy, "picks": list(chosen.case_ids), "kept": list(self.state.held)}
        entries = [*history_of(first), {"action": AGAIN, **told, "vetoed": dict(self.state.vetoed)}]
        return kept_batch(self.held.out, replace(chosen, diagnostics={**chosen.diagnostics, HISTORY: entries}))

    def _shown(self, state: State, chosen: Selection) -> Selection:
        """Return the selection with the reasons that its held picks came in with."""
        before = {p.case_id: p.reason for p in state.picks if p.case_id in state.held}
        picks = tuple(replace(p, reason=before.get(p.case_id, p.reason)) for p in chosen)
        return replace(chosen, picks=picks)

    def _undo(self, _request: Request) -> Event:
        last = self.state.last
        if last is None:
            raise UsageError("There is nothing to undo.")
        return event("review", UNDO, last.case_id, detail={"undoes": last.seq, "action": last.action})

    def _export(self, request: Request) -> Event:
        state = self.state
        detail = {"before": list(state.exported), "picks": list(state.case_ids)}
        return event("review", EXPORT, None, request.why.strip(), detail)

    def _picked(self, request: Request) -> Pick:
        pick = self.state.pick(self._named(request))
        if pick is None:
            raise UsageError(f"{request.case_id} is not in the batch.")
        return pick

    @staticmethod
    def _named(request: Request) -> str:
        if request.case_id is None:
            raise UnknownNameError(f"{request.action} needs a scan")
        return request.case_id


def _noted(events: tuple[Event, ...]) -> list[str]:
    """Return what was noted when the history began, until something was done."""
    return [e.why for e in events if e.action == NOTE and e.command == "review"] if events[-1].action == NOTE else []
