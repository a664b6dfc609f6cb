"""Attention in parts gives the same planes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime import InferenceSession

from export.attention_memory import split_attention

HEADS, QUERIES, KEYS, CHANNELS = 3, 37, 11, 8
ROW = 4 * HEADS * KEYS  # bytes of one query's scores


def attention(**attributes) -> onnx.ModelProto:
    """query [B, heads, queries, channels] and as many keys and values -> output."""
    lengths = {"query": QUERIES, "key": KEYS, "value": KEYS}
    inputs = [_value(name, length) for name, length in lengths.items()]
    node = helper.make_node("Attention", list(lengths), ["output"], **attributes)
    graph = helper.make_graph([node], "attention", inputs, [_value("output", QUERIES)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)


def _value(name: str, length: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", HEADS, length, CHANNELS])


def run(graph: onnx.ModelProto, batch: int) -> np.ndarray:
    random = np.random.default_rng(0)
    feeds = {
        i.name: random.standard_normal(
            (batch, *[d.dim_value for d in i.type.tensor_type.shape.dim][1:]), np.float32
        )
        for i in graph.graph.input
    }
    return InferenceSession(graph.SerializeToString()).run(None, feeds)[0]


@pytest.mark.parametrize("queries", [1, 10, 19, 36])
@pytest.mark.parametrize("batch", [1, 2])
def test_parts_give_the_same(queries: int, batch: int) -> None:
    whole, parts = attention(), attention()
    assert split_attention(parts, queries * ROW)
    onnx.checker.check_model(parts, full_check=True)
    counts = [n.op_type for n in parts.graph.node]
    assert counts.count("Attention") == -(-QUERIES // queries)
    assert np.allclose(run(whole, batch), run(parts, batch), atol=1e-6)


def test_small_and_causal_attention_is_left_alone() -> None:
    assert not split_attention(attention(), QUERIES * ROW)
    assert not split_attention(attention(is_causal=1), ROW)
