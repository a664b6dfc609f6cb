"""What makes a network of ONNX Runtime take less memory: its largest values in parts."""

from __future__ import annotations

from pathlib import Path

import onnx

from export.attention_memory import split_attention
from export.feed_forward_memory import split_feed_forward
from export.weights import load_graph


def split_in_file(path: Path) -> None:
    """Changes a file in place; weights that lie outside it stay where they are."""
    graph = load_graph(path, weights=False)
    changed = [split(graph) for split in (split_attention, split_feed_forward)]
    if any(changed):
        onnx.save(graph, path)
