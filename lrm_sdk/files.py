"""Files appear whole or not at all: written beside the target, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from lrm_sdk.errors import SaveError


def write_atomically(path: str | os.PathLike[str], data: bytes | memoryview) -> Path:
    """Writes `data` to `path`, replacing a file that is there. Raises SaveError and leaves nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.txt", b"hello").read_bytes()
    b'hello'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        # "x": never through a link that someone else put there. Mode and umask as for any new file.
        with temporary.open("xb") as file:
            file.write(data)
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
    """An empty folder to fill; its files move to `path` (made if missing) if the block succeeds.

    Files of the same names are replaced, others there are left alone. Raises SaveError.
    """
    path = Path(path)
    stage = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        stage.mkdir(parents=True)
        yield stage
        path.mkdir(exist_ok=True)
        for file in sorted(stage.iterdir()):
            file.replace(path / file.name)
    except OSError as error:
        raise SaveError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises SaveError now rather than after minutes of work, if `path` can surely not be written."""
    path = Path(path)
    if path.is_dir():
        raise SaveError(f"{path}: expected a file name, got a directory")
    if not path.parent.is_dir():
        raise SaveError(f"{path}: the directory {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise SaveError(f"{path}: the directory {path.parent} is not writable")


def reason(error: OSError) -> str:
    return error.strerror or str(error)


def _remove_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
