"""Hand-made ONNX graphs, and their native plans judged by ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from export.native.file import write
from export.native.lowering import plan_network
from export.native.plan import Plan
from tests.export import native_interpreter

TOKENS, WIDTH = 16, 48  # of x and y, [batch, TOKENS, WIDTH]
IMAGE, PLANES = (3, 16, 16), (3, 16, 4, 4)


def node(op: str, inputs: str, outputs: str, **attributes) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def save(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, object]) -> Path:
    """A network in which `nodes` make y of x; weights: shapes to be filled, or arrays."""
    random = np.random.default_rng(0)
    given = {"x_shape": np.array([-1, TOKENS, WIDTH]), "planes_shape": np.array([-1, *PLANES]), **weights}
    arrays = {
        name: random.normal(0, 0.2, w).astype(np.float32) if isinstance(w, tuple) else w
        for name, w in given.items()
    }
    nodes = [node("Reshape", "image x_shape", "x"), *nodes, node("Reshape", "y planes_shape", "planes")]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *s])
              for n, s in (("image", IMAGE), ("planes", PLANES))]  # fmt: skip
    tensors = [numpy_helper.from_array(a, n) for n, a in arrays.items()]
    graph = helper.make_graph(nodes, "test", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def check(path: Path, bound: float = 1e-5, precision: str = "float32", target: Path | None = None) -> Plan:
    """The interpreter's planes against ONNX Runtime's; relative l2."""
    plan = plan_network(path)
    target = target or path.with_suffix(".lrmnet")
    write(target, plan, precision)
    read = native_interpreter.read(target)
    image = np.random.default_rng(1).random(read.image, np.float32)
    expected = InferenceSession(path).run(None, {"image": image[None]})[0][0]
    planes = native_interpreter.run(read, image)
    assert planes.shape == expected.shape
    assert np.linalg.norm(planes - expected) <= bound * np.linalg.norm(expected)
    return plan


def counts(plan: Plan) -> dict[str, int]:
    return dict(Counter(operation.code.name for operation in plan.operations))
