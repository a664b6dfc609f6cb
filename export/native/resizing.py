"""Resize of pictures: a product with a constant matrix along the height, and one along the width."""

from __future__ import annotations

import numpy as np

from export.native.graph import Graph, Node
from export.native.matrix import matrix
from export.native.plan import Activation

# What is wanted of Resize's attributes, with ONNX's defaults.
WANTED = {
    "mode": ("nearest", "linear"), "coordinate_transformation_mode": ("half_pixel", "half_pixel"),
    "antialias": (0, 0), "exclude_outside": (0, 0),
    "keep_aspect_ratio_policy": ("stretch", "stretch"),
}  # fmt: skip


def name_resize(graph: Graph, node: Node) -> None:
    """A bilinear Resize becomes two Linears, exact: its numbers are few and shape all that follows."""
    if node.op != "Resize" or not _bilinear(graph, node):
        return
    before, after = graph.shapes[node.inputs[0]], graph.shapes[node.outputs[0]]
    at = graph.nodes.index(node)
    nodes, name = [], node.inputs[0]
    for axis in (2, 3):
        weights = interpolation(before[axis], after[axis])
        nodes += _along(graph, name, axis, weights, node.outputs[0])
        name = nodes[-1].outputs[0]
    nodes[-1].outputs = node.outputs
    graph.nodes[at : at + 1] = nodes


def _bilinear(graph: Graph, node: Node) -> bool:
    plain = all(node.attributes.get(k, default) == value for k, (default, value) in WANTED.items())
    before, after = graph.shapes.get(node.inputs[0], ()), graph.shapes.get(node.outputs[0], ())
    whole = "axes" not in node.attributes and len(before) == len(after) == 4 and before[:2] == after[:2]
    if not plain or not whole or node.inputs[0] in graph.constants:
        return False
    scales = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
    if scales is None or not scales.size:
        return True
    return all(n * s == m for n, s, m in zip(before, scales, after, strict=True))


def interpolation(size: int, wanted: int) -> np.ndarray:
    """[wanted, size] float32: weights of the two values around the middle of each new one; edges are held."""
    middle = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
    low = np.minimum(middle.astype(int), max(size - 2, 0))
    high = np.minimum(low + 1, size - 1)
    weights = np.zeros((wanted, size))
    np.add.at(weights, (np.arange(wanted), low), 1 - (middle - low))
    np.add.at(weights, (np.arange(wanted), high), middle - low)
    return weights.astype(np.float32)


def _along(graph: Graph, name: str, axis: int, weights: np.ndarray, prefix: str) -> list[Node]:
    """name -> weights along axis 2 or 3 of it; the last node's output is the result."""
    attributes = {"matrix": matrix(weights), "bias": None, "activation": Activation.NONE}
    shape = graph.shapes[name]
    result = f"{prefix}/axis {axis}"
    graph.shapes[result] = (*shape[:axis], len(weights), *shape[axis + 1 :])
    if axis == 3:
        return [Node("Linear", [name], [result], attributes, exact=True)]
    turned, product = f"{result}/turned", f"{result}/product"
    swap = {"perm": [0, 1, 3, 2]}
    return [
        Node("Transpose", [name], [turned], swap),
        Node("Linear", [turned], [product], attributes, exact=True),
        Node("Transpose", [product], [result], swap),
    ]
