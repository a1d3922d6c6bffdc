"""What a review has decided that the batch in the folder does not hold yet."""

from __future__ import annotations

from pathlib import Path

from firstscan.steps.running.history import read_log

from .log import NAME, Event
from .state import State, replay


def left_open(out: Path) -> tuple[str, ...]:
    """Return, in sentences, how the state of the review of ``out`` differs from the batch there; nothing: they agree.

    A log that cannot be read tells nothing here: whoever opens the page is told.
    """
    state = _state(out)
    if state is None or not state.exported:
        return ()
    gone = [i for i in state.exported if i not in state.case_ids]
    new = [i for i in state.case_ids if i not in state.exported]
    said = [f"{i} was vetoed ({state.vetoed[i]}) and is still in the batch" for i in gone if i in state.vetoed]
    other = [i for i in gone if i not in state.vetoed]
    if other:
        said.append(f"{', '.join(other)} {'was' if len(other) == 1 else 'were'} taken out and still in the batch")
    if new:
        said.append(f"{', '.join(new)} {'was' if len(new) == 1 else 'were'} put in and not yet in the batch")
    return tuple(said)


def _state(out: Path) -> State | None:
    rows = read_log(out / NAME)
    try:
        return replay(
            Event(int(r["seq"]), str(r["time"]), str(r["action"]), r["case_id"], str(r["why"]), dict(r["detail"]))
            for r in rows
            if "unread" not in r
        )
    except (KeyError, TypeError, ValueError):
        return None
