"""One function per operator of ONNX: what it adds to the plan, and the views of what it gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.native.emitter import Emitter, elementwise, operand, place, stored_view
from export.native.fusion import ACTIVATIONS
from export.native.graph import Node
from export.native.plan import (
    BINARY_KINDS,
    UNARY_KINDS,
    Buffer,
    Code,
    Precision,
    Stored,
    Weight,
    Word,
    real,
)
from export.native.products import linear
from export.native.support import mean_axes
from export.native.views import View, whole
from export.native.windows import convolution, depthwise, upsampled

Handler = Callable[[Emitter, Node], View | list[View]]


def layer_norm(to: Emitter, node: Node) -> View:
    x = to.in_a_row(to.view(node.inputs[0]))
    axis = node.attributes.get("axis", -1) % len(x.shape)
    width = math.prod(x.shape[axis:])
    result = whole(Buffer(x.size), x.shape)
    words: list[Word] = [place(x), place(result), x.size // width, width,
                         real(node.attributes.get("epsilon", 1e-5))]  # fmt: skip
    for i in (1, 2):
        values = to.constant(node, i)
        words.append(-1 if values is None else Stored(Weight(np.broadcast_to(values, x.shape[axis:]))))
    return to.emit(Code.LAYER_NORM, words, result)


def attention(to: Emitter, node: Node) -> View:
    flat = len(to.view(node.inputs[0]).shape) == 3
    count = to.view(node.inputs[0]).shape[1] if not flat else node.attributes["q_num_heads"]
    words: list[Word] = []
    lengths = []
    for name in node.inputs[:3]:
        columns, length, stride = to.in_rows(_columns(to, to.view(name), flat))
        words += [place(columns), stride]
        lengths.append(length)
    queries, keys, _ = lengths
    width = columns.shape[-1] // count
    result = whole(Buffer(queries * count * width), (1, queries, count * width))
    scale = node.attributes.get("scale", 1 / math.sqrt(width))
    words += [place(result), count * width, count, queries, keys, width, real(scale), Precision(node.exact)]
    to.emit(Code.ATTENTION, words, result)
    if flat:
        return result
    return to.reshaped(result, (1, queries, count, width)).transposed((0, 2, 1, 3))


def _columns(to: Emitter, x: View, flat: bool) -> View:
    """[length, heads * width]"""
    if flat:
        return to.reshaped(x, x.shape[1:])
    _, heads, length, width = x.shape
    return to.reshaped(x.transposed((0, 2, 1, 3)), (length, heads * width))


def binary(to: Emitter, node: Node) -> View:
    return arithmetic(to, node.op, *(to.view(name) for name in node.inputs))


def arithmetic(to: Emitter, op: str, a: View, b: View) -> View:
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = a.broadcast(shape), b.broadcast(shape)
    result = to.like_one_of([a, b], shape)
    order = result.order()
    dimensions = elementwise(result.transposed(order).shape, a.transposed(order), b.transposed(order))
    words = [BINARY_KINDS[op], *operand(a), *operand(b), place(result), *dimensions]
    return to.emit(Code.BINARY, words, result)


def unary(to: Emitter, node: Node) -> View:
    x = to.view(node.inputs[0])
    order = x.order()
    x = to.in_a_row(x.transposed(order))
    result = whole(Buffer(x.size), x.shape)
    words = [UNARY_KINDS[ACTIVATIONS[node.op]], place(x), place(result), x.size]
    reused = x.source if x.whole and isinstance(x.source, Buffer) else None
    return to.emit(Code.UNARY, words, result, reused).transposed(np.argsort(order).tolist())


def mean(to: Emitter, node: Node) -> View:
    x = to.view(node.inputs[0])
    axes = mean_axes(to.graph, node)
    count = math.prod(x.shape[i] for i in axes)
    for axis in axes:
        x = _summed(to, x, axis)
    x = arithmetic(to, "Mul", x, stored_view(np.array(1 / count, np.float32)))
    return to.reshaped(x, to.graph.shapes[node.outputs[0]])


def _summed(to: Emitter, x: View, axis: int) -> View:
    """Halves of the axis added to each other until one is left."""
    rest = []
    while (size := x.shape[axis]) > 1:
        if size % 2:
            rest.append(x.sliced(axis, size - 1, 1))
        x = arithmetic(to, "Add", x.sliced(axis, 0, size // 2), x.sliced(axis, size // 2, size // 2))
    for last in rest:
        x = arithmetic(to, "Add", x, last)
    return x


def reshape(to: Emitter, node: Node) -> View:
    x, wanted = to.view(node.inputs[0]), [int(n) for n in to.graph.constants[node.inputs[1]]]
    if not node.attributes.get("allowzero", 0):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    if -1 in wanted:
        wanted[wanted.index(-1)] = x.size // -math.prod(wanted)
    return to.reshaped(x, wanted)


def same_elements(to: Emitter, node: Node) -> View:
    """Unsqueeze, Squeeze, Flatten, Identity: the shape is known."""
    return to.reshaped(to.view(node.inputs[0]), to.graph.shapes[node.outputs[0]])


def transpose(to: Emitter, node: Node) -> View:
    x = to.view(node.inputs[0])
    return x.transposed(node.attributes.get("perm", range(len(x.shape))[::-1]))


def expand(to: Emitter, node: Node) -> View:
    x, wanted = to.view(node.inputs[0]), to.graph.constants[node.inputs[1]]
    return x.broadcast(np.broadcast_shapes(x.shape, tuple(int(n) for n in wanted)))


def split(to: Emitter, node: Node) -> list[View]:
    x = to.view(node.inputs[0])
    axis = node.attributes.get("axis", 0) % len(x.shape)
    sizes = to.constant(node, 1)
    if sizes is None:
        part = -(-x.shape[axis] // len(node.outputs))
        sizes = np.diff(np.minimum(np.arange(len(node.outputs) + 1) * part, x.shape[axis]))
    starts = np.cumsum([0, *sizes[:-1]])
    return [x.sliced(axis, int(at), int(n)) for at, n in zip(starts, sizes, strict=True)]


def slices(to: Emitter, node: Node) -> View:
    x = to.view(node.inputs[0])
    starts, ends, axes, steps = (to.constant(node, i) for i in range(1, 5))
    assert starts is not None and ends is not None
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = i if axes is None else int(axes[i]) % len(x.shape)
        taken = range(x.shape[axis])[int(start) : int(end) : 1 if steps is None else int(steps[i])]
        x = x.sliced(axis, taken.start, len(taken), taken.step)
    return x


def concat(to: Emitter, node: Node) -> View:
    parts = [to.view(name) for name in node.inputs]
    axis = node.attributes["axis"] % len(parts[0].shape)
    shape = list(parts[0].shape)
    shape[axis] = sum(p.shape[axis] for p in parts)
    result, start = to.like_one_of(parts, shape), 0
    for part in parts:
        to.copy(part, result.sliced(axis, start, part.shape[axis]))
        start += part.shape[axis]
    return result


HANDLERS: dict[str, Handler] = {
    "Linear": linear, "Convolution": convolution, "Depthwise": depthwise, "ConvTranspose": upsampled,
    "LayerNormalization": layer_norm, "ReduceMean": mean,
    "Attention": attention, "Reshape": reshape, "Unsqueeze": same_elements, "Squeeze": same_elements,
    "Flatten": same_elements, "Identity": same_elements, "Transpose": transpose, "Expand": expand,
    "Split": split, "Slice": slices, "Concat": concat,
    **dict.fromkeys(BINARY_KINDS, binary), **dict.fromkeys(ACTIVATIONS, unary),
}  # fmt: skip
