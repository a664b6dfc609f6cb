"""The roofline of point queries, counted: what the GPU can do at most against what a point needs.

    points/s <= min(peak operations/s / operations a point, peak bytes/s / bytes a point)

Peaks follow from the device's properties and NVIDIA's architecture white papers; clocks are the highest
that the device states. Williams, Waterman, Patterson 2009 (Roofline, CACM 52/4).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

TEXELS = 12  # three planes, four each
# Of a point in device memory: position in, density and colour out. Planes and weights stay in the L2 cache.
BYTES_PER_POINT = 4 * (3 + 1 + 3)
# Of decoder.cuh and decoder_tensor.cuh: tensor cores take bfloat16 as fast as float16.
ARITHMETIC = {"float32": "float32", "float16": "float16", "bfloat16": "float16"}
# Exponentials, reciprocals and tanh, a clock and SM: CUDA C++ Programming Guide, "Arithmetic Instructions".
SPECIAL_PER_CLOCK = 16
# Of them an activation: SiLU by exp and division in float32, by tanh in half precision; ReLU.
SPECIAL_PER_ACTIVATION = {"silu": {"float32": 2, "float16": 1, "bfloat16": 1}, "relu": {}}

# Compute capability: operations (a multiply-add is two) a clock and SM: float32 units; tensor cores in
# float16 with float32 sums, dense. GeForce GPUs of 8.6, 8.9 and 12.0 do half of the latter.
OPERATIONS_PER_CLOCK = {
    (7, 5): (128, 1024),
    (8, 0): (128, 2048),
    (8, 6): (256, 1024),
    (8, 9): (256, 1024),
    (9, 0): (256, 4096),
    (10, 0): (256, 8192),
    (12, 0): (256, 1024),
}


def device_facts(index: int) -> dict[str, Any]:
    """Name, architecture and clocks of a GPU, for `peaks` and the report."""
    from lrm_sdk.backends.nvidia import open_device

    device = open_device(index)
    properties = device.properties
    return {
        "name": device.name,
        "compute_capability": list(device.compute_capability),
        "multiprocessors": properties.multiprocessor_count,
        "clock_khz": properties.clock_rate,
        "memory_clock_khz": properties.memory_clock_rate,
        "memory_bus_bits": properties.global_memory_bus_width,
        "l2_bytes": properties.l2_cache_size,
    }


def peaks(facts: dict[str, Any]) -> dict[str, float]:
    """Operations a second in float32 and on tensor cores, bytes a second. Raises ValueError for an
    architecture that is not in the table."""
    capability = tuple(facts["compute_capability"])
    if capability not in OPERATIONS_PER_CLOCK:
        known = ", ".join(f"{a}.{b}" for a, b in OPERATIONS_PER_CLOCK)
        raise ValueError(
            f"compute capability {capability[0]}.{capability[1]}: expected one of {known}; add its "
            "operations per clock to benchmarks/gpu/roofline.py"
        )
    float32, tensor = OPERATIONS_PER_CLOCK[capability]
    clocks = 1e3 * facts["clock_khz"] * facts["multiprocessors"]
    return {
        "float32": clocks * float32,
        "float16": clocks * tensor,
        "bytes": 2 * 1e3 * facts["memory_clock_khz"] * facts["memory_bus_bits"] / 8,  # double data rate
    }


def operations_per_point(widths: Sequence[int]) -> int:
    """widths: features in, ..., 4. The first layer is folded into the planes: its outputs are looked up."""
    products = sum(2 * a * b for a, b in itertools.pairwise(widths[1:]))
    return products + 2 * TEXELS * widths[1]


def special_operations_per_point(widths: Sequence[int], activation: str, precision: str) -> int:
    return SPECIAL_PER_ACTIVATION[activation].get(precision, 0) * sum(widths[1:-1])


def roofline(
    facts: dict[str, Any], widths: Sequence[int], activation: str, precision: str, points_per_second: float
) -> dict[str, Any]:
    """Points a second at most, and the share of it that was reached. The special functions' own bound is
    told beside it: it may be the lower one, but they could be computed otherwise."""
    peak, operations = peaks(facts), operations_per_point(widths)
    arithmetic = ARITHMETIC[precision]
    most = min(peak[arithmetic] / operations, peak["bytes"] / BYTES_PER_POINT)
    special = special_operations_per_point(widths, activation, precision)
    rate = 1e3 * facts["clock_khz"] * facts["multiprocessors"] * SPECIAL_PER_CLOCK
    return {
        "arithmetic": arithmetic,
        "operations_per_point": operations,
        "bytes_per_point": BYTES_PER_POINT,
        "peak": peak,
        "points_per_second": most,
        "share": points_per_second / most,
        "special_operations_per_point": special,
        "points_per_second_by_special_functions": rate / special if special else None,
    }
