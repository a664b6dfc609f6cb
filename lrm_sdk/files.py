"""Files appear whole or not at all: written beside the target, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lrm_sdk.errors import SaveError


def write_atomically(path: str | os.PathLike[str], data: bytes | memoryview) -> Path:
    """Writes `data` to `path`, replacing a file that is there. Raises SaveError and leaves nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.txt", b"hello").read_bytes()
    b'hello'
    """
    path = check_writable(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        # "x": never through a link that someone else put there. Mode and umask as for any new file.
        with temporary.open("xb") as file:
            _write(file, data)
        temporary.replace(path)
    except OSError as error:
        _remove_quietly(temporary)
        raise SaveError(f"{path}: cannot be written: {reason(error)}") from error
    except BaseException:  # Ctrl-C too leaves nothing half written
        _remove_quietly(temporary)
        raise
    return path


@contextlib.contextmanager
def staged_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder to fill; it becomes `path` if the block succeeds.

    If `path` is there already, files of the same names are replaced in it and others left alone.
    Raises SaveError.
    """
    path = check_folder(path)
    stage = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        stage.mkdir()
        yield stage
        if not path.exists():
            stage.rename(path)
            return
        for file in sorted(stage.iterdir()):
            file.replace(path / file.name)
    except OSError as error:
        raise SaveError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def check_writable(path: str | os.PathLike[str]) -> Path:
    """`path`, or SaveError now rather than after minutes of work if it can surely not be written."""
    path = as_path(path)
    try:
        if path.is_dir():
            raise SaveError(f"{path}: expected a file name, got a directory")
        if path.exists() and not path.is_file():
            raise SaveError(f"{path}: expected a file name, got a device or a pipe")
        _check_parent(path)
        return path.resolve() if path.is_symlink() else path  # the link stays a link
    except (OSError, ValueError) as error:
        raise SaveError(f"{_shown(path)}: cannot be written: {reason(error)}") from error


def check_folder(path: str | os.PathLike[str]) -> Path:
    """As check_writable, for a folder that is to be made or filled."""
    path = as_path(path)
    try:
        if path.exists() and not path.is_dir():
            raise SaveError(f"{path}: expected a folder name; a file is there")
        _check_parent(path)
        return path
    except (OSError, ValueError) as error:
        raise SaveError(f"{_shown(path)}: cannot be written: {reason(error)}") from error


def as_path(path: Any) -> Path:
    """Raises SaveError for what is no path."""
    try:
        return Path(path)
    except TypeError as error:
        raise SaveError(f"path: expected a path, got {type(path).__name__}; give a file name") from error


def _check_parent(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # raises for names that no file can have
    if not path.parent.is_dir():
        raise SaveError(f"{path}: the directory {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise SaveError(f"{path}: the directory {path.parent} is not writable; choose another one")


def _shown(path: Path) -> str:
    return ascii(str(path))[1:-1]  # a name that cannot be may hold what no terminal should get


def _write(file: BinaryIO, data: bytes | memoryview) -> None:
    file.write(data)


def reason(error: Exception) -> str:
    """The system's words for an error, without number and path."""
    return getattr(error, "strerror", None) or str(error)


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
