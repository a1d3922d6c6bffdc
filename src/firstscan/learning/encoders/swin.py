"""The paper's encoder: MONAI's Swin transformer with feature size 48, computed without its detours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.nets.swin_unetr import SwinTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .attention import BiasedAttention
from .windows import StagePlan, WindowGroup, stage_plan

WINDOW = 7
PATCH = 2
Biases = tuple[tuple[tuple[Tensor, ...], ...], ...]  # one a stage, block and group of windows
CHUNK = 3500  # tokens that pass through a block together on a CPU: what they need stays in the cache


class SwinEncoder(nn.Module):
    """SwinViT: feature size 48, depths 2-2-2-2, heads 3-6-12-24, window 7³, patch 2³; 768-d output at stride 32.

    Parameters, their names and their first values are those of MONAI's ``SwinTransformer``, and so is the result,
    up to rounding (a test compares). The way there is not: a block gathers windows by index and is done with them,
    from norm to residual, before it takes the next ones; nothing is padded, rolled, or computed for padding; keys of
    padding, which are all alike, count as one key; tokens that the shift parts do not meet at all, where MONAI lowers
    their scores by 100; and the outputs of the stages in between, which nobody reads, are not made.

    References
    ----------
    Hattat et al. 2026 (arXiv 2606.20765); Tang et al. 2022, "Self-supervised pre-training of Swin transformers
    for 3D medical image analysis"; Liu et al. 2021, "Swin Transformer" (arXiv 2103.14030).
    """

    dim = 768
    stride = 32
    views_at_once = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.swin_vit = SwinTransformer(
            in_chans=channels,
            embed_dim=48,
            window_size=(WINDOW,) * 3,
            patch_size=(PATCH,) * 3,
            depths=(2, 2, 2, 2),
            num_heads=(3, 6, 12, 24),
            spatial_dims=3,
        )

    def forward(self, cubes: Tensor) -> Tensor:
        """Map (batch, channel, s, s, s) to (batch, 768, s/32, s/32, s/32)."""
        plans = self._plans(cubes.shape[-1], cubes.device)
        return self._deepest(cubes, plans, self._position_biases(plans))

    def frozen(self, size: int) -> Callable[[Tensor], Tensor]:
        """Return the map of :meth:`forward` for cubes of ``size`` voxels, the position biases looked up beforehand."""
        plans = self._plans(size, next(self.parameters()).device)
        biases = self._position_biases(plans)
        return lambda cubes: self._deepest(cubes, plans, biases)

    def _deepest(self, cubes: Tensor, plans: tuple[StagePlan, ...], biases: Biases) -> Tensor:
        tokens = _patches(cubes, self.swin_vit.patch_embed.proj)
        for stage, plan, stage_biases in zip(self._stages(), plans, biases, strict=True):
            tokens = _through_stage(tokens, stage, plan, stage_biases)
        out = F.layer_norm(tokens, tokens.shape[-1:])
        left = cubes.shape[-1] // self.stride
        return out.transpose(1, 2).reshape(len(cubes), -1, left, left, left)

    def _plans(self, size: int, device: torch.device) -> tuple[StagePlan, ...]:
        grid = size // PATCH
        return tuple(stage_plan(grid >> i, WINDOW, len(s.blocks), device) for i, s in enumerate(self._stages()))

    def _position_biases(self, plans: tuple[StagePlan, ...]) -> Biases:
        return tuple(
            tuple(
                tuple(_position_bias(block.attn, group) for group in groups)
                for block, groups in zip(stage.blocks, plan.blocks, strict=True)
            )
            for stage, plan in zip(self._stages(), plans, strict=True)
        )

    def _stages(self) -> tuple[Any, ...]:
        vit = self.swin_vit
        return tuple(layers[0] for layers in (vit.layers1, vit.layers2, vit.layers3, vit.layers4))


def _patches(cubes: Tensor, embedding: Any) -> Tensor:
    """Embed every patch of 2³ voxels: (batch, channel, s, s, s) to (batch, (s/2)³, 48)."""
    batch, channels, size, *_ = cubes.shape
    grid = size // PATCH
    split = cubes.reshape(batch, channels, grid, PATCH, grid, PATCH, grid, PATCH)
    rows = split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(batch, grid**3, channels * PATCH**3)
    return F.linear(rows, embedding.weight.flatten(1), embedding.bias)


def _through_stage(tokens: Tensor, stage: Any, plan: StagePlan, biases: tuple[tuple[Tensor, ...], ...]) -> Tensor:
    """Pass (batch, tokens, dim) in raster order through the blocks, and merge: (batch, tokens / 8, 2 · dim)."""
    for block, groups, block_biases in zip(stage.blocks, plan.blocks, biases, strict=True):
        tokens = _through_block(tokens, block, groups, block_biases)
    batch, count, dim = tokens.shape
    merged = tokens.index_select(1, plan.merge).reshape(batch, count // 8, 8 * dim)
    down = stage.downsample
    return F.linear(_norm(merged, down.norm), down.reduction.weight)


def _through_block(tokens: Tensor, block: Any, groups: tuple[WindowGroup, ...], biases: tuple[Tensor, ...]) -> Tensor:
    """Pass (batch, tokens, dim) through one block; they come out in the order of its groups."""
    batch, _, dim = tokens.shape
    done = []
    for group, bias in zip(groups, biases, strict=True):
        for rows in _chunks(group, batch, tokens.device):
            windows = tokens.index_select(1, rows).reshape(-1, group.tokens, dim)
            done.append(_windows(windows, block, bias).reshape(batch, -1, dim))
    return torch.cat(done, dim=1)


def _chunks(group: WindowGroup, batch: int, device: torch.device) -> tuple[Tensor, ...]:
    if device.type != "cpu":
        return (group.rows,)
    windows = max(1, CHUNK // (batch * group.tokens))
    return torch.split(group.rows, windows * group.tokens)


def _windows(windows: Tensor, block: Any, bias: Tensor) -> Tensor:
    """Attention and perceptron with their residuals, for (windows, tokens, dim)."""
    attended = _attention(_norm(windows, block.norm1), block.attn, bias)
    windows = windows + attended
    if windows.requires_grad and windows.device.type == "cpu":  # most of the memory that training needs is in there
        change: Tensor = checkpoint(_perceptron, windows, block, use_reentrant=False, preserve_rng_state=False)
        return windows + change
    return windows + _perceptron(windows, block)


def _perceptron(windows: Tensor, block: Any) -> Tensor:
    hidden = F.gelu(_linear(_norm(windows, block.norm2), block.mlp.linear1))
    return _linear(hidden, block.mlp.linear2)


def _attention(windows: Tensor, attention: Any, bias: Tensor) -> Tensor:
    """Let the tokens of each window attend to each other, and to padding where ``bias`` has a column for it."""
    count, tokens, dim = windows.shape
    keys = bias.shape[-1]
    if keys > tokens:  # padding is zero after the norm: one row of it stands for all
        windows = F.pad(windows, (0, 0, 0, 1))
    split = _linear(windows, attention.qkv).reshape(count, keys, 3, attention.num_heads, -1)
    query, key, value = split.permute(2, 0, 3, 1, 4)
    query, bias = query[:, :, :tokens], bias.to(query.dtype)
    if bias.requires_grad and bias.device.type == "cpu":
        seen: Tensor = BiasedAttention.apply(query, key, value, bias)  # type: ignore[no-untyped-call]
    else:
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return _linear(seen.transpose(1, 2).reshape(count, tokens, dim), attention.proj)


def _position_bias(attention: Any, group: WindowGroup) -> Tensor:
    """Return what is added to the scores of a window's tokens: (1, heads, tokens, keys).

    Keys of padding are equal, so exp(q·k) is a common factor of their terms in the softmax: together they are one key
    whose bias is the logarithm of the sum of exp(bias).
    """
    table, places = attention.relative_position_bias_table, attention.relative_position_index
    bias = table[places[group.inside][:, group.inside]]
    if len(group.padding):
        outside = torch.logsumexp(table[places[group.inside][:, group.padding]], dim=1, keepdim=True)
        bias = torch.cat([bias, outside], dim=1)
    by_head: Tensor = bias.permute(2, 0, 1)
    return by_head.unsqueeze(0).contiguous()


def _norm(tokens: Tensor, norm: Any) -> Tensor:
    return F.layer_norm(tokens, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _linear(tokens: Tensor, linear: Any) -> Tensor:
    return F.linear(tokens, linear.weight, linear.bias)
