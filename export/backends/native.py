"""liblrm's own network code on a CPU: the graph as a plan of operations (export/native), no other library.

float32   products in float32
bfloat16  matrices in bfloat16, half the file; products in bfloat16 where the processor has AMX, else in
          float32 from the same weights
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

PRECISIONS = ("float32", "bfloat16")


def build(onnx_path: Path, folder: Path, precision: str, report: Callable[[str], None]) -> list[dict]:
    """Raises ValueError that lists the operators without a native form."""
    from export.native.file import write
    from export.native.lowering import plan_network

    report(f"planning the network in {precision}")
    name = f"network.{precision}.lrmnet"
    write(folder / name, plan_network(onnx_path), precision)
    return [{"backend": "native", "precision": precision, "file": name, "requires": {}}]
