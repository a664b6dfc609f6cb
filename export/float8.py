"""A float32 ONNX graph made to multiply matrices in float8 (E4M3), all else in float16.

Each matrix product with weights gets its inputs through QuantizeLinear and DequantizeLinear, which a
strongly typed engine takes as "multiply in float8": one scale for the activations, from the largest value
seen on pictures, and one for each of the weights' outputs. Products of two activations (attention) stay
float16. Micikevicius et al. 2022, "FP8 Formats for Deep Learning" (arXiv 2209.05433).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.halves import EXTERNAL_FROM, to_half
from export.weights import load_restored
from lrm_sdk.errors import EngineError

LARGEST = 448.0  # of E4M3
FLOAT8 = np.dtype(ml_dtypes.float8_e4m3fn)
RANGE_SUFFIX = "_largest"


def save_float8(source: Path, target: Path, pictures: Iterable[np.ndarray]) -> None:
    """Writes the graph of `source` (export_onnx.py's interface), calibrated on pictures float32
    [1, 3, S, S]."""
    ranges = activation_ranges(source, pictures)
    model = load_restored(source)
    to_half(model, "float16")
    to_float8(model, ranges)
    external = sum(len(t.raw_data) for t in model.graph.initializer) >= EXTERNAL_FROM
    onnx.save(model, target, save_as_external_data=external, location=target.name + ".data")


def activation_ranges(source: Path, pictures: Iterable[np.ndarray]) -> list[float]:
    """The largest magnitude, on the pictures, of the first factor of each of the graph's linear_products."""
    import onnxruntime

    model = load_restored(source)
    factors = [node.input[0] for node in linear_products(model.graph)]
    names = sorted(set(factors))
    for name in names:
        model.graph.node.append(helper.make_node("Abs", [name], [f"{name}_magnitude"]))
        model.graph.node.append(
            helper.make_node("ReduceMax", [f"{name}_magnitude"], [name + RANGE_SUFFIX], keepdims=0)
        )
        model.graph.output.append(helper.make_tensor_value_info(name + RANGE_SUFFIX, TensorProto.FLOAT, []))
    found = dict.fromkeys(names, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ranges.onnx"
        onnx.save(model, path, save_as_external_data=True, location="ranges.data")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for picture in pictures:
            largest = session.run([name + RANGE_SUFFIX for name in names], {"image": picture})
            found = {n: max(found[n], float(v)) for n, v in zip(names, largest, strict=True)}
    return [found[name] for name in factors]


def linear_products(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Matrix products whose second factor is a weight."""
    weights = {tensor.name for tensor in graph.initializer}
    return [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights]


def to_float8(model: onnx.ModelProto, ranges: Sequence[float]) -> None:
    """In place, of a float16 graph; ranges as activation_ranges gives them.

    Raises EngineError where the graph has another number of products than ranges.
    """
    graph = model.graph
    products = len(linear_products(graph))
    if products != len(ranges):  # they are matched by order
        raise EngineError(f"float8: expected the {len(ranges)} products that were calibrated, got {products}")
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    largest = iter(ranges)
    done: set[str] = set()  # tensors that have been through float8
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in tensors:
            activation, weight = node.input
            magnitude = next(largest)
            if activation not in done:
                nodes += _rounded_activation(graph, activation, magnitude)
            if weight not in done:
                nodes.append(_stored_weight(graph, tensors[weight]))
            done.update(node.input)
            node.input[:] = [f"{activation}_float8", f"{weight}_float8"]
        nodes.append(node)
    graph.initializer.append(numpy_helper.from_array(np.zeros((), FLOAT8), "float8_zero"))
    del graph.node[:]
    graph.node.extend(nodes)


def _rounded_activation(graph: onnx.GraphProto, name: str, largest: float) -> list[onnx.NodeProto]:
    scale, quantised = f"{name}_scale", f"{name}_quantised"
    graph.initializer.append(numpy_helper.from_array(_scales(np.array(largest)), scale))
    return [
        helper.make_node("QuantizeLinear", [name, scale, "float8_zero"], [quantised], name=quantised),
        helper.make_node(
            "DequantizeLinear", [quantised, scale, "float8_zero"], [f"{name}_float8"], name=f"{name}_float8"
        ),
    ]


def _stored_weight(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> onnx.NodeProto:
    """In the place of a float16 weight [inputs, outputs]: float8 and a scale for each output."""
    name = tensor.name
    values = numpy_helper.to_array(tensor).astype(np.float32)
    scales = _scales(np.abs(values).max(axis=0))
    stored = (values / scales.astype(np.float32)).clip(-LARGEST, LARGEST).astype(FLOAT8)
    zeros = np.zeros(len(scales), FLOAT8)
    tensor.CopyFrom(numpy_helper.from_array(stored, f"{name}_stored"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
    graph.initializer.append(numpy_helper.from_array(zeros, f"{name}_zeros"))
    inputs = [f"{name}_stored", f"{name}_scales", f"{name}_zeros"]
    restored = f"{name}_float8"
    return helper.make_node("DequantizeLinear", inputs, [restored], name=restored, axis=1)


def _scales(largest: np.ndarray) -> np.ndarray:
    """float16, rounded up a little, so that the largest value stays within float8; 1 for what is zero."""
    scales = np.where(largest > 0, largest / LARGEST, 1.0) * (1 + 2.0**-10)
    return np.maximum(scales, 2.0**-24).astype(np.float16)
