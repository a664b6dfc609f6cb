"""Attention in parts: the scores of all queries at once are the largest thing that a network holds.

ONNX Runtime's CPU kernel writes out softmax's argument, [B, heads, queries, keys] float32: 604 MB in
each of TripoSR's self-attentions. Queries do not know of each other, so they can come in parts, with
every head in each part, so that all cores stay busy.
"""

from __future__ import annotations

import onnx

SCORE_BYTES = 64 << 20  # of a part, for one picture


def split_attention(graph: onnx.ModelProto, score_bytes: int = SCORE_BYTES) -> bool:
    """Splits in place the Attention nodes (opset 23) whose scores are larger; whether there were any."""
    shapes = _shapes(graph.graph)
    nodes: list[onnx.NodeProto] = []
    for node in graph.graph.node:
        nodes += _parts(node, _part_count(node, shapes, score_bytes))
    found = len(nodes) > len(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return found


def _shapes(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """Of each value; 0 where a length is free."""
    values = [*graph.value_info, *graph.input, *graph.output]
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def _part_count(node: onnx.NodeProto, shapes: dict[str, list[int]], score_bytes: int) -> int:
    """1 for what is no plain attention of [B, heads, length, channels] with known lengths."""
    if node.op_type != "Attention" or len(node.input) != 3 or _causal(node):
        return 1
    query, key = (shapes.get(name, []) for name in node.input[:2])
    if len(query) != 4 or len(key) != 4 or not all([*query[1:3], key[2]]):
        return 1
    largest = max(score_bytes // (4 * query[1] * key[2]), 1)  # queries in a part
    return -(-query[2] // largest)


def _causal(node: onnx.NodeProto) -> bool:
    return any(a.name == "is_causal" and a.i for a in node.attribute)


def _parts(node: onnx.NodeProto, count: int) -> list[onnx.NodeProto]:
    if count == 1:
        return [node]
    stem = node.name or node.output[0]
    queries = [f"{stem}/query_{i}" for i in range(count)]
    outputs = [f"{stem}/output_{i}" for i in range(count)]
    attentions = []
    for query, output in zip(queries, outputs, strict=True):
        part = onnx.NodeProto()
        part.CopyFrom(node)
        part.name, part.input[0], part.output[0] = output, query, output
        attentions.append(part)
    split = onnx.helper.make_node(
        "Split", [node.input[0]], queries, f"{stem}/split", axis=2, num_outputs=count
    )
    joined = onnx.helper.make_node("Concat", outputs, [node.output[0]], f"{stem}/concat", axis=2)
    return [split, *attentions, joined]
