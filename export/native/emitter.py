"""Operations as they are added to a plan. What only moves elements becomes another view, copied where an
operation needs it in a row."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from export.native.graph import Graph, Node
from export.native.plan import MAX_RANK, Buffer, Code, Operation, Place, Stored, Weight, Word
from export.native.views import Dimensions, View, merged, whole


class Emitter:
    """The state while nodes are lowered in order: a view for every value, and the operations so far."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.operations: list[Operation] = []
        shape = graph.shapes[graph.image]
        self._views: dict[str, View] = {graph.image: whole(Buffer(math.prod(shape)), shape)}

    def view(self, name: str) -> View:
        if name not in self._views:
            self._views[name] = stored_view(self.graph.constants[name])
        return self._views[name]

    def constant(self, node: Node, i: int) -> np.ndarray | None:
        """Input i of `node`; None where it is left out."""
        return self.graph.constants[node.inputs[i]] if i < len(node.inputs) and node.inputs[i] else None

    def define(self, node: Node, views: View | list[View]) -> None:
        """Says what the node's outputs are."""
        listed = views if isinstance(views, list) else [views]
        self._views.update(zip(node.outputs, listed, strict=True))

    def emit(self, code: Code, words: list[Word], output: View, reused: Buffer | None = None) -> View:
        assert isinstance(output.source, Buffer)
        self.operations.append(Operation(code, words, output.source, reused))
        return output

    def copy(self, source: View, target: View) -> None:
        """Element by element; both have one shape."""
        order = target.order()
        source, target = source.transposed(order), target.transposed(order)
        dimensions = _quickest(_dimensions(source.shape, source.strides, target.strides))
        words = [*operand(source), place(target), *_counted(dimensions)]
        self.emit(Code.COPY, words, target)

    def like(self, view: View, shape: Sequence[int]) -> View:
        """A new value whose axes lie in the order of those of `view`."""
        return self._ordered(view.order(), shape)

    def like_one_of(self, views: Sequence[View], shape: Sequence[int]) -> View:
        """As like(), of the first computed value in which nothing is repeated."""
        computed = (v for v in views if isinstance(v.source, Buffer) and not v.repeats)
        leading = next(computed, None)
        return self._ordered(range(len(shape)) if leading is None else leading.order(), shape)

    def _ordered(self, order: Sequence[int], shape: Sequence[int]) -> View:
        result = whole(Buffer(math.prod(shape)), [shape[i] for i in order])
        return result.transposed(np.argsort(order).tolist())

    def in_a_row(self, view: View) -> View:
        """Contiguous in the arena."""
        if isinstance(view.source, Buffer) and view.contiguous:
            return view
        target = whole(Buffer(view.size), view.shape)
        self.copy(view, target)
        return target

    def in_rows(self, view: View) -> tuple[View, int, int]:
        """In the arena, the number of rows along the last axis, and their one stride."""
        rows = view.rows()
        repeated = rows is not None and rows[0] > 1 and rows[1] < view.shape[-1]
        if rows is None or repeated or not isinstance(view.source, Buffer):
            view = self.in_a_row(view)
            rows = view.size // view.shape[-1], view.shape[-1]
        return view, *rows

    def reshaped(self, view: View, shape: Sequence[int]) -> View:
        result = view.reshaped(shape)
        if result is None:
            result = self.in_a_row(view).reshaped(shape)
        assert result is not None  # contiguous memory takes any shape
        return result


def stored_view(values: np.ndarray) -> View:
    return whole(Weight(values), values.shape)


def place(view: View) -> Word:
    """The word of an operand that lies in the arena."""
    assert isinstance(view.source, Buffer)
    return Place(view.source, view.offset)


def operand(view: View) -> list[Word]:
    """The two words of one that may lie among the weights."""
    if isinstance(view.source, Buffer):
        return [0, place(view)]
    return [1, Stored(view.source, view.offset)]


def elementwise(shape: Sequence[int], a: View, b: View) -> list[int]:
    """Dimensions of BINARY: rank, then size and strides of each; the output is contiguous."""
    output = whole(Buffer(0), shape).strides
    dimensions = _dimensions(shape, a.strides, b.strides, output)
    return _counted([d[:-1] for d in dimensions])


def _quickest(dimensions: Dimensions) -> Dimensions:
    """In an order for COPY: long lines, best such that lie in a row on both sides, come last.

    Weighed by what liblrm takes: some 20 ns for a line, and for an element 1 ns or, in a row, 0.1.
    """

    def cost(dimension: tuple[int, ...]) -> float:
        size, *strides = dimension
        return 20 / size + (0.1 if strides == [1, 1] else 1)

    last = min(reversed(dimensions), key=cost)
    return [*(d for d in dimensions if d is not last), last]


def _dimensions(shape: Sequence[int], *strides: Sequence[int]) -> Dimensions:
    """Merged; at least one."""
    found = merged([*zip(shape, *strides, strict=True)]) or [(1,) * (1 + len(strides))]
    if len(found) > MAX_RANK:
        raise ValueError(
            f"a tensor of {len(found)} dimensions: liblrm takes {MAX_RANK}; build for onnxruntime"
        )
    return found


def _counted(dimensions: Dimensions) -> list[int]:
    return [len(dimensions), *(n for d in dimensions for n in d)]
