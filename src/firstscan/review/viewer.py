"""Scans as pictures: small planes, single slices, and whole volumes for the viewer in the page."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from firstscan._version import __version__
from firstscan.domain.arrays import Float
from firstscan.domain.errors import ScanError, UsageError
from firstscan.imaging import fingerprint, write_image
from firstscan.imaging.reading import RawVolume, read_raw
from firstscan.imaging.thumbnails import CT_DISPLAY_HU
from firstscan.report.charts.thumbnails import stretched
from firstscan.steps.reporting.report import planes_of
from firstscan.steps.steering.review import Held
from firstscan.store import CaseCache, identity

_AXES = {"axial": (2, 0, 1, False), "coronal": (1, 0, 2, True), "sagittal": (0, 1, 2, True)}
"""Of each plane: its normal, the axes that run to the right and down, and whether the latter is turned."""
PLANES = tuple(_AXES)
MOST_VOXELS = 1 << 27
MOST_SIDE = 1024
KEPT_BYTES = 2 << 30
IN_MEMORY = 2
"""Scans that stay in memory whatever their size; more do as long as they fit into ``IN_MEMORY_BYTES``."""
IN_MEMORY_BYTES = 1 << 30
_LONGEST_PICTURE = 512
_SAMPLE = 400_000


class NoPictureError(UsageError):
    """There is no picture of a scan; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One slice, drawn in ``grey``, and the voxels that it shows.

    ``at`` is its index along the axis ``normal``; ``across`` and ``down`` are the axes of columns and rows, ``shape``
    their numbers (rows, columns); rows run backwards where ``flipped``; ``affine`` (4, 4): voxel index → LPS mm.
    """

    grey: UInt8[np.ndarray, "h w"]
    normal: int
    across: int
    down: int
    flipped: bool
    at: int
    shape: tuple[int, int]
    affine: Float[np.ndarray, "4 4"]


class Viewer:
    """Reads scans of a batch on demand; converted volumes lie in ``work/review``, the oldest give way."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._lock = threading.RLock()
        self._recent: OrderedDict[str, RawVolume] = OrderedDict()
        self._trusted: dict[str, tuple[tuple[int, int], ...]] = {}

    def planes(self, case_id: str) -> dict[str, UInt8[np.ndarray, "h w"]]:
        """Return the three planes of the report.  Raises NoPictureError where there are none."""
        story = self._held.story
        if story is None or case_id not in story.cases:
            raise NoPictureError(NO_SCANS)
        try:
            planes = stretched(planes_of(self._held.run.workspace, story, case_id))
        except (ScanError, OSError) as error:
            raise _no_picture(case_id, error) from error
        return dict(zip(PLANES, planes, strict=True))

    def scan(self, case_id: str) -> dict[str, Any]:
        """Return what the viewer needs to know: channels with their grey windows, size and spacing.

        Raises
        ------
        NoPictureError : the scan is not known, has vanished, or has changed.
        """
        raw = self._raw(case_id)
        step = _step(raw)
        return {
            "channels": [
                {
                    "name": name,
                    "window": _window(raw.voxels[i], self._modality(case_id)),
                    "range": _range(raw.voxels[i]),
                }
                for i, name in enumerate(raw.names)
            ],
            "modality": self._modality(case_id),
            "shape": [int(n) for n in raw.voxels.shape[1:]],
            "spacing_mm": [round(s, 4) for s in raw.spacing_mm],
            "reduced": step,
        }

    def volume(self, case_id: str, channel: int) -> Path:
        """Return a NIfTI file of one channel in canonical orientation.

        Raises
        ------
        NoPictureError : as :meth:`scan`.
        """
        story = self._held.story
        if story is None or case_id not in story.cases:
            raise NoPictureError(NO_SCANS)
        self.require_unchanged(case_id)
        return self.kept_volume(case_id, str(channel), lambda path: self._convert(self._raw(case_id), channel, path))

    def kept_volume(self, case_id: str, what: str, write: Callable[[Path], None]) -> Path:
        """Return the file in ``work/review`` that holds ``what`` of a scan, written by ``write`` unless it is there."""
        story = self._held.story
        if story is None or case_id not in story.cases:
            raise NoPictureError(NO_SCANS)
        cache = CaseCache(self._held.run.workspace.folder("review"))
        path = cache.path(case_id, identity(__version__, story.fingerprints[case_id], what), ".nii")
        with self._lock:
            if not path.is_file():
                partial = path.with_name(f"{path.stem}.partial.nii")
                write(partial)
                partial.replace(path)
                _keep_newest(cache.folder, path)
        return path

    def slice(
        self, case_id: str, channel: int, plane: str, place: float, window: tuple[float, float] = (0.0, 1.0)
    ) -> UInt8[np.ndarray, "h w"]:
        """Return one slice as radiologists look at it, ``place`` in [0, 1] along the plane's normal.

        ``window`` is the darkest and the brightest grey value, as shares of the way through the scan's own window.

        Raises
        ------
        NoPictureError : as :meth:`scan`.
        """
        return self.cut(case_id, channel, plane, place, window).grey

    def cut(self, case_id: str, channel: int, plane: str, place: float, window: tuple[float, float]) -> Cut:
        """Return what :meth:`slice` returns, and where it lies in the scan."""
        normal, across, down, flip = _AXES[plane]
        raw = self._raw(case_id)
        voxels = raw.voxels[channel]
        low, high = _within(_window(voxels, self._modality(case_id)), window)
        at = round(min(max(place, 0.0), 1.0) * (voxels.shape[normal] - 1))
        cut = np.nan_to_num(np.take(voxels, at, axis=normal).T)
        grey = np.round(255 * np.clip((cut - low) / (high - low), 0, 1)).astype(np.uint8)
        drawn = _square_pixels(grey[::-1] if flip else grey, raw.spacing_mm[across], raw.spacing_mm[down])
        return Cut(drawn, normal, across, down, flip, at, (cut.shape[0], cut.shape[1]), raw.affine)

    def _modality(self, case_id: str) -> str:
        return "" if self._held.story is None else self._held.story.modalities[case_id]

    def _raw(self, case_id: str) -> RawVolume:
        self.require_unchanged(case_id)
        with self._lock:
            if case_id not in self._recent:
                try:
                    self._recent[case_id] = read_raw(self._held.cases[case_id])
                except (ScanError, OSError) as error:
                    raise _no_picture(case_id, error) from error
            self._recent.move_to_end(case_id)
            while len(self._recent) > IN_MEMORY and _bytes(self._recent) > IN_MEMORY_BYTES:
                self._recent.popitem(last=False)
            return self._recent[case_id]

    def require_unchanged(self, case_id: str) -> None:
        """Raise NoPictureError where the files are not those that the batch was chosen from."""
        story = self._held.story
        if story is None or case_id not in story.cases:
            raise NoPictureError(NO_SCANS)
        case = story.cases[case_id]
        try:
            stats = [Path(p).stat() for p in case.paths]
            signed = tuple((s.st_size, s.st_mtime_ns) for s in stats)
            if self._trusted.get(case_id) == signed:
                return
            known = fingerprint(case) == story.fingerprints[case_id]
        except OSError as error:
            raise _no_picture(case_id, error) from error
        if not known:
            self._recent.pop(case_id, None)
            raise NoPictureError(
                f"{case_id} has changed since this batch was chosen: its files hold other data now. Bring the earlier "
                "files back, or select again into another folder."
            )
        self._trusted[case_id] = signed

    @staticmethod
    def _convert(raw: RawVolume, number: int, path: Path) -> None:
        step = _step(raw)
        voxels = np.nan_to_num(raw.voxels[number][::step, ::step, ::step], posinf=0.0, neginf=0.0)
        affine = raw.affine.copy()
        affine[:3, :3] *= step
        whole = np.abs(voxels).max(initial=0) < 2**15 and bool((voxels == np.round(voxels)).all())
        write_image(path, voxels, affine, "int16" if whole else None)


def _no_picture(case_id: str, error: ScanError | OSError) -> NoPictureError:
    """Return what is said of a scan that cannot be read, or whose files are gone."""
    if isinstance(error, ScanError):
        return NoPictureError(f"{error}. What to do: {error.remedy}.")
    return NoPictureError(
        f"{case_id} cannot be shown: {error.filename} is gone or cannot be opened ({error.strerror}). Bring the file "
        "back to where it was."
    )


NO_SCANS = (
    "These results hold features only (they come from `firstscan pick`), not where the scans lie; so there is no "
    "picture to show. Results of `firstscan select` have pictures."
)


def png(pixels: UInt8[np.ndarray, "h w *colour"]) -> bytes:
    """Return pixels as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()


def _step(raw: RawVolume) -> int:
    """Return which voxels of a very large scan are shown along each axis: every first, second, …"""
    shape, step = raw.voxels.shape[1:], 1
    while int(np.prod(shape)) / step**3 > MOST_VOXELS or max(shape) / step > MOST_SIDE:
        step += 1
    return step


def _window(voxels: Float[np.ndarray, "x y z"], modality: str) -> tuple[float, float]:
    if modality == "ct":
        return CT_DISPLAY_HU
    flat = voxels.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    sample = sample[np.isfinite(sample)]
    low, high = (float(v) for v in np.percentile(sample, (1, 99.7))) if sample.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def _within(own: tuple[float, float], share: tuple[float, float]) -> tuple[float, float]:
    """Return the grey values at two shares of the way through a window; the upper one lies above the lower one."""
    width = own[1] - own[0]
    low, high = own[0] + share[0] * width, own[0] + share[1] * width
    return low, max(high, low + 1e-6 * width)


def _range(voxels: Float[np.ndarray, "x y z"]) -> tuple[float, float]:
    finite = voxels[np.isfinite(voxels)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _bytes(scans: Mapping[str, RawVolume]) -> int:
    return sum(raw.voxels.nbytes for raw in scans.values())


def _square_pixels(grey: UInt8[np.ndarray, "h w"], across_mm: float, down_mm: float) -> UInt8[np.ndarray, "row column"]:
    height, width = grey.shape[0] * down_mm, grey.shape[1] * across_mm
    scale = _LONGEST_PICTURE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BILINEAR))


def _keep_newest(folder: Path, newest: Path) -> None:
    """Delete the oldest converted volumes beyond what may lie in the folder."""
    files = sorted(folder.glob("*.nii"), key=lambda p: p.stat().st_mtime_ns)
    total = sum(p.stat().st_size for p in files)
    for path in files:
        if total <= KEPT_BYTES or path == newest:
            return
        total -= path.stat().st_size
        path.unlink(missing_ok=True)
