"""Somebody's encoder beside our own features: from a file to a pick, and what is refused on the way."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

import firstscan as fs
from firstscan.cli import run
from firstscan.domain.encoding import KINDS, described
from firstscan.imaging import encoder_input, read_volume
from firstscan.learning.pretrained import Embedder

QUICK = ("--preset", "fast", "--train-steps", "2", "--workers", "1", "--device", "cpu")
INPUT = ("--input-size", "16", "--spacing", "2", "--window", "0.5%:99.5%")


class Small(nn.Module):
    """Stride 4, 6 features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 6, 4, stride=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.conv(x))


def script(path: Path, seed: int = 0, network: nn.Module | None = None) -> Path:
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch advises against making new ones
        torch.jit.save(torch.jit.script(network or Small()), path)
    return path


def swin_weights() -> dict[str, torch.Tensor]:
    """Return weights as MONAI would publish those of a very small SwinViT."""
    from monai.networks.nets.swin_unetr import SwinTransformer

    network = SwinTransformer(1, 6, (7, 7, 7), (2, 2, 2), (2, 2, 2, 2), (1, 1, 1, 1), spatial_dims=3)
    return {f"module.{name}": tensor for name, tensor in network.state_dict().items()}


def extract(source: Path, out: Path, *more: str) -> int:
    return run(["extract", str(source), "--out", str(out), *QUICK, *more])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return script(tmp_path_factory.mktemp("encoder") / "small.ts")


@pytest.fixture(scope="module")
def extracted(cohort, checkpoint, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("extracted") / "out"
    assert extract(cohort, out, "--encoder", "torchscript", "--checkpoint", str(checkpoint), *INPUT) == 0
    return out


def test_embeddings_are_a_group_of_that_name_beside_ours(extracted, cohort, checkpoint):
    features = fs.read_features(extracted)
    assert {"positions", "appearance", "texture", "shape", "torchscript"} == set(features.groups)
    assert features.embeddings.shape == (9, 192)
    assert features.groups["torchscript"].shape == (9, 6)
    given = described(KINDS["torchscript"], "16", "2", "0.5%:99.5%")
    embedder = Embedder("torchscript", checkpoint, given, channels=("image",), device="cpu")
    pool = fs.index(cohort)
    for case_id in features.case_ids[:2]:
        expected = embedder(encoder_input(read_volume(pool[case_id], modality="mr"), given))
        row = features.case_ids.index(case_id)
        np.testing.assert_array_equal(features.groups["torchscript"][row], expected)
    assert len({tuple(row) for row in features.groups["torchscript"].tolist()}) == 9


def test_python_gives_the_same_table(extracted, cohort, checkpoint):
    described_input = {"input_size": "16", "spacing": "2", "window": "0.5%:99.5%"}
    features = fs.extract(
        fs.index(cohort),
        "fast",
        encoder="torchscript",
        checkpoint=checkpoint,
        train_steps=2,
        out=extracted,
        workers=1,
        device="cpu",
        **described_input,
    )
    stored = fs.read_features(extracted)
    np.testing.assert_array_equal(features.groups["torchscript"], stored.groups["torchscript"])
    assert fs.select(features, 3, groups=("torchscript",)).case_ids


@pytest.fixture(scope="module")
def plain(cohort, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "out"
    assert extract(cohort, out) == 0
    return out


def test_ours_are_what_they_are_without_an_encoder(extracted, plain):
    ours, beside = fs.read_features(plain), fs.read_features(extracted)
    np.testing.assert_array_equal(ours.embeddings, beside.embeddings)
    np.testing.assert_array_equal(ours.uncertainty, beside.uncertainty)
    np.testing.assert_array_equal(ours.groups["shape"], beside.groups["shape"])


def test_a_pick_sees_the_group_alone_or_with_others(extracted, tmp_path):
    alone, several = tmp_path / "alone", tmp_path / "several"
    base = ["pick", str(extracted), "--budget", "3"]
    assert run([*base, "--out", str(alone), "--features", "torchscript"]) == 0
    assert run([*base, "--out", str(several), "--features", "torchscript", "--features", "texture"]) == 0
    features = fs.read_features(extracted)
    assert json.loads((alone / "selection.json").read_text())["picks"] != []
    again = fs.select(features, budget=3, seed=42, groups=("torchscript",))
    assert fs.read_selection(alone).case_ids == again.case_ids
    both = fs.select(features, budget=3, seed=42, groups=("torchscript", "texture"))
    assert fs.read_selection(several).case_ids == both.case_ids


def test_select_takes_the_encoder_and_goes_on_from_what_extract_left(extracted, cohort, checkpoint, capsys):
    shards = extracted / "work" / "features"
    before = {p: p.stat().st_mtime_ns for p in shards.rglob("shard-*")}
    assert len({p.parent for p in before}) == 2
    args = ["select", str(cohort), "--budget", "3", "--out", str(extracted), *QUICK, *INPUT]
    args += ["--encoder", "torchscript", "--checkpoint", str(checkpoint), "--features", "torchscript"]
    assert run(args) == 0
    assert {p: p.stat().st_mtime_ns for p in shards.rglob("shard-*")} == before
    assert len(fs.read_selection(extracted)) == 3


def test_weights_are_known_by_their_content_and_workers_change_no_byte(
    extracted, plain, cohort, checkpoint, tmp_path, capsys
):
    other, moved = script(tmp_path / "other.ts", seed=1), tmp_path / "moved.ts"
    moved.write_bytes(checkpoint.read_bytes())
    command = ("--encoder", "torchscript", *INPUT, "--workers", "2", "--checkpoint")
    assert extract(cohort, plain, *command, str(other)) == 2
    assert "encoder: none → torchscript" in capsys.readouterr().err
    assert extract(cohort, plain, *command, str(other), "--overwrite") == 0
    theirs = fs.read_features(plain).groups["torchscript"]
    assert not np.array_equal(theirs, fs.read_features(extracted).groups["torchscript"])
    assert extract(cohort, plain, *command, str(moved)) == 2
    assert "checkpoint:" in capsys.readouterr().err
    assert extract(cohort, plain, *command, str(moved), "--overwrite") == 0
    column = "features_torchscript"
    tables = [pq.read_table(out / "features.parquet", columns=[column]) for out in (extracted, plain)]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--encoder", "torchscript"), "needs its weights"),
        (("--encoder", "resnet", "--checkpoint", "{file}"), "there is no such encoder; there are: ct-fm"),
        (("--encoder", "torchscript", "--checkpoint", "{file}"), "describe it: --input-size"),
        (("--spacing", "2"), "name it with --encoder"),
        (("--encoder", "torchscript", "--checkpoint", "{file}", *INPUT[:5], "5:1"), "is empty"),
        (("--encoder", "ct-fm", "--checkpoint", "{file}"), "is not a file of plain weights"),
        (("--encoder", "torchscript", "--checkpoint", "{pickle}", *INPUT), "is not a TorchScript file"),
        (("--encoder", "swinunetr", "--checkpoint", "{pickle}"), "A pickle may run any program"),
        (("--encoder", "torchscript", "--checkpoint", "{two}", *INPUT), "takes 2 channel(s), and the scans have 1"),
        (("--encoder", "torchscript", "--checkpoint", "{nan}", *INPUT), "conv.weight hold NaN"),
        (("--encoder", "torchscript", "--checkpoint", "{large}", *INPUT), "does not take an input of 1×1×16×16×16"),
        (("--encoder", "torchscript", "--checkpoint", "{three}", *INPUT), "it has to give features (batch, dim)"),
        (("--encoder", "swinunetr", "--checkpoint", "{plain}", "--modality", "mr"), "trained on CT, and 9 scan(s)"),
    ],
)
def test_what_does_not_serve_is_refused_with_a_remedy(more, said, cohort, checkpoint, tmp_path, capsys):
    (tmp_path / "pickle").write_bytes(pickle.dumps({"weights": np.float64, "why": print}))
    script(tmp_path / "two", network=nn.Conv3d(2, 4, 4, stride=4))
    broken = Small()
    with torch.no_grad():
        broken.conv.weight[0, 0, 0, 0, 0] = float("nan")
    script(tmp_path / "nan", network=broken)
    script(tmp_path / "large", network=nn.Conv3d(1, 4, 32))
    script(tmp_path / "three", network=nn.Flatten(2))
    torch.save(swin_weights() if "{plain}" in more else {}, tmp_path / "plain")
    files = ("pickle", "two", "nan", "large", "three", "plain")
    names = {"{file}": checkpoint, **{f"{{{n}}}": tmp_path / n for n in files}}
    assert extract(cohort, tmp_path / "out", *(str(names.get(m, m)) for m in more)) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out" / "features.parquet").exists()
