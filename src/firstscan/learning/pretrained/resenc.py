"""nnU-Net's residual encoder L, as nnssl publishes it (OpenMind).

References
----------
Wald et al. 2024, "An OpenMind for 3D medical vision self-supervised learning" (arXiv 2412.17041); Isensee et al. 2024
(arXiv 2404.09556).
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from firstscan.domain.errors import UsageError

from .files import State, read_state
from .matching import load, misfit, without_prefixes
from .protocol import Source

_WIDTHS = (32, 64, 128, 256, 320, 320)
_BLOCKS = (1, 3, 4, 6, 6, 6)
_OTHERS = (r"^decoder\.", r"^(head|proj|pred|mask_token|encoder\.(head|proj))")


class ResEncL:
    """Deepest stage of ResEnc-L, (batch, 320, a, b, c) at stride 32."""

    channels: int | None
    largest_batch: int | None = None

    def __init__(self, source: Source) -> None:
        state = _encoder_of(read_state(source.path))
        first = state.get("stem.convs.0.conv.weight")
        if first is None or first.ndim != 5:
            raise UsageError(misfit(source.name, source.path, ["encoder.stem.convs.0.conv.weight"], list(state), state))
        from dynamic_network_architectures.building_blocks.residual_encoders import ResidualEncoder

        self.network = ResidualEncoder(
            input_channels=int(first.shape[1]),
            n_stages=len(_WIDTHS),
            features_per_stage=_WIDTHS,
            conv_op=nn.Conv3d,
            kernel_sizes=3,
            strides=(1, 2, 2, 2, 2, 2),
            n_blocks_per_stage=_BLOCKS,
            conv_bias=True,
            norm_op=nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            return_skips=False,
        )
        load(self.network, state, name=source.name, path=source.path, others=_OTHERS)
        self.network.to(source.device).eval()
        self.channels = int(first.shape[1])

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the deepest stage."""
        deepest: Tensor = self.network(inputs)
        return deepest


def _encoder_of(state: State) -> State:
    """Return the encoder's part; a whole network holds it a second time inside its decoder."""
    short = without_prefixes(state, ("module.", "_orig_mod.", "model.", "network.", "backbone."))
    encoder = {k.removeprefix("encoder."): v for k, v in short.items() if k.startswith("encoder.")}
    return encoder if any(re.match(r"stem\.", k) for k in encoder) else short
