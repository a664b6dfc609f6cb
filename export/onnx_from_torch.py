"""PyTorch network -> ONNX: image [B, 3, S, S] in [0, 1] -> planes [B, 3, C, H, W], both float32.

Normalisation is part of the graph; what does not depend on the picture is a constant of it
(export/folding.py); attention stays one operator from opset 23 on. Large networks keep their weights
in a file beside the graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from export.folding import folded
from export.weights import store_weights

ATTENTION_OPSET = 23  # the first with an Attention operator
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# Bytes of weights from which they go to a file of their own: protocol buffers end at 2 GB.
EXTERNAL_FROM = 256 << 20


@dataclass(frozen=True)
class OnnxOptions:
    opset: int = ATTENTION_OPSET
    batch: int | None = None  # None: any batch
    half_weights: bool = False  # store large weights in float16; computation stays float32
    dtype: str = "float32"  # of the computation: float32, float16 or bfloat16; for engines on a GPU

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: expected one of {', '.join(DTYPES)}, got {self.dtype!r}")


def export_onnx(network: nn.Module, path: Path, options: OnnxOptions | None = None) -> None:
    """Writes a checked ONNX with inferred shapes. The network is left as it was."""
    options = options or OnnxOptions()
    size = network.config.image_size
    image = torch.rand(options.batch or 2, 3, size, size)
    shapes = None if options.batch else {"image": {0: torch.export.Dim("batch")}}
    external = sum(p.nbytes for p in network.parameters()) >= EXTERNAL_FROM
    with folded(network) as module, computed_in(module, DTYPES[options.dtype]) as module:
        program = torch.onnx.export(
            module, (image,), dynamo=True, opset_version=options.opset,
            input_names=["image"], output_names=["planes"], dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
        program.save(str(path), external_data=external)
    del program
    _complete(path, options, external)


def _complete(path: Path, options: OnnxOptions, external: bool) -> None:
    """Shapes of all values, and the checks; weights in a file of their own stay where they are."""
    graph = onnx.load(path, load_external_data=False)
    if options.half_weights and not external:
        store_weights(graph, np.float16, lossless=True)
    graph = onnx.shape_inference.infer_shapes(graph, strict_mode=True)
    onnx.save(graph, path)
    onnx.checker.check_model(str(path), full_check=not external)


class _Cast(nn.Module):
    """float32 in and out, another type between."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module = module
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return self.module(image.to(self.dtype)).float()


@contextlib.contextmanager
def computed_in(module: nn.Module, dtype: torch.dtype) -> Iterator[nn.Module]:
    """`module` with its weights in `dtype` while the block lasts."""
    if dtype == torch.float32:
        yield module
        return
    held = [d for m in module.modules() for d in (m._parameters, m._buffers)]
    before = [dict(d) for d in held]
    try:
        for tensors in held:
            tensors.update({k: _converted(t, dtype) for k, t in tensors.items() if t is not None})
        yield _Cast(module, dtype).eval()
    finally:
        for tensors, values in zip(held, before, strict=True):
            tensors.update(values)


def _converted(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    values = tensor.detach().to(dtype)
    return nn.Parameter(values, requires_grad=False) if isinstance(tensor, nn.Parameter) else values
