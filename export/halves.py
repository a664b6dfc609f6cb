"""A float32 ONNX graph made to compute in float16 or bfloat16, input and output staying float32.

Strongly typed engines compute in the types of the graph, so the choice of precision is made here. All
values go, as torch's .half() would have it; layer norms keep their statistics in float32 (stash_type).
"""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.weights import load_restored

HALVES = {
    "float16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "bfloat16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
}
EXTERNAL_FROM = 1 << 30  # bytes of weights that go to a file of their own: protocol buffers end at 2 GB
# Inputs that stay float32 by ONNX's own definition of the operator.
FLOAT_INPUTS = {"Resize": (1, 2)}
# Operators computed in float32: TensorRT-RTX 1.7 has no transposed convolution in bfloat16.
FLOAT_OPERATORS = {"float16": (), "bfloat16": ("ConvTranspose",)}


def save_half(source: Path, target: Path, precision: str) -> None:
    """Writes the graph of `source` (export_onnx.py's interface) in `precision`, a key of HALVES."""
    model = load_restored(source)
    to_half(model, precision)
    external = sum(len(t.raw_data) for t in model.graph.initializer) >= EXTERNAL_FROM
    onnx.save(model, target, save_as_external_data=external, location=target.name + ".data")


def to_half(model: onnx.ModelProto, precision: str) -> None:
    """In place. Raises ValueError for a graph with branches or local functions, which export never makes."""
    graph = model.graph
    if model.functions or any(a.HasField("g") for n in graph.node for a in n.attribute):
        raise ValueError("graph: expected no branches and no local functions; export it again")
    code, dtype = HALVES[precision]
    kept = {n.input[i] for n in graph.node for i in FLOAT_INPUTS.get(n.op_type, ()) if i < len(n.input)}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(_converted(tensor, dtype))
    for node in graph.node:
        _convert_attributes(node, code, dtype)
    casts = [_cast_boundary(graph.node, value.name, code, into=True) for value in graph.input]
    casts_out = [_cast_boundary(graph.node, value.name, code, into=False) for value in graph.output]
    nodes = [part for node in graph.node for part in _in_float(node, FLOAT_OPERATORS[precision], code)]
    nodes = casts + nodes + casts_out
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)


def _converted(tensor: onnx.TensorProto, dtype: np.dtype) -> onnx.TensorProto:
    """Masks of -3e38 become the lowest finite value, not infinity, whose softmax may be NaN."""
    limit = float(ml_dtypes.finfo(dtype).max)
    values = np.clip(numpy_helper.to_array(tensor), -limit, limit)
    return numpy_helper.from_array(values.astype(dtype), tensor.name)


def _convert_attributes(node: onnx.NodeProto, code: int, dtype: np.dtype) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = code
        elif attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(_converted(attribute.t, dtype))


def _in_float(node: onnx.NodeProto, operators: tuple[str, ...], code: int) -> list[onnx.NodeProto]:
    """`node`, between casts to float32 and back if it is one of `operators`."""
    if node.op_type not in operators:
        return [node]
    inputs, output = list(node.input), node.output[0]
    node.input[:] = [f"{name}_float_{node.name}" for name in inputs]
    node.output[:] = [f"{output}_float"]
    before = [
        helper.make_node("Cast", [name], [cast], name=cast, to=TensorProto.FLOAT)
        for name, cast in zip(inputs, node.input, strict=True)
    ]
    return [
        *before,
        node,
        helper.make_node("Cast", [node.output[0]], [output], name=f"{output}_cast", to=code),
    ]


def _cast_boundary(nodes: list[onnx.NodeProto], name: str, code: int, *, into: bool) -> onnx.NodeProto:
    """The Cast at an input (into) or output; the graph's own nodes use another name from now on."""
    inner = f"{name}_half"
    for node in nodes:
        names = node.input if into else node.output
        names[:] = [inner if n == name else n for n in names]
    if into:
        return helper.make_node("Cast", [name], [inner], name=f"{name}_to_half", to=code)
    for node in nodes:  # an output may be read within the graph too
        node.input[:] = [inner if n == name else n for n in node.input]
    return helper.make_node("Cast", [inner], [name], name=f"{name}_to_float", to=TensorProto.FLOAT)
