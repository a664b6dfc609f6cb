"""Progress callbacks and Ctrl-C across the native boundary."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np

from lrm_sdk.errors import CancelledError
from lrm_sdk.native.library import check
from lrm_sdk.native.structs import ProgressFunction

# Called with a fraction in [0, 1]. Returning True, or raising, stops the call.
Progress = Callable[[float], Any]


def asks_to_stop(answer: Any) -> bool:
    """True for True (NumPy's too, which comparisons with arrays give), not for what is merely true-ish."""
    return isinstance(answer, bool | np.bool_) and bool(answer)


class ProgressBridge:
    """One native call's callback: what Python raised inside it is raised again after the call.

    Always installed, even without a Python callback, so that Ctrl-C ends a long call.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._error: BaseException | None = None
        self._interrupt: tuple[int, FrameType | None] | None = None
        self.function = ProgressFunction(self._call)

    def _call(self, user_data: object, fraction: float) -> int:
        if self._interrupt is not None:
            return 1
        if self._progress is None:
            return 0
        try:
            return int(asks_to_stop(self._progress(fraction)))
        except BaseException as error:  # a C stack frame is no place for any exception
            self._error = error
            return 1

    @contextlib.contextmanager
    def deferred_interrupt(self) -> Iterator[None]:
        """While the block lasts Ctrl-C asks the native call to stop; afterwards it is handled as usual.

        Python would otherwise raise KeyboardInterrupt between C and `_call`, where it is lost.
        """
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            yield
            return

        def remember(number: int, frame: FrameType | None) -> None:
            self._interrupt = (number, frame)

        signal.signal(signal.SIGINT, remember)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)
            if self._interrupt is not None:
                handler(*self._interrupt)

    def run(self, call: Callable[[], int]) -> None:
        """Makes the native call and raises what it, the callback or Ctrl-C asks for."""
        with self.deferred_interrupt():
            status = call()
        if self._error is not None:
            raise self._error
        if self._progress is not None and status == 4:
            raise CancelledError("cancelled: the progress callback returned True")
        check(status)
