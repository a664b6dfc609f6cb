"""The exceptions of lrm_sdk. Every message says what was expected, what came, and what to do."""

from __future__ import annotations


class LrmError(Exception):
    """The base: `except LrmError` catches everything that this package raises on purpose."""


class InvalidArgumentError(LrmError, ValueError):
    """An argument's type, shape, dtype or value cannot be right."""


class NotFiniteError(InvalidArgumentError):
    """NaN or infinity in planes, weights, points or a camera."""


class ImageError(LrmError, ValueError):
    """A picture cannot be read, has a size that is refused, or shows no subject."""


class EngineError(LrmError):
    """An engine directory is missing something, damaged, or of another format version."""


class BackendError(LrmError, RuntimeError):
    """A network backend or an optional package is not available on this machine."""


class OutOfMemoryError(LrmError, MemoryError):
    """An allocation failed, or a bound on memory would have been exceeded."""


class CancelledError(LrmError):
    """A progress callback asked to stop. Nothing was written."""


class EmptySurfaceError(LrmError):
    """The density never crosses the threshold, so there is no surface."""


class SaveError(LrmError):
    """A file could not be written; nothing of it is left behind."""


class InternalError(LrmError):
    """A defect of this package."""
