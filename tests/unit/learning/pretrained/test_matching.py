"""A checkpoint that does not fit is told by its names whose it is."""

from __future__ import annotations

import pytest
import torch

from firstscan.learning.pretrained.matching import likely, without_prefixes

BLOCK = ("norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.proj.weight", "norm2.weight", "mlp.fc1.weight")
NAMES = {
    "dinov2": ["cls_token", "pos_embed", *(f"blocks.{i}.{n}" for i in range(4) for n in (*BLOCK, "ls1.gamma"))],
    "dinov3": ["cls_token", "reg_token", *(f"blocks.{i}.{n}" for i in range(4) for n in (*BLOCK, "gamma_1"))],
    "resenc-l": [f"encoder.stages.{i}.blocks.0.conv1.conv.weight" for i in range(6)] + ["decoder.stages.0.weight"],
    "ct-fm": ["encoder.conv_init.weight", *(f"encoder.layers.{i}.blocks.0.conv1.weight" for i in range(5))],
    "swinunetr, voco or brainsegfounder": [f"module.layers{i}.0.blocks.0.norm1.weight" for i in range(1, 5)],
}


@pytest.mark.parametrize("name", NAMES)
def test_each_is_known_by_its_names(name):
    assert likely(NAMES[name], "onnx") == f"It looks like {name}: use that as --encoder"


def test_the_encoder_asked_for_is_not_advised_again():
    assert likely(NAMES["dinov2"], "dinov2") == "It looks like another variant of dinov2"
    assert "another variant" in likely(NAMES["swinunetr, voco or brainsegfounder"], "voco")


def test_names_of_nobody_are_told():
    assert "none of the known encoders" in likely(["fc.weight", "fc.bias"], "ct-fm")


def test_prefixes_come_off_in_any_order_and_number():
    state = {"module.backbone.a": torch.ones(1), "backbone.module.b": torch.ones(1), "c": torch.ones(1)}
    assert list(without_prefixes(state, ("module.", "backbone."))) == ["a", "b", "c"]
