"""Weights of an ONNX graph in fewer bits behind a Cast, which runtimes fold when they load; and back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

STORED_FROM = 1024  # elements; smaller tensors are not worth a Cast
SHORT = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def load_graph(path: Path, *, weights: bool = True) -> onnx.ModelProto:
    """weights=False leaves those that lie in a file beside `path`. Raises ValueError for no ONNX."""
    try:
        return onnx.load(path, load_external_data=weights)
    except DecodeError as error:
        raise ValueError(f"{path}: expected an ONNX file ({error}); export it again") from error


def copy_graph(source: Path, target: Path) -> None:
    """Copies an ONNX to `target`; a file with its weights goes beside it under its own name."""
    graph = load_graph(source, weights=False)
    shutil.copyfile(source, target)
    for name in sorted({i.value for t in graph.graph.initializer for i in _external(t)}):
        shutil.copyfile(source.parent / name, target.parent / name)


def _external(tensor: TensorProto) -> list[onnx.StringStringEntryProto]:
    return [entry for entry in tensor.external_data if entry.key == "location"]


def store_weights(graph: onnx.ModelProto, dtype: np.dtype, *, lossless: bool = False) -> None:
    """Stores large float32 weights as `dtype` (float16, bfloat16); computation stays float32.

    lossless: only those that it holds exactly, which are all of them where the checkpoint was saved in
    that type (models/checkpoint.py does, for files that ship).
    """
    casts = []
    for tensor in graph.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < STORED_FROM:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        short = values.astype(dtype)
        if lossless and not np.array_equal(short.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(short, f"{name}_stored"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_stored"], [name], to=TensorProto.FLOAT))
    rest = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend(casts + rest)


def stored_short(path: Path) -> bool:
    """Whether store_weights has been at work."""
    graph = load_graph(path, weights=False)
    return any(t.data_type in SHORT for t in graph.graph.initializer)


def load_restored(path: Path) -> onnx.ModelProto:
    """The graph of `path` with all its weights in float32."""
    graph = load_graph(path)
    restore_weights(graph)
    return graph


def restore_weights(graph: onnx.ModelProto) -> None:
    """The inverse of store_weights: float32 initialisers, no Cast in front of them."""
    stored = {t.name: t for t in graph.graph.initializer if t.data_type in SHORT}
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
