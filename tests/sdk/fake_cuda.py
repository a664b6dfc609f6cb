"""cuda.core in plain Python: enough to see what is asked of a GPU, and in what order.

"Device" memory is host memory; work on a stream happens when the host waits for it, so that whoever reads
too early reads zeros, and who forgets an order between two streams gets the other one. What is freed is
overwritten, in its stream's order.
"""

from __future__ import annotations

import ctypes
import threading
import types
from collections.abc import Callable

import numpy as np
import pytest


class Cuda:
    """One GPU: what happened on it (`calls`), its streams and its memory.

    kernels   name of a cubin -> name of a kernel -> called as kernel(blocks, threads, *arguments)
    """

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.streams: dict[int, Stream] = {}
        self.broken: set[str] = set()
        self.kernels: dict[bytes, Callable[[str], Callable]] = {}
        self.lock = threading.RLock()

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def allocate(self, size: int) -> Block:
        if "memory" in self.broken:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: no memory")
        return Block(size)

    def install(self, monkeypatch) -> None:
        """In place of cuda.core and the CUDA driver. Skips the test without the packages."""
        pytest.importorskip("cuda.core", reason="pip install 'lrm-sdk[cuda]'")
        import cuda.bindings
        import cuda.core

        core = self.core()
        for name in vars(core):
            if not name.startswith("__"):
                monkeypatch.setattr(cuda.core, name, getattr(core, name))
        monkeypatch.setattr(cuda.bindings, "driver", self.driver())

    def core(self) -> types.ModuleType:
        """The package cuda.core."""
        core = types.ModuleType("cuda.core")
        core.Device = lambda index: Device(self)
        core.Buffer = Buffer
        core.Stream = types.SimpleNamespace(from_handle=lambda handle: self.streams[handle])
        core.DeviceMemoryResource = lambda index, options: Pool(self, options.max_size)
        core.DeviceMemoryResourceOptions = types.SimpleNamespace
        core.LegacyPinnedMemoryResource = lambda: Pool(self, 0, "pinned")
        core.LaunchConfig = types.SimpleNamespace
        core.ObjectCode = types.SimpleNamespace(from_cubin=self._load)
        core.launch = self._launch
        return core

    def driver(self) -> types.ModuleType:
        """The module cuda.bindings.driver."""
        driver = types.ModuleType("cuda.bindings.driver")
        for name in ("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuMemcpyDtoDAsync"):
            setattr(driver, name, self._copying(name))
        driver.CUmemPool_attribute = types.SimpleNamespace(CU_MEMPOOL_ATTR_RELEASE_THRESHOLD="threshold")
        driver.cuuint64_t = int
        driver.cuMemPoolSetAttribute = lambda pool, name, value: pool.attributes.update({name: value})
        return driver

    def _copying(self, name: str) -> Callable:
        def copy(target: int, source: int, size: int, handle: int) -> tuple[int]:
            self.calls.append((name, size))
            if name == "cuMemcpyHtoDAsync":  # pageable memory has been read when the call returns
                data = ctypes.string_at(source, size)
                self.streams[handle].add(lambda: ctypes.memmove(target, data, size))
            else:
                self.streams[handle].add(lambda: ctypes.memmove(target, source, size))
            return (700 if name in self.broken else 0,)

        return copy

    def _load(self, cubin: bytes) -> types.SimpleNamespace:
        self.calls.append(("load", cubin))
        return types.SimpleNamespace(get_kernel=lambda name: (name, self.kernels[cubin](name)))

    def _launch(self, stream: Stream, config: types.SimpleNamespace, kernel: tuple, *arguments) -> None:
        name, function = kernel
        self.calls.append(("kernel", name))
        stream.add(lambda: function(config.grid, config.block, *arguments))


class Block:
    """Zeros with a wall behind them, at a multiple of 256."""

    def __init__(self, size: int) -> None:
        self.memory = np.zeros(size + 512, np.uint8)
        self.address = self.memory.ctypes.data + -self.memory.ctypes.data % 256
        self.size = size

    def spoil(self) -> None:
        self.memory[:] = 0xFF


class Pool:
    """A memory resource. max_size: 0 for no bound; call: what goes into the GPU's `calls`."""

    def __init__(self, cuda: Cuda, max_size: int, call: str = "allocate") -> None:
        self.cuda, self.max_size, self.used, self.call = cuda, max_size, 0, call
        self.handle = types.SimpleNamespace(attributes={})

    def allocate(self, size: int, *, stream: Stream | None = None) -> Buffer:
        if self.max_size and self.used + size > self.max_size:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: the pool is full")
        self.cuda.calls.append((self.call, size))
        block = self.cuda.allocate(size)
        self.used += size
        return Buffer(block.address, size, self, stream, block)


class Buffer:
    """Of a pool, or without one a view of somebody's memory."""

    def __init__(self, handle: int, size: int, pool=None, stream=None, block=None) -> None:
        self.handle, self.size = handle, size
        self._pool, self._stream, self._block = pool, stream, block

    def __del__(self) -> None:
        if self._pool is not None:
            self._pool.used -= self.size
            if self._stream is not None:
                self._stream.add(self._block.spoil)

    @staticmethod
    def from_handle(address: int, size: int) -> Buffer:
        return Buffer(address, size)

    def copy_to(self, target: Buffer, *, stream: Stream) -> None:
        assert self.size == target.size
        source, destination, size = self.handle, target.handle, self.size
        stream.add(lambda: ctypes.memmove(destination, source, size))

    def fill(self, byte: int, *, stream: Stream) -> None:
        handle, size = self.handle, self.size
        stream.add(lambda: ctypes.memset(handle, byte, size))


class Device:
    arch, name, compute_capability = "86", "Test GPU", (8, 6)
    properties = types.SimpleNamespace(multiprocessor_count=2)

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda

    @property
    def default_stream(self) -> Stream:
        return Stream(self.cuda)

    def set_current(self) -> None:
        self.cuda.calls.append(("set_current",))

    def sync(self) -> None:
        for stream in list(self.cuda.streams.values()):
            stream.sync()

    def allocate(self, size: int, *, stream: Stream) -> Buffer:
        return Pool(self.cuda, 0).allocate(size, stream=stream)

    def create_graph_builder(self) -> GraphBuilder:
        return Stream(self.cuda).create_graph_builder()

    def create_stream(self, theirs: Stream | None = None) -> Stream:
        return theirs or Stream(self.cuda)


class Stream:
    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self.work: list[Callable[[], object]] = []
        self.done = 0
        self.recording: list | None = None
        self.handle = 16 + len(cuda.streams)  # small numbers stand for CUDA's default streams
        cuda.streams[self.handle] = self

    @property
    def device(self) -> Device:
        return Device(self.cuda)

    def add(self, job: Callable[[], object]) -> None:
        (self.work if self.recording is None else self.recording).append(job)

    def wait(self, other: Stream) -> None:
        """What comes later here waits for what the other one has now."""
        end = len(other.work)
        self.cuda.calls.append(("wait", self.handle, other.handle))
        self.add(lambda: other.run(end))

    def run(self, end: int) -> None:
        with self.cuda.lock:
            while self.done < end:
                job, self.work[self.done] = self.work[self.done], bool
                self.done += 1
                job()

    def sync(self) -> None:
        self.run(len(self.work))

    def create_graph_builder(self) -> GraphBuilder:
        return GraphBuilder(self)


class GraphBuilder:
    """Also the graph itself."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def begin_building(self, mode: str) -> GraphBuilder:
        assert mode == "relaxed"  # else garbage that frees memory in this thread would end the capture
        self.stream.recording = []
        return self

    def end_building(self) -> GraphBuilder:
        self.jobs, self.stream.recording = self.stream.recording, None
        self.stream.cuda.calls.append(("captured",))
        if "end of capture" in self.stream.cuda.broken:
            raise RuntimeError("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: no graph\nmore")
        return self

    def add(self, job: Callable[[], object]) -> None:
        self.stream.add(job)

    def complete(self) -> GraphBuilder:
        return self

    def launch(self, stream: Stream) -> None:
        stream.cuda.calls.append(("launch",))
        stream.work.extend(self.jobs)
