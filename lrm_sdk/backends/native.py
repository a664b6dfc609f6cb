"""liblrm itself on the CPU: weights stay mapped from the file, nothing is compiled and nothing installed.

float32    products in float32
bfloat16   matrices in bfloat16; products too where the processor has AMX, else in float32
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lrm_sdk.backends.cores import usable_cores
from lrm_sdk.engine_schema import NetworkSpec
from lrm_sdk.errors import EngineError, InvalidArgumentError
from lrm_sdk.native import PlanNetwork, instruction_set, version

PIP_EXTRA = None
MAX_THREADS = 1024  # of liblrm


def available(spec: NetworkSpec | None) -> str | None:
    """None: liblrm is always there, and every processor runs either precision."""
    return None


def load(path: Path, threads: int | None) -> NativeNetwork:
    """Raises EngineError for a damaged file or no plan of ours, OutOfMemoryError."""
    count = min(threads or usable_cores(), MAX_THREADS)
    try:
        plan = PlanNetwork(path, count)
    except InvalidArgumentError as error:
        raise EngineError(f"{path}: liblrm cannot load it ({error}); build the engine again") from error
    return NativeNetwork(plan, count)


class NativeNetwork:
    """Any number of threads may run it at once."""

    def __init__(self, plan: PlanNetwork, threads: int) -> None:
        self._plan = plan
        self._threads = threads
        self.input_shape: tuple[int | None, ...] = (None, *plan.image)
        self.output_shape: tuple[int | None, ...] = (None, *plan.planes)

    def describe(self) -> str:
        found = instruction_set()
        computed = self._plan.precision
        if computed == "bfloat16" and found != "amx":
            computed = "float32, matrices in bfloat16"
        return f"liblrm {version()}, CPU in {computed} ({found}), {self._threads} threads"

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        """image float32 [B, 3, S, S] in [0, 1] -> planes float32 [B, 3, C, H, W]; one picture at a time."""
        return np.stack([self._plan.run(picture, lambda fraction: poll()) for picture in image])
