"""Label maps among the files of a folder: told apart by name and, where names are silent, by a look at the content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firstscan.domain.finding import Finding
from firstscan.domain.names.label_maps import are_labels
from firstscan.imaging.files import digest, printable, safe_id, split_ending

from .label_content import Looker
from .numbered import Group

_SHOWN = 3

As = Callable[[Iterable[Finding]], tuple[Finding, ...]]
"""Returns findings with the severity that the user wants for them."""


def as_found(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings as they are."""
    return tuple(findings)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of files that look like label maps: ``left_out``, and of those that stay scans by their key."""

    left_out: tuple[Finding, ...] = ()
    kept: tuple[tuple[Path, Finding], ...] = ()

    def with_ids(self, ids: Mapping[Path, str]) -> tuple[Finding, ...]:
        """Return all findings; those of scans name them."""
        return (*self.left_out, *(replace(finding, case_id=ids[key]) for key, finding in self.kept))


def without_labels(
    root: Path, files: Iterable[Path], *, beside_scans: bool = False
) -> tuple[list[Path], tuple[Finding, ...]]:
    """Split off what is called after label maps (:mod:`firstscan.domain.names.label_maps`), with a note on how many.

    Where all files are called so there is nothing to tell them from: all are scans, and a warning says so; but not
    where there are scans in another format (``beside_scans``).
    """
    listed = list(files)
    folders = [path.relative_to(root).parts[:-1] for path in listed]
    told = are_labels([split_ending(path.name)[0] for path in listed], folders)
    if listed and all(told) and not beside_scans:
        return listed, (_all_named(root, listed),)
    skipped: dict[Path, list[Path]] = defaultdict(list)
    for path, is_label in zip(listed, told, strict=True):
        if is_label:
            skipped[path.parent].append(path)
    scans = [path for path, is_label in zip(listed, told, strict=True) if not is_label]
    return scans, (_named(root, skipped),) if skipped else ()


def looking_like_labels(
    root: Path, groups: Sequence[Group], files: Sequence[Path], *, judged: As = as_found
) -> tuple[list[Group], Looked]:
    """Leave out the scans of one file that look like label maps of another one of ``files``.

    What ``judged`` does not drop stays a scan.
    """
    single = {next(iter(group.files.values())): group for group in groups if not group.is_numbered}
    seen = Looker().like_labels(list(single), files)
    left_out, kept, gone = [], [], set()
    for path in seen:
        for finding in judged([like_labels(root, path)]):
            if finding.severity == "drop":
                left_out.append(finding)
                gone.add(single[path].key)
            else:
                kept.append((single[path].key, finding))
    return [group for group in groups if group.key not in gone], Looked(tuple(left_out), tuple(kept))


def _named(root: Path, skipped: Mapping[Path, Sequence[Path]]) -> Finding:
    count = sum(map(len, skipped.values()))
    folders = [f"{printable(f.relative_to(root))} ({len(group)})" for f, group in sorted(skipped.items())[:_SHOWN]]
    where = "" if set(skipped) == {root} else f" (in {', '.join(folders)}{', …' * (len(skipped) > _SHOWN)})"
    return Finding(
        code="label-map",
        severity="note",
        case_id="",
        message=f"{count} file(s) look like label maps by name{where} and were not taken as scans",
        remedy="rename the folder or files if they are scans",
        path=str(root),
        measured=float(count),
    )


def _all_named(root: Path, files: Sequence[Path]) -> Finding:
    return Finding(
        code="label-map",
        severity="warn",
        case_id="",
        message=f"all {len(files)} file(s) are called after label maps, such as {files[0].name}; they were taken as "
        "scans because there is nothing else",
        remedy="name the folder that holds the scans, or rename the files if they are scans",
        path=str(root),
        measured=float(len(files)),
    )


def like_labels(root: Path, path: Path) -> Finding:
    """Return the finding on a file that looks like a label map by its content."""
    within = path.relative_to(root)
    stem = safe_id("_".join((*within.parts[:-1], split_ending(path.name)[0])))
    return Finding(
        code="looks-like-labels",
        severity="drop",
        case_id=f"{stem}-{digest(str(within))}",
        message=f"{path.name} holds few distinct whole values, on the grid of another file: it looks like a label map",
        remedy="nothing to do if it is one; if it is a scan, take it with --severity looks-like-labels=warn",
        path=str(path),
    )
