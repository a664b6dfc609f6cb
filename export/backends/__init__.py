"""One module per backend: ONNX -> the form that the backend runs.

Each has PRECISIONS, a tuple of names, and
    build(onnx_path, folder, precision, report) -> list of entries for engine.json's `networks`
which writes its files into `folder` and calls report(text) as it goes. TensorRT's takes `options` too.
"""

from __future__ import annotations

import importlib
from types import ModuleType

BACKENDS = {
    "onnxruntime": "export.backends.onnxruntime",
    "openvino": "export.backends.openvino",
    "native": "export.backends.native",
    "tensorrt": "export.backends.tensorrt",
    "tensorrt-rtx": "export.backends.tensorrt_rtx",
}


def backend_module(name: str) -> ModuleType:
    """Raises ValueError for a name that is not a backend."""
    if name not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    return importlib.import_module(BACKENDS[name])
