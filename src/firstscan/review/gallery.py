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

from firstscan.domain.errors import FirstscanError, ScanError
from firstscan.execution import Beside
from firstscan.report.charts.thumbnails import stretched
from firstscan.steps.reporting.report import Story, kept_planes, planes_of
from firstscan.steps.steering.review import Held
from firstscan.store import Workspace

from .alike import Likeness
from .asking import UnknownNameError
from .session import Session
from .viewer import NO_SCANS, NoPictureError

QUALITY = 82
NICENESS = 10


class Thumbnails:
    """The axial plane of every scan as a small JPEG (about 3 kB), kept in memory once somebody has asked for it.

    Entered, it draws those of the whole pool ahead in a process of low priority, so that they are there before somebody
    points at a scan; what is drawn is kept in ``work/thumbnails``, for the next time, too.
    """

    def __init__(self, held: Held) -> None:
        self._held = held
        self._kept: dict[str, bytes] = {}
        self._one = threading.Lock()
        self._ahead: Beside[tuple[Workspace, Story, str], None] = Beside(_draw, _give_way)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw_ahead, daemon=True)

    def picture(self, case_id: str) -> bytes:
        """Return the picture of a scan; those that are not there yet are drawn one at a time.

        Raises
        ------
        NoPictureError : the scan is not known, or the page is being closed.  ScanError, OSError : it cannot be read.
        """
        if case_id not in self._kept:
            story = self._held.story
            if story is None or case_id not in story.cases:
                raise NoPictureError(NO_SCANS)
            workspace = self._held.run.workspace
            planes = kept_planes(workspace, story, case_id)
            if planes is None:
                with self._one:
                    if self._ended.is_set():
                        raise NoPictureError(f"{case_id} is not drawn: the page is being closed.")
                    planes = planes_of(workspace, story, case_id)
            self._kept[case_id] = _jpeg(stretched(planes)[0])
        return self._kept[case_id]

    def __enter__(self) -> Thumbnails:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
        self._thread.join(timeout=5)

    def close(self) -> None:
        """Draw no more, whatever is asked."""
        self._ended.set()
        self._ahead.close()

    def _draw_ahead(self) -> None:
        story, workspace = self._held.story, self._held.run.workspace
        for case_id in () if story is None else story.cases:
            if self._ended.is_set() or story is None:
                return
            with suppress(FirstscanError, OSError):  # it is said of the scan when somebody asks for it
                if kept_planes(workspace, story, case_id) is None:
                    self._ahead(case_id, (workspace, _alone(story, case_id), case_id))


def add_gallery(app: FastAPI, session: Session, pictures: Thumbnails) -> None:
    """Add the small pictures, what a scan stands for, and the distances to the picks."""
    likeness = Likeness(session)

    @app.get("/api/thumbnail")
    def thumbnail(case: str) -> Response:
        if case not in session.rows:
            raise UnknownNameError(case)
        try:
            return Response(pictures.picture(case), media_type="image/jpeg")
        except (NoPictureError, ScanError, OSError) as error:
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


def _alone(story: Story, case_id: str) -> Story:
    """Return what has to be known of one scan, small enough to be sent to another process."""
    return replace(
        story,
        cases={case_id: story.cases[case_id]},
        modalities={case_id: story.modalities[case_id]},
        fingerprints={case_id: story.fingerprints[case_id]},
        history=(),
        findings=(),
    )


def _draw(_ready: None, item: tuple[Workspace, Story, str]) -> None:
    planes_of(*item)
