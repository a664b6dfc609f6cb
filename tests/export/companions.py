"""The ONNX of an engine as export_onnx.py lays it out."""

from __future__ import annotations

import json
from pathlib import Path


def with_companions(engine: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in ("network.onnx", "field.safetensors", "verification.safetensors"):
        (folder / name).write_bytes((engine / name).read_bytes())
    manifest = json.loads((engine / "engine.json").read_text())
    kept = {k: v for k, v in manifest.items() if k not in ("networks", "verification", "files")}
    (folder / "manifest.json").write_text(json.dumps(kept))
    return folder / "network.onnx"
