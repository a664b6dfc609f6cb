"""Graphs that multiply in float8: what is rounded, and that ONNX Runtime computes them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.float8 import activation_ranges, linear_products, save_float8, to_float8
from lrm_sdk import EngineError

RNG = np.random.default_rng(0)
WEIGHTS = [
    (RNG.standard_normal((16, 16)) * 10.0 ** RNG.uniform(-4, 1, 16)).astype(np.float32) for _ in range(3)
]
WEIGHTS[2][:, 5] = 0


@pytest.fixture
def source(tmp_path):
    """Two products of one tensor, one of their sum, and one of two activations."""
    nodes = [
        helper.make_node("MatMul", ["image", "w0"], ["a"], name="first"),
        helper.make_node("MatMul", ["image", "w1"], ["b"], name="second"),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("MatMul", ["sum", "w2"], ["c"], name="third"),
        helper.make_node("MatMul", ["c", "b"], ["planes"], name="of activations"),
    ]
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["b", 16, 16]) for n in ("image", "planes")]
    weights = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(WEIGHTS)]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], weights)
    path = tmp_path / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    return path


def picture(seed: int, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal((1, 16, 16))).astype(np.float32)


def test_ranges_are_the_largest_over_all_pictures(source):
    pictures = [picture(0), picture(1, 2.0), picture(2, 0.5)]
    ranges = activation_ranges(source, pictures)
    image = np.abs(pictures[1]).max()
    sums = [p @ (WEIGHTS[0] + WEIGHTS[1]) for p in pictures]
    assert ranges == pytest.approx([image, image, max(np.abs(s).max() for s in sums)])


def test_another_number_of_products_than_calibrated(source):
    with pytest.raises(EngineError, match="expected the 2 products that were calibrated, got 3"):
        to_float8(onnx.load(source), [1.0, 1.0])


def test_every_factor_goes_through_float8_once(source, tmp_path):
    import onnxruntime

    target = tmp_path / "network.float8.onnx"
    save_float8(source, target, [picture(i) for i in range(4)])
    model = onnx.load(target)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") == 2 and kinds.count("DequantizeLinear") == 5
    assert linear_products(model.graph) == []  # none meets its weights as they were
    stored = {t.name: t for t in model.graph.initializer}
    for i, weight in enumerate(WEIGHTS):
        tensor = stored[f"w{i}_stored"]
        assert tensor.data_type == TensorProto.FLOAT8E4M3FN
        scales = numpy_helper.to_array(stored[f"w{i}_scales"]).astype(np.float32)
        restored = numpy_helper.to_array(tensor).astype(ml_dtypes.float8_e4m3fn).astype(np.float32) * scales
        largest = np.abs(weight).max(axis=0)
        assert (np.abs(restored - weight).max(axis=0) <= largest * 2.0**-4).all()  # E4M3: 3 bits of mantissa
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    image = picture(0)
    a, b = image @ WEIGHTS[0], image @ WEIGHTS[1]
    expected = (a + b) @ WEIGHTS[2] @ b
    got = session.run(["planes"], {"image": image})[0]
    assert 1e-3 < np.linalg.norm(got - expected) / np.linalg.norm(expected) < 0.1
