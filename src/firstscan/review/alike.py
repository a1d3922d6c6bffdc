"""What a scan stands for: its nearest scans outside of the batch, and the one that would take its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstscan.domain.errors import FirstscanError
from firstscan.report.privacy import without_folders
from firstscan.selection.geometry import squared_distances, squared_distances_to, standardise

from .session import Session

NEAREST = 5
BLOCK = 4096


class Likeness:
    """Distances between the scans of one review, in the embedding as strategies see it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._x = standardise(session.chooser.table.embeddings)

    def told(self, case_id: str, most: int = NEAREST) -> dict[str, Any]:
        """Return the ``most`` nearest scans that could be picked, as rows with distances, and the substitute.

        ``substitute`` is None where the scan is no pick or nobody can take its place; ``why`` says which.
        """
        state, rows = self._session.state, self._session.rows
        closed = {*state.case_ids, *state.unwanted, *self._session.held.closed, case_id}
        distances = np.sqrt(squared_distances_to(self._x, self._x[rows[case_id]]))
        ids = self._session.chooser.table.case_ids
        order = [int(i) for i in np.argsort(distances, kind="stable") if ids[int(i)] not in closed][:most]
        told: dict[str, Any] = {
            "row": rows[case_id],
            "nearest": [{"row": i, "distance": float(f"{distances[i]:.4g}")} for i in order],
            "median": float(f"{np.median(distances):.4g}"),
        }
        return {**told, **self._substitute(case_id)}

    def coverage(self) -> dict[str, Any]:
        """Return every scan's distance to the nearest pick, which pick that is (as a row), and the state's ``seq``."""
        state, rows = self._session.state, self._session.rows
        picked = np.array([rows[i] for i in state.case_ids], dtype=np.intp)
        least, nearest = np.empty(len(self._x)), np.empty(len(self._x), dtype=np.intp)
        for start in range(0, len(self._x), BLOCK):
            away = squared_distances(self._x[start : start + BLOCK], self._x[picked])
            closest = away.argmin(axis=1)
            least[start : start + BLOCK] = away[np.arange(len(away)), closest]
            nearest[start : start + BLOCK] = picked[closest]
        least[picked], nearest[picked] = 0.0, picked
        told = [float(f"{d:.4g}") for d in np.sqrt(least).tolist()]
        return {"seq": state.seq, "distance": told, "nearest": nearest.tolist()}

    def _substitute(self, case_id: str) -> dict[str, Any]:
        if self._session.state.pick(case_id) is None:
            return {"substitute": None, "why": "it is not in the batch"}
        try:
            row = self._session.substitute_of(case_id)
        except FirstscanError as error:
            return {"substitute": None, "why": without_folders(str(error))}
        return {"substitute": self._session.rows[row["substitute"]], "from": row["from"]}
