"""One call in a thread of its own, so that the caller's thread can look for Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from lrm_sdk.errors import BackendError, LrmError, OutOfMemoryError

# How often a running network looks whether it should stop, seconds.
POLL_INTERVAL = 0.05

Result = TypeVar("Result")


def run_interruptibly(
    call: Callable[[], Result], *, poll: Callable[[], None], stop: Callable[[], None], library: str
) -> Result:
    """What `call` returns. poll() is called meanwhile; if it raises, stop() makes `call` end soon.

    Raises what poll raises, LrmError as `call` does, OutOfMemoryError, or BackendError naming `library`.
    """
    job = _Job(call)
    try:
        job.start()
        while not job.done.wait(POLL_INTERVAL):
            poll()
    except BaseException:  # cancelled, or Ctrl-C
        if job.abandon():
            stop()
            job.done.wait()
        raise
    if isinstance(job.error, LrmError):
        raise job.error
    if job.error is not None:
        text = first_line(job.error)
        if is_out_of_memory(job.error):
            raise OutOfMemoryError(
                f"the network needs more memory than there is ({text}); free some, or take int8"
            ) from job.error
        raise BackendError(f"{library} failed: {text}") from job.error
    assert job.result is not None  # no error means a result
    return job.result


def is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower().replace("_", " ")
    return isinstance(error, MemoryError) or "alloc" in text or "out of memory" in text


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


class _Job(Generic[Result]):
    def __init__(self, call: Callable[[], Result]) -> None:
        self.done = threading.Event()
        self.result: Result | None = None
        self.error: Exception | None = None
        self._call = call
        self._lock = threading.Lock()
        self._running = self._abandoned = False

    def start(self) -> None:
        threading.Thread(target=self._work, daemon=True, name="lrm-network").start()

    def abandon(self) -> bool:
        """Whether the call is running or over; if not, it never will: Ctrl-C came up while it started."""
        with self._lock:
            self._abandoned = True
            return self._running

    def _work(self) -> None:
        with self._lock:
            if self._abandoned:
                return
            self._running = True
        try:
            self.result = self._call()
        except Exception as error:  # handed to the waiting thread
            self.error = error
        finally:
            self.done.set()
