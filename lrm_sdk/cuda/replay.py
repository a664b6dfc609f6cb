"""Launches that come again and again, as a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from lrm_sdk.cuda.device import Device
from lrm_sdk.errors import LrmError


class Replayed:
    """Does the same work at every call: `warm_up` times kernel by kernel, then as one CUDA graph.

    problem   why there is no graph, after a capture that failed: a warning says so once, and `work` is
              launched kernel by kernel for good.
    """

    def __init__(self, device: Device, warm_up: int) -> None:
        self._device, self._warm_up = device, warm_up
        self._replay: Callable[[], None] | None = None
        self.problem: str | None = None

    @property
    def next_is_capture(self) -> bool:
        return self._warm_up == 0 and self._replay is None and self.problem is None

    def __call__(self, work: Callable[[], None]) -> None:
        """work: as Device.captured takes it; not kept."""
        if self.next_is_capture:
            self._capture(work)
        (work if self._replay is None else self._replay)()
        self._warm_up = max(self._warm_up - 1, 0)

    def _capture(self, work: Callable[[], None]) -> None:
        try:
            self._replay = self._device.captured(work)
        except LrmError as error:
            self.problem = str(error)
            warnings.warn(f"{error}; launching kernel by kernel", RuntimeWarning, stacklevel=3)
