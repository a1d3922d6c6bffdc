"""The disagreement of the nine reconstructions, laid over slices: as colours here, as a volume for the viewer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Response
from fastapi.responses import FileResponse, JSONResponse
from jaxtyping import UInt8
from matplotlib import colormaps
from PIL import Image
from scipy import ndimage

from firstscan.domain.arrays import Float
from firstscan.domain.errors import ScanError
from firstscan.imaging import write_image
from firstscan.steps.steering.disagreement import Disagreement, Disagreements, NoDisagreementError

from .asking import UnknownNameError
from .session import Session
from .viewer import PLANES, Cut, NoPictureError, Viewer, png

COLOURS = "inferno"
STEPS = 9
MOST_OPAQUE = 0.8
"""How much of the scan the strongest disagreement hides; none hides nothing."""
Fraction = Annotated[float, Query(allow_inf_nan=False)]


class Overlay:
    """The maps of one review; the latest stays in memory, so that one scan can be looked through at once."""

    def __init__(self, viewer: Viewer, maps: Disagreements) -> None:
        self._viewer = viewer
        self.maps = maps
        self._lock = threading.Lock()
        self._latest: tuple[str, Disagreement] | None = None

    def told(self, case_id: str) -> dict[str, Any]:
        """Return the scale and the mean of a scan's map, which is made now unless it is there; or why there is none."""
        try:
            found = self._map(case_id)
        except (NoPictureError, NoDisagreementError) as error:
            return {"problem": str(error)}
        except ScanError as error:
            return {"problem": f"{error}. What to do: {error.remedy}."}
        low, high = self.maps.scale
        return {
            "uncertainty": float(f"{found.uncertainty:.3g}"),
            "low": low,
            "high": high,
            "name": COLOURS,
            "colours": ramp().tolist(),
        }

    def volume(self, case_id: str) -> Path:
        """Return a NIfTI file of a map, on the grid that it was made on.  Raises as :meth:`told` says."""
        found = self._map(case_id)
        return self._viewer.kept_volume(
            case_id, f"disagreement-{found.uncertainty!r}", lambda path: write_image(path, found.values, found.affine)
        )

    def slice(
        self, case_id: str, channel: int, plane: str, place: float, window: tuple[float, float]
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return a slice of the scan as :meth:`Viewer.slice` does, with the map's colours over it."""
        found = self._map(case_id)
        cut = self._viewer.cut(case_id, channel, plane, place, window)
        colour = coloured(on_slice(found, cut), *self.maps.scale)
        size = cut.grey.shape[1], cut.grey.shape[0]
        over = np.asarray(Image.fromarray(colour).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        share = over[..., 3:] / 255
        blended = cut.grey[..., None] * (1 - share) + over[..., :3] * share
        return np.round(blended).astype(np.uint8)

    def _map(self, case_id: str) -> Disagreement:
        self._viewer.require_unchanged(case_id)
        with self._lock:
            if self._latest is None or self._latest[0] != case_id:
                self._latest = case_id, self.maps.of(case_id)
            return self._latest[1]


def ramp(steps: int = STEPS) -> UInt8[np.ndarray, "steps 4"]:
    """Return the colour scale from no disagreement to the most that is told apart: red, green, blue, opacity."""
    share = np.linspace(0, 1, steps)
    colours = colormaps[COLOURS](0.15 + 0.85 * share)
    colours[:, 3] = MOST_OPAQUE * np.sqrt(share)
    return np.asarray(np.round(255 * colours), dtype=np.uint8)


def coloured(values: Float[np.ndarray, "h w"], low: float, high: float) -> UInt8[np.ndarray, "h w 4"]:
    """Return values as colours of :func:`ramp`, which begins at ``low`` and ends at ``high``."""
    table = ramp(256)
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(table[np.round(255 * share).astype(np.intp)])


def on_slice(found: Disagreement, cut: Cut) -> Float[np.ndarray, "h w"]:
    """Return a map at the voxels of one slice of the scan, 0 outside of the map's own grid."""
    rows, columns = cut.shape
    index = np.zeros((4, rows * columns))
    index[3] = 1
    index[cut.normal] = cut.at
    index[cut.down] = np.repeat(np.arange(rows)[:: -1 if cut.flipped else 1], columns)
    index[cut.across] = np.tile(np.arange(columns), rows)
    places = (np.linalg.inv(found.affine) @ cut.affine @ index)[:3]
    values = ndimage.map_coordinates(found.values, places, order=1, mode="constant", cval=0.0)
    return np.asarray(values.reshape(rows, columns))


def add_overlay(app: FastAPI, session: Session, viewer: Viewer, maps: Disagreements) -> None:
    """Add the routes of the overlay."""
    overlay = Overlay(viewer, maps)

    def require(case: str, plane: str = PLANES[0], channel: int = 0) -> None:
        if case not in session.rows or plane not in PLANES or not 0 <= channel < channels(case):
            raise UnknownNameError(case)

    def channels(case: str) -> int:
        scan = session.held.cases.get(case)
        return 1 if scan is None else len(scan.channels)

    @app.get("/api/disagreement")
    def told(case: str) -> JSONResponse:
        require(case)
        return JSONResponse(overlay.told(case))

    @app.get("/api/disagreement/volume")
    def volume(case: str) -> Response:
        require(case)
        return FileResponse(overlay.volume(case), media_type="application/octet-stream")

    @app.get("/api/disagreement/slice")
    def cut(  # noqa: PLR0917 - each is one part of the address
        case: str, channel: int, plane: str, place: Fraction, low: Fraction = 0.0, high: Fraction = 1.0
    ) -> Response:
        require(case, plane, channel)
        return Response(png(overlay.slice(case, channel, plane, place, (low, high))), media_type="image/png")
