"""The routes of the review page; names from outside are looked up; only a hand-off's folder is used as a path."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict

from firstscan.domain.errors import FirstscanError
from firstscan.report.charts.maps import PoolMap
from firstscan.steps.steering.disagreement import Disagreements
from firstscan.store.selections import selection_table
from firstscan.store.slice_plans import slices_table

from .asking import Request as Asked
from .asking import StaleError, UnknownNameError
from .gallery import Thumbnails, add_gallery
from .handing import Wanted, hand_over
from .overlay import add_overlay
from .scene import batch_told, css_variables, log_told, pool_told, state_told
from .security import App, Guarded
from .session import Session
from .viewer import PLANES, NoPictureError, Viewer, png

KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
STYLES = ("style.css", "dialogs.css", "viewer.css", "gallery.css")
Fraction = Annotated[float, Query(allow_inf_nan=False)]
"""Style sheets that are sent as one, after the report's colours: nothing is painted before they are there."""
NO_PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160"><rect width="160" height="160" fill="#20272f"/>'
    '<path d="M52 108 108 52M52 52l56 56" stroke="#566472" stroke-width="5"/></svg>'
)


class Action(BaseModel):
    """What the page may ask for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    action: str
    case: str | None = None
    why: str = ""
    budget: int | None = None
    strategy: str | None = None
    seq: int | None = None


class HandOff(BaseModel):
    """A hand-off as the page asks for it; ``seq`` is the state that the person saw."""

    model_config = ConfigDict(extra="forbid", strict=True)

    target: str
    folder: str
    readers: int = 1
    overlap: int = 0
    seq: int


def application(
    session: Session,
    layout: PoolMap,
    token: str,
    maps: Disagreements | None = None,
    pictures: Thumbnails | None = None,
) -> App:
    """Return the page of one review, which answers those who know ``token``.

    ``maps`` and ``pictures`` make what needs processes of their own; whoever gives them ends them.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_errors(app)
    _add_files(app)
    _add_review(app, session, layout)
    _add_handoff(app, session)
    viewer = Viewer(session.held)
    _add_pictures(app, session, viewer)
    add_gallery(app, session, pictures or Thumbnails(session.held))
    add_overlay(app, session, viewer, maps or Disagreements(session.held))
    return Guarded(app, token)


def niivue() -> Path | None:
    """Return the viewer's script as the package nilearn brings it, or None where it has none."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_assets" / "js" / "niivue.umd.js"
    return path if path.is_file() else None


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    @app.exception_handler(UnknownNameError)
    def nothing_there(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"message": "There is nothing of that name here."}, status_code=404)

    @app.exception_handler(StaleError)
    def stale(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"message": str(error), "stale": True}, status_code=409)

    @app.exception_handler(FirstscanError)
    def refused(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"message": str(error)}, status_code=409)

    @app.exception_handler(Exception)
    def unexpected(_request: Request, error: Exception) -> JSONResponse:
        said = (
            f"Something went wrong that firstscan did not expect ({type(error).__name__}: {error}); see the terminal."
        )
        return JSONResponse({"message": said}, status_code=500)


def _add_files(app: FastAPI) -> None:
    folder = files("firstscan.review") / "static"
    known = {f.name: f.read_bytes() for f in folder.iterdir() if Path(f.name).suffix in KINDS}
    styles = [known.pop(name) for name in STYLES]
    known["page.css"] = b"\n".join([css_variables().encode(), *styles])
    script = niivue()

    def served(name: str) -> Response:
        return Response(known[name], media_type=KINDS[Path(name).suffix])

    @app.get("/")
    async def page() -> Response:
        return served("index.html")

    @app.get("/static/{name:path}")
    async def static(name: str) -> Response:
        if name == "niivue.umd.js" and script is not None:
            return FileResponse(script, media_type=KINDS[".js"])
        if name not in known:
            raise UnknownNameError(name)
        return served(name)


def _add_review(app: FastAPI, session: Session, layout: PoolMap) -> None:
    pool = JSONResponse(pool_told(session, layout)).body

    @app.get("/api/pool")
    async def the_pool() -> Response:
        return Response(pool, media_type="application/json")

    @app.get("/api/state")
    def the_state() -> JSONResponse:
        return JSONResponse({**state_told(session, session.state), "notes": session.notes})

    @app.get("/api/seq")
    async def seq() -> dict[str, int]:
        return {"seq": session.state.seq}

    @app.post("/api/act")
    def act(action: Action) -> JSONResponse:
        asked = Asked(action.action, action.case, action.why, action.budget, action.strategy, action.seq)
        return JSONResponse(state_told(session, session.act(asked)))

    @app.get("/api/try")
    def tried(budget: int, strategy: str) -> JSONResponse:
        return JSONResponse(batch_told(session, session.tried(budget, strategy)))

    @app.get("/api/log")
    def log() -> JSONResponse:
        return JSONResponse(log_told(session.events))

    @app.get("/api/selection.csv")
    def table() -> Response:
        story = session.held.story
        text = selection_table(session.selection(session.state), {} if story is None else story.paths)
        headers = {"content-disposition": 'attachment; filename="selection.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    @app.get("/api/slices.csv")
    def slices() -> Response:
        plan = session.selection(session.state).slices
        if plan is None:
            raise UnknownNameError("slices.csv")
        headers = {"content-disposition": 'attachment; filename="slices.csv"'}
        return Response(slices_table(plan), media_type="text/csv; charset=utf-8", headers=headers)


def _add_handoff(app: FastAPI, session: Session) -> None:
    @app.post("/api/handoff")
    def handoff(asked: HandOff) -> JSONResponse:
        wanted = Wanted(asked.target, asked.folder, asked.readers, asked.overlap, asked.seq)
        return JSONResponse(hand_over(session, wanted))


def _add_pictures(app: FastAPI, session: Session, viewer: Viewer) -> None:
    def picture(pixels: Any) -> Response:
        return Response(png(pixels), media_type="image/png")

    def asked(case: str, plane: str = PLANES[0], channel: str = "0") -> None:
        """Raise what is unknown before anything is read."""
        for name, names in ((case, session.rows), (plane, PLANES), (channel, channels(case))):
            if name not in names:
                raise UnknownNameError(name)

    def channels(case: str) -> list[str]:
        scan = session.held.cases.get(case)
        return [str(i) for i in range(1 if scan is None else len(scan.channels))]

    @app.get("/api/picture")
    def plane(case: str, plane: str = PLANES[0]) -> Response:
        asked(case, plane)
        try:
            return picture(viewer.planes(case)[plane])
        except NoPictureError:
            return Response(NO_PICTURE, media_type=KINDS[".svg"])

    @app.get("/api/scan")
    def scan(case: str) -> JSONResponse:
        asked(case)
        try:
            return JSONResponse(viewer.scan(case))
        except NoPictureError as error:
            return JSONResponse({"problem": str(error)})

    @app.get("/api/volume")
    def volume(case: str, channel: str) -> Response:
        asked(case, channel=channel)
        return FileResponse(viewer.volume(case, int(channel)), media_type="application/octet-stream")

    @app.get("/api/slice")
    def cut(  # noqa: PLR0917 - each is one part of the address
        case: str, channel: str, plane: str, place: Fraction, low: Fraction = 0.0, high: Fraction = 1.0
    ) -> Response:
        asked(case, plane, channel)
        try:
            return picture(viewer.slice(case, int(channel), plane, place, (low, high)))
        except NoPictureError:
            return Response(NO_PICTURE, media_type=KINDS[".svg"])
