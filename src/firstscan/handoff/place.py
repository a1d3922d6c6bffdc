"""Put one channel where a target expects it: link, copy, or convert."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from firstscan.domain.case import Channel

from .material import Place

Mode = Literal["link", "copy"]
Convert = Callable[[Channel, Path], None]
"""Reads a channel of any format and writes it as ``.nii.gz`` with the same geometry."""


def placer(mode: Mode, convert: Convert) -> Place:
    """Return a :data:`Place` that links or copies files that are ``.nii.gz`` already and converts everything else.

    Where the file system refuses links the file is copied.
    """

    def place(channel: Channel, target: Path, *, editable: bool = False) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if channel.files or channel.component is not None or not channel.path.lower().endswith(".nii.gz"):
            convert(channel, target)
        else:
            place_file(Path(channel.path), target, "copy" if editable else mode)

    return place


def place_file(source: Path, target: Path, mode: Mode) -> None:
    """Link or copy ``source`` to ``target``; parents of ``target`` exist.

    Where links are not to be had (Windows without the right, some network drives), the file is copied instead.

    Raises
    ------
    FileNotFoundError : ``source`` is gone.
    """
    if not source.exists():
        raise FileNotFoundError(f"{source} does not exist any more")
    if mode == "link":
        with suppress(OSError, NotImplementedError):
            target.symlink_to(os.path.realpath(source))
            return
    shutil.copyfile(source, target)
