"""Where the nine reconstructions of a scan disagree: what U averages, voxel by voxel, made on demand for one scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from firstscan._version import __version__
from firstscan.domain.arrays import Float
from firstscan.domain.case import Case
from firstscan.domain.errors import UsageError
from firstscan.domain.volume import Modality
from firstscan.execution import Beside, WorkerDied
from firstscan.report import NO_NETWORK
from firstscan.store import CaseCache, identity, load_json

from .review import Held

FOLDER = "disagreement"
"""Below ``work``: a file a scan, named after its content and the network."""
AS_MEASURED = 0.05
"""How far the mean of a map may lie from the U of the results, as a share of it: devices round differently."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """``values`` (s, s, s) float32: the variance of nine reconstructions, 0 where U does not count the voxel.

    Squared units of the normalised intensity; ``affine`` (4, 4): index → LPS mm; ``uncertainty``: their mean, the U.
    """

    values: Float[np.ndarray, "s s s"]
    affine: Float[np.ndarray, "4 4"]
    uncertainty: float


class NoDisagreementError(UsageError):
    """There is no such map; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """All that another process needs for one map."""

    case: Case
    modality: Modality
    spacing_mm: float
    size: int
    channels: int
    preset: str
    seed: int
    region: str
    weights: Path


class Disagreements:
    """Makes the maps of one results folder in a process of its own, for this one shall not load a network."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._make: Beside[_Asked, Disagreement] = Beside(compute)
        self._right: Path | None = None

    @property
    def scale(self) -> tuple[float, float]:
        """The ends of the colour scale, the same for every scan: 0 and four times the median U of the pool."""
        known = self._held.batch.features.uncertainty
        values = np.zeros(0) if known is None else known[np.isfinite(known)]
        return 0.0, float(f"{4 * np.median(values):.2g}") if values.size else 1.0

    def of(self, case_id: str) -> Disagreement:
        """Return the map of a scan, as it is kept or made now (seconds).

        Raises
        ------
        NoDisagreementError : these results hold no network, or not the one that measured the scan.
        ScanError : the scan cannot be read any more.
        """
        networks = self._networks()
        for weights in networks:
            found = self._by(case_id, weights)
            if self._is_measured(case_id, found.uncertainty):
                self._right = weights
                return found
        raise NoDisagreementError(
            f"The network in work/weights gives {case_id} another uncertainty than these results say, so it is not the "
            "one that measured it. Run the same `firstscan select` again, or select into another folder."
        )

    def close(self) -> None:
        """End the process that makes maps."""
        self._make.close()

    def _networks(self) -> list[Path]:
        """Return the networks that may have measured the pool, most likely first."""
        story = self._held.story
        if story is None or self._held.batch.features.uncertainty is None or story.learned is None:
            raise NoDisagreementError(NO_MAPS)
        if story.learned.encoder == NO_NETWORK:
            raise NoDisagreementError(INSTANT_MAPS)
        if self._right is not None and self._right.is_file():
            return [self._right]
        history = [asdict(row) for row in story.history]
        records = sorted((self._held.run.workspace.work / "weights").glob("*/trained.json"))
        found = [r.with_name("weights.pt") for r in records if load_json(r)["history"] == history]
        there = [path for path in found if path.is_file()]
        if not there:
            raise NoDisagreementError(NETWORK_GONE)
        return there

    def _by(self, case_id: str, weights: Path) -> Disagreement:
        story = self._held.story
        assert story is not None
        assert story.learned is not None
        config: Mapping[str, Any] = self._held.batch.manifest.config
        learned = story.learned
        seed, region = int(config["seed"]), learned.region
        cache = CaseCache(self._held.run.workspace.folder(FOLDER))
        key = identity(__version__, story.fingerprints[case_id], weights.parent.name, learned.spacing_mm, seed, region)
        path = cache.path(case_id, key, ".npz")
        kept = cache.read_or_none(path, _read)
        if isinstance(kept, Disagreement):
            return kept
        asked = _Asked(
            story.cases[case_id], story.modalities[case_id], learned.spacing_mm, learned.crop_voxels,
            len(learned.channels), str(config["preset"]), seed, region, weights.absolute(),
        )  # fmt: skip
        try:
            made = self._make(case_id, asked)
        except WorkerDied as error:
            raise NoDisagreementError(str(error)) from error
        cache.write_arrays(path, values=made.values, affine=made.affine, uncertainty=np.array(made.uncertainty))
        return made

    def _is_measured(self, case_id: str, mean: float) -> bool:
        features = self._held.batch.features
        assert features.uncertainty is not None
        known = float(features.uncertainty[features.case_ids.index(case_id)])
        return bool(abs(mean - known) <= AS_MEASURED * known + 1e-9)


NO_MAPS = (
    "These results hold features only, not the network that measured uncertainty; so it cannot be told voxel by voxel. "
    "Results of `firstscan select` can."
)
INSTANT_MAPS = (
    "These results come from --preset instant, which uses no network: there are no reconstructions that could "
    "disagree. Select with --preset fast into another folder to see them."
)
NETWORK_GONE = (
    "The trained network is not in work/weights of the results folder any more. Run the same `firstscan select` again: "
    "it is trained anew."
)


def compute(asked: _Asked) -> Disagreement:
    """Return the map of one scan by the ordinary steps: read, standardise, reconstruct nine times.

    Raises
    ------
    ScanError : the scan cannot be read.  UsageError : the weights do not fit.
    """
    from firstscan.imaging import crop_affine, read_volume, standardise

    volume = read_volume(asked.case, modality=asked.modality)
    grid = {"spacing_mm": asked.spacing_mm, "size": asked.size}
    crop = standardise(volume, **grid)  # type: ignore[arg-type]
    values = _extractor(asked.weights, asked.preset, asked.channels, asked.seed, asked.region).disagreement(crop)
    counted = np.ones_like(crop.foreground) if asked.region == "all" else crop.foreground
    mean = float(values[counted].mean(dtype=np.float64)) if counted.any() else 0.0
    return Disagreement(values, crop_affine(volume, **grid), mean)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _extractor(weights: Path, preset: str, channels: int, seed: int, region: str) -> Any:
    from firstscan.learning import Extractor, resolve_preset

    kind: Literal["foreground", "all"] = "all" if region == "all" else "foreground"
    return Extractor(weights, resolve_preset(preset), channels=channels, seed=seed, device="cpu", region=kind)


def _read(path: Path) -> Disagreement:
    with np.load(path, allow_pickle=False) as kept:
        return Disagreement(kept["values"], kept["affine"], float(kept["uncertainty"]))
