"""Attention whose bias is learnt, on a CPU: torch's fused kernel knows no gradient of the bias."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class BiasedAttention(torch.autograd.Function):
    """softmax(q·k / √d + bias)·v, and its gradients; scores are computed again on the way back instead of kept.

    ``query`` (windows, heads, tokens, d); ``key``, ``value`` (windows, heads, keys, d); ``bias`` (1, heads, tokens,
    keys), the same for every window. The result is shaped as ``query``.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Attend, without gradients, through the fused kernel."""
        ctx.save_for_backward(query, key, value, bias)
        inputs = (query.detach(), key.detach(), value.detach())
        return F.scaled_dot_product_attention(*inputs, attn_mask=bias.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of query, key, value and bias; window by window, as the cache likes it."""
        query, key, value, bias = ctx.saved_tensors
        scale = query.shape[-1] ** -0.5
        by_query, by_key, by_value = (torch.empty_like(tensor) for tensor in (query, key, value))
        by_bias = torch.zeros_like(bias)
        for i, gradient in enumerate(gradients[0]):
            scaled = query[i] * scale
            weights = (scaled @ key[i].transpose(-1, -2)).add_(bias[0]).softmax(-1)
            by_score = gradient @ value[i].transpose(-1, -2)
            by_score.sub_((by_score * weights).sum(-1, keepdim=True)).mul_(weights)
            by_query[i] = (by_score @ key[i]).mul_(scale)
            by_key[i] = by_score.transpose(-1, -2) @ scaled
            by_value[i] = weights.transpose(-1, -2) @ gradient
            by_bias[0].add_(by_score)
        return by_query, by_key, by_value, by_bias
