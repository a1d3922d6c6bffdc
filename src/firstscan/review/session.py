"""A review under way: actions in, a state out; each action is on the disk before it counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from firstscan.domain.errors import UsageError
from firstscan.domain.selection import Pick, Selection
from firstscan.selection import strategies
from firstscan.selection.history import AGAIN, HISTORY, REPLACED, history_of
from firstscan.steps.selecting.slicing import replanned
from firstscan.steps.steering.amend import VETOED
from firstscan.steps.steering.review import Chooser, Held, Wishes, published
from firstscan.store import atomic_write, read_selection, to_plain

from .asking import Request, StaleError, UnknownNameError
from .log import NAME, Event, ReviewLog
from .state import BEGIN, EXPORT, UNDO, Frame, State, replay

BASES = "review"  # folder of the selections that reviews began with, one a beginning, exactly as they were found
ANOTHER = "another scan was wanted"
LONGEST_REASON = 500


class Session:
    """The review of one results folder; safe to call from several threads."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.chooser = Chooser(held.batch)
        self.rows = {case_id: i for i, case_id in enumerate(self.chooser.table.case_ids)}
        self._lock = threading.RLock()
        self._log = ReviewLog(held.out / NAME)
        self.notes = ["the last line of review.jsonl was cut short and has been taken off"] * self._log.cut_short
        self.state = replay(self._log.events)
        self._bases: dict[int, Selection] = {}
        self._begin_unless_known()

    @property
    def events(self) -> tuple[Event, ...]:
        """Every action so far, oldest first."""
        return self._log.events

    def act(self, request: Request) -> State:
        """Do what is asked, write it down, and return the new state.

        Raises
        ------
        UnknownNameError : a scan, strategy or action that is not there.
        StaleError : the batch has changed since ``request.seq``.
        UsageError, DataError : it cannot be done; then nothing has changed.
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

    def settle(self) -> None:
        """Wait until the action under way, if any, is done."""
        with self._lock:
            pass

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
    def exported(self, seq: int) -> Iterator[None]:
        """Hold the batch while it is handed on.

        Raises
        ------
        StaleError : the batch has changed since ``seq``.  UsageError : the results folder holds another batch.
        """
        with self._lock:
            self._require(seq)
            if self.state.case_ids != self.state.exported:
                raise UsageError("Export the batch first: the results folder holds another one.")
            yield

    def bounds(self, state: State) -> tuple[int, int]:
        """Return the smallest and the largest batch there can be."""
        always = (*self.held.batch.config.include, *self.chooser.annotated)
        kept = {*state.held, *always} - {*state.unwanted}
        return max(1, len(kept)), self.chooser.most(state.unwanted)

    def selection(self, state: State) -> Selection:
        """Return the batch of a state in full: its strata, scores and diagnostics too."""
        return self._planned(self._in_full(state, self._replacements(state)))

    def strategy(self, state: State) -> str:
        """Return the name of the strategy that a state's batch comes from."""
        return state.frame.strategy or self._base(state.frame.seq).strategy

    def _planned(self, selection: Selection) -> Selection:
        """Return the batch with its plan by slice as an export would write it, where the results have one."""
        return replanned(selection, self.held.batch.selection.slices, self.held.batch.features)

    def _require(self, seq: int | None) -> None:
        if seq is not None and seq != self.state.seq:
            raise StaleError("The batch has been changed in another window; it is shown as it is now.")

    def _write(self, event: Event) -> None:
        self._log.append(event)
        self.state = replay(self._log.events)

    def _begin_unless_known(self) -> None:
        """Begin a review, also where the batch was changed outside of the page since the last one."""
        found = self.held.batch.selection
        began = [e.seq for e in self._log.events if e.action == BEGIN]
        if began and self._is_known(began[-1], found):
            return
        if began:
            self.notes.append(_changed_outside([i for i in found.case_ids if i in self.state.vetoed]))
        gone = {str(r["removed"]): str(r["why"]) for r in found.diagnostics.get("replacements", ())}
        vetoed = {i: w for i, w in {**gone, **found.diagnostics.get(VETOED, {})}.items() if i in self.rows}
        told = {"strategy": found.strategy, "budget": found.budget, "seed": found.seed, "vetoed": vetoed}
        event = self._log.event(BEGIN, detail={**told, "picks": to_plain(found.picks)})
        self._base_file(event.seq).parent.mkdir(exist_ok=True)
        atomic_write(self._base_file(event.seq), (self.held.out / "selection.json").read_bytes())
        self._write(event)

    def _is_known(self, began: int, found: Selection) -> bool:
        """Tell whether the batch in the folder is the one that the review began with, or has exported since."""
        base = self._base_file(began)
        if not base.is_file():
            return False
        if any(e.action == EXPORT and e.seq > began for e in self._log.events):
            return found.case_ids == self.state.exported
        return base.read_bytes() == (self.held.out / "selection.json").read_bytes()

    def _base_file(self, seq: int) -> Path:
        return self.held.out / BASES / f"selection-{seq:04d}.json"

    def _base(self, seq: int) -> Selection:
        if seq not in self._bases:
            self._bases[seq] = read_selection(self._base_file(seq))
        return self._bases[seq]

    def _framed(self, frame: Frame) -> Selection:
        """Return the selection that a frame stands for."""
        if not frame.strategy:
            return self._base(frame.seq)
        wishes = Wishes(frame.budget, frame.strategy, frame.exclude, frame.include)
        return self.chooser.choose(wishes)

    def _in_full(self, state: State, replacements: list[Any]) -> Selection:
        chosen = self._framed(state.frame)
        kept = {k: v for k, v in chosen.diagnostics.items() if k != "replacements"}
        diagnostics = {**kept, "replacements": replacements} if replacements else kept
        told = {**diagnostics, HISTORY: self._history(state, chosen)}
        return replace(chosen, picks=state.picks, budget=len(state.picks), diagnostics=told)

    def _history(self, state: State, chosen: Selection) -> list[Mapping[str, Any]]:
        """Return how a state's batch came about: what was done before this review, and in it."""
        frame = state.frame
        began = max((e.seq for e in self._log.events if e.action == BEGIN and e.seq <= frame.seq), default=frame.seq)
        entries = list(history_of(self._base(began)))
        if frame.strategy:
            again = {"strategy": frame.strategy, "picks": list(chosen.case_ids), "kept": list(frame.include)}
            entries.append({"action": AGAIN, **again})
        return [*entries, *({"action": REPLACED, **row} for row in state.swaps)]

    def _replacements(self, state: State) -> list[Any]:
        return [*self._framed(state.frame).diagnostics.get("replacements", ()), *state.replaced]

    def _mark(self, request: Request) -> Event:
        pick = self._picked(request)
        return self._log.event(request.action, pick.case_id)

    def _veto(self, request: Request) -> Event:
        case_id, why = self._named(request), request.why.strip()
        if not why:
            raise UsageError("A veto needs a reason.")
        if case_id in self.state.vetoed:
            raise UsageError(f"{case_id} is vetoed already: {self.state.vetoed[case_id]}.")
        if self.state.pick(case_id) is None:
            return self._log.event("veto", case_id, why)
        return self._substitution("veto", case_id, why)

    def _replace(self, request: Request) -> Event:
        return self._substitution("replace", self._picked(request).case_id, request.why.strip() or ANOTHER)

    def _substitution(self, action: str, case_id: str, why: str) -> Event:
        done = self._substituted(case_id, why)
        row = done.diagnostics["replacements"][-1]
        pick = next(p for p in done if p.case_id == row["substitute"])
        detail = {"from": row["from"], "removed": case_id, "pick": to_plain(pick)}
        return self._log.event(action, case_id, why, detail)

    def _substituted(self, case_id: str, why: str) -> Selection:
        try:
            return self.chooser.substituted(self._substitutable(), case_id, why, self.state.unwanted)
        except UsageError as error:
            raise UsageError(f"{error}, or make the batch smaller first") from error

    def _substitutable(self) -> Selection:
        """Return the batch as its pick is replaced: only what is still unwanted counts as replaced earlier."""
        unwanted = frozenset(self.state.unwanted)
        return self._in_full(self.state, [r for r in self._replacements(self.state) if r["removed"] in unwanted])

    def _allow(self, request: Request) -> Event:
        case_id = self._named(request)
        if case_id not in self.state.unwanted:
            raise UsageError(f"{case_id} is not vetoed.")
        return self._log.event("allow", case_id)

    def _pin(self, request: Request) -> Event:
        case_id = self._named(request)
        closed = self.held.closed.get(case_id)
        if closed is not None:
            raise UsageError(f"{case_id} cannot be pinned: it is {closed} in the settings of this selection.")
        if self.state.pick(case_id) is not None:
            return self._log.event("pin", case_id)
        current = self._substitutable()
        stratum = current.strata.get(case_id)
        free = [p for p in reversed(self.state.picks) if p.case_id not in self.state.held]
        for old in sorted(free, key=lambda p: stratum is None or p.stratum != stratum):
            done = self.chooser.swapped(current, old.case_id, case_id, self.state.unwanted)
            if done is not None:
                pick = next(p for p in done if p.case_id == case_id)
                pick = replace(pick, reason=f"pinned in the review, in the place of {old.case_id}")
                place = "same stratum" if stratum is not None and old.stratum == stratum else "whole pool"
                detail = {"from": place, "removed": old.case_id, "pick": to_plain(pick)}
                return self._log.event("pin", case_id, request.why.strip(), detail)
        why = "every pick is accepted or pinned; take one of them off, or ask for a larger batch" if not free else (
            "the groups, quotas or minutes of this selection leave no place for it"
        )  # fmt: skip
        raise UsageError(f"{case_id} cannot be pinned: {why}.")

    def _anew(self, request: Request) -> Event:
        budget = request.budget if request.budget is not None else len(self.state.picks)
        strategy = request.strategy if request.strategy is not None else self.strategy(self.state)
        chosen = self.tried(budget, strategy)
        detail = {"budget": budget, "strategy": strategy, "picks": to_plain(chosen.picks)}
        return self._log.event(request.action, detail=detail)

    def _shown(self, state: State, chosen: Selection) -> Selection:
        """Return the selection with the reasons that its held picks came in with."""
        before = {p.case_id: p.reason for p in state.picks if p.case_id in state.held}
        picks = tuple(replace(p, reason=before.get(p.case_id, p.reason)) for p in chosen)
        return replace(chosen, picks=picks)

    def _undo(self, _request: Request) -> Event:
        last = self.state.last
        if last is None:
            raise UsageError("There is nothing to undo.")
        return self._log.event(UNDO, last.case_id, detail={"undoes": last.seq, "action": last.action})

    def _export(self, request: Request) -> Event:
        state, why = self.state, request.why.strip()
        event = self._log.event(EXPORT, None, why, {"before": list(state.exported), "picks": list(state.case_ids)})
        vetoed = {**dict.fromkeys(state.passed, ANOTHER), **state.vetoed}
        entry = {"review": event.seq, "before": list(state.exported), "after": list(state.case_ids)}
        self.held = published(self.held, self._substitutable(), vetoed, entry)
        return event

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


def _changed_outside(back: list[str]) -> str:
    said = "the batch was changed outside of this page; the review goes on from what it is now"
    return f"{said}; vetoed before, and in it again: {', '.join(back)}" if back else said
