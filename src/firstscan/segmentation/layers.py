"""Segments of a ``.seg.nrrd`` of 3D Slicer, which keeps those that overlap in several layers, as one label map."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

_KEY = re.compile(r"^Segment(?P<number>\d+)_(?P<field>Name|LabelValue|Layer)$")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its ``name``, the ``layer`` and the value ``stored`` there, and its ``value`` in one label map."""

    name: str
    layer: int
    stored: int
    value: int


def segments_of(said: Mapping[str, str]) -> tuple[Segment, ...]:
    """Return the segments that the entries of an NRRD header name, in the order of the file; none for other files.

    Values are those of the file where no two segments share one, else 1, 2, 3, … in order.
    """
    fields: dict[int, dict[str, str]] = {}
    for key, text in said.items():
        if match := _KEY.match(key):
            fields.setdefault(int(match["number"]), {})[match["field"]] = text.strip()
    known = [fields[number] for number in sorted(fields)]
    known = [field for field in known if field.get("LabelValue", "").isdigit() and field.get("Name")]
    stored = [int(field["LabelValue"]) for field in known]
    values = stored if len(set(stored)) == len(stored) else range(1, len(stored) + 1)
    return tuple(
        Segment(field["Name"], int(layer) if (layer := field.get("Layer", "0")).isdigit() else 0, here, value)
        for field, here, value in zip(known, stored, values, strict=True)
    )


def flattened(layers: Shaped[np.ndarray, "z y x layer"], segments: Sequence[Segment]) -> Shaped[np.ndarray, "z y x"]:
    """Return one label map of several layers; where segments overlap, the later one counts, as in Slicer's exports.

    Raises
    ------
    ValueError : a segment lies in a layer that is not there, or a layer holds a value of no segment.
    """
    result = np.zeros(layers.shape[:3], np.int32)
    known = np.zeros(layers.shape, bool)
    for segment in segments:
        if segment.layer >= layers.shape[3]:
            raise ValueError(f"segment {segment.name} is said to lie in layer {segment.layer}, which is not there")
        mask = layers[..., segment.layer] == segment.stored
        result[mask] = segment.value
        known[..., segment.layer] |= mask
    if not known[layers != 0].all():
        raise ValueError("a layer holds values that are of no segment")
    return result
