"""Feed-forward networks in parts: after attention's scores, their hidden layer is the largest thing that a
network holds, several times 100 MB in each of TripoSR's (the product, its halves, GELU).

Tokens do not know of each other there, so they can come in parts: from a matrix product whose output is
large, through what works on each token for itself, to the product that makes it small again.
"""

from __future__ import annotations

import onnx

HIDDEN_BYTES = 32 << 20  # of a part's largest value, for one picture
PRODUCTS = ("MatMul", "MatMulNBits")
TOKENWISE = (*PRODUCTS, "Add", "Gelu", "Mul", "Split")


def split_feed_forward(graph: onnx.ModelProto, hidden_bytes: int = HIDDEN_BYTES) -> bool:
    """Splits in place what is larger; whether there was any. Values are [B, tokens, channels]."""
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.graph.value_info}
    constants, outputs = _constants(graph.graph), {v.name for v in graph.graph.output}
    nodes, done, found = list(graph.graph.node), set(), False
    result: list[onnx.NodeProto] = []
    for i, node in enumerate(nodes):
        if i in done:
            continue
        count = -(-_bytes(node, shapes) // hidden_bytes)
        region = _region(nodes, i, constants, outputs) if count > 1 else []
        if region:
            result += _parts([nodes[k] for k in region], count)
            done.update(region)
            found = True
        else:
            result.append(node)
    del graph.graph.node[:]
    graph.graph.node.extend(result)
    return found


def _constants(graph: onnx.GraphProto) -> set[str]:
    """Weights, those that are stored in fewer bits behind a Cast too."""
    names = {tensor.name for tensor in graph.initializer}
    return names | {n.output[0] for n in graph.node if n.op_type == "Cast" and n.input[0] in names}


def _bytes(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """Of a product's output for one picture; 0 for other nodes and unknown lengths."""
    shape = shapes.get(node.output[0], []) if node.op_type in PRODUCTS else []
    return 4 * shape[1] * shape[2] if len(shape) == 3 else 0


def _region(nodes: list[onnx.NodeProto], first: int, constants: set[str], outputs: set[str]) -> list[int]:
    """Places of the nodes from product to product; [] where a value comes from, or goes to, elsewhere."""
    inside, region = set(), []
    for k in range(first, len(nodes)):
        node = nodes[k]
        varying = [name for name in node.input if name and name not in constants]
        if k > first and not inside & set(varying):
            continue
        if node.op_type not in TOKENWISE or (k > first and not inside.issuperset(varying)):
            return []
        if k == first and varying != [node.input[0]]:  # a product of two values, as in attention
            return []
        region.append(k)
        if k > first and node.op_type in PRODUCTS:
            used = outputs.union(*(n.input for i, n in enumerate(nodes) if i not in region))
            return [] if inside & used else region
        inside.update(node.output)
    return []


def _parts(region: list[onnx.NodeProto], count: int) -> list[onnx.NodeProto]:
    source, result = region[0].input[0], region[-1].output[0]
    inputs = [f"{result}/tokens_{i}" for i in range(count)]
    nodes = [onnx.helper.make_node("Split", [source], inputs, f"{result}/split", axis=1, num_outputs=count)]
    for i, name in enumerate(inputs):
        renamed = {source: name} | {out: f"{out}/part_{i}" for node in region for out in node.output}
        for node in region:
            part = onnx.NodeProto()
            part.CopyFrom(node)
            part.name = f"{node.name or node.output[0]}/part_{i}"
            part.input[:] = [renamed.get(x, x) for x in node.input]
            part.output[:] = [renamed[x] for x in node.output]
            nodes.append(part)
    outputs = [f"{result}/part_{i}" for i in range(count)]
    nodes.append(onnx.helper.make_node("Concat", outputs, [result], f"{result}/concat", axis=1))
    return nodes
