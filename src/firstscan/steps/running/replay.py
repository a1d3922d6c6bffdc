"""Where a batch stands: a pure replay of its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from firstscan.domain.errors import DataError
from firstscan.domain.selection import Pick

from .history import RECORDS, Event

BEGIN, EXPORT, UNDO = "begin", "export", "undo"
CHOSEN, REPLACED, ADDED, ROUND = "chosen", "replaced", "added", "round"
WHOLE = frozenset({BEGIN, CHOSEN, REPLACED, ADDED, ROUND})
"""Actions that say what the whole batch is: as it was found, and after select or pick, replace, extend, next."""
AMENDMENTS, VETOED = "amendments", "vetoed"
"""In the manifest: what has changed the batch since it was chosen. In diagnostics: why a scan must not come back."""
ANEW = ("budget", "strategy")
"""Actions that choose the whole batch anew."""

Words = Mapping[str, str]


def _none() -> Words:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Frame:
    """What the batch was last chosen by; ``strategy`` is empty where no review has chosen it anew.

    ``seq`` is the event that did it; ``exclude`` and ``include`` are the wishes of that moment; ``file`` within the
    results folder holds that batch in full.
    """

    seq: int
    budget: int
    strategy: str = ""
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True)
class State:
    """A batch and what a person has said about it.

    ``vetoed`` maps a scan to the reason, ``passed`` one that was replaced without blame to its substitute;
    ``accepted`` and ``pinned`` are picks that stay; ``replaced`` lists the replacements since the ``frame`` as
    :func:`firstscan.selection.replace_pick` logs them; ``exported`` are the picks that the report was last drawn of;
    ``swaps`` lists all changes of one pick since then, pinned scans too; ``amendments`` are the changes since the batch
    was chosen, as the manifest names them; ``last`` is the event that undo would take back.
    """

    seq: int = 0
    frame: Frame = field(default_factory=lambda: Frame(0, 0))
    picks: tuple[Pick, ...] = ()
    vetoed: Words = field(default_factory=_none)
    passed: Words = field(default_factory=_none)
    accepted: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    replaced: tuple[Mapping[str, Any], ...] = ()
    swaps: tuple[Mapping[str, Any], ...] = ()
    exported: tuple[str, ...] = ()
    amendments: tuple[Mapping[str, Any], ...] = ()
    last: Event | None = None

    @property
    def case_ids(self) -> tuple[str, ...]:
        """The picks, best first."""
        return tuple(p.case_id for p in self.picks)

    @property
    def held(self) -> tuple[str, ...]:
        """Picks that stay when the batch is chosen anew, in order of rank."""
        return tuple(i for i in self.case_ids if i in self.accepted or i in self.pinned)

    @property
    def unwanted(self) -> tuple[str, ...]:
        """Scans that must not come back, sorted."""
        return tuple(sorted({*self.vetoed, *self.passed}))

    def pick(self, case_id: str) -> Pick | None:
        """Return the pick of that scan, or None where it is not in the batch."""
        return next((p for p in self.picks if p.case_id == case_id), None)


def replay(events: Iterable[Event]) -> State:
    """Return the state that a history leads to; what was undone counts as never done."""
    events = tuple(events)
    undone = {int(e.detail["undoes"]) for e in events if e.action == UNDO}
    state = State()
    for event in events:
        if event.action != UNDO and event.seq not in undone:
            state = after(state, event)
    seq = next((e.seq for e in reversed(events) if e.action not in RECORDS), 0)
    return replace(state, seq=seq, last=undoable(events))


def undoable(events: Sequence[Event]) -> Event | None:
    """Return the latest action that can be taken back: one of the page, and no export."""
    gone: set[int] = set()
    for event in reversed(events):
        if event.action in WHOLE:
            return None
        if event.action == UNDO:
            gone.add(int(event.detail["undoes"]))
        elif event.action not in {EXPORT, *RECORDS} and event.seq not in gone:
            return event
    return None


def after(state: State, event: Event) -> State:
    """Return the state after one event.  Raises DataError for an action that this version does not know."""
    if event.action in RECORDS:
        return state
    if event.action in WHOLE:
        return _begun(State() if event.action == CHOSEN else state, event)
    new = _steered(state, event)
    return new if new.case_ids == state.case_ids else replace(new, amendments=_reviewed(state, new))


def _steered(state: State, event: Event) -> State:
    """Return the state after an action of the page."""
    case_id, detail = event.case_id or "", event.detail
    if event.action in ANEW:
        wishes = (int(detail["budget"]), str(detail["strategy"]), state.unwanted, state.held)
        frame = Frame(event.seq, *wishes, file=str(detail.get("file", "")))
        return _among_picks(replace(state, frame=frame, picks=picks_of(detail["picks"]), replaced=(), swaps=()))
    if event.action == EXPORT:
        return replace(state, exported=tuple(detail.get("picks", state.case_ids)))
    if event.action in {"accept", "unaccept"}:
        return replace(state, accepted=_with(state.accepted, case_id, event.action == "accept"))
    if event.action == "unpin":
        return replace(state, pinned=state.pinned - {case_id})
    if event.action == "pin":
        pinned = replace(_substituted(state, event), pinned=state.pinned | {case_id})
        return _among_picks(replace(pinned, vetoed=_less(state.vetoed, case_id), passed=_less(state.passed, case_id)))
    if event.action == "allow":
        return replace(state, vetoed=_less(state.vetoed, case_id), passed=_less(state.passed, case_id))
    if event.action == "veto":
        vetoed = MappingProxyType({**state.vetoed, case_id: event.why})
        return _among_picks(replace(_substituted(state, event), vetoed=vetoed, passed=_less(state.passed, case_id)))
    if event.action == "replace":
        passed = MappingProxyType({**state.passed, case_id: str(detail["pick"]["case_id"])})
        return _among_picks(replace(_substituted(state, event), passed=passed))
    raise DataError(
        f"the history of this batch holds an action that firstscan does not know ({event.action!r}, entry "
        f"{event.seq}): update firstscan to read it"
    )


def picks_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Pick, ...]:
    """Return picks from plain values."""
    return tuple(Pick(**row) for row in rows)


def _begun(state: State, event: Event) -> State:
    picks = picks_of(event.detail["picks"])
    ids = tuple(p.case_id for p in picks)
    amendments = event.detail.get("amendments", state.amendments)
    vetoed = {**state.vetoed, **event.detail.get("vetoed", {})}
    return _among_picks(
        replace(
            state,
            frame=Frame(event.seq, len(picks), file=str(event.detail.get("file", ""))),
            picks=picks,
            vetoed=MappingProxyType({i: why for i, why in vetoed.items() if i not in ids}),
            passed=MappingProxyType({i: by for i, by in state.passed.items() if i not in ids}),
            replaced=(),
            swaps=(),
            exported=ids,
            amendments=(*amendments, *([event.detail["amendment"]] if "amendment" in event.detail else [])),
        )
    )


def _reviewed(before: State, new: State) -> tuple[Mapping[str, Any], ...]:
    """Return the amendments with what a review has made of the batch as one of them."""
    earlier, first = before.amendments, list(before.case_ids)
    if earlier and "review" in earlier[-1]:
        first, earlier = list(earlier[-1]["before"]), earlier[:-1]
    if first == list(new.case_ids):
        return earlier
    return (*earlier, {"review": True, "before": first, "after": list(new.case_ids)})


def _substituted(state: State, event: Event) -> State:
    """Return the state with the pick of the event's detail in the place of the one that it names, if any."""
    if "pick" not in event.detail:
        return state
    new, removed = Pick(**event.detail["pick"]), str(event.detail["removed"])
    picks = tuple(new if p.case_id == removed else p for p in state.picks)
    row = {
        "rank": new.rank,
        "removed": removed,
        "why": event.why or event.action,
        "substitute": new.case_id,
        "from": event.detail["from"],
    }
    swaps = (*state.swaps, row)
    if event.action == "pin":  # who makes room for a pinned scan may come back
        return replace(state, picks=picks, swaps=swaps)
    return replace(state, picks=picks, replaced=(*state.replaced, row), swaps=swaps)


def _among_picks(state: State) -> State:
    """Return the state with what is said of picks kept for picks only."""
    ids = frozenset(state.case_ids)
    return replace(state, accepted=state.accepted & ids, pinned=state.pinned & ids)


def _with(names: frozenset[str], case_id: str, wanted: bool) -> frozenset[str]:
    return names | {case_id} if wanted else names - {case_id}


def _less(words: Words, case_id: str) -> Words:
    return MappingProxyType({i: w for i, w in words.items() if i != case_id})
