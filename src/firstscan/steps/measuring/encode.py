"""Usable pool and somebody's weights → an embedding of every scan, kept beside what is measured of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from firstscan._version import __version__
from firstscan.domain.case import Case
from firstscan.domain.encoding import KINDS, EncoderInput, described
from firstscan.domain.errors import DataError, UsageError
from firstscan.domain.volume import Modality
from firstscan.execution import usable_cores
from firstscan.imaging import encoder_input, read_volume
from firstscan.learning import resolve_device
from firstscan.learning.pretrained import Embedder, Source, load_adapter
from firstscan.steps.running.config import ExtractConfig
from firstscan.steps.running.run import Run
from firstscan.store import Located, ShardStore, file_sha256, identity

from .check import Checked, Signature, signature

_AT_ONCE = 4
"""Scans that are read side by side at most: each may take a gigabyte."""


@dataclass(frozen=True)
class Encoded:
    """The embeddings of one encoder: ``name`` of the feature group, where its rows are, how long each is."""

    name: str
    rows: Located
    dim: int


def given_input(config: ExtractConfig) -> EncoderInput:
    """Return how scans are brought to the encoder that ``config`` names."""
    if config.encoder is None:
        raise UsageError("no --encoder is named")
    return described(KINDS[config.encoder], config.input_size, config.spacing, config.window)


def verify(config: ExtractConfig, device: str) -> None:
    """Load the weights once, so that a file that does not serve is refused before any scan is read.

    Raises UsageError.
    """
    if config.encoder is not None and config.weights is not None:
        load_adapter(Source(config.encoder, config.weights, given_input(config), resolve_device(device)))


def encode(checked: Checked, config: ExtractConfig, run: Run) -> Encoded | None:
    """Embed every case that this file has not embedded yet, with this input; None where no encoder is asked for.

    Raises
    ------
    UsageError : the file is for other scans (channels, modality).  DataError : a scan changed, or gives no numbers.
    """
    if config.encoder is None or config.weights is None:
        return None
    kind, given = KINDS[config.encoder], given_input(config)
    if config.window is None and kind.modality is not None:
        _require_modality(checked, config.encoder, kind.modality)
    if kind.notice:
        run.progress.say(f"Note: {config.encoder}: {kind.notice}.")
    ids = checked.pool.case_ids
    channels = checked.summaries[ids[0]].channel_names
    folder = identity(__version__, config.encoder, file_sha256(config.weights), asdict(given), len(channels))
    store = ShardStore(run.workspace.folder("features", folder))
    keys = [_key(checked, i) for i in ids]
    missing = store.locate(keys, repair=True).missing
    first = {keys[i]: i for i in reversed(missing)}  # scans of equal content are embedded once
    todo = [_job(checked, ids[i], given) for i in sorted(first.values())]
    key_of = {ids[i]: key for key, i in first.items()}
    meter = _Meter(config.encoder, config.weights.absolute(), given, channels, run.settings.device)
    local = run.settings.engine == "local"
    with run.stage(f"Embedding scans ({config.encoder})", len(ids)) as progress, store.writer() as writer:
        progress.advance(len(ids) - len(todo))
        for case_id, found in run.cases(
            _embed,
            [(job.case.case_id, job) for job in todo],
            setup=meter,
            shared=True,
            gpu={"auto": None, "cpu": False}.get(run.settings.device, True),
            workers=min(_AT_ONCE, usable_cores()) if local and run.settings.workers is None else None,
            cores=_AT_ONCE,
            sees=[config.weights],
        ):
            if isinstance(found, Exception):
                raise found
            writer.append(case_id, key_of[case_id], found, 0.0)
            progress.advance()
    rows = store.locate(keys)
    return Encoded(config.encoder, rows, int(next(rows.read(1))[0].shape[1]))


@dataclass(frozen=True, slots=True)
class _Job:
    case: Case
    modality: Modality
    signature: Signature
    given: EncoderInput


@dataclass(frozen=True)
class _Meter:
    """All that a worker needs to load the encoder; calling it loads it."""

    name: str
    weights: Path
    given: EncoderInput
    channels: tuple[str, ...]
    device: str

    def __call__(self) -> Embedder:
        return Embedder(self.name, self.weights, self.given, channels=self.channels, device=self.device)


def _embed(embedder: Embedder, job: _Job) -> np.ndarray:
    volume = read_volume(job.case, modality=job.modality)
    if signature(job.case) != job.signature:
        raise DataError(f"{job.case.case_id} ({job.case.path}) changed while it was read. Run the same command again.")
    return embedder(encoder_input(volume, job.given))


def _job(checked: Checked, case_id: str, given: EncoderInput) -> _Job:
    return _Job(checked.pool[case_id], checked.summaries[case_id].modality, checked.signatures[case_id], given)


def _key(checked: Checked, case_id: str) -> str:
    summary, case = checked.summaries[case_id], checked.pool[case_id]
    return identity(
        summary.fingerprint, [c.name for c in case.channels], [c.component for c in case.channels], summary.modality
    )


def _require_modality(checked: Checked, name: str, modality: Modality) -> None:
    other = [i for i in checked.pool.case_ids if checked.summaries[i].modality != modality]
    if other:
        raise UsageError(
            f"--encoder {name} was trained on {modality.upper()}, and {len(other)} scan(s) are something else: "
            f"{', '.join(other[:5])}. If they really are {modality.upper()}, say --modality {modality}; to use it "
            "on such scans all the same, give their intensities with --window, for example 0.5%:99.5%"
        )
