"""MONAI's SwinViT under the names of MONAI's SSL weights, VoCo, VoComni and BrainSegFounder.

References
----------
Tang et al. 2022 (arXiv 2111.14791); Wu et al. 2024, VoCo (arXiv 2402.17300) and VoComni (arXiv 2410.09890); Cox et al.
2024, BrainSegFounder (arXiv 2406.10395).
"""

from __future__ import annotations

import re

from torch import Tensor

from firstscan.domain.errors import UsageError

from .files import State, read_state
from .matching import load, misfit, without_prefixes
from .protocol import Source

_PREFIXES = ("module.", "model.", "student.", "backbone.", "encoder.", "swinViT.", "swin_vit.")
_HEADS = (
    r"^(rotation|contrastive|rotation_pre|contrastive_pre)(_head|_pre)?\.",
    r"^(conv|convTrans3d|norm|head|out|fc|proj|pred|mlp_head|pool|op)\b",
    r"^(encoder\d+|decoder\d+)\.",
    r"^(student|teacher|proj_head|aug|classifier|logit)",
)


class SwinUNETR:
    """Deepest stage of SwinViT, (batch, 16 · feature size, a, b, c) at stride 32; feature size 48, 96 or 192."""

    channels: int | None
    largest_batch: int | None = None

    def __init__(self, source: Source) -> None:
        state = _own_names(read_state(source.path))
        first = state.get("patch_embed.proj.weight")
        tables = {k: v for k, v in state.items() if k.endswith("relative_position_bias_table")}
        depths = [sum(k.startswith(f"layers{i}.0.blocks.") for k in tables) for i in range(1, 5)]
        if first is None or first.ndim != 5 or not all(depths):
            wanted = [k for k in ("patch_embed.proj.weight", _TABLE.format(1), _TABLE.format(4)) if k not in state]
            raise UsageError(misfit(source.name, source.path, wanted, list(state), state))
        from monai.networks.nets.swin_unetr import SwinTransformer

        heads = tuple(int(tables[_TABLE.format(i)].shape[1]) for i in range(1, 5))
        window = round((round(tables[_TABLE.format(1)].shape[0] ** (1 / 3)) + 1) / 2)
        self.network = SwinTransformer(
            in_chans=int(first.shape[1]),
            embed_dim=int(first.shape[0]),
            window_size=(window,) * 3,
            patch_size=tuple(first.shape[2:]),
            depths=depths,
            num_heads=heads,
            spatial_dims=3,
            use_v2=any(re.match(r"layers[1-4]c\.", k) for k in state),
        )
        load(self.network, state, name=source.name, path=source.path, others=_HEADS)
        self.network.to(source.device).eval()
        self.channels = int(first.shape[1])

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the deepest stage, normalised over its channels as SwinUNETR's decoder gets it."""
        deepest: Tensor = self.network(inputs)[-1]
        return deepest


_TABLE = "layers{}.0.blocks.0.attn.relative_position_bias_table"


def _own_names(state: State) -> State:
    """Return the table under MONAI's present names; of a whole SwinUNETR, its SwinViT only."""
    swin = {k: v for k, v in state.items() if re.search(r"(swinViT|swin_vit)\.", k)}
    if swin and any(not re.search(r"(swinViT|swin_vit)\.", k) for k in state):
        state = {k: v for k, v in swin.items() if ".teacher." not in k and not k.startswith("teacher.")} or swin
    short = without_prefixes(state, _PREFIXES)
    return {k.replace(".mlp.fc1.", ".mlp.linear1.").replace(".mlp.fc2.", ".mlp.linear2."): v for k, v in short.items()}
