"""Graphs in float16 and bfloat16."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.halves import save_half, to_half

ONNX = Path(__file__).resolve().parents[2] / "models/lrm-tiny/onnx/network.onnx"


def model(nodes: list, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, 4, 4])
    planes = helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["b", 3, "h", "w"])
    tensors = [numpy_helper.from_array(v, k) for k, v in weights.items()]
    graph = helper.make_graph(nodes, "g", [image], [planes], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def run(graph: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["planes"], {"image": image})[0]


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_types_of_the_shipped_network(tmp_path, precision):
    save_half(ONNX, tmp_path / "n.onnx", precision)
    onnx.checker.check_model(str(tmp_path / "n.onnx"), full_check=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "n.onnx"), strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in [*graph.value_info, *graph.input, *graph.output]}
    code = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}[precision]
    assert types["image"] == types["planes"] == TensorProto.FLOAT
    for node in graph.node:
        if node.op_type in ("MatMul", "Attention", "Gelu", "LayerNormalization", "Conv"):
            assert types[node.output[0]] == code, node.name
        if node.op_type == "ConvTranspose":
            assert types[node.output[0]] == (code if precision == "float16" else TensorProto.FLOAT)


def test_masks_stay_finite_and_resize_keeps_its_scales():
    mask = np.full((4, 4), -3e38, np.float32)
    mask[:, 0] = 0
    nodes = [
        helper.make_node("Add", ["image", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["soft"]),
        helper.make_node("Resize", ["soft", "", "scales"], ["planes"], mode="nearest"),
    ]
    graph = model(nodes, {"mask": mask, "scales": np.array([1, 1, 2, 2], np.float32)})
    image = np.random.default_rng(0).random((2, 3, 4, 4), np.float32)
    expected = run(graph, image)
    to_half(graph, "float16")
    onnx.checker.check_model(graph, full_check=True)
    planes = run(graph, image)
    assert planes.dtype == np.float32 and planes.shape == (2, 3, 8, 8)
    np.testing.assert_allclose(planes, expected, atol=1e-3)


def test_an_output_that_the_graph_reads_and_constants_in_attributes():
    half = numpy_helper.from_array(np.array(0.5, np.float32), "c")
    nodes = [
        helper.make_node("Constant", [], ["half"], value=half),
        helper.make_node("Mul", ["image", "half"], ["planes"]),
        helper.make_node("Neg", ["planes"], ["unused"]),
    ]
    graph = model(nodes, {})
    image = np.random.default_rng(0).random((1, 3, 4, 4), np.float32)
    to_half(graph, "float16")
    np.testing.assert_allclose(run(graph, image), image / 2, atol=1e-3)


def test_branches_are_refused():
    body = helper.make_graph([], "body", [], [])
    graph = model([helper.make_node("If", ["image"], ["planes"], then_branch=body, else_branch=body)], {})
    with pytest.raises(ValueError, match="no branches and no local functions"):
        to_half(graph, "float16")
