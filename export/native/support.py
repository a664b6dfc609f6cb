"""What liblrm's operations cannot compute, found before anything is written."""

from __future__ import annotations

from collections import Counter

from export.native.graph import Graph, Node
from export.native.matrix import GROUP

MAX_HEAD_WIDTH = 128
PLAIN = (
    "Linear", "Convolution", "Depthwise", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity",
    "Transpose", "Expand", "Split", "Concat", "Add", "Sub", "Mul", "Div", "Gelu", "GeluTanh", "Silu", "Relu",
    "Relu6",
)  # fmt: skip


def check_supported(graph: Graph) -> None:
    """Raises ValueError that lists every kind of node without a native form."""
    found = Counter(why for node in graph.nodes if (why := refusal(graph, node)) is not None)
    if found:
        listed = ", ".join(f"{why} ({n} times)" if n > 1 else why for why, n in found.items())
        raise ValueError(f"{listed}: no native form; build for onnxruntime or openvino")


def refusal(graph: Graph, node: Node) -> str | None:
    """What is wanted of `node` that is not there, in words; None if nothing."""
    if node.op in PLAIN:
        return None
    checks = {"LayerNormalization": _norm, "Attention": _attention, "Conv": _conv,
              "ConvTranspose": _transposed, "Resize": _resize, "ReduceMean": _mean,
              "Slice": _slice}  # fmt: skip
    if node.op in checks:
        return checks[node.op](graph, node)
    return f"{node.op} of two computed values" if node.op in ("MatMul", "Gemm") else node.op


def _norm(graph: Graph, node: Node) -> str | None:
    if any(name not in graph.constants for name in node.inputs[1:] if name) or len(node.outputs) > 1:
        return "LayerNormalization with computed weights or more than one output"
    return None


def _attention(graph: Graph, node: Node) -> str | None:
    attributes = node.attributes
    extras = any(node.inputs[3:]) or len(node.outputs) > 1 or attributes.get("is_causal", 0)
    if extras or attributes.get("softcap", 0.0):
        return "Attention with a mask, a cache or a softcap"
    query, key, value = (_heads(graph, node, i) for i in range(3))
    if query is None or not query == key == value:
        return "Attention of unlike or unknown heads"
    if query[1] % GROUP or query[1] > MAX_HEAD_WIDTH:
        return f"Attention with heads of width {query[1]} (multiples of {GROUP} to {MAX_HEAD_WIDTH})"
    return None


def _heads(graph: Graph, node: Node, i: int) -> tuple[int, int] | None:
    """(count, width)"""
    shape = graph.shapes.get(node.inputs[i], ())
    if len(shape) == 4:
        return shape[1], shape[3]
    count = node.attributes.get("q_num_heads" if i == 0 else "kv_num_heads")
    return (count, shape[2] // count) if len(shape) == 3 and count else None


def _transposed(graph: Graph, node: Node) -> str | None:
    """Patches that do not overlap are a product."""
    shape = graph.shapes.get(node.inputs[1], ())
    kernel, attributes = list(shape[2:]), node.attributes
    ones = [1] * len(kernel)
    plain = not any([*attributes.get("pads", []), *attributes.get("output_padding", [])])
    plain = plain and list(attributes.get("dilations", ones)) == ones and attributes.get("group", 1) == 1
    plain = plain and attributes.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    plain = plain and len(kernel) == 2 and list(attributes.get("strides", ones)) == kernel
    constant = all(name in graph.constants for name in node.inputs[1:])
    return None if plain and constant and "output_shape" not in attributes else _conv(graph, node)


def _conv(graph: Graph, node: Node) -> str:
    """Of one that became no product."""
    kernel = graph.shapes.get(node.inputs[1], ())[2:]
    strides, groups = node.attributes.get("strides", [1]), node.attributes.get("group", 1)
    size = "x".join(map(str, kernel)) + (f" with stride {strides[0]}" if max(strides) > 1 else "")
    return f"{node.op} {size}" + (f" in {groups} groups" if groups > 1 else "")


def _resize(graph: Graph, node: Node) -> str:
    """Of one that became no product."""
    mode = node.attributes.get("mode", "nearest")
    return f"Resize ({mode}, {node.attributes.get('coordinate_transformation_mode', 'half_pixel')})"


def mean_axes(graph: Graph, node: Node) -> list[int]:
    """Of a ReduceMean over constant axes, none negative."""
    rank = len(graph.shapes[node.inputs[0]])
    given = graph.constants[node.inputs[1]].tolist() if len(node.inputs) > 1 and node.inputs[1] else []
    if not given and not node.attributes.get("noop_with_empty_axes", 0):
        return list(range(rank))
    return [axis % rank for axis in given]


def _mean(graph: Graph, node: Node) -> str | None:
    known = node.inputs[0] in graph.shapes and node.outputs[0] in graph.shapes
    constant = all(name in graph.constants for name in node.inputs[1:] if name)
    return None if known and constant else "ReduceMean of unknown shape or over computed axes"


def _slice(graph: Graph, node: Node) -> str | None:
    if any(name not in graph.constants for name in node.inputs[1:] if name):
        return "Slice at computed places"
    return None
