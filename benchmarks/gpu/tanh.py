"""The GPU's tanh.approx.f32, by which SiLU is computed in half precision, against float64.

The PTX ISA promises 2^-11 relative; tests/cuda/test_precision.py shows what that would do to a field.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BOUND = 2.0**-11
SATURATED_FROM = 20.0  # tanh is 1 in float32

SOURCE = r"""
extern "C" __global__ void sweep(const float* x, float* y, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) asm("tanh.approx.f32 %0, %1;" : "=f"(y[i]) : "f"(x[i]));
}
"""
THREADS = 256


def arguments() -> np.ndarray:
    """float32: evenly over [-20, 20], and by exponents from 1e-30 to 1e30, both signs."""
    even, wide = np.linspace(0, SATURATED_FROM, 1_000_001), np.geomspace(1e-30, 1e30, 10_001)
    magnitudes = np.concatenate([even, wide])
    return np.concatenate([-magnitudes, magnitudes]).astype(np.float32)


def judged(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Largest relative error; and largest distance from 1 where |x| >= 20: SiLU multiplies it by |x| / 2."""
    exact = np.tanh(x.astype(np.float64))
    scale = np.where(exact == 0, 1.0, np.abs(exact))
    found = {
        "relative": float((np.abs(y - exact) / scale).max()),
        "saturated": float(np.abs(np.abs(y[np.abs(x) >= SATURATED_FROM]) - 1.0).max()),
    }
    bounds = {"relative": BOUND, "saturated": 0.0}
    failed = [what for what, value in found.items() if not value <= bounds[what]]
    return found | {"bounds": bounds, "failed": failed}


def compile_sweep(arch: str) -> Any:
    """An ObjectCode of cuda.core. Needs no GPU."""
    from cuda.core import Program, ProgramOptions

    return Program(SOURCE, "c++", ProgramOptions(arch=arch, std="c++17")).compile("cubin")


def sweep(index: int) -> dict[str, Any]:
    """On the GPU of that number."""
    from cuda.core import LaunchConfig, launch

    from lrm_sdk.backends.nvidia import open_device
    from lrm_sdk.cuda.array import GpuArray, copy_memory
    from lrm_sdk.cuda.gpu import open_pool

    device = open_device(index)
    device.set_current()
    stream, pool, x = device.create_stream(), open_pool(index, None), arguments()
    given, got = (
        GpuArray(x.shape, np.float32, pool.allocate(x.nbytes, stream=stream), stream) for _ in range(2)
    )
    copy_memory("cuMemcpyHtoDAsync", given.pointer, x.ctypes.data, x.nbytes, stream)
    kernel = compile_sweep(f"sm_{device.arch}").get_kernel("sweep")
    config = LaunchConfig(grid=-(-len(x) // THREADS), block=THREADS)
    launch(stream, config, kernel, given.pointer, got.pointer, np.int32(len(x)))
    return judged(x, np.asarray(got))
