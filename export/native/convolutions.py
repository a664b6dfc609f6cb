"""Convolutions of a graph as the nodes that liblrm has operations for.

Convolution: inputs [x] or [x, residual]; attributes weights [outputs, channels, kh, kw], bias (an array or
None), window and activation. Depthwise: inputs [x]; the same attributes, weights [channels, 1, k, k].
Fusion then adds to them as it does to Linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.native.graph import Graph, Node
from export.native.plan import Activation

MAX_OUTPUT = 1 << 10  # rows or columns that liblrm's DEPTHWISE gives, and side of its kernel


@dataclass(frozen=True)
class Window:
    """Where a kernel is put: every `strides` rows and columns of the picture with zeros around it."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]  # above, left, below, right

    def places(self, height: int, width: int) -> tuple[int, int]:
        top, left, bottom, right = self.pads
        rows = (height + top + bottom - self.kernel[0]) // self.strides[0] + 1
        return rows, (width + left + right - self.kernel[1]) // self.strides[1] + 1


def mark_features(graph: Graph) -> None:
    """What leads up to the last depthwise convolution, and from there to a matrix product, is exact.

    Rounding errors of depthwise convolutions add up: lrm_sdk/backends/openvino_parts.py has the figures.
    """
    depthwise = [n for n in graph.nodes if n.op == "Conv" and n.attributes.get("group", 1) > 1]
    if not depthwise:
        return
    behind, end = set(depthwise[-1].outputs), depthwise[-1].outputs
    for node in graph.nodes[graph.nodes.index(depthwise[-1]) + 1 :]:
        found = [name for name in node.inputs if name in behind]
        if found and node.op in ("MatMul", "Gemm"):
            end = found
            break
        if found:
            behind.update(node.outputs)
    needed = set(end)
    for node in reversed(graph.nodes):
        if needed & set(node.outputs):
            node.exact = True
            needed.update(node.inputs)


def name_convolution(graph: Graph, node: Node) -> None:
    """Conv becomes a Convolution or Depthwise where it can be one."""
    if node.op != "Conv" or any(name not in graph.constants for name in node.inputs[1:] if name):
        return
    window, shape = _window(graph, node), graph.shapes.get(node.inputs[0], ())
    if window is None or len(shape) != 4:
        return
    weights, groups = graph.constants[node.inputs[1]], node.attributes.get("group", 1)
    bias = graph.constants[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else None
    attributes = {"weights": weights, "bias": bias, "window": window, "activation": Activation.NONE}
    single = groups == shape[1] == len(weights) and shape[0] == 1 and _square(window, shape)
    if groups == 1 or single:
        op = "Convolution" if groups == 1 else "Depthwise"
        graph.replace([node], Node(op, node.inputs[:1], node.outputs, attributes, node.exact), node)


def _window(graph: Graph, node: Node) -> Window | None:
    """None where the kernel is no plain rectangle of a picture."""
    kernel = graph.constants[node.inputs[1]].shape[2:]
    attributes, ones = node.attributes, [1] * len(kernel)
    plain = len(kernel) == 2 and list(attributes.get("dilations", ones)) == ones
    pads = tuple(attributes.get("pads", [0] * 4))
    if not plain or attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or min(pads) < 0:
        return None
    return Window(kernel, tuple(attributes.get("strides", ones)), pads)


def _square(window: Window, shape: tuple[int, ...]) -> bool:
    """As DEPTHWISE has it."""
    (side, width), (down, across) = window.kernel, window.strides
    largest = max(side, down, *window.places(*shape[2:]))
    return side == width and down == across and largest <= MAX_OUTPUT


def by_taps(weights: np.ndarray) -> np.ndarray:
    """[channels, 1, k, k] -> [k, k, channels]"""
    return np.ascontiguousarray(weights[:, 0].transpose(1, 2, 0))
