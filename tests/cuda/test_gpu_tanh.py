"""gpu_check's sweep over tanh.approx, as far as it goes without a GPU."""

import ctypes

import numpy as np
import pytest

from benchmarks.gpu import tanh
from tests.sdk.fake_cuda import Cuda


def floats(address: int, count: int) -> np.ndarray:
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address))


def machine_with(function, monkeypatch) -> Cuda:
    """A GPU whose tanh.approx is `function`."""

    def kernel(blocks, threads, x, y, count) -> None:
        assert (blocks - 1) * threads < count <= blocks * threads
        floats(y, count)[:] = function(floats(x, count))

    cuda = Cuda()
    cuda.install(monkeypatch)
    cuda.kernels[b"sweep"] = {"sweep": kernel}.__getitem__
    code = cuda.core().ObjectCode.from_cubin(b"sweep")
    monkeypatch.setattr(tanh, "compile_sweep", lambda arch: code)
    monkeypatch.setattr("lrm_sdk.backends.nvidia.open_device", cuda.core().Device)
    return cuda


@pytest.mark.parametrize(
    "function, failed",
    [
        (np.tanh, []),
        (lambda x: np.clip(np.tanh(x) * np.float32(1 + 2.0**-12), -1, 1), []),
        (lambda x: np.clip(np.tanh(x) * np.float32(1 + 2.0**-10), -1, 1), ["relative"]),
        (lambda x: np.tanh(x) * np.float32(1 - 2.0**-16), ["saturated"]),
        (lambda x: np.full_like(x, np.nan), ["relative", "saturated"]),
    ],
)
def test_what_the_sweep_finds(function, failed, monkeypatch):
    machine_with(function, monkeypatch)
    assert tanh.sweep(0)["failed"] == failed


def test_the_sweep_compiles():
    pytest.importorskip("cuda.core", reason="pip install 'lrm-sdk[cuda]'")
    assert bytes(tanh.compile_sweep("sm_90").code)[:4] == b"\x7fELF"
