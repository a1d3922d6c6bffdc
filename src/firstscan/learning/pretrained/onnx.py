"""Any network in ONNX, computed by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from firstscan.domain.errors import UsageError

from .protocol import Source
from .torchscript import checked, refused

_NO_ROOM = ("Failed to allocate memory", "CUDA failure 2", "out of memory")
"""What ONNX Runtime says where a GPU's memory runs out."""


class Onnx:
    """A network of one input (batch, channel, i, j, k); its last output is taken.

    The batch axis must be free, or 1: scans then go through one by one.
    """

    def __init__(self, source: Source) -> None:
        import onnxruntime

        if not source.path.is_file():
            raise UsageError(f"--checkpoint {source.path}: there is no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        wanted = ["CUDAExecutionProvider"] if source.device.startswith("cuda") else []
        providers = [p for p in (*wanted, "CPUExecutionProvider") if p in onnxruntime.get_available_providers()]
        try:
            self.session = onnxruntime.InferenceSession(str(source.path), options, providers=providers)
        except Exception as error:
            raise UsageError(
                f"--checkpoint {source.path} is no ONNX file that ONNX Runtime can read "
                f"({str(error).splitlines()[0][:160]})"
            ) from error
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 5:
            found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
            raise UsageError(
                f"--checkpoint {source.path} takes {found}; one input (batch, channel, i, j, k) is expected"
            )
        self.name, shape = inputs[0].name, inputs[0].shape
        self.type = np.float16 if "float16" in inputs[0].type else np.float32
        self.largest_batch = _batch(source, shape[0])
        self.channels = shape[1] if isinstance(shape[1], int) else None
        fixed = [n if isinstance(n, int) else None for n in shape[2:]]
        if any(n is not None and n != size for n, size in zip(fixed, source.given.size, strict=True)):
            raise UsageError(
                f"--checkpoint {source.path} takes inputs of {'×'.join(str(n or 'any') for n in fixed)} voxels, and "
                f"--input-size says {'×'.join(map(str, source.given.size))}; say what the file takes"
            )

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the network's last output."""
        try:
            (*_, output) = self.session.run(None, {self.name: inputs.cpu().numpy().astype(self.type)})
        except Exception as error:  # ONNX Runtime has exceptions of its own, which share no base
            if any(words in str(error) for words in _NO_ROOM):
                raise torch.OutOfMemoryError(str(error)) from error
            raise refused(error, inputs) from error
        return checked(torch.from_numpy(np.asarray(output, dtype=np.float32)), len(inputs))


def _batch(source: Source, axis: object) -> int | None:
    if not isinstance(axis, int):
        return None
    if axis != 1:
        raise UsageError(
            f"--checkpoint {source.path} was exported for a fixed batch of {axis}; export it again with a free batch "
            "axis (torch.onnx.export: dynamic_shapes or dynamic_axes), or with a batch of 1"
        )
    return 1
