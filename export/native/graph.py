"""An ONNX graph for one picture: nodes in order, constants as arrays (mapped where they are large), and the
shape of every value. What depends on constants alone is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from export.weights import load_graph


@dataclass(eq=False)
class Node:
    op: str
    inputs: list[str]  # "" where an optional one is left out
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    exact: bool = False  # computed in float32 whatever the plan's precision


@dataclass
class Graph:
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]  # of the values whose shape is known
    image: str
    planes: str

    def consumers(self, name: str) -> list[Node]:
        return [node for node in self.nodes if name in node.inputs]

    def producer(self, name: str) -> Node | None:
        return next((node for node in self.nodes if name in node.outputs), None)

    def replace(self, old: list[Node], new: Node, place: Node) -> None:
        """`new` takes the place of `place`, one of `old`; the others go."""
        gone = [node for node in old if node is not place]
        self.nodes = [new if n is place else n for n in self.nodes if not any(n is g for g in gone)]


def load(path: Path) -> Graph:
    """Raises ValueError for a graph that is not one of export_onnx.py's interface."""
    model = load_graph(path, weights=False)
    _fix_batch(path, model.graph)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    constants = {t.name: _array(t, path.parent) for t in model.graph.initializer}
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    shapes = dict(_known_shapes(values)) | {name: a.shape for name, a in constants.items()}
    graph = Graph([], constants, shapes, "image", "planes")
    opset = next(i.version for i in model.opset_import if i.domain == "")
    for proto in model.graph.node:
        if not _folded(graph, proto, opset):
            graph.nodes.append(_node(proto))
    return graph


def _fix_batch(path: Path, graph: onnx.GraphProto) -> None:
    """One picture; what was inferred for any number of them is dropped."""
    names = [v.name for v in graph.input], [v.name for v in graph.output]
    if names != (["image"], ["planes"]):
        raise ValueError(f"{path}: expected input image and output planes, got {names}; export it again")
    for value in (graph.input[0], graph.output[0]):
        batch = value.type.tensor_type.shape.dim[0]
        if batch.dim_value > 1:
            raise ValueError(f"{path}: {value.name}: expected any batch or 1, got {batch.dim_value}")
        batch.dim_value = 1
    del graph.value_info[:]


def _array(tensor: onnx.TensorProto, folder: Path) -> np.ndarray:
    """Of a tensor beside the graph: mapped, not read."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    place = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if not np.prod(tensor.dims):
        return np.zeros(tensor.dims, dtype)
    try:
        return np.memmap(
            folder / place["location"], dtype, "r", int(place.get("offset", 0)), tuple(tensor.dims)
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder / place['location']}: cannot be read ({error}); export it again"
        ) from error


def _known_shapes(values: list[onnx.ValueInfoProto]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dims):
            yield value.name, tuple(d.dim_value for d in dims)


def _node(proto: onnx.NodeProto) -> Node:
    attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
    text = {k: v.decode() for k, v in attributes.items() if isinstance(v, bytes)}
    return Node(proto.op_type, list(proto.input), list(proto.output), attributes | text)


def _folded(graph: Graph, proto: onnx.NodeProto, opset: int) -> bool:
    """Whether its outputs are constants, which they then are in the graph."""
    if proto.op_type == "Shape" and proto.input[0] in graph.shapes:
        given = {proto.input[0]: np.zeros(graph.shapes[proto.input[0]], np.bool_)}
    elif all(name in graph.constants for name in proto.input if name):
        given = {name: graph.constants[name] for name in proto.input if name}
    else:
        return False
    results = _evaluate(proto, given, opset)
    graph.constants.update(zip(proto.output, results, strict=True))
    graph.shapes.update((name, value.shape) for name, value in zip(proto.output, results, strict=True))
    return True


def _evaluate(proto: onnx.NodeProto, given: dict[str, np.ndarray], opset: int) -> list[np.ndarray]:
    values = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
              for n, a in given.items()]  # fmt: skip
    outputs = [helper.make_empty_tensor_value_info(name) for name in proto.output]
    graph = helper.make_graph([proto], "constant", values, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, given)]
