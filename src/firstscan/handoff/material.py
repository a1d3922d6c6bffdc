"""What every hand-off writer receives and returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from firstscan.domain.case import Case, Channel
from firstscan.domain.errors import UsageError
from firstscan.domain.pool import Pool
from firstscan.domain.selection import Pick, Selection


@runtime_checkable
class Place(Protocol):
    """Puts the voxels of one channel at a ``.nii.gz`` path: a link, a copy or a conversion, as the caller chose.

    What is ``editable``, as a label map is, never becomes a link: a tool that saves over it would write through the
    link into the user's own file.
    """

    def __call__(self, channel: Channel, target: Path, *, editable: bool = False) -> None:
        """Put ``channel`` at ``target``."""
        ...


@dataclass(frozen=True)
class Material:
    """A selection with the scans it names.

    ``labels`` maps case ids to label files that exist already; ``classes`` maps class names to label values, without
    background; ``ignore`` is the value of voxels in them that nobody is to annotate, None where there are none;
    ``name`` is shown by the target tool. ``given`` holds, by case id, the label files that the user had: tables name
    these. ``neutral``: scans have neutral names, and no table says where anything is.
    ``predicted`` names the cases whose label is a model's prediction, to be corrected.
    """

    selection: Selection
    pool: Pool
    name: str = "firstscan"
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    classes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    ignore: int | None = None
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    neutral: bool = False
    predicted: frozenset[str] = frozenset()

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

    @property
    def rank_width(self) -> int:
        """Digits that keep names with a rank in front in rank order."""
        return max(3, len(str(max(p.rank for p in self.selection.picks))))

    def shown_path(self, path: str) -> str:
        """Return a path as a table of the hand-off may name it."""
        return "" if self.neutral else path

    def shown_label(self, case_id: str) -> str | None:
        """Return the user's label file of a case as a table may name it, None where there is none."""
        return None if self.neutral else self.given.get(case_id)

    def place_label(self, case_id: str, target: Path, place: Place) -> Path | None:
        """Put the label map of a case at ``target`` and return that; None where the case has none."""
        if case_id not in self.labels:
            return None
        place(Channel("label", self.labels[case_id]), target, editable=True)
        return target


@dataclass(frozen=True, slots=True)
class Item:
    """One pick as the tool knows it: its ``name`` there, its image files by channel, and a label handed over with it.

    Writers that place no image leave ``images`` empty.
    """

    case_id: str
    rank: int
    name: str
    images: tuple[tuple[str, Path], ...] = ()
    given: Path | None = None


@dataclass(frozen=True, slots=True)
class Handed:
    """What a writer left behind: the file or folder to open, one sentence on how, and what became of each pick."""

    target: str
    open_this: Path
    message: str
    items: tuple[Item, ...] = field(default=(), compare=False)


@runtime_checkable
class Writer(Protocol):
    """``write(material, folder, place)``: ``folder`` is absolute, exists and is empty."""

    def __call__(self, material: Material, folder: Path, place: Place) -> Handed:
        """Write the hand-off."""
        ...
