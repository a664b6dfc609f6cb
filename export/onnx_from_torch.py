"""PyTorch network -> ONNX: image [B, 3, S, S] in [0, 1] -> planes [B, 3, C, H, W].

Normalisation is part of the graph; position embeddings are resampled once, to the fixed input size,
and kept as constants; attention stays one operator from opset 23 on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from models.vit import ViT

ATTENTION_OPSET = 23  # the first with an Attention operator


@dataclass(frozen=True)
class OnnxOptions:
    opset: int = ATTENTION_OPSET
    batch: int | None = None  # None: any batch
    half_weights: bool = False  # store large weights in float16; computation stays float32


def export_onnx(network: nn.Module, path: Path, options: OnnxOptions | None = None) -> None:
    """Writes a checked ONNX with inferred shapes. The network is left as it was."""
    options = options or OnnxOptions()
    size = network.config.image_size
    image = torch.rand(options.batch or 2, 3, size, size)
    shapes = None if options.batch else {"image": {0: torch.export.Dim("batch")}}
    with fixed_positions(network, size):
        torch.onnx.export(
            network, (image,), str(path), dynamo=True, opset_version=options.opset,
            input_names=["image"], output_names=["planes"], dynamic_shapes=shapes,
            external_data=False, verbose=False,
        )  # fmt: skip
    graph = onnx.load(path)
    if options.half_weights:
        halve_weights(graph)
    graph = onnx.shape_inference.infer_shapes(graph, strict_mode=True)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


@contextlib.contextmanager
def fixed_positions(network: nn.Module, size: int) -> Iterator[None]:
    """Position embeddings resampled to the input size while the block lasts.

    Bicubic resampling does not trace well and its result does not depend on the picture.
    """
    encoders = [m for m in network.modules() if isinstance(m, ViT)]
    before = [(e.pos_embed, e.grid) for e in encoders]
    try:
        for e in encoders:
            grid = size // e.config.patch_size
            e.pos_embed, e.grid = nn.Parameter(e.positions((grid, grid)).detach()), grid
        yield
    finally:
        for e, (positions, grid) in zip(encoders, before, strict=True):
            e.pos_embed, e.grid = positions, grid


HALF_FROM = 1024  # elements; smaller tensors are not worth a Cast


def halve_weights(graph: onnx.ModelProto) -> None:
    """Stores large weights as float16 behind a Cast, which runtimes fold when they load.

    Lossless: only weights that float16 holds exactly are touched, which are all of them where the
    checkpoint was saved in float16 (models/checkpoint.py does, for files that ship).
    """
    casts = []
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALF_FROM:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    rest = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend(casts + rest)


def restore_weights(graph: onnx.ModelProto) -> None:
    """The inverse of halve_weights: float32 initialisers, no Cast in front of them."""
    stored = {t.name: t for t in graph.graph.initializer}
    rest = []
    for node in graph.graph.node:
        source = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if source is None:
            rest.append(node)
            continue
        values = onnx.numpy_helper.to_array(source).astype(np.float32)
        source.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
    del graph.graph.node[:]
    graph.graph.node.extend(rest)
