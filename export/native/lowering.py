"""A graph -> the plan that liblrm runs."""

from __future__ import annotations

import math
from pathlib import Path

from export.native.emitter import Emitter
from export.native.fusion import fuse
from export.native.graph import Graph, load
from export.native.operators import HANDLERS
from export.native.plan import Buffer, Plan
from export.native.support import check_supported
from export.native.views import whole


def plan_network(path: Path) -> Plan:
    """Of an ONNX of export_onnx.py's. Raises ValueError for what is none, and one that lists the operators
    without a native form."""
    graph = load(path)
    fuse(graph)
    check_supported(graph)
    return lower(graph)


def lower(graph: Graph) -> Plan:
    """Of a fused graph that check_supported lets through."""
    emitter = Emitter(graph)
    image = emitter.view(graph.image)
    for node in graph.nodes:
        emitter.define(node, HANDLERS[node.op](emitter, node))
    planes = emitter.view(graph.planes)
    if not planes.whole or planes.source is image.source:
        target = whole(Buffer(math.prod(planes.shape)), planes.shape)
        emitter.copy(planes, target)
        planes = target
    assert isinstance(image.source, Buffer) and isinstance(planes.source, Buffer)
    return Plan(emitter.operations, image.source, image.shape[1:], planes.source, planes.shape[1:])
