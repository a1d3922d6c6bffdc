"""Small pictures of all scans, drawn ahead by a process of its own, and how far each scan is from the picks."""

from __future__ import annotations

import io
import os
import threading
from contextlib import suppress
from dataclasses import replace

import numpy as np
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from jaxtyping import UInt8
from PIL import Image

from firstscan.domain.errors import FirstscanError
from firstscan.execution import Beside
from firstscan.steps.reporting.report import Story, planes_of
from firstscan.steps.steering.review import Held
from firstscan.store import Workspace

from .alike import Likeness
from .asking import UnknownNameError
from .session import Session
from .viewer import PLANES, NoPictureError, Viewer

QUALITY = 82
NICENESS = 10


class Thumbnails:
    """The axial plane of every scan as a small JPEG, kept in memory once it was drawn (about 3 kB each)."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._kept: dict[str, bytes] = {}

    def picture(self, case_id: str) -> bytes:
        """Return the picture.  Raises NoPictureError where there is none."""
        if case_id not in self._kept:
            self._kept[case_id] = _jpeg(self._viewer.planes(case_id)[PLANES[0]])
        return self._kept[case_id]


class Ahead:
    """Draws the pictures of a whole pool while the page is open, in a process of low priority.

    So they are there before somebody points at a scan; what is drawn is kept in ``work/thumbnails`` for the next time.
    """

    def __init__(self, held: Held) -> None:
        self._held = held
        self._draw: Beside[tuple[Workspace, Story, str], bool] = Beside(_draw_one, _give_way)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Ahead:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._draw.close()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        story = self._held.story
        if story is None:
            return
        picked = list(self._held.batch.selection.case_ids)
        for case_id in dict.fromkeys([*picked, *story.cases]):
            if self._ended.is_set():
                return
            if case_id not in story.cases:
                continue
            alone = replace(story, cases={case_id: story.cases[case_id]}, history=(), findings=())
            with suppress(FirstscanError, OSError):  # the page says it of the scan that is asked for
                self._draw(case_id, (self._held.run.workspace, alone, case_id))


def add_gallery(app: FastAPI, session: Session, viewer: Viewer, likeness: Likeness) -> None:
    """Add the small pictures, what a scan stands for, and the distances to the picks."""
    pictures = Thumbnails(viewer)

    @app.get("/api/thumbnail")
    def thumbnail(case: str) -> Response:
        if case not in session.rows:
            raise UnknownNameError(case)
        try:
            return Response(pictures.picture(case), media_type="image/jpeg")
        except NoPictureError as error:
            return JSONResponse({"message": str(error)}, status_code=404)

    @app.get("/api/alike")
    def alike(case: str) -> JSONResponse:
        if case not in session.rows:
            raise UnknownNameError(case)
        return JSONResponse(likeness.told(case))

    @app.get("/api/coverage")
    def coverage() -> JSONResponse:
        return JSONResponse(likeness.coverage())


def _jpeg(plane: UInt8[np.ndarray, "h w"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plane)).save(buffer, format="JPEG", quality=QUALITY)
    return buffer.getvalue()


def _give_way() -> None:
    """Let everything else on this machine go first."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def _draw_one(_ready: None, item: tuple[Workspace, Story, str]) -> bool:
    workspace, story, case_id = item
    planes_of(workspace, story, case_id)
    return True
