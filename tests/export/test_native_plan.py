"""ONNX -> native plan, judged by ONNX Runtime: patterns become one operation, memory is shared safely."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from export.native.lowering import plan_network
from export.native.memory import lay_out
from export.native.plan import Activation, Code
from tests.export import native_interpreter
from tests.export.native_graphs import TOKENS, WIDTH, check, counts, node, save

LINEAR = [node("MatMul", "x w", "product")]
VECTOR = (WIDTH,)
SQUARE = {"w": (WIDTH, WIDTH)}
# Nodes, weights, activation of the one LINEAR that they become.
FUSED = {
    "bias": ([*LINEAR, node("Add", "b product", "y")], {**SQUARE, "b": VECTOR}, Activation.NONE),
    "gemm": (
        [node("Reshape", "x rows", "r"), node("Gemm", "r w b", "p", transB=1),
         node("Reshape", "p x_shape", "y")],
        {**SQUARE, "b": VECTOR, "rows": np.array([-1, WIDTH])}, Activation.NONE,
    ),
    "layer scale": (
        [*LINEAR, node("Add", "product b", "s"), node("Mul", "s g", "t"), node("Add", "x t", "y")],
        {**SQUARE, "b": VECTOR, "g": VECTOR}, Activation.NONE,
    ),
    "scalar": ([*LINEAR, node("Mul", "product s", "y")], {**SQUARE, "s": ()}, Activation.NONE),
    "gelu": ([*LINEAR, node("Gelu", "product", "g"), node("Add", "g x", "y")], SQUARE, Activation.GELU),
    "tanh": ([*LINEAR, node("Gelu", "product", "y", approximate="tanh")], SQUARE, Activation.GELU_TANH),
    "silu": (
        [*LINEAR, node("Sigmoid", "product", "s"), node("Mul", "s product", "y")], SQUARE, Activation.SILU
    ),
    "relu": ([*LINEAR, node("Relu", "product", "y")], SQUARE, Activation.RELU),
    "geglu": (
        [*LINEAR, node("Add", "product b", "s"), node("Split", "s", "v g", axis=-1, num_outputs=2),
         node("Gelu", "g", "h"), node("Mul", "h v", "y")],
        {"w": (WIDTH, 2 * WIDTH), "b": (2 * WIDTH,)}, Activation.GEGLU,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("precision,bound", [("float32", 1e-6), ("bfloat16", 1e-2)])
def test_what_follows_a_product_becomes_part_of_it(name, precision, bound, tmp_path):
    nodes, weights, activation = FUSED[name]
    plan = check(save(tmp_path / "n.onnx", nodes, weights), bound, precision)
    assert counts(plan)["LINEAR"] == 1 and set(counts(plan)) <= {"LINEAR", "COPY"}
    linear = next(o for o in plan.operations if o.code == Code.LINEAR)
    assert linear.words[8] == activation


# What stays apart: nodes, weights, operations.
APART = {
    "a product that is read twice": (
        [*LINEAR, node("Add", "product b", "s"), node("Mul", "s product", "y")],
        {**SQUARE, "b": VECTOR}, {"LINEAR": 1, "BINARY": 2},
    ),
    "a sum that broadcasts": (
        [*LINEAR, node("Slice", "x zero one axis", "row"), node("Add", "product row", "y")],
        {**SQUARE, "zero": np.array([0]), "one": np.array([1]), "axis": np.array([1])},
        {"LINEAR": 1, "BINARY": 1},
    ),
    "a product twice": ([*LINEAR, node("Add", "product product", "y")], SQUARE, {"LINEAR": 1, "BINARY": 1}),
    "gates in no groups of 16": (
        [node("MatMul", "x w", "s"), node("Split", "s", "v g", axis=2, num_outputs=2),
         node("Gelu", "g", "h"), node("Mul", "v h", "m"), node("MatMul", "m u", "y")],
        {"w": (WIDTH, 40), "u": (20, WIDTH)}, {"LINEAR": 2, "COPY": 1, "UNARY": 1, "BINARY": 1},
    ),
    "the gate is the first half": (
        [node("MatMul", "x w", "s"), node("Split", "s", "g v", axis=2, num_outputs=2),
         node("Gelu", "g", "h"), node("Mul", "v h", "y")],
        {"w": (WIDTH, 2 * WIDTH)}, {"LINEAR": 1, "COPY": 1, "UNARY": 1, "BINARY": 1},
    ),
    "one row for all tokens": (
        [node("Slice", "x zero one axis", "row"), node("Expand", "row x_shape", "rows"),
         node("MatMul", "rows w", "y")],
        {**SQUARE, "zero": np.array([0]), "one": np.array([1]), "axis": np.array([1]),
         "x_shape": np.array([1, TOKENS, WIDTH])},
        {"COPY": 1, "LINEAR": 1},
    ),
    "norms": (
        [node("LayerNormalization", "x s b", "n"),
         node("LayerNormalization", "n t", "y", axis=1, epsilon=0.1)],
        {"s": VECTOR, "b": VECTOR, "t": (TOKENS, WIDTH)}, {"LAYER_NORM": 2},
    ),
    "arithmetic": (
        [node("Sub", "c x", "d"), node("Div", "d e", "f"), node("Mul", "f s", "y")],
        {"c": (1, TOKENS, 1), "e": np.linspace(1, 2, WIDTH, dtype=np.float32), "s": ()}, {"BINARY": 3},
    ),
    "pieces": (
        [node("Split", "x sizes", "a b", axis=1), node("Slice", "x from to axes steps", "c"),
         node("Concat", "b c k", "d", axis=1), node("Transpose", "d", "e", perm=[0, 2, 1]),
         node("Reshape", "e x_shape", "y")],
        {"sizes": np.array([3, 13]), "from": np.array([-9]), "to": np.array([99]), "axes": np.array([-2]),
         "steps": np.array([9]), "k": (1, 2, WIDTH), },
        {"COPY": 4},
    ),
    "nothing": ([node("Identity", "x", "y")], {}, {"COPY": 1}),
    "constants": (
        [node("Shape", "x", "n", start=0, end=1), node("Concat", "n one one", "shape", axis=0),
         node("Expand", "t shape", "u"), node("Add", "u v", "w"), node("Add", "x w", "y")],
        {"one": np.array([1]), "t": (1, TOKENS, WIDTH), "v": VECTOR}, {"BINARY": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_what_stays_an_operation(name, tmp_path):
    nodes, weights, expected = APART[name]
    plan = check(save(tmp_path / "n.onnx", nodes, weights))
    found = counts(plan)
    assert found == expected


def attention(heads: int, *, flat: bool, joined: bool) -> tuple[list[onnx.NodeProto], dict[str, object]]:
    """Self-attention over x, as three products or one that is split."""
    nodes, weights = [], {"heads": np.array([-1, TOKENS, heads, WIDTH // heads])}
    if joined:
        nodes += [node("MatMul", "x w", "qkv"), node("Split", "qkv", "q k v", axis=-1, num_outputs=3)]
        weights["w"] = (WIDTH, 3 * WIDTH)
    else:
        nodes += [node("MatMul", f"x w{n}", n) for n in "qkv"]
        nodes[1] = node("MatMul", "x wk", "k_")
        nodes += [node("Add", "k_ bias", "k")]
        weights |= {f"w{n}": (WIDTH, WIDTH) for n in "qkv"} | {"bias": VECTOR}
    if flat:
        return [
            *nodes,
            node("Attention", "q k v", "y", q_num_heads=heads, kv_num_heads=heads, scale=0.3),
        ], weights
    for n in "qkv":
        nodes += [
            node("Reshape", f"{n} heads", f"{n}1"),
            node("Transpose", f"{n}1", f"{n}2", perm=[0, 2, 1, 3]),
        ]
    nodes += [node("Attention", "q2 k2 v2", "a"), node("Transpose", "a", "b", perm=[0, 2, 1, 3])]
    return [*nodes, node("Reshape", "b x_shape", "y")], weights


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("joined", [False, True])
def test_attention_reads_columns_of_one_product(heads, flat, joined, tmp_path):
    plan = check(save(tmp_path / "n.onnx", *attention(heads, flat=flat, joined=joined)), 1e-6)
    found = counts(plan)
    found.pop("COPY", 0)  # of the planes
    assert found == {"LINEAR": 1, "ATTENTION": 1}


def test_keys_that_do_not_lie_in_columns_are_copied(tmp_path):
    """Heads before tokens in memory, as no product gives them."""
    nodes = [
        node("Reshape", "x heads", "h"), node("MatMul", "x w", "p"), node("Reshape", "p heads", "q"),
        node("Attention", "q h h", "a"), node("Reshape", "a x_shape", "y"),
    ]  # fmt: skip
    weights = {**SQUARE, "heads": np.array([-1, 3, TOKENS, 16])}
    check(save(tmp_path / "n.onnx", nodes, weights), 1e-6)


@pytest.mark.parametrize("side", [4, 5])  # 5: the last row and column of pixels belong to no patch
def test_patches_and_upsampling_are_products(side, tmp_path):
    nodes = [
        node("Conv", "image w b", "p", strides=[side, side], kernel_shape=[side, side]),
        node("ConvTranspose", "p u c", "q", strides=[2, 2], kernel_shape=[2, 2]),
        node("Slice", "q zero four axes", "r"), node("Reshape", "r y_shape", "y"),
    ]  # fmt: skip
    weights = {
        "w": (20, 3, side, side), "b": (20,), "u": (20, 48, 2, 2), "c": (48,), "zero": np.array([0, 0]),
        "four": np.array([4, 4]), "axes": np.array([2, 3]), "y_shape": np.array([-1, WIDTH, TOKENS]),
    }  # fmt: skip
    plan = check(save(tmp_path / "n.onnx", nodes, weights), 1e-6)
    assert counts(plan)["LINEAR"] == 2


def test_what_has_no_native_form_is_listed(tmp_path):
    nodes = [
        node("Conv", "image w", "p", dilations=[2, 2]), node("Conv", "p w", "q", auto_pad="SAME_UPPER"),
        node("Conv", "q d", "q6"), node("Conv", "q6 g", "r", strides=[2, 2], group=3),
        node("Sigmoid", "r", "s"), node("Clip", "s zero one", "c"), node("Resize", "c no twice", "z"),
        node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "u"), node("MatMul", "u x", "y"),
    ]  # fmt: skip
    weights = {
        "w": (3, 3, 3, 3), "d": (6, 3, 1, 1), "g": (3, 2, 1, 1), "zero": np.zeros((), np.float32),
        "one": np.ones((), np.float32), "no": np.zeros(0, np.float32),
        "twice": np.array([1, 1, 2, 2], np.float32),
    }  # fmt: skip
    listed = (
        r"Conv 3x3 \(2 times\), Conv 1x1 with stride 2 in 3 groups, Sigmoid, Clip, "
        r"Resize \(nearest, half_pixel\), "
        r"MatMul of two computed values \(2 times\): no native form; build for onnxruntime or openvino"
    )
    with pytest.raises(ValueError, match=listed):
        plan_network(save(tmp_path / "n.onnx", nodes, weights))


def test_attention_that_is_not_plain_is_refused(tmp_path):
    for heads, extra, why in ((2, {}, "heads of width 24"), (3, {"is_causal": 1}, "with a mask")):
        nodes, weights = attention(heads, flat=True, joined=True)
        nodes[-1].attribute.extend(helper.make_attribute(k, v) for k, v in extra.items())
        with pytest.raises(ValueError, match=why):
            plan_network(save(tmp_path / "n.onnx", nodes, weights))


def test_the_interface_is_checked(tmp_path):
    path = save(tmp_path / "n.onnx", [*LINEAR, node("Identity", "product", "y")], SQUARE)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, path)
    with pytest.raises(ValueError, match="image: expected any batch or 1, got 2"):
        plan_network(path)
    model.graph.input[0].name = "picture"
    onnx.save(model, path)
    with pytest.raises(ValueError, match="expected input image and output planes"):
        plan_network(path)


def test_a_residual_stays_in_place_and_memory_is_least(tmp_path):
    """x -> x + W2 gelu(W1 norm(x)), three times: x, its norm and the hidden layer are all there ever is."""
    nodes, weights, hidden = [], {"s": VECTOR}, 4 * WIDTH
    for i in range(3):
        into, out = ("x" if i == 0 else f"x{i}"), ("y" if i == 2 else f"x{i + 1}")
        nodes += [node("LayerNormalization", f"{into} s", f"n{i}"), node("MatMul", f"n{i} a{i}", f"h{i}"),
                  node("Gelu", f"h{i}", f"g{i}"), node("MatMul", f"g{i} b{i}", f"o{i}"),
                  node("Add", f"{into} o{i}", out)]  # fmt: skip
        weights |= {f"a{i}": (WIDTH, hidden), f"b{i}": (hidden, WIDTH)}
    plan = check(save(tmp_path / "n.onnx", nodes, weights))
    assert counts(plan) == {"LAYER_NORM": 3, "LINEAR": 6}
    offsets, size = lay_out(plan)
    assert size == TOKENS * (2 * WIDTH + hidden)
    assert offsets[plan.image] == offsets[plan.planes]


def test_a_value_that_is_read_again_is_not_written_over(tmp_path):
    nodes = [*LINEAR, node("Add", "x product", "z"), node("Gelu", "z", "g"), node("Sub", "g z", "d"),
             node("Mul", "d x", "y")]  # fmt: skip
    plan = check(save(tmp_path / "n.onnx", nodes, SQUARE))
    assert counts(plan) == {"LINEAR": 1, "UNARY": 1, "BINARY": 2}


def test_one_constant_is_stored_once(tmp_path):
    nodes = [node("Add", "x c", "a"), node("Mul", "a c", "b"), node("Sub", "b c", "y")]
    path = save(tmp_path / "n.onnx", nodes, {"c": (TOKENS, WIDTH)})
    check(path)
    assert native_interpreter.read(path.with_suffix(".lrmnet")).weights.size == 4 * TOKENS * WIDTH
