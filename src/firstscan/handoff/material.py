"""What every hand-off writer receives and returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import UsageError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection

Place = Callable[[Channel, Path], None]
"""Puts the voxels of one channel at a ``.nii.gz`` path: a link, a copy or a conversion, as the caller chose."""


@dataclass(frozen=True)
class Material:
    """A selection with the scans it names.

    ``labels`` maps case ids to label files that exist already; ``classes`` maps class names to label values, without
    background; ``name`` is shown by the target tool.
    """

    selection: Selection
    pool: Pool
    name: str = "firstscan"
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    classes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        missing = [c for c in self.selection.case_ids if c not in self.pool]
        if missing:
            raise UsageError(
                f"{len(missing)} pick(s) are not in the pool: {', '.join(missing[:5])}; "
                "hand off with the same SOURCE that the selection was made from"
            )

    def __iter__(self) -> Iterator[tuple[Pick, Case]]:
        """Walk over the picks in rank order, each with its scan."""
        for pick in sorted(self.selection.picks, key=lambda p: p.rank):
            yield pick, self.pool[pick.case_id]


@dataclass(frozen=True, slots=True)
class Handed:
    """What a writer left behind: the file or folder to open, and one sentence on how."""

    target: str
    open_this: Path
    message: str


Writer = Callable[[Material, Path, Place], Handed]
"""``write(material, folder, place)``: ``folder`` exists and is empty."""
