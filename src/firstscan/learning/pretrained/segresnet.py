"""The encoder of MONAI's SegResNetDS, as CT-FM publishes it.

References
----------
Pai et al. 2025, "Vision foundation models for computed tomography" (arXiv 2501.09001); Myronenko 2018
(arXiv 1810.11654).
"""

from __future__ import annotations

import re

from torch import Tensor

from .files import read_state
from .matching import load, misfit, without_prefixes
from .protocol import Source

_DECODER = (r"^up_layers\.", r"^(fc|head|proj|heads?_module|decoder|projection_head|prediction_head)\b")


class SegResNet:
    """Deepest stage of a SegResNet encoder, (batch, 512, a, b, c) at stride 16 for CT-FM; layout read off the keys."""

    channels: int | None
    largest_batch: int | None = None

    def __init__(self, source: Source) -> None:
        from firstscan.domain.errors import UsageError

        state = without_prefixes(
            read_state(source.path), ("module.", "model.", "backbone.", "student_backbone.", "encoder.")
        )
        first = state.get("conv_init.weight")
        levels = sorted({int(m[1]) for k in state if (m := re.match(r"layers\.(\d+)\.blocks\.", k))})
        if first is None or first.ndim != 5 or levels != list(range(len(levels))) or not levels:
            wanted = [k for k in ("conv_init.weight", "layers.0.blocks.0.conv1.weight") if k not in state]
            raise UsageError(misfit(source.name, source.path, wanted, list(state), state))
        from monai.networks.nets.segresnet_ds import SegResEncoder

        blocks = [
            len({m[1] for k in state if (m := re.match(rf"layers\.{level}\.blocks\.(\d+)\.", k))}) for level in levels
        ]
        averaged = any(k.endswith("running_mean") for k in state)
        self.network = SegResEncoder(
            init_filters=int(first.shape[0]),
            in_channels=int(first.shape[1]),
            blocks_down=tuple(blocks),
            norm="batch" if averaged else "instance",
        )
        load(self.network, state, name=source.name, path=source.path, others=_DECODER)
        self.network.to(source.device).eval()
        self.channels = int(first.shape[1])

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the deepest stage."""
        deepest: Tensor = self.network(inputs)[-1]
        return deepest
