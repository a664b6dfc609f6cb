"""Nodes that liblrm computes as one: a product with its bias, scale, activation or gate, and residual.

A product becomes a node Linear: inputs [x] or [x, residual], attributes matrix, bias (an array or None) and
activation; it then takes in what follows it, one pattern after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.native.convolutions import mark_features, name_convolution
from export.native.graph import Graph, Node
from export.native.matrix import GROUP, Matrix, gate_order, joined, matrix, ordered, scaled
from export.native.plan import Activation
from export.native.resizing import name_resize

ACTIVATIONS = {
    "Gelu": Activation.GELU, "GeluTanh": Activation.GELU_TANH, "Silu": Activation.SILU,
    "Relu": Activation.RELU, "Relu6": Activation.RELU6,
}  # fmt: skip


# Depthwise convolutions are no products, but take in an activation as those do.
PRODUCTS = ("Linear", "Convolution", "Depthwise")


def fuse(graph: Graph) -> None:
    mark_features(graph)
    for name in (_name_activation, name_convolution, name_resize, _product):
        for node in list(graph.nodes):
            name(graph, node)
    followers: list[Callable[[Graph, Node], bool]] = [_bias, _scale, _activation, _gate, _residual]
    for linear in [n for n in graph.nodes if n.op in PRODUCTS]:
        while any(follower(graph, linear) for follower in followers):
            pass
    for node in list(graph.nodes):
        if node.op == "Attention":
            _join_inputs(graph, node)


def _only_use(graph: Graph, name: str) -> Node | None:
    """The node that alone reads `name`, and reads it once."""
    users = graph.consumers(name)
    alone = len(users) == 1 and users[0].inputs.count(name) == 1 and name != graph.planes
    return users[0] if alone else None


def _name_activation(graph: Graph, node: Node) -> None:
    """Gelu by its tanh formula gets a name of its own; x * Sigmoid(x) becomes Silu, Clip to 0 .. 6 Relu6."""
    if node.op == "Gelu" and node.attributes.get("approximate") == "tanh":
        node.op = "GeluTanh"
    if node.op == "Clip" and [_scalar(graph, name) for name in node.inputs[1:]] == [0, 6]:
        node.op, node.inputs = "Relu6", node.inputs[:1]
    if node.op != "Sigmoid":
        return
    product = _only_use(graph, node.outputs[0])
    if product is not None and product.op == "Mul" and node.inputs[0] in product.inputs:
        graph.replace([node, product], Node("Silu", node.inputs, product.outputs), product)


def _scalar(graph: Graph, name: str) -> float | None:
    values = graph.constants.get(name)
    return None if values is None else values.item()


def _product(graph: Graph, node: Node) -> None:
    """MatMul or Gemm by a constant becomes a Linear."""
    weights = graph.constants.get(node.inputs[1]) if node.op in ("MatMul", "Gemm") else None
    if weights is None or weights.ndim != 2 or node.inputs[0] in graph.constants:
        return
    bias = None
    if node.op == "Gemm":
        plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
        if any(node.attributes.get(k, v) != v for k, v in plain.items()):
            return
        weights = weights.T if node.attributes.get("transB", 0) else weights
        if len(node.inputs) > 2:
            bias = _vector(graph, node.inputs[2], weights.shape[1])
            if bias is None:
                return
    attributes = {"matrix": matrix(weights.T), "bias": bias, "activation": Activation.NONE}
    graph.replace([node], Node("Linear", node.inputs[:1], node.outputs, attributes, node.exact), node)


def _vector(graph: Graph, name: str, width: int) -> np.ndarray | None:
    """A constant that is one value for each output, or one for all, as [width]."""
    values = graph.constants.get(name)
    if values is None or (values.size != 1 and values.shape[-1:] + (values.size,) != (width, width)):
        return None
    return np.broadcast_to(values.ravel().astype(np.float32), width)


def _open(linear: Node) -> bool:
    """Whether it is the bare product so far."""
    return linear.attributes["activation"] == Activation.NONE and len(linear.inputs) == 1


def _take_in(graph: Graph, linear: Node, follower: Node, *between: Node) -> None:
    """The Linear moves to the place of the last node that it takes in."""
    graph.replace([linear, *between, follower], linear, follower)
    linear.outputs = follower.outputs


def _constant_follower(graph: Graph, linear: Node, op: str, inverse: str) -> tuple[Node, np.ndarray] | None:
    """The node `op`, or its inverse, that combines the bare product with a vector, and that vector."""
    node = _only_use(graph, linear.outputs[0]) if linear.op == "Linear" and _open(linear) else None
    if node is None or node.op not in (op, inverse):
        return None
    if node.op == inverse and node.inputs[0] != linear.outputs[0]:
        return None
    if graph.shapes.get(node.outputs[0]) != graph.shapes.get(linear.outputs[0]):
        return None
    other = node.inputs[1 - node.inputs.index(linear.outputs[0])]
    values = _vector(graph, other, linear.attributes["matrix"].outputs)
    return None if values is None else (node, values)


def _bias(graph: Graph, linear: Node) -> bool:
    found = _constant_follower(graph, linear, "Add", "Sub")
    if found is None:
        return False
    node, values = found
    values = -values if node.op == "Sub" else values
    before = linear.attributes["bias"]
    linear.attributes["bias"] = values if before is None else before + values
    _take_in(graph, linear, node)
    return True


def _scale(graph: Graph, linear: Node) -> bool:
    """A layer scale: (x W + b) s is a product with other weights."""
    found = _constant_follower(graph, linear, "Mul", "Div")
    if found is None:
        return False
    node, values = found
    values = 1 / values if node.op == "Div" else values
    kept = linear.attributes
    kept["matrix"] = scaled(kept["matrix"], values)
    kept["bias"] = None if kept["bias"] is None else kept["bias"] * values
    _take_in(graph, linear, node)
    return True


def _activation(graph: Graph, linear: Node) -> bool:
    node = _only_use(graph, linear.outputs[0]) if _open(linear) else None
    if node is None or node.op not in ACTIVATIONS:
        return False
    linear.attributes["activation"] = ACTIVATIONS[node.op]
    _take_in(graph, linear, node)
    return True


def _gate(graph: Graph, linear: Node) -> bool:
    """GEGLU: the first half of the outputs times GELU of the second."""
    split = _only_use(graph, linear.outputs[0]) if linear.op == "Linear" and _open(linear) else None
    kept = linear.attributes
    if split is None or not _halves_last_axis(graph, split, kept["matrix"]):
        return False
    gelu, product = (_only_use(graph, name) for name in reversed(split.outputs))
    if gelu is None or gelu.op != "Gelu" or product is None or product.op != "Mul":
        return False
    if _only_use(graph, gelu.outputs[0]) is not product:
        return False
    order = gate_order(kept["matrix"].outputs)
    kept["matrix"], kept["activation"] = ordered(kept["matrix"], order), Activation.GEGLU
    kept["bias"] = None if kept["bias"] is None else kept["bias"][order]
    _take_in(graph, linear, product, split, gelu)
    return True


def _halves_last_axis(graph: Graph, node: Node, m: Matrix) -> bool:
    shapes = [graph.shapes.get(name, ()) for name in node.outputs]
    half = m.outputs // 2
    last = node.attributes.get("axis", 0) in (-1, len(shapes[0]) - 1)
    fits = [s[-1:] for s in shapes] == [(half,)] * 2 and half % GROUP == 0
    return node.op == "Split" and last and fits


def _residual(graph: Graph, linear: Node) -> bool:
    """A value of the same shape that is added last."""
    output = linear.outputs[0]
    node = _only_use(graph, output) if linear.op != "Depthwise" and len(linear.inputs) == 1 else None
    if node is None or node.op != "Add":
        return False
    other = node.inputs[1 - node.inputs.index(output)]
    shape = graph.shapes.get(output)
    if other in graph.constants or shape is None or graph.shapes.get(other) != shape:
        return False
    linear.inputs = [*linear.inputs, other]
    _take_in(graph, linear, node)
    return True


def _join_inputs(graph: Graph, attention: Node) -> None:
    """Queries, keys and values that are bare products of one value become columns of one product."""
    products = [_product_behind(graph, name) for name in attention.inputs[:3]]
    groups: dict[str, list[Node]] = {}
    for product in products:
        if product is not None and not any(product is p for p in groups.get(product.inputs[0], [])):
            groups.setdefault(product.inputs[0], []).append(product)
    for source, parts in groups.items():
        if len(parts) > 1:
            _join(graph, source, sorted(parts, key=graph.nodes.index))


def _product_behind(graph: Graph, name: str) -> Node | None:
    node = graph.producer(name)
    while node is not None and node.op in ("Reshape", "Transpose") and _only_use(graph, node.outputs[0]):
        node = graph.producer(node.inputs[0])
    if node is None or node.op != "Linear" or not _open(node) or node.outputs[0] not in graph.shapes:
        return None
    return node if _only_use(graph, node.outputs[0]) else None


def _join(graph: Graph, source: str, parts: list[Node]) -> None:
    widths = [p.attributes["matrix"].outputs for p in parts]
    biases = [p.attributes["bias"] for p in parts]
    given = [np.zeros(w, np.float32) if b is None else b for w, b in zip(widths, biases, strict=True)]
    attributes = {
        "matrix": joined([p.attributes["matrix"] for p in parts]),
        "bias": None if all(b is None for b in biases) else np.concatenate(given),
        "activation": Activation.NONE,
    }
    name, sizes = f"{parts[0].outputs[0]}/joined", f"{parts[0].outputs[0]}/widths"
    shape = graph.shapes[parts[0].outputs[0]]
    graph.shapes[name] = (*shape[:-1], sum(widths))
    graph.constants[sizes] = np.array(widths, np.int64)
    linear = Node("Linear", [source], [name], attributes, any(p.exact for p in parts))
    split = Node("Split", [name, sizes], [p.outputs[0] for p in parts], {"axis": -1})
    graph.replace(parts, linear, parts[0])
    graph.nodes.insert(graph.nodes.index(linear) + 1, split)
