"""The manifest beside an ONNX: manifest.json of a folder that ships, engine.json of an engine."""

from __future__ import annotations

import json
from pathlib import Path

BUILT = ("networks", "verification", "files")  # what engine.json has beyond manifest.json


def has_manifest(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("manifest.json", "engine.json"))


def read_source_manifest(folder: Path) -> dict:
    """Raises OSError, or ValueError for no JSON."""
    path = folder / "manifest.json"
    if not path.is_file():
        path = folder / "engine.json"
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in BUILT}
