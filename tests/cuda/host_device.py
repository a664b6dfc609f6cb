"""A device of lrm_sdk.cuda on which the kernels run as C++, under runtime/cuda/host_shim.h."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrm_sdk.cuda.specialization import Specialization
from tests.runtime.compilers import tool

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "runtime" / "cuda"
FLAGS = ["-std=c++17", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
C_TYPES = {
    "i": ctypes.c_int32,
    "q": ctypes.c_int64,
    "l": ctypes.c_int64,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}


class HostDevice:
    """Arrays are NumPy arrays; new ones are poisoned with NaN (all bits set)."""

    multiprocessors = 2
    give_back = staticmethod(lambda: False)

    def __init__(self, spec: Specialization, *flags: str) -> None:
        self.library = build(spec, *flags)
        self._captured: list[Callable[[], None]] | None = None
        self.launches: list[tuple] = []  # (kernel, *arguments)

    def empty(self, shape: tuple[int, ...], dtype) -> np.ndarray:
        assert self._captured is None  # a graph may not
        array = aligned(shape, dtype)
        self.fill(array, 0xFF)
        return array

    def upload(self, array: np.ndarray) -> np.ndarray:
        assert self._captured is None  # a graph may not
        copy = aligned(array.shape, array.dtype)
        copy[...] = array
        return copy

    def write(self, target: np.ndarray, array: np.ndarray) -> None:
        assert self._captured is None  # a graph may not
        target[...] = array

    def copy(self, array: np.ndarray) -> np.ndarray:
        assert self._captured is None  # a graph may not
        return self.upload(array)

    def download(self, array: np.ndarray) -> np.ndarray:
        assert self._captured is None  # a graph may not
        return array.copy()

    def fill(self, array: np.ndarray, byte: int) -> None:
        self._do(lambda: array.reshape(-1).view(np.uint8).fill(byte))

    def launch(self, kernel: str, blocks: int, threads: int, *arguments) -> None:
        assert blocks > 0 and 0 < threads <= 1024
        self._do(lambda: self._run(kernel, blocks, threads, *arguments))

    def captured(self, work) -> Callable[[], None]:
        self._captured = captured = []
        work()
        self._captured = None
        return lambda: [job() for job in captured]

    def _do(self, job: Callable[[], None]) -> None:
        if self._captured is None:
            job()
        else:
            self._captured.append(job)

    def _run(self, kernel: str, *arguments) -> None:
        self.launches.append((kernel, *arguments[2:]))
        run_kernel(self.library, kernel, *arguments)


def run_kernel(library: ctypes.CDLL, kernel: str, blocks: int, threads: int, *arguments):
    """Arguments are arrays, addresses, None and NumPy scalars."""
    values = [as_c(argument) for argument in arguments]
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    getattr(library, f"launch_{kernel}")(blocks, threads, pointers)


def as_c(argument):
    if argument is None or type(argument) is int:
        return ctypes.c_void_p(argument)
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous
        return ctypes.c_void_p(argument.ctypes.data)
    return C_TYPES[argument.dtype.char](argument.item())


def aligned(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Zeros at a multiple of 256 bytes, as device memory is."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 256, np.uint8)
    first = -memory.ctypes.data % 256
    return memory[first : first + size].view(dtype).reshape(shape)


@functools.cache
def folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="lrm-host-kernels-")


@functools.cache
def build(spec: Specialization, *flags: str) -> ctypes.CDLL:
    """The kernels for one field; flags for the compiler. Skips the test where there is no C++ compiler."""
    if os.name != "posix":
        pytest.skip("host_shim.h needs ucontext.h")
    name = hashlib.sha256(" ".join([spec.header(), *flags]).encode()).hexdigest()[:16]
    header, library = (Path(folder().name) / f"{name}{suffix}" for suffix in (".h", ".so"))
    header.write_text(spec.header())
    command = [tool("CXX", "c++"), *FLAGS, *flags, "-include", str(header), f"-I{KERNELS}"]
    command += [str(HERE / "kernels.cpp"), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))
