"""DINOv2 and DINOv3 vision transformers through timm, under timm's names or those that Meta publishes.

References
----------
Oquab et al. 2023, "DINOv2" (arXiv 2304.07193); Siméoni et al. 2025, "DINOv3" (arXiv 2508.10104).
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from firstscan.domain.errors import UsageError

from .files import State, read_state
from .matching import load, misfit, without_prefixes
from .protocol import Source

_SIZES = {192: "tiny", 384: "small", 768: "base", 1024: "large", 1280: "huge_plus", 1536: "giant"}
_OTHERS = (r"^(head|mask_token|dino_head|ibot_head|fc_norm)", r"^rope_embed\.periods$", r"\.bias_mask$")
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Dino:
    """Patch tokens of one slice, (batch, dim, a, b); grey values take all three colours, normalised as ImageNet's."""

    channels: int | None = None
    largest_batch: int | None = None

    def __init__(self, source: Source) -> None:
        state = without_prefixes(read_state(source.path), ("module.", "model.", "backbone.", "teacher."))
        third = source.name == "dinov3"
        token, first = state.get("cls_token"), state.get("patch_embed.proj.weight")
        depth = len({m[1] for k in state if (m := re.match(r"blocks\.(\d+)\.", k))})
        turned = "pos_embed" not in state
        if token is None or first is None or not depth or turned != third:
            wanted = [k for k in ("cls_token", "patch_embed.proj.weight", "blocks.0.norm1.weight") if k not in state]
            wanted += ["pos_embed"] if turned and not third else []
            others = ["pos_embed"] if third and not turned else [k for k in state if not k.startswith("blocks.")]
            raise UsageError(misfit(source.name, source.path, wanted, others, state))
        self.patch = int(first.shape[-1])
        self.network = _made(source, state, int(token.shape[-1]), self.patch, third=third)
        named = _timm_names(state, self.network, third=third)
        load(self.network, named, name=source.name, path=source.path, others=_OTHERS)
        self.network.to(source.device).eval()
        shape = (1, 3, 1, 1)
        self.mean = torch.tensor(_MEAN, device=source.device).view(shape)
        self.deviation = torch.tensor(_DEVIATION, device=source.device).view(shape)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Map slices (batch, 1, i, j) in [0, 1], i and j multiples of the patch, to tokens (batch, dim, a, b)."""
        batch, _, high, wide = inputs.shape
        tokens: Tensor = self.network.forward_features((inputs - self.mean) / self.deviation)
        patches = tokens[:, self.network.num_prefix_tokens :]
        return patches.transpose(1, 2).reshape(batch, -1, high // self.patch, wide // self.patch)


def _made(source: Source, state: State, dim: int, patch: int, *, third: bool) -> Any:
    """Return timm's model of the size that the file has."""
    import timm

    size = _SIZES.get(dim, f"of width {dim}")
    gated = any(".mlp.w1" in k or ".mlp.fc1_g" in k for k in state)
    if third:
        bias = "_qkvb" if any(re.search(r"attn\.(qkv\.|q_)bias$", k) for k in state) else ""
        plus = "_plus" if gated and size == "small" else ""
        name = f"vit_{size}{plus}_patch{patch}_dinov3{bias}"
    else:
        registers = "_reg4" if any(k in state for k in ("reg_token", "register_tokens")) else ""
        name = f"vit_{size}_patch{patch}{registers}_dinov2"
    if name not in timm.list_models():
        raise UsageError(f"--checkpoint {source.path}: timm has no model {name}, which its shapes ask for")
    return timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True)


def _timm_names(state: State, network: Any, *, third: bool) -> State:
    """Return the table under timm's names, by timm's own conversion."""
    if third:
        from timm.models.eva import checkpoint_filter_fn
    else:
        from timm.models.vision_transformer import checkpoint_filter_fn
    return {k: v for k, v in checkpoint_filter_fn(dict(state), network).items() if isinstance(v, Tensor)}
