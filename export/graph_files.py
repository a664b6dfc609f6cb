"""An ONNX on disk, with the weights that may lie beside it. Needs no package of ONNX."""

from __future__ import annotations

import shutil
from pathlib import Path


def copy_graph(source: Path, target: Path) -> None:
    """Copies an ONNX to `target`; a file with its weights goes beside it under its own name."""
    graph = load_graph(source, weights=False)
    shutil.copyfile(source, target)
    for name in sorted({i.value for t in graph.graph.initializer for i in _external(t)}):
        shutil.copyfile(source.parent / name, target.parent / name)
