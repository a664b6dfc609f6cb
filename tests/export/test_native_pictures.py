"""Convolutions, resizing, means and flips as native plans, judged by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from export.native.lowering import plan_network
from export.native.plan import Activation, Code, Plan, Precision
from export.native.resizing import interpolation
from tests.export.native_graphs import check, counts, node, save

CLIP = {"low": np.zeros((), np.float32), "high": np.full((), 6, np.float32)}
TO_Y = {"y_shape": np.array([-1, 16, 48])}  # 768 values, in any order


def network(path, nodes: list[onnx.NodeProto], weights: dict[str, object]):
    """`nodes` make z of the image [1, 3, 16, 16]; z has 768 values."""
    return save(path / "n.onnx", [*nodes, node("Reshape", "z y_shape", "y")], {**TO_Y, **weights})


def operations(plan: Plan, code: Code) -> list:
    return [operation for operation in plan.operations if operation.code == code]


# Kernel, strides, pads (above, left, below, right), size of z.
DENSE = {
    "stem": ((3, 3), (2, 2), (0, 0, 1, 1), (12, 8, 8)),
    "same": ((3, 3), (1, 1), (1, 1, 1, 1), (3, 16, 16)),
    "wide": ((1, 5), (1, 2), (0, 2, 0, 2), (6, 16, 8)),
    "tall": ((4, 1), (4, 1), (0, 0, 0, 0), (12, 4, 16)),
    "point": ((1, 1), (1, 1), (0, 0, 0, 0), (3, 16, 16)),
    "points apart": ((1, 1), (2, 2), (0, 0, 0, 0), (12, 8, 8)),
    "some rows are not reached": ((2, 2), (4, 4), (0, 0, 0, 0), (48, 4, 4)),
    "nor are all zeros": ((3, 3), (5, 5), (1, 1, 3, 3), (48, 4, 4)),
    "more zeros than picture": ((17, 17), (4, 4), (8, 8, 6, 6), (48, 4, 4)),
}


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_convolution_is_one_product(name, channels_last, tmp_path):
    kernel, strides, pads, (outputs, height, width) = DENSE[name]
    assert outputs * height * width == 768
    nodes = [node("Conv", "image e" if channels_last else "image w c", "p" if channels_last else "z",
                  **({} if channels_last else {"strides": strides, "pads": pads}))]  # fmt: skip
    if channels_last:  # as the convolution before gives it
        nodes.append(node("Conv", "p w c", "z", strides=strides, pads=pads))
    channels = 5 if channels_last else 3
    weights = {"e": (5, 3, 1, 1), "w": (outputs, channels, *kernel), "c": (outputs,)}
    plan = check(network(tmp_path, nodes, weights), 1e-6)
    assert counts(plan)["LINEAR"] == len(nodes) and set(counts(plan)) == {"LINEAR", "COPY"}


def test_pictures_of_a_batch(tmp_path):
    """As the planes of a triplane pass a convolution."""
    nodes = [node("Reshape", "image apart", "p"), node("Conv", "p w", "q", pads=[1] * 4),
             node("Reshape", "q one", "z")]  # fmt: skip
    weights = {"apart": np.array([3, 1, 16, 16]), "w": (1, 1, 3, 3), "one": np.array([1, 3, 16, 16])}
    check(network(tmp_path, nodes, weights), 1e-6)


@pytest.mark.parametrize("side,stride,pads", [(3, 1, [1] * 4), (3, 2, [0, 0, 1, 1]), (5, 2, [1, 1, 2, 2]),
                                              (5, 1, [2] * 4), (1, 1, [0] * 4), (4, 4, [0] * 4)])  # fmt: skip
def test_depthwise_convolutions(side, stride, pads, tmp_path):
    nodes = [node("Conv", "image e", "p"),
             node("Conv", "p w c", "q", group=12, strides=[stride] * 2, pads=pads),
             node("Relu", "q", "r"), node("Resize", "r none none size", "s", mode="linear"),
             node("Conv", "s u", "z")]  # fmt: skip
    weights = {
        "e": (12, 3, 1, 1), "w": (12, 1, side, side), "c": (12,), "u": (12, 12, 1, 1),
        "none": np.zeros(0, np.float32), "size": np.array([1, 12, 8, 8]),
    }  # fmt: skip
    plan = check(network(tmp_path, nodes, weights), 1e-6)
    (found,) = operations(plan, Code.DEPTHWISE)
    assert found.words[-2] == Activation.RELU and set(counts(plan)) == {"LINEAR", "DEPTHWISE", "COPY"}


INVERTED = [
    node("Conv", "image s", "p", strides=[2, 2], pads=[0, 0, 1, 1]), node("Clip", "p low high", "q"),
    node("Conv", "q e b", "f"), node("Clip", "f low high", "g"),
    node("Conv", "g d c", "h", group=36, pads=[1] * 4), node("Clip", "h low high", "i"),
    node("Conv", "i o", "j"), node("Add", "q j", "k"),
    node("Reshape", "k rows", "l"), node("Transpose", "l", "m", perm=[0, 2, 1]), node("MatMul", "m v", "z"),
]  # fmt: skip
INVERTED_WEIGHTS = {
    **CLIP, "s": (12, 3, 3, 3), "e": (36, 12, 1, 1), "b": (36,), "d": (36, 1, 3, 3), "c": (36,),
    "o": (12, 36, 1, 1), "rows": np.array([-1, 12, 64]), "v": (12, 12),
}  # fmt: skip


@pytest.mark.parametrize("precision,bound", [("float32", 1e-6), ("bfloat16", 1e-2)])
def test_an_inverted_residual_takes_no_copies_between(precision, bound, tmp_path):
    plan = check(network(tmp_path, INVERTED, INVERTED_WEIGHTS), bound, precision)
    codes = [operation.code for operation in plan.operations]
    assert codes[codes.index(Code.LINEAR) :] == [
        Code.LINEAR, Code.LINEAR, Code.DEPTHWISE, Code.LINEAR, Code.LINEAR,
    ]  # fmt: skip
    assert [o.words[8] for o in operations(plan, Code.LINEAR)] == [6, 6, 0, 0]


def test_features_stay_exact(tmp_path):
    """Up to the first matrix product behind the last depthwise convolution."""
    plan = plan_network(network(tmp_path, INVERTED, INVERTED_WEIGHTS))
    words = [o.words[5] for o in operations(plan, Code.LINEAR)]
    assert words == [Precision(exact=True)] * 3 + [Precision(exact=False)]
    nodes = [node("Conv", "image e", "z")]
    (linear,) = operations(plan_network(network(tmp_path, nodes, {"e": (3, 3, 1, 1)})), Code.LINEAR)
    assert linear.words[5] == Precision(exact=False)  # no depthwise convolution


@pytest.mark.parametrize("size", [(8, 8), (16, 48), (33, 5), (1, 16)])
def test_resizing_is_a_product_along_each_axis(size, tmp_path):
    nodes = [
        node("Resize", "image none none size", "r", mode="linear"), node("Sub", "r mean", "s"),
        node("Div", "s mean", "t"), node("Resize", "t none scales", "u", mode="linear"),
        node("ReduceMean", "u axes", "v", keepdims=0), node("Add", "v zeros", "z"),
    ]  # fmt: skip
    weights = {
        "none": np.zeros(0, np.float32), "size": np.array([1, 3, *size]),
        "mean": np.full((), 0.4, np.float32),
        "scales": np.array([1, 1, 2, 3], np.float32), "axes": np.array([2, 3]), "zeros": (256, 3),
    }  # fmt: skip
    plan = check(network(tmp_path, nodes, weights), 1e-6)
    assert all(o.words[5] == Precision(exact=True) for o in operations(plan, Code.LINEAR))
    assert counts(plan)["LINEAR"] == 4


def test_weights_of_a_resize_add_up():
    for size, wanted in ((1, 5), (7, 3), (4, 9)):
        np.testing.assert_allclose(interpolation(size, wanted).sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "axis,axes,keep", [(-1, [-1], 1), (-2, [-2, 1], 1), (2, [], 1), (1, [1], 0)], ids=str
)
def test_means(axis, axes, keep, tmp_path):
    """Of the first 13 places of an axis, or of 3 channels."""
    nodes = [
        node("Slice", "image zero end axis", "part"), node("ReduceMean", "part axes", "m", keepdims=keep),
        node("Add", "m image", "z"),
    ]  # fmt: skip
    weights = {
        "axes": np.array(axes, np.int64), "zero": np.array([0]), "end": np.array([13]),
        "axis": np.array([axis]),
    }  # fmt: skip
    check(network(tmp_path, nodes, weights), 1e-6)


def test_flips_are_strides(tmp_path):
    nodes = [
        node("Conv", "image e", "p"), node("Slice", "p last first axes steps", "f"), node("Add", "f p", "z"),
    ]  # fmt: skip
    weights = {
        "e": (3, 3, 1, 1), "last": np.array([-1, 99]), "first": np.array([-99, -(2**62)]),
        "axes": np.array([-2, 3]), "steps": np.array([-1, -1]),
    }  # fmt: skip
    plan = check(network(tmp_path, nodes, weights), 1e-6)
    assert counts(plan)["BINARY"] == 1 and counts(plan)["COPY"] == 2  # the image's channels last; the planes
