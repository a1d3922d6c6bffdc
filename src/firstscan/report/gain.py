"""When to stop: what another round can be expected to gain, as a sentence and as a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from firstscan.domain.selection import Selection
from firstscan.metrics.learning_curve import Gain, expected_gain
from firstscan.selection.amend import ROUNDS

FEW_CORRECTED = 3
"""Corrected scans from which their agreement is told."""


@dataclass(frozen=True)
class Curve:
    """A learning curve: mean Dice of held-out scans at two numbers of scans, and where it leads.

    ``folds`` hold Dice at both sizes, (fold, 2); ``gain`` is what ``more`` scans besides the ``labelled`` ones bring.
    """

    few: float
    many: float
    folds: np.ndarray
    labelled: int
    more: int
    gain: Gain

    @property
    def means(self) -> tuple[float, float]:
        """Dice at both sizes, over folds."""
        few, many = self.folds.mean(axis=0).tolist()
        return float(few), float(many)


def curve_of(told: Mapping[str, Any]) -> Curve | None:
    """Return the learning curve of a round; None where none was measured, or too little of it."""
    rows: Sequence[Mapping[str, Any]] = told.get("curve", {}).get("rows", ())
    by_fold: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_fold.setdefault(int(row["fold"]), []).append(row)
    whole = [sorted(pair, key=lambda r: r["scans"]) for pair in by_fold.values() if len(pair) == 2]
    whole = [pair for pair in whole if all(row["dice"] is not None for row in pair)]
    if len(whole) < 2:
        return None
    folds = np.array([[row["dice"] for row in pair] for pair in whole], dtype=np.float64)
    few, many = (float(np.mean([pair[k]["scans"] for pair in whole])) for k in (0, 1))
    labelled, more = int(told["curve"]["labelled"]), len(told["picks"])
    gain = expected_gain(folds[:, 1] - folds[:, 0], few=few, many=many, labelled=labelled, more=more)
    return Curve(few, many, folds, labelled, more, gain)


def when_to_stop(selection: Selection) -> str:
    """Return in a sentence or two what another round can be expected to gain; empty before the first round."""
    rounds = selection.diagnostics.get(ROUNDS, ())
    if not rounds:
        return ""
    return " ".join(text for text in (_by_curve(rounds[-1]), _by_corrections(rounds)) if text)


def _by_curve(told: Mapping[str, Any]) -> str:
    curve, more = curve_of(told), len(told["picks"])
    scans = "the scan" if more == 1 else f"the {more} scans"
    if curve is None:
        asked = told.get("curve")
        if asked is None:
            return "Not enough to say whether another round helps: no learning curve was measured (--curve)."
        why = asked.get("why", "held-out scans of too few folds could be scored")
        return f"Not enough to say whether another round helps: {why}."
    gain, (few, many) = curve.gain, curve.means
    verdict = "" if gain.low > 0 or gain.high < 0 else " It may as well be nothing."
    return (
        f"From labelling {scans} of this round expect {gain.estimate:+.3f} Dice (95 % interval {gain.low:+.3f} to "
        f"{gain.high:+.3f}): on held-out labelled scans small networks had {few:.3f} with {curve.few:.0f} scans and "
        f"{many:.3f} with {curve.many:.0f}. Curves flatten, so this is rather too much.{verdict}"
    )


def _by_corrections(rounds: Sequence[Mapping[str, Any]]) -> str:
    found = [told["corrections"] for told in rounds if told.get("corrections")]
    if not found or not rounds[-1].get("corrections"):
        return ""
    last = found[-1]
    if last["scans"] < FEW_CORRECTED:
        return f"Corrections of {last['scans']:.0f} scan(s) are too few to tell how far predictions can be trusted."
    before = f", after {found[-2]['dice']:.3f} before" if len(found) > 1 and found[-2] != last else ""
    return (
        f"Predictions that were corrected last agree with the final labels to a Dice of {last['dice']:.3f}{before} "
        f"({last['scans']:.0f} scans, {100 * last['touched']:.0f} % of the slices touched)."
    )
