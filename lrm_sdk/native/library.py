"""Finds and loads liblrm once, and turns its status codes into exceptions: the only place that does."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from lrm_sdk import errors
from lrm_sdk.native.structs import PROTOTYPES

# MAJOR and MINOR of the header that structs.py mirrors.
HEADER_VERSION = (0, 1)

_FILE_NAMES = {"win32": "lrm.dll", "darwin": "liblrm.dylib"}

_ERRORS: dict[int, type[errors.LrmError]] = {
    1: errors.InvalidArgumentError,
    2: errors.NotFiniteError,
    3: errors.OutOfMemoryError,
    4: errors.CancelledError,
    5: errors.EmptySurfaceError,
    6: errors.InternalError,  # this package sizes the buffers, so a short one is its own defect
    7: errors.InternalError,
}


def check(status: int) -> None:
    """Raises the exception of a status other than LRM_OK, with the library's text."""
    if status == 0:
        return
    text = load().lrm_last_error().decode("utf-8", "replace")
    raise _ERRORS.get(status, errors.InternalError)(text or f"liblrm returned status {status}")


@functools.lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """The library with its prototypes set. Raises BackendError if it is missing or of another version."""
    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, arguments) in PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise errors.BackendError(f"{path}: cannot be loaded ({error}); install lrm-sdk again") from error
    found = library.lrm_version()
    if (found // 10000, found // 100 % 100) != HEADER_VERSION:
        expected = ".".join(map(str, HEADER_VERSION))
        raise errors.BackendError(f"{path}: expected liblrm {expected}, got {found}; install lrm-sdk again")
    return library


def library_path() -> Path:
    """Where liblrm is: $LRM_LIBRARY, else beside the package, else in the installed distribution.

    The last serves a source checkout on sys.path before an installed lrm-sdk. Raises BackendError.
    """
    tried = []
    for path in _candidates():
        if path.is_file():
            return path
        tried.append(str(path))
    looked = ", ".join(tried)
    raise errors.BackendError(
        f"liblrm: not found (looked for {looked}); run `pip install .`, or set LRM_LIBRARY to its path"
    )


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("LRM_LIBRARY"):
        yield Path(chosen)
        return
    name = _FILE_NAMES.get(sys.platform, "liblrm.so")
    yield Path(__file__).resolve().parent.parent / name
    from importlib import metadata  # slow to import, needed only in a checkout

    try:
        yield Path(str(metadata.distribution("lrm-sdk").locate_file(f"lrm_sdk/{name}")))
    except metadata.PackageNotFoundError:
        return


def version() -> str:
    """Version of the library that is running, e.g. "0.1.0"."""
    number = load().lrm_version()
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def instruction_set() -> str:
    """ "amx", "avx512", "avx2" or "portable"."""
    return load().lrm_instruction_set().decode()
