"""How near the arithmetic comes to what the processor can do.

    python benchmarks/bench_roofline.py

The peak is that of a large float32 matrix product in PyTorch's BLAS, the bandwidth that of a copy; both
on the same number of threads and in turn with the query, the least time of several rounds. Operations
of a query are those of its bilinear look-ups and matrix products; activations are not counted. With
AMX, where each product of two float32 is six of bfloat16, those are counted too, against the peak of a
bfloat16 product in PyTorch. The network's figures come from bench_network.py's results, if they are
there and of this processor.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bench_field import FIELD, POINTS
from benchmarks.check import least_seconds
from benchmarks.measure import RESULTS, environment, save
from lrm_sdk import native
from models.evaluation.fitted import load_field, native_field
from models.field import Triplane

SIDE = 2048  # of the matrices
PARTIAL_PRODUCTS = 6  # of bfloat16 numbers, for one of float32 (runtime/src/decoder_tiles_impl.h)
COPIED = 64 << 20  # floats: larger than any cache
TEXELS = 12  # three planes, four each


def products_per_point(field: Triplane) -> int:
    """Operations in matrix products. The first layer is folded into the planes."""
    return sum(2 * a * b for a, b in itertools.pairwise(field.spec.widths[1:]))


def operations_per_point(field: Triplane) -> int:
    """Those, and the look-ups of the first layer's outputs."""
    return products_per_point(field) + 2 * TEXELS * field.spec.widths[1]


def bytes_per_point(field: Triplane) -> int:
    """What a point without neighbours reads and writes: texels, position, density and colour."""
    return 4 * (TEXELS * field.spec.widths[1] + 3 + 4)


def figures(field: Triplane, threads: int) -> dict:
    torch.set_num_threads(threads)
    a, b, product = (torch.rand(SIDE, SIDE) for _ in range(3))
    halves = (a.bfloat16(), b.bfloat16())
    source, target = torch.zeros(COPIED), torch.zeros(COPIED)
    points = np.random.default_rng(0).uniform(-1, 1, (POINTS, 3)).astype(np.float32) * field.spec.radius
    made = native_field(field, threads)
    seconds = least_seconds(
        {
            "product": lambda: torch.mm(a, b, out=product),
            "copy": lambda: target.copy_(source),
            "query": lambda: made.query(points),
        }
        | ({"halves": lambda: torch.mm(*halves)} if native.instruction_set() == "amx" else {})
    )
    peak = 2 * SIDE**3 / seconds["product"]
    reached = POINTS * operations_per_point(field) / seconds["query"]
    figures = {
        "threads": threads, "peak_gflops": peak / 1e9, "bandwidth_gbs": 8 * COPIED / seconds["copy"] / 1e9,
        "query_gflops": reached / 1e9, "query_share_of_peak": reached / peak,
    }  # fmt: skip
    if "halves" in seconds:
        matrix_peak = 2 * SIDE**3 / seconds["halves"]
        matrix = PARTIAL_PRODUCTS * POINTS * products_per_point(field) / seconds["query"]
        figures |= {
            "matrix_peak_gflops": matrix_peak / 1e9, "matrix_gflops": matrix / 1e9,
            "matrix_share_of_peak": matrix / matrix_peak,
        }  # fmt: skip
    return figures


def network_share(peak_gflops: float) -> list[dict]:
    path = RESULTS / "network.json"
    if not path.is_file():
        return []
    result = json.loads(path.read_text())
    if result["environment"]["processor"] != environment()["processor"]:
        return []
    rows = result["rows"]
    flop = rows[0]["tflop"] * 1e3
    return [{"way": r["way"], "share_of_peak": flop / r["median_s"] / peak_gflops} for r in rows]


def main() -> None:
    field = load_field(FIELD)
    with torch.no_grad():
        rows = [figures(field, threads) for threads in dict.fromkeys((1, torch.get_num_threads()))]
    result = {
        "environment": environment(torch=torch.__version__, instruction_set=native.instruction_set()),
        "operations_per_point": operations_per_point(field),
        "bytes_per_point": bytes_per_point(field),
        "rows": rows,
        "network": network_share(rows[-1]["peak_gflops"]),
    }
    print(json.dumps({k: v for k, v in result.items() if k != "environment"}, indent=2))
    print(save("roofline", result))


if __name__ == "__main__":
    main()
