"""What a review has changed, in sentences for who leaves the page."""

from __future__ import annotations

from firstscan.steps.running.replay import State


def difference(before: State, after: State) -> tuple[str, ...]:
    """Return a sentence for every scan that left or joined the batch, and for every new veto."""
    said = []
    substitutes = {str(row["removed"]): str(row["substitute"]) for row in after.swaps}
    gone = [i for i in before.case_ids if i not in after.case_ids]
    new = [i for i in after.case_ids if i not in before.case_ids]
    for case_id in gone:
        why = f"vetoed ({after.vetoed[case_id]})" if case_id in after.vetoed else "taken out"
        by = substitutes.get(case_id)
        said.append(f"{case_id} was {why}" + (f"; {by} takes its place" if by in new else ""))
    placed = {substitutes.get(i) for i in gone}
    if other := [i for i in new if i not in placed]:
        said.append(f"put in: {', '.join(other)}")
    more = [i for i in after.vetoed if i not in before.vetoed and i not in before.case_ids]
    said += [f"{i} was vetoed ({after.vetoed[i]}); it was not in the batch and will not come into it" for i in more]
    if back := [i for i in before.unwanted if i not in after.unwanted]:
        said.append(f"allowed again: {', '.join(back)}")
    return tuple(said)
