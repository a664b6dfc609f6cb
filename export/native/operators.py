"""One function per operator of ONNX: what it adds to the plan, and the views of what it gives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.native.emitter import Emitter, elementwise, operand, place
from export.native.fusion import ACTIVATIONS
from export.native.graph import Node
from export.native.matrix import Matrix, matrix
from export.native.plan import (
    BINARY_KINDS,
    UNARY_KINDS,
    Activation,
    Buffer,
    Code,
    Precision,
    Stored,
    Weight,
    Word,
    real,
)
from export.native.views import View, whole

Handler = Callable[[Emitter, Node], View | list[View]]


def linear(to: Emitter, node: Node) -> View:
    kept = node.attributes
    residual = to.view(node.inputs[1]) if len(node.inputs) > 1 else None
    return product(to, to.view(node.inputs[0]), kept["matrix"], kept["bias"], kept["activation"], residual)


def product(
    to: Emitter, x: View, m: Matrix, bias: np.ndarray | None,
    activation: Activation = Activation.NONE, residual: View | None = None,
) -> View:  # fmt: skip
    """LINEAR over the last axis of x; the result is contiguous."""
    x, rows, stride = to.in_rows(x)
    width = m.outputs // 2 if activation == Activation.GEGLU else m.outputs
    result = whole(Buffer(rows * width), (*x.shape[:-1], width))
    added: list[Word] = [-1, 0]
    reused = None
    if residual is not None:
        residual, _, residual_stride = to.in_rows(residual)
        added = [place(residual), residual_stride]
        if residual.whole and residual.source is not x.source and isinstance(residual.source, Buffer):
            reused = residual.source
    words = [
        place(x), stride, rows, m.inputs, m.outputs, Precision(), Stored(Weight(m)),
        -1 if bias is None else Stored(Weight(bias)), int(activation), *added, place(result), width,
    ]  # fmt: skip
    return to.emit(Code.LINEAR, words, result, reused)


def patches(to: Emitter, node: Node) -> View:
    """Conv whose kernel is its stride: a product of every patch with the weights."""
    x, weights = to.view(node.inputs[0]), to.graph.constants[node.inputs[1]]
    outputs, channels, kh, kw = weights.shape
    height, width = x.shape[2] // kh, x.shape[3] // kw
    x = x.sliced(2, 0, height * kh).sliced(3, 0, width * kw)
    x = to.reshaped(x, (channels, height, kh, width, kw)).transposed((1, 3, 0, 2, 4))
    rows = to.reshaped(to.in_a_row(x), (height * width, channels * kh * kw))
    result = product(to, rows, matrix(weights.reshape(outputs, -1)), to.constant(node, 2))
    return to.reshaped(result, (1, height, width, outputs)).transposed((0, 3, 1, 2))


def upsampled(to: Emitter, node: Node) -> View:
    """ConvTranspose whose kernel is its stride: every element becomes a patch of its own."""
    x, weights = to.view(node.inputs[0]), to.graph.constants[node.inputs[1]]
    batch, channels, height, width = x.shape
    _, outputs, kh, kw = weights.shape
    bias = to.constant(node, 2)
    if bias is not None:
        bias = np.repeat(bias, kh * kw)
    m = matrix(weights.reshape(channels, -1).T)
    found = product(to, x.transposed((0, 2, 3, 1)), m, bias)
    found = to.reshaped(found, (batch, height, width, outputs, kh, kw)).transposed((0, 3, 1, 4, 2, 5))
    return to.reshaped(found, (batch, outputs, height * kh, width * kw))


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
    words += [place(result), count * width, count, queries, keys, width, real(scale), Precision()]
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
    a, b = (to.view(name) for name in node.inputs)
    shape = np.broadcast_shapes(a.shape, b.shape)
    a, b = a.broadcast(shape), b.broadcast(shape)
    result = whole(Buffer(math.prod(shape)), shape)
    words = [BINARY_KINDS[node.op], *operand(a), *operand(b), place(result), *elementwise(shape, a, b)]
    return to.emit(Code.BINARY, words, result)


def unary(to: Emitter, node: Node) -> View:
    x = to.in_a_row(to.view(node.inputs[0]))
    result = whole(Buffer(x.size), x.shape)
    words = [UNARY_KINDS[ACTIVATIONS[node.op]], place(x), place(result), x.size]
    reused = x.source if x.whole and isinstance(x.source, Buffer) else None
    return to.emit(Code.UNARY, words, result, reused)


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
    result, start = whole(Buffer(math.prod(shape)), shape), 0
    for part in parts:
        to.copy(part, result.sliced(axis, start, part.shape[axis]))
        start += part.shape[axis]
    return result


HANDLERS: dict[str, Handler] = {
    "Linear": linear, "Conv": patches, "ConvTranspose": upsampled, "LayerNormalization": layer_norm,
    "Attention": attention, "Reshape": reshape, "Unsqueeze": same_elements, "Squeeze": same_elements,
    "Flatten": same_elements, "Identity": same_elements, "Transpose": transpose, "Expand": expand,
    "Split": split, "Slice": slices, "Concat": concat,
    **dict.fromkeys(BINARY_KINDS, binary), **dict.fromkeys(ACTIVATIONS, unary),
}  # fmt: skip
