"""Feed-forward networks in parts give the same planes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from export.feed_forward_memory import split_feed_forward

TOKENS, CHANNELS, HIDDEN = 37, 8, 24
ROW = 4 * 2 * HIDDEN  # bytes of one token's hidden layer


def gated(*, residual_inside: bool = False) -> onnx.ModelProto:
    """As TripoSR's: x -> product, bias, halves, GELU of one times the other, product, plus x."""
    random = np.random.default_rng(0)
    shapes = {"w1": (CHANNELS, 2 * HIDDEN), "b1": (2 * HIDDEN,), "w2": (HIDDEN, CHANNELS)}
    weights = [numpy_helper.from_array(random.random(s, np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["product"]),
        helper.make_node("Add", ["product", "b1"], ["biased"]),
        helper.make_node("Split", ["biased"], ["value", "gate"], axis=2, num_outputs=2),
        helper.make_node("Gelu", ["gate"], ["gelu"]),
        helper.make_node("Mul", ["value", "gelu"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "w2"], ["small"]),
        helper.make_node("Add", ["small", "x"], ["y"]),
    ]
    outputs = [_value("y", CHANNELS)] + ([_value("hidden", HIDDEN)] if residual_inside else [])
    graph = helper.make_graph(nodes, "gated", [_value("x", CHANNELS)], outputs, weights)
    graph.value_info.append(_value("product", 2 * HIDDEN))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)


def _value(name: str, channels: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", TOKENS, channels])


def run(model: onnx.ModelProto, batch: int) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal((batch, TOKENS, CHANNELS), np.float32)
    return InferenceSession(model.SerializeToString()).run(["y"], {"x": x})[0]


@pytest.mark.parametrize("tokens", [1, 10, 19, 36])
@pytest.mark.parametrize("batch", [1, 2])
def test_parts_give_the_same(tokens: int, batch: int) -> None:
    whole, parts = gated(), gated()
    assert split_feed_forward(parts, tokens * ROW)
    onnx.checker.check_model(parts, full_check=True)
    count = -(-TOKENS // tokens)
    assert [n.op_type for n in parts.graph.node].count("MatMul") == 2 * count
    np.testing.assert_allclose(run(parts, batch), run(whole, batch), rtol=1e-5)


def test_what_is_small_is_left_alone() -> None:
    model = gated()
    assert not split_feed_forward(model, TOKENS * ROW) and model == gated()


def test_a_hidden_value_that_is_used_elsewhere_stays_whole() -> None:
    model = gated(residual_inside=True)
    assert not split_feed_forward(model, ROW)


def test_attention_s_products_are_left_alone() -> None:
    """Two values are multiplied there: no token is by itself."""
    model = gated()
    model.graph.node[0].input[1] = "x"
    assert not split_feed_forward(model, ROW)
