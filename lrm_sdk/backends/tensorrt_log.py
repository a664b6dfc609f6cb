"""What TensorRT logs, kept for the message of an exception."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def make_logger(trt: ModuleType) -> Any:
    """An ILogger of the package `trt` that prints nothing; `.errors` are the texts of its errors."""

    class Logger(trt.ILogger):  # type: ignore[name-defined]  # the package comes as an argument
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, text: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(" ".join(text.split()))

    return Logger()


def first_error(logger: Any) -> str:
    """The cause; what comes after it mostly says that CUDA was not happy either."""
    return logger.errors[0] if logger.errors else "no reason was logged"
