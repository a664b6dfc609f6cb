"""The builder's side: how far it is, how it is stopped, what it has timed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from lrm_sdk.backends.job import run_interruptibly
from lrm_sdk.backends.tensorrt_log import first_error
from lrm_sdk.cache import writable_cache_folder
from lrm_sdk.errors import BackendError
from lrm_sdk.files import write_atomically
from lrm_sdk.progress import ProgressArgument, ProgressReporter

Result = TypeVar("Result")


def make_monitor(trt: ModuleType) -> Any:
    """An IProgressMonitor: `.fraction` of the build that is done; `.stop()` ends it after the step."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[str | None, int, int]] = {}  # name -> (parent, steps, done)
            self._lock = threading.Lock()  # the builder calls from several threads
            self._stopped = False
            self.fraction = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._lock:
                self._phases[phase_name] = (parent_phase, num_steps, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._lock:
                parent, steps, _ = self._phases.get(phase_name, (None, 1, 0))
                self._phases[phase_name] = (parent, steps, step + 1)
                self.fraction = max(self.fraction, self._fraction())
            return not self._stopped

        def phase_finish(self, phase_name: str) -> None:
            with self._lock:
                self._phases.pop(phase_name, None)

        def stop(self) -> None:
            self._stopped = True

        def _fraction(self, parent: str | None = None) -> float:
            """Of the phases within `parent`, as a mean."""
            inner = [(n, s, d) for n, (p, s, d) in self._phases.items() if (p or None) == parent]
            parts = [min(1.0, (done + self._fraction(name)) / steps) for name, steps, done in inner]
            return sum(parts) / len(parts) if parts else 0.0

    return Monitor()


def run_builder(
    job: Callable[[Any], Result], trt: ModuleType, *, title: str, progress: ProgressArgument
) -> Result:
    """What job(monitor) returns, which parses and builds. Ctrl-C and `progress` stop the builder.

    All of it runs in a thread of its own: in the main thread Ctrl-C might come up within a callback of
    the library, which swallows it. Raises BackendError, CancelledError.
    """
    monitor = make_monitor(trt)
    report = ProgressReporter(progress, title)
    result = run_interruptibly(
        lambda: job(monitor), poll=lambda: report(monitor.fraction), stop=monitor.stop, library=title
    )
    report(1.0)
    return result


def build_plan(builder: Any, network: Any, config: Any, logger: Any, title: str) -> Any:
    """The serialised engine, an object with the buffer protocol. Raises BackendError with what was logged."""
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"{title}'s builder failed: {first_error(logger)}")
    return plan


class TimingCache:
    """What TensorRT measured, kept in the user's cache folder for the next build on the same GPU.

    TensorRT-RTX has none: it times nothing (its timing cache calls do nothing since 1.2).
    """

    def __init__(self, config: Any, key: str) -> None:
        folder = writable_cache_folder("tensorrt")
        self._path: Path | None = folder / f"timing-{key}.cache" if folder else None
        self._config = config
        known = self._path.read_bytes() if self._path and self._path.is_file() else b""
        # A damaged or foreign cache comes back empty.
        self._cache = config.create_timing_cache(known)
        config.set_timing_cache(self._cache, False)

    def save(self) -> None:
        """Raises SaveError."""
        if self._path is not None:
            write_atomically(self._path, memoryview(self._config.get_timing_cache().serialize()))
