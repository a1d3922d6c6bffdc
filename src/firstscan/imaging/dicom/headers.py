"""What the headers of DICOM files tell, as short texts that can be handed between processes and kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from firstscan._version import __version__

from .tags import Slice, read_tags

Header = tuple[str, str]
"""What the slices of a series have in common and what is one file's own, as JSON; nothing in common: no slice.

Of a file that is no DICOM file both are empty; of one that cannot be read the second says why.
"""
Headers = Callable[[Sequence[Path]], Iterable[Header]]
"""Reads files and returns the header of each, in their order."""

NO_DICOM: Header = ("", "")


def reader_version() -> str:
    """Return what changes whenever the same file might be read differently."""
    return f"firstscan {__version__}, pydicom {version('pydicom')}"


def read_headers(files: Sequence[Path]) -> list[Header]:
    """Return the header of each file; equal texts are one object, so that a series hands over its own only once."""
    return [_packed(read_tags(path)) for path in files]


def unreadable(reason: str) -> Header:
    """Return the header of a file that cannot be read."""
    return "", reason


def is_settled(header: Header) -> bool:
    """Tell whether reading the file again would tell the same; what could not be read may be readable tomorrow."""
    return header == NO_DICOM or bool(header[0])


def unpacked(files: Iterable[Path], headers: Iterable[Header]) -> Iterator[Slice | str | None]:
    """Yield the tags of each file; None for one that is no DICOM file, or in words why it cannot be read."""
    series: dict[str, Mapping[str, Any]] = {}
    for path, (common, own) in zip(files, headers, strict=True):
        if not common:
            yield own or None
            continue
        if common not in series:
            series[common] = _common(common)
        sop, instance, x, y, z, along_normal, missing_bytes = json.loads(own)
        yield Slice(
            path=str(path),
            sop=sop,
            instance=instance,
            position_mm=(x, y, z),
            along_normal=along_normal,
            missing_bytes=missing_bytes,
            **series[common],
        )


def _packed(tags: Slice | str | None) -> Header:
    if not isinstance(tags, Slice):
        return unreadable(tags) if tags else NO_DICOM
    own = [tags.sop, tags.instance, *tags.position_mm, tags.along_normal, tags.missing_bytes]
    common = {
        "study": tags.study,
        "series": tags.series,
        "frame_of_reference": tags.frame_of_reference,
        "number": tags.number,
        "description": tags.description,
        "modality": tags.modality,
        "image_type": tags.image_type,
        "rows": tags.rows,
        "columns": tags.columns,
        "frames": tags.frames,
        "spacing_mm": tags.spacing_mm,
        "orientation": tags.orientation,
        "placed": tags.placed,
        "spaced": tags.spaced,
        "step_mm": tags.step_mm,
        "step_from": tags.step_from,
        "frame_positions": tags.frame_positions,
        "when": tags.when,
        "protocol": tags.protocol,
        "metadata": dict(tags.metadata),
    }
    return sys.intern(json.dumps(common)), json.dumps(own)


def _common(text: str) -> Mapping[str, Any]:
    told = json.loads(text)
    metadata = MappingProxyType(told.pop("metadata"))
    return {**{name: _fixed(value) for name, value in told.items()}, "metadata": metadata}


def _fixed(value: Any) -> Any:
    return tuple(_fixed(v) for v in value) if isinstance(value, list) else value
