"""Products in a plan."""

from __future__ import annotations

import numpy as np

from export.native.emitter import Emitter, place
from export.native.graph import Node
from export.native.matrix import Matrix
from export.native.plan import Activation, Buffer, Code, Precision, Stored, Weight, Word
from export.native.views import View, whole


def linear(to: Emitter, node: Node) -> View:
    kept = node.attributes
    residual = to.view(node.inputs[1]) if len(node.inputs) > 1 else None
    return product(
        to, to.view(node.inputs[0]), kept["matrix"], kept["bias"], kept["activation"], residual,
        exact=node.exact,
    )  # fmt: skip


def product(
    to: Emitter, x: View, m: Matrix, bias: np.ndarray | None,
    activation: Activation = Activation.NONE, residual: View | None = None, *, exact: bool = False,
) -> View:  # fmt: skip
    """LINEAR over the last axis of x; the result is contiguous. exact: float32 in a plan of any precision."""
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
        place(x), stride, rows, m.inputs, m.outputs, Precision(exact), Stored(Weight(m, exact)),
        -1 if bias is None else Stored(Weight(bias)), int(activation), *added, place(result), width,
    ]  # fmt: skip
    return to.emit(Code.LINEAR, words, result, reused)
