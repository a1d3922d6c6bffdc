"""One scan to annotate: an id, its channels, and what is known about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MetadataValue = str | float | int | bool | None


@dataclass(frozen=True, slots=True)
class Channel:
    """Where the voxels of one channel come from.

    ``path`` is the file (or, for a DICOM series, its folder); ``files`` lists the slices of a series in
    order along the normal; ``component`` selects one volume of a 4D or vector file.
    """

    name: str
    path: str
    files: tuple[str, ...] = ()
    component: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One scan: a unique id, one or more channels on one grid, and optional metadata.

    ``metadata`` may hold ``patient``, ``site``, ``scanner``, ``modality`` and any column of a source table.
    """

    case_id: str
    channels: tuple[Channel, ...]
    metadata: Mapping[str, MetadataValue] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def path(self) -> str:
        """The path of the first channel: the one shown to people."""
        return self.channels[0].path

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of the case, in channel order."""
        return tuple(p for channel in self.channels for p in (channel.files or (channel.path,)))


def repeated(case_ids: Iterable[str]) -> list[str]:
    """Return the ids that occur more than once, sorted."""
    return sorted(case_id for case_id, n in Counter(case_ids).items() if n > 1)
