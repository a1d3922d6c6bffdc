"""Crops and a trained network → what is measured of every case."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from firstscan._version import __version__
from firstscan.domain.features import EMBEDDING, FeatureTable
from firstscan.domain.volume import Crop
from firstscan.execution import usable_cores
from firstscan.imaging.measures import (
    APPEARANCE_CELLS,
    LARGEST_GROUP,
    SHAPE_NUMBERS,
    TEXTURE_NUMBERS,
    projected,
    shape,
)
from firstscan.learning import (
    GPU_BATCH,
    PARTS,
    CaseFeatures,
    Extractor,
    Preset,
    cases_at_once,
    encoder_dim,
    resolve_device,
)
from firstscan.steps.running.config import PretrainConfig
from firstscan.steps.running.run import Run
from firstscan.store import Located, ShardStore, identity

from .check import Checked
from .covariates import covariates
from .encode import Encoded
from .instant import of_crop
from .pretrain import Learned
from .standardise import CropFile, CropFiles

GROUPS = (EMBEDDING, "positions", "appearance", "texture", "shape")
"""The embedding and the feature groups, in the order in which a row stores them."""
_CORES = 4
"""CPU cores of a cluster's worker where a case is measured with several threads."""


@dataclass(frozen=True)
class Extracted:
    """The measured cases of a pool, sorted by case id; embeddings and uncertainties stay in the store until read.

    ``encoded`` holds what a pretrained encoder says of them, if one was asked.
    """

    case_ids: tuple[str, ...]
    rows: Located
    covariates: Mapping[str, np.ndarray]
    layout: Mapping[str, slice]
    geometry: np.ndarray
    encoded: Encoded | None = None

    def with_encoded(self, encoded: Encoded | None) -> Extracted:
        """Return the same cases with the embeddings of an encoder as one more feature group."""
        if encoded is None:
            return self
        start = max(place.stop for place in self.layout.values())
        layout = {**self.layout, encoded.name: slice(start, start + encoded.dim)}
        return replace(self, layout=layout, encoded=encoded)

    def read(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (what ``layout`` describes, uncertainty) in the order of the cases, a batch at a time."""
        if self.encoded is None:
            yield from self.rows.read()
            return
        for (wide, uncertainty), (more, _) in zip(self.rows.read(), self.encoded.rows.read(), strict=True):
            yield np.concatenate([wide, more], axis=1), uncertainty

    def only(self, case_ids: Collection[str]) -> Extracted:
        """Return those of ``case_ids``, in this order."""
        wanted = frozenset(case_ids)
        kept = [i for i, case_id in enumerate(self.case_ids) if case_id in wanted]
        columns = {name: values[kept] for name, values in self.covariates.items()}
        ids = tuple(self.case_ids[i] for i in kept)
        encoded = None if self.encoded is None else replace(self.encoded, rows=_some(self.encoded.rows, kept))
        return Extracted(ids, _some(self.rows, kept), columns, self.layout, self.geometry[kept], encoded)

    def table(self) -> FeatureTable:
        """Read all into memory."""
        wide, uncertainty = (np.concatenate(part) for part in zip(*self.read(), strict=True))
        parts = {name: np.ascontiguousarray(wide[:, place]) for name, place in self.layout.items()}
        embeddings = parts.pop(EMBEDDING)
        return FeatureTable(
            self.case_ids, embeddings, uncertainty, covariates=self.covariates, groups=parts, geometry=self.geometry
        )


def _some(rows: Located, kept: Sequence[int]) -> Located:
    return replace(rows, shard=rows.shard[kept], row=rows.row[kept])


def extract(
    crops: CropFiles, learned: Learned, checked: Checked, config: PretrainConfig, run: Run, *, region: str
) -> Extracted:
    """Measure every case that has not been measured with these weights.

    What is measured is on disk soon after: a run that is killed loses a few seconds' worth and what workers were at.
    """
    preset = learned.preset
    folder = identity(__version__, learned.sha256, preset.name, preset.size, config.seed, region, GROUPS)
    store = ShardStore(run.workspace.folder("features", folder))
    keys = [crops.keys[i] for i in crops.case_ids]
    missing = store.locate(keys, repair=True).missing
    meter = _Meter(
        learned.weights.absolute(),
        preset,
        channels=len(crops.channels),
        seed=config.seed,
        device=run.settings.device,
        region="all" if region == "all" else "foreground",
    )
    first = {keys[i]: i for i in reversed(missing)}  # scans of equal content are measured once
    todo = [crops.file(i) for i in sorted(first.values())]
    with run.stage("Measuring scans", len(keys)) as progress, store.writer() as writer:
        progress.advance(len(keys) - len(todo))
        for measured in _run(meter, todo, run):
            for case in measured:
                parts = {**case.parts, "shape": shape(checked.summaries[case.case_id])}
                wide = np.concatenate([parts[name] for name in GROUPS])
                writer.append(case.case_id, crops.keys[case.case_id], wide, case.uncertainty)
            progress.advance(len(measured))
    dim = encoder_dim(preset.encoder, len(crops.channels))
    geometry = np.array([checked.summaries[i].geometry for i in crops.case_ids], dtype=np.float64)
    return Extracted(
        crops.case_ids, store.locate(keys), covariates(checked), layout(dim, len(crops.channels)), geometry
    )


def layout(dim: int, channels: int) -> dict[str, slice]:
    """Return which numbers of a stored row are the embedding, and which are each feature group."""
    sizes = {
        EMBEDDING: dim,
        "positions": min(dim * PARTS**3, LARGEST_GROUP),
        "appearance": min(channels * APPEARANCE_CELLS**3, LARGEST_GROUP),
        "texture": channels * TEXTURE_NUMBERS,
        "shape": SHAPE_NUMBERS,
    }
    ends = np.cumsum([0, *sizes.values()]).tolist()
    return {name: slice(a, b) for name, a, b in zip(sizes, ends, ends[1:], strict=False)}


def _run(meter: _Meter, todo: Sequence[CropFile], run: Run) -> Iterator[list[MeasuredCase]]:
    """Measure on GPUs in batches; on a CPU as many cases at once as suits the network.

    While one batch is on the GPU, a thread a core reads others and measures what needs no network: at 96³ that takes
    a tenth of a second of one core a case, so few threads would keep the GPU waiting (benchmarks/gpu.py prints it).
    A cluster is handed batches unless ``--device cpu`` tells that it has no GPU for them.
    """
    device, local = run.settings.device, run.settings.engine == "local"
    at_once = cases_at_once(meter.preset.encoder)
    on_cpu = device == "cpu" or (local and resolve_device(device) == "cpu")
    size = 1 if on_cpu else GPU_BATCH
    batches = [tuple(todo[start : start + size]) for start in range(0, len(todo), size)]
    for _, measured in run.cases(
        measure,
        [(", ".join(file.case_id for file in batch), batch) for batch in batches],
        setup=meter,
        shared=True,
        gpu={"auto": None, "cpu": False}.get(device, True),
        workers=(at_once if on_cpu else max(2, usable_cores())) if local else None,
        cores=1 if at_once is None else _CORES,
    ):
        if isinstance(measured, Exception):
            raise measured
        yield measured


@dataclass(frozen=True)
class _Meter:
    """All that a worker needs to load the network; calling it loads it."""

    weights: Path
    preset: Preset
    channels: int
    seed: int
    device: str
    region: Literal["foreground", "all"]

    def __call__(self) -> Loaded:
        extractor = Extractor(
            self.weights,
            self.preset,
            channels=self.channels,
            seed=self.seed,
            device=self.device,
            region=self.region,
        )
        return Loaded(extractor, nullcontext() if extractor.device.type == "cpu" else Lock())


@dataclass(frozen=True)
class Loaded:
    """What a worker keeps; ``gate`` lets one batch at a time to a GPU, while the next is being read."""

    extractor: Extractor
    gate: AbstractContextManager[Any]


@dataclass(frozen=True)
class MeasuredCase:
    """What is measured of one crop: ``parts`` holds the embedding and the feature groups by name."""

    case_id: str
    uncertainty: float
    parts: Mapping[str, np.ndarray]


def measure(loaded: Loaded, files: Sequence[CropFile]) -> list[MeasuredCase]:
    """Measure some cases; what comes of one does not depend on the others."""
    crops = [file.read() for file in files]
    with loaded.gate:
        found = loaded.extractor(crops)
    return [_with_groups(features, crop) for features, crop in zip(found, crops, strict=True)]


def _with_groups(features: CaseFeatures, crop: Crop) -> MeasuredCase:
    parts = {
        EMBEDDING: features.embedding,
        "positions": projected(features.positions, "positions"),
        **of_crop(crop),
    }
    return MeasuredCase(features.case_id, features.uncertainty, parts)
