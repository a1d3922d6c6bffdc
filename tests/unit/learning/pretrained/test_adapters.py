"""Adapters against the publishing library's own network: same weights under published names, same features."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from firstscan.domain.encoding import KINDS, EncoderInput, described
from firstscan.domain.errors import UsageError
from firstscan.learning.pretrained import ADAPTERS, Embedder, Source, load_adapter

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def source(name: str, path: Path, given: EncoderInput | None = None) -> Source:
    return Source(name, path, given or KINDS[name].given or described(KINDS[name], "16", "2", "0:1"), "cpu")


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Return the network with every parameter and running statistic away from its first value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.02 * torch.rand(tensor.shape, generator=generator))
    return network.eval()


def cubes(channels: int, size: int, seed: int = 1) -> Tensor:
    return torch.rand((2, channels, size, size, size), generator=torch.Generator().manual_seed(seed))


def test_every_name_has_an_adapter():
    assert set(ADAPTERS) == set(KINDS)


def segresnet(norm: str = "batch") -> nn.Module:
    from monai.networks.nets.segresnet_ds import SegResNetDS

    torch.manual_seed(0)
    return randomised(SegResNetDS(init_filters=8, blocks_down=(1, 2, 2, 4, 4), norm=norm, out_channels=3))


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("layout", ["ct_fm_feature_extractor", "ct_fm_segresnet"])
def test_ct_fm_is_monais_segresnet_encoder(norm, layout, tmp_path):
    whole = segresnet(norm)
    state = whole.state_dict() if layout == "ct_fm_segresnet" else whole.encoder.state_dict()
    torch.save(state, tmp_path / "x.pt")
    adapter = load_adapter(source("ct-fm", tmp_path / "x.pt"))
    inputs = cubes(1, 32)
    with torch.inference_mode():
        expected = whole.encoder(inputs)[-1]
        found = adapter(inputs)
    assert found.shape == (2, 128, 2, 2, 2)
    torch.testing.assert_close(found, expected, **CLOSE)
    assert adapter.channels == 1


def swin(channels: int = 1, *, v2: bool = False) -> nn.Module:
    from monai.networks.nets.swin_unetr import SwinTransformer

    torch.manual_seed(0)
    network = SwinTransformer(
        in_chans=channels,
        embed_dim=12,
        window_size=(7, 7, 7),
        patch_size=(2, 2, 2),
        depths=(2, 2, 2, 2),
        num_heads=(3, 6, 12, 24),
        use_v2=v2,
    )
    return randomised(network)


def renamed(state: dict[str, Tensor], prefix: str, *, old_mlp: bool = False) -> dict[str, Tensor]:
    for new, old in (("linear1", "fc1"), ("linear2", "fc2")) if old_mlp else ():
        state = {k.replace(f".mlp.{new}.", f".mlp.{old}."): v for k, v in state.items()}
    return {f"{prefix}{k}": v for k, v in state.items()}


HEADS = {
    "rotation_head.weight": torch.zeros(4, 192),
    "contrastive_head.weight": torch.zeros(512, 192),
    "conv.0.weight": torch.zeros(96, 192, 3, 3, 3),
}
LAYOUTS = {
    "monai": ("swinunetr", 1, False, lambda s: renamed(s, "module.", old_mlp=True)),
    "voco": (
        "voco",
        1,
        True,
        lambda s: {**renamed(s, "backbone.swinViT."), "backbone.encoder1.layer.conv1.weight": s["norm"]},
    ),
    "vocomni": ("voco", 1, True, lambda s: {**renamed(s, "module.swinViT."), "module.out.conv.conv.bias": s["norm"]}),
    "brainsegfounder": (
        "brainsegfounder",
        2,
        False,
        lambda s: {**renamed(s, "module.swinViT."), **{f"module.{k}": v for k, v in HEADS.items()}},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_swin_weights_are_found_under_every_published_name(layout, tmp_path):
    name, channels, v2, rename = LAYOUTS[layout]
    network = swin(channels, v2=v2)
    state = {k: v for k, v in rename({**network.state_dict(), "norm": torch.ones(3)}).items() if not k.endswith("norm")}
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "x.pt")
    adapter = load_adapter(source(name, tmp_path / "x.pt"))
    inputs = cubes(channels, 32)
    with torch.inference_mode():
        torch.testing.assert_close(adapter(inputs), network(inputs)[-1], **CLOSE)
    assert adapter.channels == channels


def resenc(channels: int = 1) -> nn.Module:
    encoders = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    torch.manual_seed(0)
    network = encoders.ResidualEncoderUNet(
        input_channels=channels,
        n_stages=6,
        features_per_stage=(32, 64, 128, 256, 320, 320),
        conv_op=nn.Conv3d,
        kernel_sizes=3,
        strides=(1, 2, 2, 2, 2, 2),
        n_blocks_per_stage=(1, 3, 4, 6, 6, 6),
        num_classes=1,
        n_conv_per_stage_decoder=(1, 1, 1, 1, 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    return randomised(network)


def test_resenc_l_is_the_encoder_of_nnu_nets_residual_unet(tmp_path):
    network = resenc()
    plan = {"architecture_plans": {"arch_class_name": "ResEncL"}, "pretrain_num_input_channels": 1}
    torch.save({"network_weights": network.state_dict(), "nnssl_adaptation_plan": plan}, tmp_path / "x.pth")
    adapter = load_adapter(source("resenc-l", tmp_path / "x.pth"))
    inputs = cubes(1, 64)
    with torch.inference_mode():
        torch.testing.assert_close(adapter(inputs), network.encoder(inputs)[-1], **CLOSE)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("dinov2", "vit_small_patch14_dinov2"),
        ("dinov2", "vit_small_patch14_reg4_dinov2"),
        ("dinov3", "vit_small_patch16_dinov3"),
        ("dinov3", "vit_small_patch16_dinov3_qkvb"),
    ],
)
def test_dino_is_timms_model(name, model, tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = randomised(timm.create_model(model, pretrained=False, num_classes=0, dynamic_img_size=True))
    torch.save(network.state_dict(), tmp_path / "x.pt")
    adapter = load_adapter(source(name, tmp_path / "x.pt"))
    grey = torch.rand((2, 1, 4 * adapter.patch, 3 * adapter.patch), generator=torch.Generator().manual_seed(2))
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    spread = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.inference_mode():
        tokens = network.forward_features((grey - mean) / spread)[:, network.num_prefix_tokens :]
        found = adapter(grey)
    assert found.shape == (2, 384, 4, 3)
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), tokens, **CLOSE)


def test_dinov2_under_metas_names_is_the_same(tmp_path):
    timm = pytest.importorskip("timm")
    network = randomised(timm.create_model("vit_small_patch14_reg4_dinov2", num_classes=0, dynamic_img_size=True))
    state = {k.replace("reg_token", "register_tokens"): v for k, v in network.state_dict().items()}
    state["pos_embed"] = torch.cat([torch.zeros(1, 1, 384), state["pos_embed"]], dim=1)  # Meta's has one for the token
    torch.save({**state, "mask_token": torch.zeros(1, 384)}, tmp_path / "x.pth")
    adapter = load_adapter(source("dinov2", tmp_path / "x.pth"))
    grey = torch.rand((1, 1, 56, 56), generator=torch.Generator().manual_seed(2))
    torch.save(network.state_dict(), tmp_path / "timm.pt")
    with torch.inference_mode():
        torch.testing.assert_close(adapter(grey), load_adapter(source("dinov2", tmp_path / "timm.pt"))(grey), **CLOSE)


def onnx_file(path: Path, *, batch: str | int = "n", size: int | str = 16, channels: int = 1) -> tuple[Path, nn.Module]:
    onnx = pytest.importorskip("onnx")
    torch.manual_seed(0)
    network = nn.Conv3d(channels, 5, 4, stride=4)
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[4, 4, 4], strides=[4, 4, 4])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", kind, [batch, channels, size, size, size])],
        [helper.make_tensor_value_info("y", kind, [batch, 5, None, None, None])],
        [
            onnx.numpy_helper.from_array(network.weight.detach().numpy(), "w"),
            onnx.numpy_helper.from_array(network.bias.detach().numpy(), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path, network


@pytest.mark.parametrize("batch", ["n", 1])
def test_onnx_computes_what_torch_does(batch, tmp_path):
    pytest.importorskip("onnxruntime")
    path, network = onnx_file(tmp_path / "x.onnx", batch=batch)
    adapter = load_adapter(source("onnx", path))
    assert adapter.largest_batch == (None if batch == "n" else 1)
    inputs = cubes(1, 16)[: 2 if batch == "n" else 1]
    with torch.inference_mode():
        torch.testing.assert_close(adapter(inputs), network(inputs), **CLOSE)


@pytest.mark.parametrize(
    ("options", "said"), [({"batch": 4}, "fixed batch of 4"), ({"size": 24}, "--input-size says 16×16×16")]
)
def test_an_onnx_file_of_fixed_shape_says_what_to_do(options, said, tmp_path):
    pytest.importorskip("onnxruntime")
    path, _ = onnx_file(tmp_path / "x.onnx", **options)
    with pytest.raises(UsageError, match=said):
        load_adapter(source("onnx", path))


class FakeSession:
    """What ONNX Runtime shows of a file with one input of ``shape``; running it raises ``error``."""

    shape: tuple[str | int, ...] = ("n", 1, 16, 16, 16)
    error = ""

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="x", shape=list(self.shape), type="tensor(float)")]

    def run(self, *args: object) -> None:
        raise RuntimeError(self.error)


@pytest.fixture
def fake_onnx(monkeypatch, tmp_path):
    """An ONNX file, and a runtime that says what tests ask it to say: these tests run where there is none."""
    runtime = SimpleNamespace(
        SessionOptions=SimpleNamespace,
        InferenceSession=FakeSession,
        get_available_providers=lambda: ["CPUExecutionProvider"],
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr("firstscan.learning.pretrained.extract.find_spec", lambda package: package)
    (tmp_path / "x.onnx").write_bytes(b"onnx")
    return source("onnx", tmp_path / "x.onnx")


def test_a_fixed_batch_is_refused_wherever_it_is_read(fake_onnx, monkeypatch):
    monkeypatch.setattr(FakeSession, "shape", (4, 1, 16, 16, 16))
    with pytest.raises(UsageError, match=r"fixed batch of 4; export it again with a free batch axis"):
        load_adapter(fake_onnx)


@pytest.mark.parametrize("said", ["CUDA failure 2: out of memory", "BFCArena: Failed to allocate memory for 9 bytes"])
def test_a_runtime_without_room_asks_for_smaller_batches(said, fake_onnx, monkeypatch):
    monkeypatch.setattr(FakeSession, "error", said)
    with pytest.raises(torch.OutOfMemoryError):
        load_adapter(fake_onnx)(cubes(1, 16))
    monkeypatch.setattr(FakeSession, "error", "Got invalid dimensions")
    with pytest.raises(UsageError, match="does not take an input of 2×1×16×16×16"):
        load_adapter(fake_onnx)(cubes(1, 16))


def test_another_number_of_channels_is_told_with_the_names_of_the_scans_own(tmp_path):
    torch.save(segresnet().encoder.state_dict(), tmp_path / "x.pt")
    given = KINDS["ct-fm"].given
    with pytest.raises(UsageError, match=r"takes 1 channel\(s\), and the scans have 2: t1, t2; choose with --channel"):
        Embedder("ct-fm", tmp_path / "x.pt", given, channels=("t1", "t2"), device="cpu")


@pytest.mark.parametrize("name", [n for n, kind in KINDS.items() if kind.package])
def test_a_package_that_is_missing_is_named_with_how_to_install_it(name, monkeypatch, tmp_path):
    monkeypatch.setattr("firstscan.learning.pretrained.extract.find_spec", lambda package: None)
    with pytest.raises(UsageError, match=r'pip install "firstscan\[encoders\]"'):
        load_adapter(source(name, tmp_path / "x"))


WRONG = {
    ("swinunetr", "ct-fm"): segresnet,
    ("brainsegfounder", "ct-fm"): segresnet,
    ("ct-fm", "swinunetr, voco or brainsegfounder"): swin,
}


@pytest.mark.parametrize(("name", "looks_like"), WRONG)
def test_weights_of_another_architecture_are_told_by_their_names(name, looks_like, tmp_path):
    torch.save(WRONG[name, looks_like]().state_dict(), tmp_path / "x.pt")
    with pytest.raises(UsageError) as caught:
        load_adapter(source(name, tmp_path / "x.pt"))
    said = str(caught.value)
    assert "missing " in said
    assert "unexpected " in said
    assert f"It looks like {looks_like}: use that as --encoder" in said


def test_weights_that_lack_a_part_or_have_another_shape_are_told(tmp_path):
    state = dict(segresnet().encoder.state_dict())
    lost = state.pop("layers.2.blocks.1.conv1.weight")
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(UsageError, match=r"missing layers\.2\.blocks\.1\.conv1\.weight; unexpected none"):
        load_adapter(source("ct-fm", tmp_path / "x.pt"))
    torch.save({**state, "layers.2.blocks.1.conv1.weight": lost[:, :4]}, tmp_path / "x.pt")
    with pytest.raises(UsageError, match=r"is 32×4×3×3×3, expected 32×32×3×3×3"):
        load_adapter(source("ct-fm", tmp_path / "x.pt"))


def test_weights_of_nobody_known_are_told(tmp_path):
    torch.save({"features.0.weight": torch.ones(3)}, tmp_path / "x.pt")
    with pytest.raises(UsageError, match="none of the known encoders"):
        load_adapter(source("swinunetr", tmp_path / "x.pt"))


def test_dinov3_under_metas_names_is_the_same(tmp_path):
    timm = pytest.importorskip("timm")
    network = randomised(timm.create_model("vit_small_patch16_dinov3_qkvb", num_classes=0, dynamic_img_size=True))
    torch.save(network.state_dict(), tmp_path / "timm.pt")
    theirs = {"mask_token": torch.zeros(1, 384), "rope_embed.periods": torch.ones(16)}
    for name, tensor in network.state_dict().items():
        if name.endswith("q_bias"):
            value = network.state_dict()[name.replace("q_bias", "v_bias")]
            theirs[name.replace("q_bias", "qkv.bias")] = torch.cat([tensor, torch.zeros_like(tensor), value])
            theirs[name.replace("q_bias", "qkv.bias_mask")] = torch.ones(3 * len(tensor))
        elif not name.endswith("v_bias"):
            for own, meta in (("gamma_1", "ls1.gamma"), ("gamma_2", "ls2.gamma"), ("reg_token", "storage_tokens")):
                name = name.replace(own, meta)  # noqa: PLW2901
            theirs[name] = tensor
    torch.save(theirs, tmp_path / "meta.pth")
    grey = torch.rand((1, 1, 64, 48), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        found = [load_adapter(source("dinov3", tmp_path / file))(grey) for file in ("meta.pth", "timm.pt")]
    torch.testing.assert_close(*found, **CLOSE)
