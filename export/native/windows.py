"""Convolutions in a plan. Pictures have the shape [batch, channels, height, width] of ONNX, but mostly lie
with their channels last: a place's channels are then a row of products, and nothing is copied for 1 x 1."""

from __future__ import annotations

import math

import numpy as np

from export.native.convolutions import Window, by_taps
from export.native.emitter import Emitter, place, stored_view
from export.native.graph import Node
from export.native.matrix import matrix
from export.native.plan import Buffer, Code, Stored, Weight
from export.native.products import product
from export.native.views import View, whole

CHANNELS_LAST, CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def convolution(to: Emitter, node: Node) -> View:
    """A product of every window, as a row, with the weights."""
    kept = node.attributes
    window, weights = kept["window"], kept["weights"]
    x = padded(to, to.view(node.inputs[0]), window)
    rows = x.windows(window.kernel, window.strides)  # [batch, y, x, channels, kh, kw]
    if x.strides[1] == 1:
        rows, weights = rows.transposed((0, 1, 2, 4, 5, 3)), weights.transpose(0, 2, 3, 1)
    rows = to.reshaped(rows, (*rows.shape[:3], math.prod(rows.shape[3:])))
    residual = to.view(node.inputs[1]).transposed(CHANNELS_LAST) if len(node.inputs) > 1 else None
    m = matrix(weights.reshape(len(weights), -1))
    result = product(to, rows, m, kept["bias"], kept["activation"], residual, exact=node.exact)
    return result.transposed(CHANNELS_FIRST)


def padded(to: Emitter, x: View, window: Window) -> View:
    """With the window's zeros around it, in x's order of dimensions; rows and columns that no window
    reaches may be left out."""
    top, left, *_ = window.pads
    _, _, height, width = x.shape
    y, z = (
        (n - 1) * stride + side
        for n, stride, side in zip(window.places(height, width), window.strides, window.kernel, strict=True)
    )  # what the windows reach
    x = x.sliced(2, 0, min(height, y - top)).sliced(3, 0, min(width, z - left))
    if x.shape[2:] == (y, z):
        return x
    result = to.like(x, (*x.shape[:2], y, z))
    inner = result.sliced(2, top, x.shape[2])
    zero = stored_view(np.zeros(1, np.float32))
    below, right = top + x.shape[2], left + x.shape[3]
    borders = [
        result.sliced(2, 0, top), result.sliced(2, below, y - below),
        inner.sliced(3, 0, left), inner.sliced(3, right, z - right),
    ]  # fmt: skip
    for border in borders:
        if border.size:
            to.copy(zero.broadcast(border.shape), border)
    to.copy(x, inner.sliced(3, left, x.shape[3]))
    return result


def depthwise(to: Emitter, node: Node) -> View:
    kept = node.attributes
    x, window = to.in_a_row(to.view(node.inputs[0]).transposed(CHANNELS_LAST)), kept["window"]
    _, height, width, channels = x.shape
    top, left, *_ = window.pads
    places = window.places(height, width)
    result = whole(Buffer(math.prod(places) * channels), (1, *places, channels))
    words = [
        place(x), height, width, channels, window.kernel[0], window.strides[0], top, left, *places,
        Stored(Weight(by_taps(kept["weights"]))),
        -1 if kept["bias"] is None else Stored(Weight(kept["bias"])), int(kept["activation"]), place(result),
    ]  # fmt: skip
    return to.emit(Code.DEPTHWISE, words, result).transposed(CHANNELS_FIRST)


def upsampled(to: Emitter, node: Node) -> View:
    """ConvTranspose whose kernel is its stride: every element becomes a patch of its own."""
    x, weights = to.view(node.inputs[0]), to.graph.constants[node.inputs[1]]
    batch, channels, height, width = x.shape
    _, outputs, kh, kw = weights.shape
    bias = to.constant(node, 2)
    if bias is not None:
        bias = np.tile(bias, kh * kw)
    m = matrix(weights.transpose(2, 3, 1, 0).reshape(-1, channels))
    found = product(to, x.transposed(CHANNELS_LAST), m, bias, exact=node.exact)
    found = to.reshaped(found, (batch, height, width, kh, kw, outputs)).transposed((0, 1, 3, 2, 4, 5))
    return to.reshaped(found, (batch, height * kh, width * kw, outputs)).transposed(CHANNELS_FIRST)
