"""How a batch came to be what it is: one entry a step, kept in its diagnostics, from which its story is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from firstscan.domain.selection import Pick, Selection

HISTORY = "history"
"""The diagnostic that holds the entries, oldest first; each says in ``action`` what was done.

``chosen``: a batch of its own. ``added``: more picks, with the earlier ones as annotated. ``replaced``: one pick by
another. ``chosen again``: in a review, under another size or strategy, with ``kept`` picks. ``round``: more picks, by
what a model predicts; the diagnostic ``rounds`` tells more of it.
"""
CHOSEN, ADDED, REPLACED, AGAIN, ROUND = "chosen", "added", "replaced", "chosen again", "round"
_MEASURED = ("dcr", "dcr_pvalue", "alpha_eff", "gamma", "n_strata", "pacing_used")
Entry = Mapping[str, Any]


def begun(selection: Selection, *, pool: int, labelled: int = 0) -> Selection:
    """Return a new batch with the first entry of its history.

    ``pool``: how many scans it was chosen from; ``labelled``: how many of others were annotated already.
    """
    entry = {**_choice(CHOSEN, selection, selection.picks), "pool": pool, "labelled": labelled}
    return replace(selection, diagnostics={**selection.diagnostics, HISTORY: [entry]})


def history_of(selection: Selection) -> tuple[Entry, ...]:
    """Return the entries of a batch; of one made before there were any, those that can be told from it."""
    told = selection.diagnostics
    if HISTORY in told:
        return tuple(told[HISTORY])
    first = int(told.get("extended_from", len(selection)))
    swaps = list(told.get("replacements", ()))
    back = {str(row["substitute"]): str(row["removed"]) for row in reversed(swaps)}
    picks = [replace(p, case_id=_first_of(p.case_id, back)) for p in selection.picks]
    entries: list[Entry] = [_choice(CHOSEN, selection, picks[:first])]
    if first < len(picks):
        entries = [{"action": CHOSEN, "strategy": selection.strategy, "picks": [p.case_id for p in picks[:first]]}]
        entries.append(_choice(ADDED, selection, picks[first:]))
    return (*entries, *({"action": REPLACED, **row} for row in swaps))


def with_entry(selection: Selection, before: Selection, entry: Entry) -> Selection:
    """Return the batch with the history of the one ``before`` and one entry more."""
    return replace(selection, diagnostics={**selection.diagnostics, HISTORY: [*history_of(before), dict(entry)]})


def added(longer: Selection, before: Selection, labelled: int) -> Selection:
    """Return an extended batch with its history; picks that stay say since when they are in it.

    ``labelled``: how many scans counted as annotated, the earlier picks among them.
    """
    entry = {**_choice(ADDED, longer, longer.picks[len(before) :]), "labelled": labelled}
    return with_entry(kept(longer, before), before, entry)


def kept(longer: Selection, before: Selection) -> Selection:
    """Return a batch whose picks that were in the one ``before`` say since when they are there, and why."""
    entries = history_of(before)
    picks = tuple(replace(p, reason=_since(p, entries)) if p in before.picks else p for p in longer.picks)
    return replace(longer, picks=picks)


def of_earlier_strata(selection: Selection) -> frozenset[str]:
    """Return the picks whose stratum is one of an earlier step: strata were formed anew for those added later."""
    batch: list[str] = []
    earlier: set[str] = set()
    for entry in history_of(selection):
        if entry["action"] == REPLACED:
            batch = [entry["substitute"] if i == entry["removed"] else i for i in batch]
            earlier.discard(entry["removed"])
        elif entry["action"] in {CHOSEN, AGAIN}:
            batch, earlier = list(entry["picks"]), set()
        else:
            earlier = set(batch) if entry["action"] == ADDED and entry.get("n_strata") else earlier
            batch += entry["picks"]
    return frozenset(earlier)


def _since(pick: Pick, entries: Sequence[Entry]) -> str:
    if pick.reason.startswith(("kept from", "replaces")):
        return pick.reason
    came = next((e for e in reversed(entries) if pick.case_id in e.get("picks", ())), None)
    if came is None:
        return pick.reason
    n = len(came["picks"])
    step = {CHOSEN: f"the first choice of {n}", ADDED: f"the {n} added later", AGAIN: f"the {n} chosen again"}
    named = step.get(came["action"], f"the {n} of a round with a model")
    return f"kept from {named}, then: {pick.reason}"


def _choice(action: str, selection: Selection, picks: Iterable[Pick]) -> dict[str, Any]:
    measured = {k: selection.diagnostics[k] for k in _MEASURED if selection.diagnostics.get(k) is not None}
    return {"action": action, "strategy": selection.strategy, "picks": [p.case_id for p in picks], **measured}


def _first_of(case_id: str, back: Mapping[str, str]) -> str:
    seen: set[str] = set()
    while case_id in back and case_id not in seen:
        seen.add(case_id)
        case_id = back[case_id]
    return case_id
