"""The paper's encoder: MONAI's Swin transformer with feature size 48."""

from __future__ import annotations

from monai.networks.nets.swin_unetr import SwinTransformer
from torch import Tensor, nn


class SwinEncoder(nn.Module):
    """SwinViT: feature size 48, depths 2-2-2-2, heads 3-6-12-24, window 7³, patch 2³; 768-d output at stride 32.

    References
    ----------
    Hattat et al. 2026 (arXiv 2606.20765); Tang et al. 2022, "Self-supervised pre-training of Swin transformers
    for 3D medical image analysis".
    """

    dim = 768
    stride = 32

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.swin_vit = SwinTransformer(
            in_chans=channels,
            embed_dim=48,
            window_size=(7, 7, 7),
            patch_size=(2, 2, 2),
            depths=(2, 2, 2, 2),
            num_heads=(3, 6, 12, 24),
            spatial_dims=3,
        )

    def forward(self, cubes: Tensor) -> Tensor:
        """Map (batch, channel, s, s, s) to (batch, 768, s/32, s/32, s/32)."""
        deepest: Tensor = self.swin_vit(cubes)[-1]
        return deepest
