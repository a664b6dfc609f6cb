"""Times of work on a GPU, by events on its stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

WARM_UP = 3
LEAST, PATIENCE = 3, 10.0  # repeats, seconds
TORCH_PATIENCE = 3.0  # seconds: the original takes several a picture, which differ little


def summary(times: list[float]) -> dict[str, float]:
    """Of milliseconds."""
    return {"median_ms": float(np.median(times)), "p95_ms": float(np.quantile(times, 0.95))}


def stream_times(stream: Any, work: Callable[[], Any], repeats: int = 20) -> dict[str, float]:
    """On a stream of cuda.core, what the host does between the launches included."""
    from cuda.core import EventOptions

    for _ in range(WARM_UP):
        work()
    timed = EventOptions(timing_enabled=True)
    times = []
    for _ in range(repeats):
        begin = stream.record(options=timed)
        work()
        end = stream.record(options=timed)
        end.sync()
        times.append(end - begin)
    return summary(times)


def torch_times(device: str, work: Callable[[], Any], repeats: int = 3) -> dict[str, float]:
    """On PyTorch's current stream; on "cpu" by the clock. Of slow work fewer than `repeats`."""
    import torch

    work()
    if device == "cpu":
        return host_times(work, repeats)
    times: list[float] = []
    while len(times) < repeats and sum(times) < 1e3 * TORCH_PATIENCE:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return summary(times)


def host_times(work: Callable[[], Any], repeats: int = 20) -> dict[str, float]:
    """By the clock, of work that waits for its own end; of slow work fewer than `repeats`."""
    times: list[float] = []
    while len(times) < repeats and (len(times) < LEAST or sum(times) < 1e3 * PATIENCE):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return summary(times)
