"""The files of an engine directory: names that stay inside it, sizes, hashes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

from lrm_sdk.engine_schema import FileSpec
from lrm_sdk.errors import EngineError
from lrm_sdk.files import reason

# engine.json lists names and numbers; a larger one is not ours and would cost memory to parse.
MAX_MANIFEST_BYTES = 4 << 20


def read_json(folder: Path) -> Any:
    """engine.json of `folder`, parsed. Raises EngineError."""
    path = folder / "engine.json"
    try:
        if not folder.is_dir():
            what = "a file" if folder.exists() else "nothing"
            raise EngineError(
                f"{folder}: expected an engine directory, found {what}; make one with export/build_engine.py"
            )
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise EngineError(f"{path}: expected a file; build the engine again")
        if status.st_size > MAX_MANIFEST_BYTES:
            raise EngineError(
                f"{path}: expected at most {MAX_MANIFEST_BYTES} bytes, got {status.st_size}; "
                "build the engine again"
            )
        return _parse(path.read_bytes())
    except FileNotFoundError as error:
        raise EngineError(f"{folder}: no engine.json in it; make one with export/build_engine.py") from error
    except OSError as error:
        raise EngineError(f"{path}: cannot be read: {reason(error)}; check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path}: not JSON ({error}); build the engine again") from error


def _parse(data: bytes) -> Any:
    """JSON as RFC 8259 has it, which Python's parser does not insist on. Raises ValueError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in pairs:
            if name in result:
                raise ValueError(f"the key {name!r} comes twice")
            result[name] = value
        return result

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no number of JSON")

    return json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=constant)


def inner_path(folder: Path, name: str) -> Path:
    """The file `name` of the engine. Raises EngineError for a name or a link that leads out of it."""
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name:
        raise EngineError(f"engine.json: file {name!r}: expected a relative name inside the directory")
    path = folder / pure
    try:
        root, target = os.path.realpath(folder), os.path.realpath(path)
    except (OSError, ValueError) as error:  # letters that no file system takes, too long
        raise EngineError(f"engine.json: file {name[:80]!r}: no name for a file ({error})") from error
    if os.path.commonpath([root, target]) != root:
        raise EngineError(f"{path}: is a link out of the engine directory; copy the file into it")
    return path


def check_file(folder: Path, name: str, spec: FileSpec, *, hashes: bool) -> None:
    """Existence, size and (with `hashes`) sha256 of one file. Raises EngineError."""
    path = inner_path(folder, name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise EngineError(f"{path}: expected a file; build the engine again")
        if status.st_size != spec.size:
            raise EngineError(
                f"{path}: expected {spec.size} bytes, got {status.st_size}; copy or build the engine again"
            )
        if hashes and (digest := sha256(path)) != spec.sha256:
            raise EngineError(
                f"{path}: expected sha256 {spec.sha256[:12]}..., got {digest[:12]}...; "
                "copy or build the engine again"
            )
    except FileNotFoundError as error:
        raise EngineError(f"{path}: missing; copy or build the engine again") from error
    except OSError as error:
        raise EngineError(f"{path}: cannot be read: {reason(error)}; check its permissions") from error


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
