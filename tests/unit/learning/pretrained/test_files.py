"""Checkpoints are read as data: no pickle, no damage, no NaN goes by unseen."""

from __future__ import annotations

import collections
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from firstscan.domain.errors import UsageError
from firstscan.learning.pretrained.files import read_state


def save_safetensors(state: dict[str, torch.Tensor], path: Path) -> Path:
    """Write the layout that the format's specification gives."""
    names = {torch.float32: "F32", torch.int64: "I64", torch.float16: "F16"}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, tensor in state.items():
        data = tensor.contiguous().numpy().tobytes()
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2]), "c": torch.tensor(2.5).half()}


def test_safetensors_give_what_was_written(tmp_path):
    found = read_state(save_safetensors(STATE, tmp_path / "x.safetensors"))
    assert set(found) == set(STATE)
    for name, tensor in STATE.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_safetensors_of_the_library_are_read(tmp_path):
    library = pytest.importorskip("safetensors.torch")
    library.save_file(STATE, tmp_path / "x.safetensors")
    assert all(torch.equal(tensor, STATE[name]) for name, tensor in read_state(tmp_path / "x.safetensors").items())


@pytest.mark.parametrize("damage", [lambda b: b[:20], lambda b: b[:-3], lambda b: b"\xff" * 8 + b[8:], lambda b: b""])
def test_a_damaged_safetensors_file_says_so(damage, tmp_path):
    path = save_safetensors(STATE, tmp_path / "x.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match="not a readable safetensors file"):
        read_state(path)


@pytest.mark.parametrize("key", [None, "state_dict", "network_weights", "model"])
def test_tables_are_found_where_checkpoints_keep_them(key, tmp_path):
    torch.save(STATE if key is None else {"epoch": 3, key: STATE, "loss": 0.5}, tmp_path / "x.pt")
    assert set(read_state(tmp_path / "x.pt")) == set(STATE)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("whole", [True, False])
def test_a_pickle_is_refused_and_nothing_in_it_runs(whole, tmp_path):
    path, fuse = tmp_path / "x.pt", tmp_path / "ran"
    content = {"state_dict": STATE, "args": Bomb(fuse)}
    if whole:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(UsageError, match="A pickle may run any program") as caught:
        read_state(path)
    assert "docs/encoders.md" in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not fuse.exists()


def test_what_holds_no_weights_and_what_is_not_there_are_named(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "x.pt")
    with pytest.raises(UsageError, match="no table of named weights"):
        read_state(tmp_path / "x.pt")
    with pytest.raises(UsageError, match="there is no such file"):
        read_state(tmp_path / "y.pt")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(value, tmp_path):
    torch.save(collections.OrderedDict(ok=torch.ones(2), bad=torch.tensor([1.0, value])), tmp_path / "x.pt")
    with pytest.raises(UsageError, match="the weights bad hold NaN or infinity"):
        read_state(tmp_path / "x.pt")
