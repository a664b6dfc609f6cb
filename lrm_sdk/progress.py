"""Progress and cancellation of long calls, for every part of the SDK.

`progress` is None, True (a bar on stderr) or a function of a fraction in [0, 1], which cancels the
call by returning True or raising.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from lrm_sdk.errors import CancelledError, InvalidArgumentError
from lrm_sdk.native.progress import asks_to_stop

ProgressArgument = Callable[[float], Any] | bool | None


class ProgressReporter:
    """Calls the user's function with fractions that never fall; raises CancelledError if it says so."""

    def __init__(self, progress: ProgressArgument, label: str = "") -> None:
        if progress is True:
            self._function: Callable[[float], Any] | None = ProgressBar(label)
        elif progress is None or progress is False:
            self._function = None
        elif callable(progress):
            self._function = progress
        else:
            raise InvalidArgumentError(f"progress: expected None, True or a function, got {progress!r}")
        self._fraction = 0.0

    def __call__(self, fraction: float) -> None:
        self._fraction = max(self._fraction, min(1.0, fraction))
        if self._function is not None and asks_to_stop(self._function(self._fraction)):
            raise CancelledError("cancelled: the progress function returned True")

    def poll(self) -> None:
        """Asks again whether to stop, without having moved."""
        self(self._fraction)

    def part(self, low: float, high: float) -> Callable[[float], None]:
        """A progress function for a stage that goes from `low` to `high` of the whole."""
        return lambda fraction: self(low + (high - low) * fraction)


class ProgressBar:
    """One line on a terminal, drawn again in place; nothing where there is no terminal."""

    WIDTH = 30

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream: TextIO | None = stream or sys.stderr  # None under pythonw and some services
        self._shown = -1

    def __call__(self, fraction: float) -> None:
        percent = int(100 * fraction)
        if percent == self._shown or self._stream is None or not self._stream.isatty():
            return
        self._shown = percent
        filled = round(self.WIDTH * fraction)
        bar = "#" * filled + "." * (self.WIDTH - filled)
        end = "\n" if percent >= 100 else ""
        self._stream.write(f"\r{self._label} [{bar}] {percent:3d} %{end}")
        self._stream.flush()
